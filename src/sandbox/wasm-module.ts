// What a WASM module declares, read from its bytes before any engine sees them (WebAssembly core specification, chapter 5.5). It must be a WASI
// preview 1 command with one 32-bit memory within the limit. V8 limits pages per memory only, so the number of memories is a limit of ours.

import { LIMITS } from '../base/limits.ts'

export const WASM_PAGE_BYTES = 65_536

const SECTIONS = { import: 2, table: 4, memory: 5, export: 7, last: 13 } as const
const KINDS = { function: 0, table: 1, memory: 2 } as const
const HEADER = Buffer.from([0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00])

/** Preview 1 without sockets. */
const IMPORTS = new Set(
  `args_get args_sizes_get clock_res_get clock_time_get environ_get environ_sizes_get fd_advise fd_allocate fd_close fd_datasync
  fd_fdstat_get fd_fdstat_set_flags fd_fdstat_set_rights fd_filestat_get fd_filestat_set_size fd_filestat_set_times fd_pread
  fd_prestat_dir_name fd_prestat_get fd_pwrite fd_read fd_readdir fd_renumber fd_seek fd_sync fd_tell fd_write path_create_directory
  path_filestat_get path_filestat_set_times path_link path_open path_readlink path_remove_directory path_rename path_symlink
  path_unlink_file poll_oneoff proc_exit proc_raise random_get sched_yield`.split(/\s+/)
)

/** Why the module is refused, in one sentence; null for one that may run with `memoryBytes`. Never throws. */
export function refusalOfModule(bytes: Uint8Array, memoryBytes: number): string | null {
  if (bytes.length > LIMITS.toolCodeBytesMax) return `the module is larger than ${LIMITS.toolCodeBytesMax} bytes`
  try {
    readModule(new ModuleReader(bytes), Math.floor(memoryBytes / WASM_PAGE_BYTES))
    return null
  } catch (error) {
    if (error instanceof Refusal) return error.message
    throw error
  }
}

class Refusal extends Error {}

interface Declared {
  memories: number
  tables: number
  start: boolean
  memoryExported: boolean
}

function readModule(reader: ModuleReader, pagesMax: number): void {
  if (!HEADER.equals(reader.bytes(HEADER.length))) throw new Refusal('this is no WebAssembly module of version 1')
  const declared: Declared = { memories: 0, tables: 0, start: false, memoryExported: false }
  while (!reader.atEnd) {
    const id = reader.byte()
    if (id > SECTIONS.last) throw new Refusal(`section ${id} of the module is not known`)
    const section = new ModuleReader(reader.bytes(reader.number()))
    if (id === SECTIONS.import) readImports(section)
    else if (id === SECTIONS.table) readTables(section, declared)
    else if (id === SECTIONS.memory) readMemories(section, declared, pagesMax)
    else if (id === SECTIONS.export) readExports(section, declared)
  }
  if (declared.memories !== 1) throw new Refusal(`the module declares ${declared.memories} memories; one is allowed`)
  if (!declared.memoryExported) throw new Refusal('the module does not export its memory as "memory"')
  if (!declared.start) throw new Refusal('the module is no command: it exports no function _start')
}

function readImports(section: ModuleReader): void {
  for (let left = section.count(LIMITS.wasmNamesMax, 'imports'); left > 0; left--) {
    const module = section.name()
    const name = section.name()
    if (module !== 'wasi_snapshot_preview1' || !IMPORTS.has(name) || section.byte() !== KINDS.function)
      throw new Refusal(`the module imports ${printable(module)}.${printable(name)}, which is not granted`)
    section.number()
  }
}

function readTables(section: ModuleReader, declared: Declared): void {
  for (let left = section.count(LIMITS.wasmTablesMax, 'tables'); left > 0; left--) {
    const type = section.byte()
    if (type !== 0x70 && type !== 0x6f) throw new Refusal('a table of the module is of an unknown type')
    const { least, most } = section.limits('table')
    if (Math.max(least, most ?? 0) > LIMITS.wasmTableEntriesMax)
      throw new Refusal(`a table of the module is larger than ${LIMITS.wasmTableEntriesMax} entries`)
    declared.tables++
    if (declared.tables > LIMITS.wasmTablesMax) throw new Refusal('the module declares too many tables')
  }
}

function readMemories(section: ModuleReader, declared: Declared, pagesMax: number): void {
  for (let left = section.number(); left > 0; left--) {
    const { least, most } = section.limits('memory')
    const pages = Math.max(least, most ?? 0)
    if (pages > pagesMax)
      throw new Refusal(
        `the module declares ${pages * WASM_PAGE_BYTES} bytes of memory; the limit is ${pagesMax * WASM_PAGE_BYTES}`
      )
    declared.memories++
    if (declared.memories > 1) throw new Refusal('the module declares more than one memory')
  }
}

function readExports(section: ModuleReader, declared: Declared): void {
  for (let left = section.count(LIMITS.wasmNamesMax, 'exports'); left > 0; left--) {
    const name = section.name()
    const kind = section.byte()
    section.number()
    if (name === '_start' && kind === KINDS.function) declared.start = true
    if (name === 'memory' && kind === KINDS.memory) declared.memoryExported = true
  }
}

/** A name of the module for a sentence of ours: it was written by whoever wrote the module. */
function printable(name: string): string {
  return name.replaceAll(/[^A-Za-z0-9_.:-]/g, '?').slice(0, 64)
}

class ModuleReader {
  readonly #bytes: Uint8Array
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  get atEnd(): boolean {
    return this.#at === this.#bytes.length
  }

  byte(): number {
    const byte = this.#bytes[this.#at++]
    if (byte === undefined) throw new Refusal('the module is cut off')
    return byte
  }

  bytes(length: number): Uint8Array {
    if (this.#at + length > this.#bytes.length) throw new Refusal('the module is cut off')
    this.#at += length
    return this.#bytes.subarray(this.#at - length, this.#at)
  }

  /** An unsigned number of at most 32 bits. */
  number(): number {
    let value = 0
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.byte()
      value += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) {
        if (value > 0xffff_ffff) break
        return value
      }
    }
    throw new Refusal('a number of the module is too long')
  }

  count(most: number, what: string): number {
    const count = this.number()
    if (count > most) throw new Refusal(`the module has more than ${most} ${what}`)
    return count
  }

  name(): string {
    return Buffer.from(this.bytes(this.number())).toString('utf8')
  }

  /** Limits of a memory or a table. Shared and 64-bit ones have other flags and are refused with every later kind. */
  limits(what: string): { readonly least: number; readonly most: number | null } {
    const flags = this.byte()
    if (flags > 1) throw new Refusal(`a ${what} of the module is shared, 64-bit or of an unknown kind`)
    return { least: this.number(), most: flags === 1 ? this.number() : null }
  }
}
