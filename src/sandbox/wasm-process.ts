// Process of one WASM module: reads one job from its stdin, runs it with WASI preview 1 over files in memory, answers on its stdout and ends. The
// host kills it at the deadline. It reaches nothing itself: no environment, no workspace; what it answers is looked at like a guest's word.

import { ConsoleStdout, type Fd, File, OpenFile, WASI, WASIProcExit } from '@bjorn3/browser_wasi_shim'
import { WasmFiles } from './wasm-files.ts'
import { encodeFrame, READY, tryDecodeFrame, type WasmAnswer, type WasmEnd, type WasmJob } from './wasm-frame.ts'
import { webAssembly } from './web-assembly.ts'

const SUCCESS = 0
const NOT_SUPPORTED = 58

class OutputFull extends Error {}

/** Both streams of a module under one cap. */
class Streams {
  readonly #chunks: readonly [Uint8Array[], Uint8Array[]] = [[], []]
  #left: number
  full = false

  constructor(bytesMax: number) {
    this.#left = bytesMax
  }

  open(stream: 0 | 1): Fd {
    return new ConsoleStdout((data) => {
      const kept = data.slice(0, this.#left)
      this.#chunks[stream].push(kept)
      this.#left -= kept.length
      if (kept.length === data.length) return
      this.full = true
      throw new OutputFull()
    })
  }

  bytes(stream: 0 | 1): Uint8Array {
    return Buffer.concat(this.#chunks[stream])
  }
}

async function runJob(job: WasmJob, [code, input, ...contents]: readonly Uint8Array[]): Promise<Buffer> {
  const streams = new Streams(job.outputBytes)
  const given = new Map((job.files ?? []).map((path, index) => [path, contents[index]!]))
  const files = new WasmFiles(given, { growthBytes: job.fileBytes, openMax: job.openMax })
  const standard = [new OpenFile(new File(input!)), streams.open(0), streams.open(1)]
  const wasi = new WASI([...job.args], [], job.files === null ? standard : [...standard, files.root], {
    // The shim prints each path on stdout unless told not to.
    debug: false
  })
  files.bind(wasi)
  wasi.wasiImport.poll_oneoff = (...args: number[]) => sleep(wasi, args)

  const { end, exitCode } = await runModule(code!, wasi)
  const { written, removed } = files.changes()
  const answer: WasmAnswer = { end: streams.full ? 'output' : end, exitCode, files: [...written.keys()], removed }
  return encodeFrame({ header: answer, parts: [streams.bytes(0), streams.bytes(1), ...written.values()] })
}

async function runModule(code: Uint8Array, wasi: WASI): Promise<{ end: WasmEnd; exitCode: number }> {
  let instance: Parameters<WASI['start']>[0]
  try {
    const module = await webAssembly.compile(code)
    instance = (await webAssembly.instantiate(module, { wasi_snapshot_preview1: wasi.wasiImport })) as typeof instance
  } catch (error) {
    return { end: error instanceof RangeError ? 'memory' : 'unloadable', exitCode: 0 }
  }
  try {
    return { end: 'exit', exitCode: wasi.start(instance) >>> 0 }
  } catch (error) {
    if (error instanceof WASIProcExit) return { end: 'exit', exitCode: error.code >>> 0 }
    return { end: 'trap', exitCode: 0 }
  }
}

/** The shim would spin until a clock strikes. One relative clock, as sleep() asks for, is waited for; anything else is not supported. */
function sleep(wasi: WASI, [subscription, event, count]: readonly number[]): number {
  const view = new DataView(wasi.inst.exports.memory.buffer)
  const isClock = view.getUint8(subscription! + 8) === 0
  const isRelative = (view.getUint16(subscription! + 40, true) & 1) === 0
  if (count !== 1 || !isClock || !isRelative) return NOT_SUPPORTED
  const timeoutMs = Number(view.getBigUint64(subscription! + 24, true)) / 1e6
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, timeoutMs)
  view.setBigUint64(event!, view.getBigUint64(subscription!, true), true)
  view.setUint16(event! + 8, 0, true)
  view.setUint8(event! + 10, 0)
  return SUCCESS
}

async function main(): Promise<void> {
  process.stdout.write(READY)
  const chunks: Buffer[] = []
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer)
  const job = tryDecodeFrame(Buffer.concat(chunks))
  const fault: WasmAnswer = { end: 'fault', exitCode: 0, files: [], removed: [] }
  const answer =
    job === null ? encodeFrame({ header: fault, parts: [] }) : await runJob(job.header as unknown as WasmJob, job.parts)
  process.stdout.end(answer)
}

await main()
