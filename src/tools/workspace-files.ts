// Plain files of one workspace for the tools that run in this process. fs-safe resolves below a pinned folder, refuses links of both kinds
// and publishes whole files relative to open folders; its reads are checked by path, so that what was opened is proved once more by the
// kernel's name of the descriptor. As root, what is made is given to the workspace's owner through an open descriptor.

import { createHash } from 'node:crypto'
import { stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { configureFsSafeNative, FsSafeError, type Root, root } from '@openclaw/fs-safe'
import { LIMITS } from '../base/limits.ts'
import { MeshError } from '../base/mesh-error.ts'
import type { FileChange } from '../pipeline/contract.ts'
import type { BuiltinCall } from './builtin-tool.ts'
import { checkPinned, type FolderEntry, openPinned, walkPinned } from './pinned-place.ts'

// Without the native part a folder that is swapped in a race could lead a write outside: then nothing is written at all.
configureFsSafeNative({ mode: 'require' })

const FILE_MODE = 0o600
/** A link, or something else than what was asked for. */
const NOT_PLAIN: ReadonlySet<string> = new Set(['ELOOP', 'ENOTDIR', 'EISDIR', 'ENAMETOOLONG'])
const WHOLE = Number.POSITIVE_INFINITY

export interface FileRange {
  readonly offset: number
  readonly bytes: number
}

export interface FileContent {
  /** The asked range. */
  readonly bytes: Buffer
  /** Of the whole file. */
  readonly size: number
  /** Lower-case hex of SHA-256 of the whole file. */
  readonly hash: string
}

export type WriteMode = 'create' | 'overwrite' | 'append'

interface Owner {
  readonly uid: number
  readonly gid: number
}

/** The files of a call's workspace. Throws FILE_REFUSED when the workspace is not this process's to write in. */
export async function openWorkspace(call: BuiltinCall): Promise<WorkspaceFiles> {
  return orRefused('', async () => {
    const folder = await root(call.workspace, {
      hardlinks: 'reject',
      symlinks: 'reject',
      mutationSymlinks: 'reject',
      maxBytes: call.limits.fileBytes
    })
    return new WorkspaceFiles(call, folder, await foreignOwner(folder.rootReal))
  })
}

/** Whom new files must be given to; null when they are this process's own. */
async function foreignOwner(path: string): Promise<Owner | null> {
  const user = process.geteuid?.()
  const { uid, gid } = await stat(path)
  if (user === undefined || uid === user) return null
  if (user === 0 && process.platform === 'linux') return { uid, gid }
  throw new MeshError('FILE_REFUSED', 'the workspace belongs to another user')
}

export class WorkspaceFiles {
  readonly #call: BuiltinCall
  readonly #root: Root
  readonly #owner: Owner | null

  constructor(call: BuiltinCall, folder: Root, owner: Owner | null) {
    this.#call = call
    this.#root = folder
    this.#owner = owner
  }

  /** Throws FILE_MISSING, FILE_REFUSED, FILE_TOO_LARGE. */
  async read(path: string, range: FileRange = { offset: 0, bytes: WHOLE }): Promise<FileContent> {
    const content = await this.#content(path, range)
    const { size, hash } = content
    this.#call.record({ operation: 'read', path, size, before: hash, after: hash })
    return content
  }

  /** Puts a whole new file in place, with the folders above it. Throws FILE_REFUSED, FILE_TOO_LARGE. */
  async write(path: string, bytes: Buffer, mode: WriteMode): Promise<FileChange> {
    const old = await this.#contentOrNull(path, mode === 'append' ? WHOLE : 0)
    if (old !== null && mode === 'create') throw new MeshError('FILE_REFUSED', `the file is there already: ${path}`)
    const content = mode === 'append' && old !== null ? Buffer.concat([old.bytes, bytes]) : bytes
    await this.#checkRoom(content.length, old?.size ?? null)
    const change: FileChange = {
      operation: old === null ? 'create' : 'write',
      path,
      size: content.length,
      before: old?.hash ?? null,
      after: createHash('sha256').update(content).digest('hex')
    }
    await this.#publish(change, content)
    return change
  }

  /** Entries below `path`, '' for the workspace, sorted; links are named, not followed. Throws FILE_MISSING, FILE_REFUSED. */
  async list(path: string, depth: number): Promise<{ entries: readonly FolderEntry[]; truncated: boolean }> {
    const entries: FolderEntry[] = []
    let truncated = false
    for await (const entry of this.#walk(path, depth)) {
      truncated = entries.length === LIMITS.fileListEntriesMax
      if (truncated) break
      entries.push(entry)
    }
    return { entries: entries.toSorted((a, b) => (a.path < b.path ? -1 : 1)), truncated }
  }

  async #contentOrNull(path: string, bytes: number): Promise<FileContent | null> {
    try {
      return await this.#content(path, { offset: 0, bytes })
    } catch (error) {
      if (error instanceof MeshError && error.code === 'FILE_MISSING') return null
      throw error
    }
  }

  #content(path: string, range: FileRange): Promise<FileContent> {
    return orRefused(path, async () => {
      await using opened = await this.#root.open(path)
      await checkPinned(opened.handle, this.#root.rootReal, path)
      const hash = createHash('sha256')
      const end = range.offset + range.bytes
      const wanted: Buffer[] = []
      let size = 0
      const stream = opened.handle.createReadStream({ autoClose: false, signal: this.#call.signal })
      for await (const chunk of stream as AsyncIterable<Buffer>) {
        hash.update(chunk)
        wanted.push(chunk.subarray(Math.max(0, range.offset - size), Math.max(0, end - size)))
        size += chunk.length
        if (size > this.#call.limits.fileBytes) throw tooLarge(path, this.#call.limits.fileBytes)
      }
      return { bytes: Buffer.concat(wanted), size, hash: hash.digest('hex') }
    })
  }

  /** Before anything is written: what the workspace would hold then. */
  async #checkRoom(size: number, replaced: number | null): Promise<void> {
    if (size > this.#call.limits.fileBytes) throw tooLarge('the file', this.#call.limits.fileBytes)
    let bytes = size - (replaced ?? 0)
    let files = replaced === null ? 1 : 0
    for await (const entry of this.#walk('', LIMITS.workspaceDepthMax)) {
      files++
      bytes += entry.size
      const deep = entry.kind === 'directory' && entry.path.split('/').length >= LIMITS.workspaceDepthMax
      if (files > LIMITS.workspaceFilesMax || deep) {
        throw new MeshError('FILE_TOO_LARGE', 'the workspace has too many files, or folders too deep in each other')
      }
    }
    if (bytes > LIMITS.workspaceBytesMax) throw tooLarge('the workspace', LIMITS.workspaceBytesMax)
  }

  async *#walk(path: string, depth: number): AsyncGenerator<FolderEntry> {
    try {
      for await (const entry of walkPinned(this.#root.rootReal, path, depth)) {
        this.#call.signal.throwIfAborted()
        yield entry
      }
    } catch (error) {
      throw fileError(error, path || 'the workspace') ?? error
    }
  }

  /** Folders above `path` that are not there yet, the uppermost first. */
  async #missingFolders(path: string): Promise<readonly string[]> {
    const above = dirname(path)
    if (above === '.') return []
    const missing = await this.#missingFolders(above)
    return (await this.#root.exists(above)) ? missing : [...missing, above]
  }

  async #publish(change: FileChange, content: Buffer): Promise<void> {
    const { path } = change
    await orRefused(path, async () => {
      const folders = await this.#missingFolders(path)
      this.#call.signal.throwIfAborted()
      try {
        if (change.before === null) await this.#root.create(path, content, { mode: FILE_MODE, atomic: true })
        else await this.#root.write(path, content)
      } catch (error) {
        // A check after the rename can still fail: then the file is there, and is told.
        if ((await this.#contentOrNull(path, 0))?.hash === change.after) this.#call.record(change)
        throw error
      }
      this.#call.record(change)
      for (const made of [...folders, path]) await this.#give(made)
    })
  }

  /** Gives what this process just made to the workspace's owner. */
  async #give(path: string): Promise<void> {
    if (this.#owner === null) return
    await using handle = await openPinned(this.#root.rootReal, path)
    const stats = await handle.stat()
    const plain = (stats.isFile() && stats.nlink === 1) || stats.isDirectory()
    if (!plain || stats.uid !== process.geteuid?.()) {
      throw new MeshError('FILE_REFUSED', `the file was swapped while it was made: ${path}`)
    }
    await handle.chown(this.#owner.uid, this.#owner.gid)
  }
}

function tooLarge(what: string, bytesMax: number): MeshError {
  return new MeshError('FILE_TOO_LARGE', `more than ${bytesMax} bytes: ${what}`)
}

/** Runs `work`; what the file system refuses is told without any path of this machine. */
async function orRefused<Result>(path: string, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work()
  } catch (error) {
    const told = fileError(error, path || 'the workspace')
    throw told ?? error
  }
}

function fileError(error: unknown, what: string): MeshError | null {
  if (error instanceof FsSafeError) {
    if (error.code === 'not-found') return new MeshError('FILE_MISSING', `there is no such file: ${what}`)
    if (error.code === 'too-large') return new MeshError('FILE_TOO_LARGE', `too large: ${what}`)
    if (error.code === 'helper-unavailable') {
      return new MeshError('TOOL_UNAVAILABLE', 'the native part of the file tools is missing here', { cause: error })
    }
    const code = error.category === 'policy' ? 'FILE_REFUSED' : 'TOOL_FAILED'
    return new MeshError(code, `not a plain file inside the workspace: ${what}`, {
      details: { reason: error.code },
      cause: error
    })
  }
  const errno = (error as NodeJS.ErrnoException).code
  if (error instanceof MeshError || typeof errno !== 'string' || (error as Error).name === 'AbortError') return null
  if (errno === 'ENOENT') return new MeshError('FILE_MISSING', `there is no such file: ${what}`)
  if (NOT_PLAIN.has(errno)) return new MeshError('FILE_REFUSED', `not a plain place inside the workspace: ${what}`)
  return new MeshError('TOOL_FAILED', `the file system says ${errno}: ${what}`, { cause: error })
}
