// Walks a workspace that hostile programs have written: follows no link, leaves the folder by no name, has limits on entries, bytes and depth.
// On Linux every step is taken from an open folder (/proc/self/fd/N/name), so that swapping a folder for a link changes nothing; elsewhere
// paths are checked before they are used, which a program that still runs could race.

import {
  type BigIntStats,
  chmodSync,
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
  rmdirSync,
  unlinkSync
} from 'node:fs'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { LIMITS } from '../base/limits.ts'
import { isMissing } from './missing-file.ts'

const DEPTH_MAX = 64
/** Of Linux; Node does not name it. */
const O_PATH = 0o10000000
/** Between turns of the event loop. */
const ENTRIES_PER_TURN = 256

export type EntryKind = 'file' | 'folder' | 'link' | 'other'

export interface WalkEntry {
  /** Path relative to the folder, as bytes. */
  readonly path: Buffer
  readonly kind: EntryKind
  /** Device, inode and birth: the number of a removed file is used again at once. */
  readonly identity: string
  /** Bytes that it may cost: a sparse file counts in full. */
  readonly size: number
  readonly links: number
  readonly mtimeNs: bigint
  readonly ctimeNs: bigint
  /** For opening it without following anything, valid during the visit. */
  readonly place: Buffer
}

export interface WalkBounds {
  readonly entriesMax: number
  readonly bytesMax: number
}

export const WORKSPACE_BOUNDS: WalkBounds = {
  entriesMax: LIMITS.workspaceFilesMax,
  bytesMax: LIMITS.workspaceBytesMax
}

/** For looking through what was filled beyond its limits before anybody saw it. */
export const OVERFULL_BOUNDS: WalkBounds = {
  entriesMax: 50 * LIMITS.workspaceFilesMax,
  bytesMax: Number.MAX_SAFE_INTEGER
}

/**
 * Visits every entry, parents first. False when something was left out: what lies too deep is skipped, and at the limit of entries or bytes
 * the walk ends.
 */
export async function walk(
  folder: string,
  bounds: WalkBounds,
  visit: (entry: WalkEntry) => Promise<void> | void
): Promise<boolean> {
  const state: WalkState = { entries: 0, bytes: 0, complete: true, bounds, visit }
  await inFolder(Buffer.from(folder), (place) => walkFolder(state, place, Buffer.alloc(0), 0))
  return state.complete
}

interface WalkState {
  entries: number
  bytes: number
  complete: boolean
  readonly bounds: WalkBounds
  readonly visit: (entry: WalkEntry) => Promise<void> | void
}

async function walkFolder(state: WalkState, folder: Buffer, path: Buffer, depth: number): Promise<void> {
  for (const name of readdirSync(folder, { encoding: 'buffer' })) {
    state.entries += 1
    if (state.entries % ENTRIES_PER_TURN === 0) await nextTurn()
    const place = joinBytes(folder, name)
    const stats = lstatSync(place, { bigint: true, throwIfNoEntry: false })
    if (stats === undefined) continue
    const entry = entryOf(place, path.length === 0 ? name : joinBytes(path, name), stats)
    if (entry.kind === 'file') state.bytes += entry.size
    if (state.entries > state.bounds.entriesMax || state.bytes > state.bounds.bytesMax) {
      state.complete = false
      return
    }
    const visited = state.visit(entry)
    if (visited !== undefined) await visited
    if (entry.kind !== 'folder') continue
    if (depth < DEPTH_MAX) await inFolder(place, (inner) => walkFolder(state, inner, entry.path, depth + 1))
    else state.complete = false
  }
}

function entryOf(place: Buffer, path: Buffer, stats: BigIntStats): WalkEntry {
  const size = Number(stats.size > stats.blocks * 512n ? stats.size : stats.blocks * 512n)
  const kind = stats.isFile() ? 'file' : stats.isDirectory() ? 'folder' : stats.isSymbolicLink() ? 'link' : 'other'
  const { mtimeNs, ctimeNs } = stats
  return {
    path,
    kind,
    identity: identityOf(stats),
    size,
    links: Number(stats.nlink),
    mtimeNs,
    ctimeNs,
    place
  }
}

function identityOf({ dev, ino, birthtimeNs }: BigIntStats): string {
  return `${dev}:${ino}:${birthtimeNs}`
}

/** Opens `place`, which must be a folder and no link, and hands on a path that stays in it. What vanished is an empty folder. */
async function inFolder(place: Buffer, work: (inner: Buffer) => Promise<void>): Promise<void> {
  const descriptor = openOwn(place, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW, 0o700)
  if (descriptor === null) return
  try {
    await work(process.platform === 'linux' ? Buffer.from(`/proc/self/fd/${descriptor}`) : place)
  } finally {
    closeSync(descriptor)
  }
}

/** Opens what lstat just showed; null when it is gone or something else now. A program cannot hide a file by its mode. */
function openOwn(place: Buffer, flags: number, mode: number): number | null {
  try {
    return openSync(place, flags)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EACCES')) {
      if (isMissing(error)) return null
      throw error
    }
  }
  return openThrough(place, flags, mode)
}

function tryOpen(place: Buffer, flags: number): number | null {
  try {
    return openSync(place, flags)
  } catch (error) {
    if (isMissing(error)) return null
    throw error
  }
}

/** Changes the mode of exactly what is opened: by its name a link that is swapped in would be followed. */
function openThrough(place: Buffer, flags: number, mode: number): number | null {
  if (process.platform !== 'linux') return null
  const handle = tryOpen(place, O_PATH | constants.O_NOFOLLOW | (flags & constants.O_DIRECTORY))
  if (handle === null) return null
  try {
    const exact = `/proc/self/fd/${handle}`
    if (fstatSync(handle).isSymbolicLink()) return null
    chmodSync(exact, mode)
    return openSync(exact, flags & ~constants.O_NOFOLLOW)
  } finally {
    closeSync(handle)
  }
}

/** Opens a regular file for reading, without following a link or waiting on a FIFO; null when it is something else by now. */
export function openFile(entry: WalkEntry): number | null {
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK
  const descriptor = openOwn(entry.place, flags, 0o600)
  if (descriptor === null) return null
  const stats = fstatSync(descriptor, { bigint: true })
  if (stats.isFile() && identityOf(stats) === entry.identity) return descriptor
  closeSync(descriptor)
  return null
}

/** Removes an entry and everything below it, by the same steps. */
export async function removeEntry(place: Buffer, kind: EntryKind): Promise<void> {
  if (kind !== 'folder') {
    unlinkSync(place)
    return
  }
  await inFolder(place, async (inner) => {
    chmodSync(inner, 0o700)
    for (const name of readdirSync(inner, { encoding: 'buffer' })) {
      const below = joinBytes(inner, name)
      await removeEntry(below, lstatSync(below).isDirectory() ? 'folder' : 'other')
    }
  })
  rmdirSync(place)
}

function joinBytes(folder: Buffer, name: Buffer): Buffer {
  return Buffer.concat([folder, SLASH, name])
}
const SLASH = Buffer.from('/')

/** Text of a path for people and records: bytes that are not UTF-8 as \xNN. */
export function pathText(path: Buffer): string {
  const text = path.toString('utf8')
  if (Buffer.from(text, 'utf8').equals(path)) return text
  return [...path].map((byte) => (byte < 0x80 ? String.fromCharCode(byte) : `\\x${byte.toString(16)}`)).join('')
}
