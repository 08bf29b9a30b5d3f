// What lies in a workspace before and after a call, and what the call made of it (acceptance TRACK-1): found by comparing names, inodes and
// hashes, so that writes of any process count. What a process only read leaves no trace and is not known.

import { createHash } from 'node:crypto'
import { closeSync, readlinkSync, readSync } from 'node:fs'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { FileChange } from '../pipeline/contract.ts'
import { isMissing } from './missing-file.ts'
import { OVERFULL_BOUNDS, openFile, pathText, type WalkEntry, WORKSPACE_BOUNDS, walk } from './workspace-walk.ts'

const PIECE_BYTES = 256 * 1024
/** Hashed between turns of the event loop. */
const TURN_BYTES = 4 * 1024 * 1024
/** Two writes within one tick of the file system's clock leave the same time: younger files are hashed again. */
const CLOCK_TICK_NS = 50_000_000n

export interface SnapshotFile {
  /** For people and records. */
  readonly path: string
  readonly identity: string
  readonly size: number
  /** Lower-case hex of SHA-256: of a file's bytes, of a link's target; null for FIFOs, sockets and devices. */
  readonly hash: string | null
  readonly mtimeNs: bigint
  readonly ctimeNs: bigint
}

export interface WorkspaceSnapshot {
  /** By the path's bytes as latin1 text. Folders are not in it. */
  readonly files: ReadonlyMap<string, SnapshotFile>
  /** False when the workspace holds more than can be tracked: files without a hash are only named. */
  readonly complete: boolean
  readonly takenNs: bigint
}

/** Hashes of `previous` stand where neither inode, size nor either time of a file changed. Follows no link. */
export async function takeSnapshot(folder: string, previous: WorkspaceSnapshot | null): Promise<WorkspaceSnapshot> {
  const takenNs = BigInt(Date.now()) * 1_000_000n
  const files = new Map<string, SnapshotFile>()
  const complete = await walk(folder, WORKSPACE_BOUNDS, async (entry) => {
    if (entry.kind === 'folder') return
    const key = entry.path.toString('latin1')
    const known = previous?.files.get(key)
    const unchanged = known !== undefined && previous !== null && isUnchanged(entry, known, previous.takenNs)
    files.set(key, unchanged ? known : describe(entry, await hashOf(entry)))
  })
  if (!complete) await nameTheRest(folder, files)
  return { files, complete, takenNs }
}

/** Beyond the limits nothing is hashed, but nothing is hidden either. */
async function nameTheRest(folder: string, files: Map<string, SnapshotFile>): Promise<void> {
  await walk(folder, OVERFULL_BOUNDS, (entry) => {
    const key = entry.path.toString('latin1')
    if (entry.kind !== 'folder' && !files.has(key)) files.set(key, describe(entry, { hash: null, size: entry.size }))
  })
}

function isUnchanged(entry: WalkEntry, known: SnapshotFile, takenNs: bigint): boolean {
  const sameTimes = entry.mtimeNs === known.mtimeNs && entry.ctimeNs === known.ctimeNs
  return sameTimes && entry.identity === known.identity && known.ctimeNs + CLOCK_TICK_NS < takenNs
}

interface Hashed {
  readonly hash: string | null
  readonly size: number
}

function describe(entry: WalkEntry, { hash, size }: Hashed): SnapshotFile {
  const { identity, mtimeNs, ctimeNs } = entry
  return { path: pathText(entry.path), identity, size, hash, mtimeNs, ctimeNs }
}

async function hashOf(entry: WalkEntry): Promise<Hashed> {
  if (entry.kind === 'link') return hashOfLink(entry.place)
  const descriptor = entry.kind === 'file' ? openFile(entry) : null
  if (descriptor === null) return { hash: null, size: 0 }
  try {
    const hash = createHash('sha256')
    const piece = Buffer.allocUnsafe(PIECE_BYTES)
    let size = 0
    // A file that grows while it is read ends where the walk saw its end.
    while (size < entry.size) {
      const read = readSync(descriptor, piece, 0, Math.min(PIECE_BYTES, entry.size - size), size)
      if (read === 0) break
      hash.update(piece.subarray(0, read))
      size += read
      if (size % TURN_BYTES === 0) await nextTurn()
    }
    return { hash: hash.digest('hex'), size }
  } finally {
    closeSync(descriptor)
  }
}

function hashOfLink(place: Buffer): Hashed {
  try {
    const target = readlinkSync(place, { encoding: 'buffer' })
    return { hash: createHash('sha256').update(target).digest('hex'), size: target.length }
  } catch (error) {
    // Something else has its name meanwhile.
    if (isMissing(error)) return { hash: null, size: 0 }
    throw error
  }
}

/** Sorted by path; a rename is an inode that left one name and has another. */
export function compareSnapshots(before: WorkspaceSnapshot, after: WorkspaceSnapshot): FileChange[] {
  const gone = [...before.files].filter(([key]) => !after.files.has(key)).map(([, file]) => file)
  const movedFrom = new Map(gone.map((file) => [file.identity, file]))
  const changes: FileChange[] = []
  for (const [key, file] of after.files) {
    const old = before.files.get(key)
    if (old !== undefined && isSame(old, file)) continue
    const from = old?.identity === file.identity ? undefined : movedFrom.get(file.identity)
    if (from !== undefined) {
      movedFrom.delete(file.identity)
      if (old !== undefined) changes.push(deletion(old))
      changes.push({ ...change('rename', file, from.hash), from: from.path })
    } else if (old === undefined) {
      changes.push(change('create', file, null))
    } else {
      changes.push(change('write', file, old.hash))
    }
  }
  const moved = new Set(changes.flatMap(({ from }) => (from === undefined ? [] : [from])))
  changes.push(...gone.filter(({ path }) => !moved.has(path)).map(deletion))
  return changes.sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0))
}

/** Beyond the limits nothing was hashed: there the times decide, which no program can set back. */
function isSame(old: SnapshotFile, file: SnapshotFile): boolean {
  if (file.hash !== null || old.hash === null) return old.hash === file.hash && old.size === file.size
  return old.identity === file.identity && old.ctimeNs === file.ctimeNs
}

function change(operation: 'create' | 'write' | 'rename', file: SnapshotFile, before: string | null): FileChange {
  return { operation, path: file.path, size: file.size, before, after: file.hash }
}

function deletion(file: SnapshotFile): FileChange {
  return { operation: 'delete', path: file.path, size: 0, before: file.hash, after: null }
}
