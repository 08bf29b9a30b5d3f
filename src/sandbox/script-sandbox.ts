// JavaScript of tools: QuickJS in WebAssembly in a worker thread that serves one call and is killed by the host at its deadline, whatever the
// guest does. The guest has no host functions, no environment, no file, no network; JSON text goes in, one JSON text comes out. What stops it
// is, in order: the engine's memory limit, its interrupt, and the end of the worker.

import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { utf8 } from '../base/bytes.ts'
import type { ErrorCode } from '../base/errors.ts'
import { LIMITS } from '../base/limits.ts'
import { isMeshError } from '../base/mesh-error.ts'
import type { SandboxState, ToolLimits, ToolOutcome, ToolStatus } from '../pipeline/contract.ts'
import { SCRIPT_GUEST } from './script-guest.ts'
import type { ScriptAnswer, ScriptEnd, ScriptJob } from './script-worker.ts'
import { type PooledGuest, WarmPool } from './warm-pool.ts'
import { type WasmModule, webAssembly } from './web-assembly.ts'

export interface ScriptSandboxOptions {
  /** Workers that wait started; the limit's when left out. */
  readonly warm?: number
  /** Workers that live at once; the limit's when left out. */
  readonly live?: number
}

export interface ScriptCall {
  /** A script: its last expression is the result, or what `main(input)` gives when it defines that function; `await` works anywhere. */
  readonly source: string
  /** JSON text; the script sees it as `input`. */
  readonly input: string
  readonly limits: ToolLimits
  readonly signal: AbortSignal
}

export class ScriptSandbox {
  /** Hex of SHA-256 over the engine, what is put before each script, and the shape of the isolation. */
  readonly profile: string
  readonly report: SandboxState
  readonly #pool: WarmPool<ScriptGuest>

  private constructor(profile: string, report: SandboxState, pool: WarmPool<ScriptGuest>) {
    this.profile = profile
    this.report = report
    this.#pool = pool
  }

  /** Loads the engine and tries it with a real script; `report` says what came of it. Throws where the engine's file is missing. */
  static async open(options: ScriptSandboxOptions = {}): Promise<ScriptSandbox> {
    const bytes = await readFile(fileURLToPath(import.meta.resolve('quickjs-wasi/quickjs.wasm')))
    const engine = await webAssembly.compile(bytes)
    const profile = createHash('sha256')
      .update('pmesh/script-sandbox/1\0')
      .update(bytes)
      .update(SCRIPT_GUEST)
      .digest('hex')
    const pool = new WarmPool<ScriptGuest>({
      warm: options.warm ?? LIMITS.scriptWorkersWarm,
      live: options.live ?? LIMITS.scriptWorkersMax,
      waiters: LIMITS.sandboxWaitersMax,
      start: () => ScriptGuest.start(engine)
    })
    const probe = await runIn(pool, {
      source: '6 * 7',
      input: 'null',
      limits: PROBE,
      signal: AbortSignal.timeout(10_000)
    })
    const available = probe.status === 'ok' && Buffer.from(probe.output).toString() === '42'
    const text = available
      ? 'QuickJS in WebAssembly, a worker per call, killed at its deadline'
      : `the engine does not answer: ${probe.message}`
    return new ScriptSandbox(profile, { available, text }, pool)
  }

