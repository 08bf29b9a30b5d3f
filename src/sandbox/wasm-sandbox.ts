// WASI modules of tools: each runs in a process of its own that was started before it was needed, serves one job and is killed by the host. Files
// are copied in and out; only what the caller writes back reaches the workspace. The process stands in the sandbox of the operating system where
// the composition gives a box for it; without one, Node's permission model is a second lock and no more.

import { createHash } from 'node:crypto'
import { utf8 } from '../base/bytes.ts'
import type { ErrorCode } from '../base/errors.ts'
import { LIMITS } from '../base/limits.ts'
import { isMeshError } from '../base/mesh-error.ts'
import type { SandboxState, ToolLimits } from '../pipeline/contract.ts'
import { SupervisedProcess } from './supervisor.ts'
import { WarmPool } from './warm-pool.ts'
import { readAnswer, type WasmFile, type WasmRun, wasmOutcome } from './wasm-answer.ts'
import { encodeFrame, type WasmJob } from './wasm-frame.ts'
import { guestLaunch, type LaunchGuest, WasmGuest } from './wasm-guest.ts'
import { refusalOfModule, WASM_PAGE_BYTES } from './wasm-module.ts'

export interface WasmSandboxOptions {
  /**
   * Starts processes boxed by the operating system, without environment or network; `name` says what isolates them.
   */
  readonly box?: { readonly name: string; readonly launch: LaunchGuest }
  /** Processes that wait started, and that live at once; the limits' when left out. */
  readonly warm?: number
  readonly live?: number
}

export interface WasmCall {
  readonly module: Uint8Array
  /** Its stdin. */
  readonly input: Uint8Array
  /** From argv[0] on. */
  readonly args: readonly string[]
  /** Null: the module has no folder at all. */
  readonly files: readonly WasmFile[] | null
  readonly limits: ToolLimits
  readonly signal: AbortSignal
}

export class WasmSandbox {
  /** Hex of SHA-256 over how processes are started and what boxes them. */
  readonly profile: string
  readonly report: SandboxState
  readonly #launch: LaunchGuest
  readonly #pool: WarmPool<WasmGuest>

  private constructor(profile: string, report: SandboxState, launch: LaunchGuest, pool: WarmPool<WasmGuest>) {
    this.profile = profile
    this.report = report
    this.#launch = launch
    this.#pool = pool
  }

  /** Starts the first processes and tries one with a real module; `report` says what came of it. */
  static async open(options: WasmSandboxOptions = {}): Promise<WasmSandbox> {
    const launch = options.box?.launch ?? launchPlain
    const isolation = options.box?.name ?? 'no OS sandbox: a process with Node’s permission model'
    const pool = new WarmPool<WasmGuest>({
      warm: options.warm ?? LIMITS.wasmProcessesWarm,
      live: options.live ?? LIMITS.wasmProcessesMax,
      waiters: LIMITS.sandboxWaitersMax,
      start: () => WasmGuest.start(launch, POOL_PAGES)
    })
    const { argv } = guestLaunch(POOL_PAGES)
    const profile = createHash('sha256')
      .update(JSON.stringify(['pmesh/wasm-sandbox/1', process.version, argv.filter(isFlag), isolation]))
      .digest('hex')
    const sandbox = new WasmSandbox(profile, { available: true, text: '' }, launch, pool)
    const { outcome } = await sandbox.run({ ...PROBE, signal: AbortSignal.timeout(10_000) })
    const available = outcome.status === 'ok'
    const text = available
      ? `WASI over files in memory, a process per call, killed at its deadline; ${isolation}`
      : `a module does not run: ${outcome.message}`
    return new WasmSandbox(profile, { available, text }, launch, pool)
  }

  /** To be called once there is something to run: from then on processes wait started. */
  keepWarm(): void {
    this.#pool.keepWarm(LIMITS.wasmProcessesWarm)
  }

  /** Why this module would be refused with `memoryBytes`; null when it may run. */
  refusal(module: Uint8Array, memoryBytes: number = LIMITS.wasmMemoryBytesMax): string | null {
    return refusalOfModule(module, memoryBytes)
  }

