// The host's end of the process of one WASM module: starts it, gives it its job, counts what comes back and kills it.

import { dirname, join } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { LIMITS } from '../base/limits.ts'
import { MeshError } from '../base/mesh-error.ts'
import type { PooledGuest } from './warm-pool.ts'
import { frameLength, READY } from './wasm-frame.ts'
import { WASM_PAGE_BYTES } from './wasm-module.ts'

/** How the process of a module is started. */
export interface GuestLaunch {
  /** The first is an absolute path. */
  readonly argv: readonly string[]
  /** Files and folders that the process must be able to read, beside the system's libraries. */
  readonly readable: readonly string[]
  /** What the process may use itself, beside what its flags leave the module; V8 reserves far more addresses than it uses. */
  readonly limits: { readonly memoryBytes: number; readonly processes: number; readonly fileBytes: number }
}

export interface GuestProcess {
  readonly stdin: Writable
  readonly stdout: Readable
  readonly stderr: Readable
  readonly exited: Promise<GuestExit>
  /** Resolves when the process and everything below it is gone. */
  kill(): Promise<void>
}

export interface GuestExit {
  readonly exitCode: number | null
  readonly signal: string | null
}

export type LaunchGuest = (launch: GuestLaunch) => Promise<GuestProcess>

/** How a job ended: with an answer, by itself, or because the host stopped waiting. */
export type GuestEnd =
  | { readonly end: 'answered'; readonly bytes: Buffer }
  | { readonly end: 'died'; readonly exit: GuestExit }
  | { readonly end: 'late' }
  | { readonly end: 'cancelled' }
  | { readonly end: 'flooded' }

const START_MS_MAX = 10_000
/** Node itself, its heap, and the files of the module twice. */
const PROCESS_MEMORY_BYTES = 384 * 1024 * 1024
/** Threads of V8 and libuv count as processes. */
const PROCESS_THREADS = 48
const EXTENSION = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
const ENTRY = fileURLToPath(new URL(`./wasm-entry.${EXTENSION}`, import.meta.url))
const LIBRARY = import.meta.resolve('@bjorn3/browser_wasi_shim')

/** What starts a process whose modules may have `pages` of memory. */
export function guestLaunch(pages: number): GuestLaunch {
  const folders = [dirname(ENTRY), dirname(dirname(fileURLToPath(LIBRARY)))]
  return {
    argv: [
      process.execPath,
      `--wasm-max-mem-pages=${pages}`,
      `--wasm-max-table-size=${LIMITS.wasmTableEntriesMax}`,
      '--max-old-space-size=64',
      '--disable-warning=ExperimentalWarning',
      '--permission',
      ...folders.map((folder) => `--allow-fs-read=${folder}/`),
      ENTRY,
      LIBRARY
    ],
    readable: [process.execPath, ...folders, join(dirname(ENTRY), '../../package.json')],
    limits: { memoryBytes: PROCESS_MEMORY_BYTES + pages * WASM_PAGE_BYTES, processes: PROCESS_THREADS, fileBytes: 0 }
  }
}

export class WasmGuest implements PooledGuest {
  readonly #process: GuestProcess
  #alive = true

  private constructor(process: GuestProcess) {
    this.#process = process
    const gone = () => {
      this.#alive = false
    }
    process.exited.then(gone, gone)
    process.stderr.resume()
    // A process that died does not read its job; how it died tells more than the broken pipe.
    process.stdin.on('error', () => undefined)
  }

  /** Throws SANDBOX_FAILED when the process does not come up. */
  static async start(launch: LaunchGuest, pages: number): Promise<WasmGuest> {
    const guest = new WasmGuest(await launch(guestLaunch(pages)))
    const ended = await guest.#read(START_MS_MAX, READY.length, null)
    if (ended.end === 'answered' && ended.bytes.equals(READY)) return guest
    await guest.end()
    throw new MeshError('SANDBOX_FAILED', 'the process for WASM modules does not start')
  }

  get alive(): boolean {
    return this.#alive
  }

  /** Gives the process its one job. An answer larger than `answerBytesMax` is not read. */
  async run(
    job: Buffer,
    bounds: { readonly timeMs: number; readonly answerBytesMax: number; readonly signal: AbortSignal }
  ): Promise<GuestEnd> {
    this.#process.stdin.end(job)
    return await this.#read(bounds.timeMs, null, bounds)
  }

  async end(): Promise<void> {
    if (this.#alive) await this.#process.kill()
    this.#process.stdout.destroy()
    this.#process.stdin.destroy()
  }

  /** Reads `length` bytes, or one frame. */
  async #read(
    timeMs: number,
    length: number | null,
    bounds: { readonly answerBytesMax: number; readonly signal: AbortSignal } | null
  ): Promise<GuestEnd> {
    const { promise, resolve } = Promise.withResolvers<GuestEnd>()
    const { stdout, exited } = this.#process
    const chunks: Buffer[] = []
    let size = 0
    let wanted = length
    const onData = (chunk: Buffer) => {
      chunks.push(chunk)
      size += chunk.length
      // Only the first chunks can be too short to tell.
      wanted ??= frameLength(size === chunk.length ? chunk : Buffer.concat(chunks))
      if (bounds !== null && Math.max(size, wanted ?? 0) > bounds.answerBytesMax) return resolve({ end: 'flooded' })
      // The end of the process is not waited for: it is killed anyway.
      if (wanted !== null && size >= wanted) resolve({ end: 'answered', bytes: Buffer.concat(chunks) })
    }
    const died = (exit: GuestExit) => resolve({ end: 'died', exit })
    const onEnd = () => void exited.then(died, () => died({ exitCode: null, signal: null }))
    const onAbort = () => resolve({ end: 'cancelled' })
    const timer = setTimeout(() => resolve({ end: 'late' }), timeMs)
    stdout.on('data', onData).once('end', onEnd)
    bounds?.signal.addEventListener('abort', onAbort, { once: true })
    if (bounds?.signal.aborted === true) onAbort()
    try {
      return await promise
    } finally {
      clearTimeout(timer)
      stdout.off('data', onData).off('end', onEnd)
      bounds?.signal.removeEventListener('abort', onAbort)
    }
  }
}
