// Files of one WASM module: in memory, below one folder, with a limit on how much they grow and how many are open at once. There is no path from
// here to a file of the machine. A limit answers as a full disk does; names and folders count as heap of the process.

import { Directory, type Fd, File, type Inode, OpenFile, PreopenDirectory, type WASI } from '@bjorn3/browser_wasi_shim'

const ERRNO = { success: 0, invalid: 28, tooManyOpen: 33, noSpace: 51 } as const
/** Position of the result among the arguments of `path_open`. */
const OPENED_POINTER = 8

export interface FileLimits {
  /** How much files may grow by in all. */
  readonly growthBytes: number
  readonly openMax: number
}

export class WasmFiles {
  readonly root: PreopenDirectory
  readonly #before: ReadonlyMap<string, Uint8Array>
  readonly #openMax: number
  #growthLeft: bigint

  constructor(files: ReadonlyMap<string, Uint8Array>, limits: FileLimits) {
    this.#before = files
    this.#growthLeft = BigInt(limits.growthBytes)
    this.#openMax = limits.openMax
    this.root = new PreopenDirectory('/', new Map())
    for (const [path, bytes] of files) place(this.root.dir, path.split('/'), bytes)
  }

  /** Puts the limits around what opens files; a closed place is used again. */
  bind(wasi: WASI): void {
    const open = wasi.wasiImport.path_open!
    wasi.wasiImport.path_open = (...args: unknown[]) => {
      const free = (wasi.fds as readonly (Fd | undefined)[]).indexOf(undefined)
      const slot = free < 0 ? wasi.fds.length : free
      if (slot >= this.#openMax) return ERRNO.tooManyOpen
      const result = open(...args)
      if (result !== ERRNO.success) return result
      const opened = wasi.fds.pop()!
      wasi.fds[slot] = opened instanceof OpenFile ? new LimitedFile(opened, (bytes) => this.#grow(bytes)) : opened
      new DataView(wasi.inst.exports.memory.buffer).setUint32(Number(args[OPENED_POINTER]), slot, true)
      return result
    }
  }

  /** New and changed files, and paths that are gone. */
  changes(): { readonly written: ReadonlyMap<string, Uint8Array>; readonly removed: readonly string[] } {
    const written = new Map<string, Uint8Array>()
    collect(this.root.dir, '', written)
    const removed = [...this.#before.keys()].filter((path) => !written.has(path))
    for (const [path, bytes] of this.#before) {
      const now = written.get(path)
      if (now !== undefined && Buffer.compare(now, bytes) === 0) written.delete(path)
    }
    return { written, removed }
  }

  #grow(bytes: bigint): boolean {
    if (bytes > this.#growthLeft) return false
    this.#growthLeft -= bytes
    return true
  }
}

function place(folder: Directory, path: readonly string[], bytes: Uint8Array): void {
  const [name, ...rest] = path
  if (name === undefined) return
  if (rest.length === 0) {
    folder.contents.set(name, new File(bytes))
    return
  }
  let next = folder.contents.get(name)
  if (!(next instanceof Directory)) {
    next = new Directory(new Map())
    folder.contents.set(name, next)
  }
  place(next as Directory, rest, bytes)
}

function collect(folder: Directory, prefix: string, into: Map<string, Uint8Array>): void {
  const folders: [Directory, string][] = [[folder, prefix]]
  for (const [next, path] of folders) {
    for (const [name, inode] of next.contents as Map<string, Inode>) {
      if (inode instanceof Directory) folders.push([inode, `${path}${name}/`])
      else if (inode instanceof File) into.set(path + name, inode.data)
    }
  }
}

/** Grows in place: the shim's own file copies itself for each write. */
class LimitedFile extends OpenFile {
  readonly #grow: (bytes: bigint) => boolean

  constructor(opened: OpenFile, grow: (bytes: bigint) => boolean) {
    super(opened.file)
    this.file_pos = opened.file_pos
    this.#grow = grow
  }

  override fd_write(data: Uint8Array): { ret: number; nwritten: number } {
    return this.#reserve(this.file_pos + BigInt(data.byteLength)) ? super.fd_write(data) : FULL
  }

  override fd_pwrite(data: Uint8Array, offset: bigint): { ret: number; nwritten: number } {
    if (offset < 0n) return { ret: ERRNO.invalid, nwritten: 0 }
    return this.#reserve(offset + BigInt(data.byteLength)) ? super.fd_pwrite(data, offset) : FULL
  }

  override fd_allocate(offset: bigint, length: bigint): number {
    if (offset < 0n || length < 0n) return ERRNO.invalid
    return this.#reserve(offset + length) ? ERRNO.success : ERRNO.noSpace
  }

  override fd_filestat_set_size(size: bigint): number {
    if (size < 0n) return ERRNO.invalid
    if (size >= this.file.size) return this.#reserve(size) ? ERRNO.success : ERRNO.noSpace
    this.file.data = this.file.data.slice(0, Number(size))
    return ERRNO.success
  }

  #reserve(end: bigint): boolean {
    const growth = end - this.file.size
    if (growth <= 0n) return true
    if (!this.#grow(growth)) return false
    const length = Number(end)
    const { data } = this.file
    const room = data.buffer instanceof ArrayBuffer && data.buffer.resizable ? data.buffer.maxByteLength : 0
    if (room >= length) (data.buffer as ArrayBuffer).resize(length)
    else {
      this.file.data = new Uint8Array(new ArrayBuffer(length, { maxByteLength: 2 * length }))
      this.file.data.set(data)
    }
    return true
  }
}

const FULL = { ret: ERRNO.noSpace, nwritten: 0 }
