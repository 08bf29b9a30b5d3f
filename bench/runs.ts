// Runs on a whole node: the five stages of a call, durable, beside the appends that it cannot do without; and many runs at once.

import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { homePaths, prepareHome } from '../src/config/paths.ts'
import { type StartedNode, startNode } from '../src/node/start-node.ts'
import { inFolder, type Measurement, measurement, mebibytes, median } from './measure.ts'

const LOOPBACK = '/ip4/127.0.0.1/tcp/0'
const RULES = 'mode = "rules"\n\n[[rule]]\nid = "sums"\neffect = "allow"\ntool = "calc"\n'
const ROUNDS = 400
const WARM_UP = 40
const APPENDS = 4
const QUEUED = 1_000
const READY_MS_MAX = 60_000

/** p99 of a run of `calc` under an allow rule, from submission to its recorded end; the floor is p99 of four appends one after another. */
export function measureRuns(wanted: ReadonlySet<string>): Promise<Measurement[]> {
  return inFolder(async (folder) => {
    const node = await openNode(folder)
    try {
      const measured: Measurement[] = []
      if (wanted.has('run-calc')) measured.push(await runLatency(node))
      if (wanted.has('runs-queued')) measured.push(await queuedRuns(node))
      return measured
    } finally {
      await node.stop()
    }
  })
}

async function openNode(folder: string): Promise<StartedNode> {
  const home = homePaths(join(folder, 'home'))
  prepareHome(home)
  writeFileSync(home.policy, RULES, { mode: 0o600 })
  const node = await startNode({
    home,
    flags: { listen: [LOOPBACK], door: [LOOPBACK], mdns: false },
    socket: home.socket
  })
  await node.api.waitReady(READY_MS_MAX, AbortSignal.timeout(READY_MS_MAX))
  return node
}

async function runLatency(node: StartedNode): Promise<Measurement> {
  const runs: number[] = []
  const floors: number[] = []
  for (let round = 0; round < ROUNDS + WARM_UP; round++) {
    const floor = await timed(() => fourAppends(node))
    const run = await timed(() => runToEnd(node, round))
    if (round < WARM_UP) continue
    floors.push(floor)
    runs.push(run)
  }
  const [value, floor] = [percentile(runs, 0.99), percentile(floors, 0.99)]
  const note = `p99 of ${ROUNDS}; p50 ${median(runs).toFixed(1)} ms; the floor is p99 of ${APPENDS} fsynced appends (p50 ${median(floors).toFixed(1)} ms); ${(value - floor).toFixed(1)} ms over it`
  return measurement('run-calc', 'ms', value, floor, note)
}

async function fourAppends({ api }: StartedNode): Promise<void> {
  for (let index = 0; index < APPENDS; index++) {
    const json = JSON.stringify({ text: randomBytes(32).toString('hex') })
    await api.append([{ type: 'app-bench', json }])
  }
}

async function runToEnd({ api }: StartedNode, round: number): Promise<void> {
  const { id } = await submit(api, round)
  for await (const update of api.taskFollow(id, AbortSignal.timeout(READY_MS_MAX))) {
    if (update.kind !== 'end') continue
    if (update.task.state !== 'done' || update.answer !== String(round + 1))
      throw new Error(`the run ended ${update.task.state}: ${update.answer}`)
    return
  }
  throw new Error('the run did not end')
}

function submit(api: StartedNode['api'], round: number) {
  return api.taskSubmit({
    kind: 'tool',
    name: 'calc',
    input: `{"expression":"${round}+1"}`,
    on: null,
    conversation: null,
    expiresInMs: 3_600_000
  })
}

/** A thousand tasks submitted at once: what the process needs beyond what it needed before, beside the size of what is in the log of them. */
async function queuedRuns(node: StartedNode): Promise<Measurement> {
  const { api } = node
  const before = process.memoryUsage().rss
  const logged = await eventCount(api)
  let peak = before
  const watch = setInterval(() => {
    peak = Math.max(peak, process.memoryUsage().rss)
  }, 20)
  const begun = performance.now()
  const submitted = await Promise.all(Array.from({ length: QUEUED }, (_, round) => submit(api, round)))
  let open = new Set(submitted.map(({ id }) => id))
  while (open.size > 0) {
    const left = new Set<string>()
    for (const id of open) {
      const { state } = await api.task(id)
      if (state === 'done') continue
      if (state !== 'submitted' && state !== 'assigned' && state !== 'running') throw new Error(`a run ended ${state}`)
      left.add(id)
    }
    open = left
  }
  clearInterval(watch)
  const seconds = (performance.now() - begun) / 1_000
  const events = (await eventCount(api)) - logged
  const appends = await appendRate(node)
  const note = `${QUEUED} runs in ${seconds.toFixed(1)} s, ${Math.round(events / QUEUED)} events each; memory +${mebibytes(peak - before)} MiB; the floor is events/s of single appends`
  return measurement('runs-queued', 'events/s', events / seconds, appends, note)
}

async function appendRate(node: StartedNode): Promise<number> {
  const begun = performance.now()
  for (let index = 0; index < 100; index++) await fourAppends(node)
  return (400 * 1_000) / (performance.now() - begun)
}

async function eventCount(api: StartedNode['api']): Promise<number> {
  return (await api.status()).log.events
}

async function timed(work: () => Promise<void>): Promise<number> {
  const begun = performance.now()
  await work()
  return performance.now() - begun
}

function percentile(values: readonly number[], part: number): number {
  return values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * part))] ?? Number.NaN
}