  /** Never throws for what the module did. */
  async run(call: WasmCall): Promise<WasmRun> {
    if (!this.report.available) return refused('SANDBOX_UNAVAILABLE', this.report.text)
    const memoryBytes = Math.min(call.limits.memoryBytes, LIMITS.toolMemoryBytesMax)
    const refusal = refusalOfModule(call.module, memoryBytes)
    if (refusal !== null) return refused('TOOL_CODE_INVALID', refusal)
    const fault = faultOfInput(call)
    if (fault !== null) return refused('TOOL_INPUT_INVALID', fault)
    const pages = Math.floor(memoryBytes / WASM_PAGE_BYTES)
    let guest: WasmGuest
    try {
      // V8 takes the limit when a process starts: another limit than the usual one has no process that waits.
      guest = pages === POOL_PAGES ? await this.#pool.take(call.signal) : await WasmGuest.start(this.#launch, pages)
    } catch (error) {
      if (!isMeshError(error)) throw error
      if (error.code === 'CANCELLED') return { outcome: wasmOutcome('killed', 'the call was cancelled'), files: [] }
      return refused(error.code, error.message)
    }
    try {
      return await runIn(guest, call)
    } finally {
      if (pages === POOL_PAGES) this.#pool.release(guest)
      else await guest.end()
    }
  }

  /** Ends every process, those at work too. */
  async close(): Promise<void> {
    await this.#pool.close()
  }
}

const POOL_PAGES = LIMITS.wasmMemoryBytesMax / WASM_PAGE_BYTES
/** Without the paths of this machine. */
const isFlag = (argument: string) => /^--(?!allow-fs-read)/.test(argument)
const HEADER_BYTES_MAX = 4 * 1024 * 1024

/** (module (memory (export "memory") 1) (func (export "_start"))) */
const PROBE_MODULE = Buffer.from(
  '0061736d0100000001040160000003020100050301000107130206' + '6d656d6f72790200065f737461727400000a040102000b',
  'hex'
)
const PROBE: Omit<WasmCall, 'signal'> = {
  module: PROBE_MODULE,
  input: utf8(''),
  args: ['probe'],
  files: null,
  limits: { timeMs: 5_000, memoryBytes: LIMITS.wasmMemoryBytesMax, outputBytes: 100, processes: 1, fileBytes: 0 }
}

async function launchPlain(launch: { readonly argv: readonly string[] }): Promise<SupervisedProcess> {
  return await SupervisedProcess.start({ argv: launch.argv, environment: {}, folder: '/', user: null, descriptors: [] })
}

function faultOfInput(call: WasmCall): string | null {
  if (call.input.length > LIMITS.toolInputBytesMax) return `the input is larger than ${LIMITS.toolInputBytesMax} bytes`
  if (call.files === null) return null
  if (call.files.length > LIMITS.wasmFilesMax) return `a module sees at most ${LIMITS.wasmFilesMax} files`
  const bytes = call.files.reduce((sum, file) => sum + file.bytes.length, 0)
  return bytes > LIMITS.toolFileBytesMax ? `a module sees at most ${LIMITS.toolFileBytesMax} bytes of files` : null
}

async function runIn(guest: WasmGuest, call: WasmCall): Promise<WasmRun> {
  const timeMs = Math.min(call.limits.timeMs, LIMITS.toolTimeMsMax)
  const outputBytes = Math.min(call.limits.outputBytes, LIMITS.toolOutputBytesMax)
  const fileBytes = Math.min(call.limits.fileBytes, LIMITS.toolFileBytesMax)
  const files = call.files ?? []
  const paths = call.files?.map((file) => file.path) ?? null
  const job: WasmJob = { args: call.args, outputBytes, fileBytes, openMax: LIMITS.wasmFilesOpenMax, files: paths }
  const frame = encodeFrame({ header: job, parts: [call.module, call.input, ...files.map((file) => file.bytes)] })
  const given = files.reduce((sum, file) => sum + file.bytes.length, 0)
  const ended = await guest.run(frame, {
    timeMs,
    answerBytesMax: HEADER_BYTES_MAX + outputBytes + fileBytes + given,
    signal: call.signal
  })
  return readAnswer(ended, call.files, outputBytes)
}

function refused(code: ErrorCode, message: string): WasmRun {
  return { outcome: { ...wasmOutcome('refused', message), code }, files: [] }
}
