// Thread of one script call: QuickJS in WebAssembly without a single host function. It answers one job and is then ended by the host, which
// also ends it when it does not answer. Nothing of an error of this side reaches the guest, and nothing but one string comes back.

import { parentPort, workerData } from 'node:worker_threads'
import { EvalFlags, JSException, QuickJS } from 'quickjs-wasi'
import { SCRIPT_GUEST } from './script-guest.ts'
import type { WasmModule } from './web-assembly.ts'

export interface ScriptJob {
  readonly source: string
  /** JSON text. */
  readonly input: string
  readonly memoryBytes: number
  readonly charactersMax: number
  readonly timeMs: number
}

/** `waits`: every job has run and the script still waits for something. */
export type ScriptEnd = 'ok' | 'error' | 'memory' | 'waits' | 'interrupted' | 'broken'

export interface ScriptAnswer {
  readonly end: ScriptEnd
  readonly text: string
}

const ENDS: Readonly<Record<string, ScriptEnd>> = { o: 'ok', e: 'error', m: 'memory', w: 'waits' }

/** QuickJS counts its own stack; above this V8's own runs out first and leaves the engine in pieces. */
const STACK_BYTES = 256 * 1024

async function answer(job: ScriptJob): Promise<ScriptAnswer> {
  const deadline = performance.now() + job.timeMs
  let interrupted = false
  try {
    const engine = await QuickJS.create({
      wasm: workerData.engine as WasmModule,
      memoryLimit: job.memoryBytes,
      maxStackSize: STACK_BYTES,
      timezoneOffset: 0,
      wasi: () => ({ fd_write: () => 52 }),
      interruptHandler: () => {
        if (performance.now() > deadline) interrupted = true
        return interrupted
      }
    })
    const text = runScript(engine, job)
    return interrupted
      ? { end: 'interrupted', text: '' }
      : { end: ENDS[text[0] ?? ''] ?? 'broken', text: text.slice(1) }
  } catch {
    // The engine's own failure, such as V8's stack under deeply nested source: its text would tell of this side.
    return { end: interrupted ? 'interrupted' : 'broken', text: '' }
  }
}

function runScript(engine: QuickJS, job: ScriptJob): string {
  const guest = engine.evalCode(SCRIPT_GUEST)
  const call = (name: string, ...values: Parameters<QuickJS['callFunction']>[2][]) =>
    engine.callFunction(guest.getProp(name), engine.undefined, ...values)
  const settle = (run: () => void) => {
    try {
      run()
      engine.executePendingJobs()
    } catch (error) {
      if (!(error instanceof JSException)) throw error
      call('fail', error.handle)
    }
  }
  const finish = () => call('finish').toString()

  settle(() => call('open', engine.newString(job.input), engine.newNumber(job.charactersMax)))
  if (finish()[0] === 'e') return finish()
  settle(() => call('settle', engine.evalCode(job.source, 'script.js', EvalFlags.ASYNC), engine.true))
  if (finish()[0] !== 'o') return finish()
  settle(() => {
    const main = engine.evalCode("typeof main === 'function' ? main : undefined")
    if (!main.isUndefined) call('call', main)
  })
  return finish()
}

parentPort!.once('message', (job: ScriptJob) => {
  void answer(job).then((result) => parentPort!.postMessage(result))
})
// What the first engine of a thread compiles, the one for the job finds.
await answer({ source: '0', input: '0', memoryBytes: 4 * 1024 * 1024, charactersMax: 10, timeMs: 1_000 })
parentPort!.postMessage('ready')