  /** Runs one script. `ok`: its console lines, if any, then the result as one line of JSON. Never throws for what the script did. */
  async run(call: ScriptCall): Promise<ToolOutcome> {
    if (!this.report.available) return refused('SANDBOX_UNAVAILABLE', this.report.text)
    if (Buffer.byteLength(call.source) > LIMITS.toolCodeBytesMax)
      return refused('TOOL_CODE_INVALID', `the script is larger than ${LIMITS.toolCodeBytesMax} bytes`)
    if (Buffer.byteLength(call.input) > LIMITS.toolInputBytesMax)
      return refused('TOOL_INPUT_INVALID', `the input is larger than ${LIMITS.toolInputBytesMax} bytes`)
    return await runIn(this.#pool, call)
  }

  /** Ends every worker, those at work too. */
  async close(): Promise<void> {
    await this.#pool.close()
  }
}

const PROBE: ToolLimits = { timeMs: 5_000, memoryBytes: 16 * 1024 * 1024, outputBytes: 100, processes: 1, fileBytes: 0 }

async function runIn(pool: WarmPool<ScriptGuest>, call: ScriptCall): Promise<ToolOutcome> {
  let guest: ScriptGuest
  try {
    guest = await pool.take(call.signal)
  } catch (error) {
    if (!isMeshError(error)) throw error
    if (error.code === 'CANCELLED') return outcome('killed', 'the call was cancelled')
    return refused(error.code, error.message)
  }
  const timeMs = Math.min(call.limits.timeMs, LIMITS.toolTimeMsMax)
  const outputBytes = Math.min(call.limits.outputBytes, LIMITS.toolOutputBytesMax)
  try {
    const ended = await guest.run(
      {
        source: call.source,
        input: call.input,
        memoryBytes: Math.min(call.limits.memoryBytes, LIMITS.toolMemoryBytesMax),
        charactersMax: outputBytes,
        timeMs
      },
      timeMs + LIMITS.scriptGraceMs,
      call.signal
    )
    return toOutcome(ended, outputBytes)
  } finally {
    pool.release(guest)
  }
}

type GuestEnd = ScriptAnswer | { readonly end: 'late' | 'cancelled' | 'died' | 'heap' }

const ENDS: Readonly<
  Record<Exclude<ScriptEnd, 'ok'> | 'late' | 'cancelled' | 'died' | 'heap', readonly [ToolStatus, string]>
> = {
  error: ['error', 'the script threw an error'],
  memory: ['memory', 'the script needed more memory than its limit'],
  waits: ['error', 'the script waits for something that never comes'],
  interrupted: ['timeout', 'the script took longer than its limit'],
  broken: ['error', 'the script broke the interpreter'],
  late: ['timeout', 'the script took longer than its limit and was killed'],
  cancelled: ['killed', 'the call was cancelled'],
  died: ['error', 'the interpreter ended by itself'],
  heap: ['memory', 'the interpreter needed more memory than its limit']
}

function toOutcome(ended: GuestEnd, outputBytes: number): ToolOutcome {
  const whole = 'text' in ended ? utf8(ended.text) : utf8('')
  const output = whole.subarray(0, outputBytes)
  const truncated = whole.length > outputBytes
  if (ended.end !== 'ok') return { ...outcome(...ENDS[ended.end]), output, truncated }
  if (truncated) return { ...outcome('output', 'the result is larger than its limit'), output, truncated }
  return { ...outcome('ok', ''), output }
}

function outcome(status: ToolStatus, message: string): ToolOutcome {
  const code = status === 'error' ? 'TOOL_FAILED' : status === 'timeout' ? 'TOOL_TIMEOUT' : null
  return { status, output: utf8(''), truncated: false, exitCode: null, signal: null, code, message, changes: [] }
}

function refused(code: ErrorCode, message: string): ToolOutcome {
  return { ...outcome('refused', message), code }
}

const TYPESCRIPT = import.meta.url.endsWith('.ts')
const ENTRY = new URL(TYPESCRIPT ? './script-worker.ts' : './script-worker.js', import.meta.url)

/** One worker, for one call. */
class ScriptGuest implements PooledGuest {
  readonly #worker: Worker
  #alive = true

  private constructor(worker: Worker) {
    this.#worker = worker
    worker.on('exit', () => {
      this.#alive = false
    })
    // An error is followed by its exit; what waits for the worker listens itself.
    worker.on('error', () => undefined)
  }

  static async start(engine: WasmModule): Promise<ScriptGuest> {
    const worker = new Worker(ENTRY, {
      workerData: { engine },
      argv: [],
      execArgv: [],
      env: {},
      stdin: false,
      stdout: true,
      stderr: true,
      resourceLimits: { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 16, codeRangeSizeMb: 16, stackSizeMb: 4 }
    })
    const guest = new ScriptGuest(worker)
    const first = await guest.#next(10_000, null)
    if (first !== 'ready') {
      await guest.end()
      throw new Error('a script worker does not start')
    }
    worker.unref()
    return guest
  }

  get alive(): boolean {
    return this.#alive
  }

  async run(job: ScriptJob, killAfterMs: number, signal: AbortSignal): Promise<GuestEnd> {
    this.#worker.ref()
    const next = this.#next(killAfterMs, signal)
    this.#worker.postMessage(job)
    const message = await next
    if (typeof message === 'object' && message !== null && 'end' in message) return message as GuestEnd
    return { end: 'died' }
  }

  async end(): Promise<void> {
    await this.#worker.terminate()
  }

  /** The worker's next message, or how waiting for it ended. */
  async #next(timeMs: number, signal: AbortSignal | null): Promise<unknown> {
    const { promise, resolve } = Promise.withResolvers<unknown>()
    const onMessage = (message: unknown) => resolve(message)
    const onExit = () => resolve({ end: 'died' })
    const onError = (error: Error) =>
      resolve({ end: 'code' in error && error.code === 'ERR_WORKER_OUT_OF_MEMORY' ? 'heap' : 'died' })
    const onAbort = () => resolve({ end: 'cancelled' })
    const timer = setTimeout(() => resolve({ end: 'late' }), timeMs)
    this.#worker.once('message', onMessage).once('exit', onExit).once('error', onError)
    signal?.addEventListener('abort', onAbort, { once: true })
    if (signal?.aborted === true) onAbort()
    try {
      return await promise
    } finally {
      clearTimeout(timer)
      this.#worker.off('message', onMessage).off('exit', onExit).off('error', onError)
      signal?.removeEventListener('abort', onAbort)
    }
  }
}
