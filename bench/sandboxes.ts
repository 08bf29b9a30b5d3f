// Starts of sandboxed work: a script in a warm worker beside a bare worker, `true` in the command sandbox beside bare bubblewrap.

import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { LIMITS } from '../src/base/limits.ts'
import type { ToolLimits } from '../src/pipeline/contract.ts'
import { openCommandSandbox } from '../src/sandbox/command-sandbox.ts'
import { ScriptSandbox } from '../src/sandbox/script-sandbox.ts'
import { Workspaces } from '../src/sandbox/workspaces.ts'
import { inFolder, type Measurement, measurement, median } from './measure.ts'

const ROUNDS = 40
/** A person or a model needs longer between two calls: the pool fills up again. */
const PAUSE_MS = 150

const limits: ToolLimits = {
  timeMs: 5_000,
  memoryBytes: LIMITS.toolMemoryBytesMax,
  outputBytes: 65_536,
  processes: 16,
  fileBytes: 1 << 20
}

/** p50 of a call that finds a worker waiting; the floor starts a bare worker and hears one message of it. */
export async function measureScript(): Promise<Measurement> {
  const sandbox = await ScriptSandbox.open()
  const values: number[] = []
  const floors: number[] = []
  const { signal } = new AbortController()
  for (let round = 0; round < ROUNDS; round++) {
    await pause()
    floors.push(await timed(bareWorker))
    await pause()
    values.push(
      await timed(async () => {
        const outcome = await sandbox.run({ source: 'input.a + 1', input: '{"a":1}', limits, signal })
        if (Buffer.from(outcome.output).toString() !== '2') throw new Error(`the script ended ${outcome.status}`)
      })
    )
  }
  await sandbox.close()
  return measurement(
    'script-warm',
    'ms',
    median(values),
    median(floors),
    `p50 of ${ROUNDS}; the floor starts a bare worker`
  )
}

async function bareWorker(): Promise<void> {
  const worker = new Worker('require("node:worker_threads").parentPort.postMessage(1)', { eval: true, env: {} })
  await new Promise((resolve, reject) => {
    worker.on('message', resolve)
    worker.on('error', reject)
  })
  await worker.terminate()
}

/** p50 of `true`; the floor is bubblewrap alone with a read-only root. */
export function measureCommand(): Promise<Measurement> {
  return inFolder(async (folder) => {
    const workspaces = Workspaces.open({ paths: { home: folder, workspaces: join(folder, 'workspaces') } })
    const sandbox = await openCommandSandbox({ workspaces })
    if (!sandbox.report.available) throw new Error(`no command sandbox here: ${sandbox.report.text}`)
    const workspace = await workspaces.prepare('bench')
    const { signal } = new AbortController()
    const values: number[] = []
    const floors: number[] = []
    for (let round = 0; round < ROUNDS; round++) {
      floors.push(await timed(async () => void execFileSync('bwrap', ['--ro-bind', '/', '/', '--unshare-all', 'true'])))
      values.push(
        await timed(async () => {
          const outcome = await sandbox.run({ program: 'true', args: [], workspace, limits, signal })
          if (outcome.status !== 'ok') throw new Error(`true ended ${outcome.status}: ${outcome.message}`)
        })
      )
    }
    await workspaces.remove('bench')
    await sandbox.close()
    return measurement(
      'command',
      'ms',
      median(values),
      median(floors),
      `p50 of ${ROUNDS}; ${sandbox.report.text}; the floor is bare bubblewrap`
    )
  })
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, PAUSE_MS))
}

async function timed(work: () => Promise<void>): Promise<number> {
  const begun = performance.now()
  await work()
  return performance.now() - begun
}
