// pmesh demo: three nodes on this machine, from nothing to one verified log, with a kill −9 on the way. Leaves nothing behind unless asked to.

import { dirname, join } from 'node:path'
import { isMeshError, MeshError, messageOf } from '../../base/mesh-error.ts'
import { DemoFolder } from '../demo/demo-folder.ts'
import { type DemoInput, readDemoInput } from '../demo/demo-input.ts'
import {
  notObserved,
  printKept,
  printSummary,
  printWhatYouSaw,
  printYourTurn,
  programWords
} from '../demo/demo-report.ts'
import { DemoRun } from '../demo/demo-run.ts'
import { countOf } from '../human-text.ts'
import type { Output } from '../output.ts'

export interface DemoOptions {
  /** File with one JSON object per line; else what lies beside the program. */
  readonly input?: string
  /** The mesh goes on running when the demo ends. */
  readonly keep: boolean
  readonly out: Output
  readonly env: NodeJS.ProcessEnv
  readonly signal: AbortSignal
}

/** 0 when everything was seen. DEMO_FAILED names what was not; CANCELLED; USAGE, EVENT_INVALID, EVENT_TOO_LARGE for a wrong input. */
export async function runDemo(options: DemoOptions): Promise<number> {
  const startedAt = performance.now()
  const root = dirname(dirname(dirname(import.meta.dirname)))
  const hangUp = new AbortController()
  const onHangUp = () => hangUp.abort()
  process.on('SIGHUP', onHangUp)
  const signal = AbortSignal.any([options.signal, hangUp.signal])
  try {
    const input = await readDemoInput(options.input, root, { env: options.env, signal })
    return await runInFolder({ ...options, signal }, { root, input, startedAt })
  } finally {
    process.off('SIGHUP', onHangUp)
  }
}

interface Prepared {
  /** Folder of the program. */
  readonly root: string
  readonly input: DemoInput
  readonly startedAt: number
}

async function runInFolder(options: DemoOptions, { root, input, startedAt }: Prepared): Promise<number> {
  const { out, keep, env, signal } = options
  const program = join(root, 'bin', 'pmesh.js')
  const words = programWords(program, process.cwd())
  const say = narrator(out, startedAt)
  const folder = new DemoFolder(env)
  let leaveHomes = false
  try {
    const repeated = input.rounds === 1 ? '' : `, each ${input.rounds} times`
    say('input', `${countOf(input.texts.length, 'event')}: ${input.source}${repeated}`)
    const run = new DemoRun({ input, folder, root, program, detached: keep, signal, say })
    const failure = await failureOf(run.run(), signal)
    const missing = notObserved(run.result, input.texts.length)
    const isSeen = failure === null && missing.length === 0
    const elapsedMs = Math.round(performance.now() - startedAt)
    const isCancelled = isMeshError(failure) && failure.code === 'CANCELLED'
    leaveHomes = keep && !isSeen && !isCancelled
    if (isCancelled) throw failure
    const homes = folder.nodes.map(({ name, home, pid }) => ({ name, home, pid }))
    if (keep && isSeen) folder.keep()
    if (out.json) {
      const { source, records, rounds } = input
      const kept = keep ? { homes } : {}
      out.value({
        ok: isSeen,
        ...run.result,
        input: { source, records, rounds },
        notObserved: missing,
        ...kept,
        elapsedMs
      })
    } else if (failure === null) printSummary(out, run.result, elapsedMs)
    if (!isSeen) throw demoError(failure, missing, leaveHomes ? folder.path : null)
    if (!out.json) {
      printWhatYouSaw(out, run.result)
      if (keep) printKept(out, folder, words)
      printYourTurn(out, programWords(program, root))
    }
    return 0
  } finally {
    await folder.remove({ leaveHomes })
  }
}

/** Says one line per step, with the seconds since the start; nothing with --json or -q. */
function narrator(out: Output, startedAt: number): (step: string, text: string) => void {
  return (step, text) => {
    if (out.json) return
    const seconds = ((performance.now() - startedAt) / 1_000).toFixed(2).padStart(6)
    out.remark({ text: `${seconds} s`, style: 'dim' }, '  ', { text: step.padEnd(8), style: 'cyan' }, '  ', text)
  }
}

/** What stopped the run; null when nothing did. */
async function failureOf(run: Promise<void>, signal: AbortSignal): Promise<unknown> {
  try {
    await run
    return null
  } catch (error) {
    return signal.aborted ? new MeshError('CANCELLED', 'cancelled') : error
  }
}

function demoError(failure: unknown, missing: readonly string[], homes: string | null): MeshError {
  const kept = homes === null ? {} : { homes }
  const hint = homes === null ? {} : { hint: 'Look at pmesh.log and output.txt in the homes; remove them when done.' }
  if (failure === null) {
    const details = { 'not seen': missing.join('; '), ...kept }
    return new MeshError('DEMO_FAILED', 'the demo did not see what it promises', { details, ...hint })
  }
  const code = isMeshError(failure) && failure.code !== 'DEMO_FAILED' ? ` (${failure.code})` : ''
  const details = { ...(isMeshError(failure) ? failure.details : {}), ...kept }
  return new MeshError('DEMO_FAILED', `the demo stopped: ${messageOf(failure)}${code}`, {
    details,
    ...hint,
    cause: failure
  })
}
