// CHAIN-10: kills a process that appends, again and again, and looks at what is left. `node simulations/kill-loop.ts [--rounds N] [--seed N]
// [--node]`: with `--node` it is a whole node with callers on its socket, else a process that has the log alone.
// After every kill the log is opened and checked: hashes, links and seals hold; every acknowledged event is there under its id; no sequence
// number ever names another event than it did before.

import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { toHex } from '../src/base/bytes.ts'
import type { EventLog } from '../src/log/event-log.ts'
import { loggedEvents } from '../src/log/logged-event.ts'
import { verifyLog } from '../src/log/verify-log.ts'
import { KILL_KEYS, openKillLog } from './kill-loop-child.ts'
import { nodeVictim } from './kill-node.ts'
import { type Prng, prng } from './prng.ts'

const CHILD = fileURLToPath(new URL('kill-loop-child.ts', import.meta.url))
/** Rounds on one store before a new one is begun, so that checking stays cheap. */
const ROUNDS_PER_STORE = 50
const READY_MS_MAX = 20_000

export interface KillLoopOptions {
  readonly rounds: number
  readonly seed: number
  /** What is killed; a process with the log alone when left out. */
  readonly victim?: Victim
  readonly progress?: (round: number) => void
}

export interface KillLoopSummary {
  readonly rounds: number
  readonly killedWhileOpening: number
  readonly acknowledged: number
  readonly events: number
  /** What went wrong, in words; empty when the promise held. */
  readonly faults: readonly string[]
}

/** AUTHOR EPOCH SEQ → id: everything ever acknowledged or found after a kill. */
type Known = Map<string, string>

export interface OpenedKillLog {
  readonly log: EventLog
  /** Key in hex of the author whose places are called `own`. */
  readonly own: string
  readonly close: () => Promise<void>
}

/** What the loop kills, in a folder of its own. */
export interface Victim {
  readonly prepare: (folder: string) => Promise<void>
  /** One life of the process: until a random moment after it is ready, or, one time in five, after it was started. */
  readonly killOnce: (folder: string, round: number, random: Prng) => Promise<KillRound>
  readonly open: (folder: string) => Promise<OpenedKillLog>
}

export interface KillRound {
  readonly acknowledged: readonly (readonly [place: string, id: string])[]
  readonly ready: boolean
  readonly complaint: string
}

export async function runKillLoop({
  rounds,
  seed,
  victim = logVictim,
  progress
}: KillLoopOptions): Promise<KillLoopSummary> {
  const random = prng(seed, 'kill loop')
  const faults: string[] = []
  let [folder, known]: [string | null, Known] = [null, new Map()]
  let [acknowledged, events, killedWhileOpening, done] = [0, 0, 0, 0]
  try {
    for (; done < rounds && faults.length === 0; done++) {
      if (folder === null || done % ROUNDS_PER_STORE === 0) {
        if (folder !== null) rmSync(folder, { recursive: true, force: true })
        folder = mkdtempSync(join(tmpdir(), 'pmesh-kill-'))
        known = new Map()
        await victim.prepare(folder)
      }
      const round = await victim.killOnce(folder, done, random)
      acknowledged += round.acknowledged.length
      if (!round.ready) killedWhileOpening++
      if (round.complaint !== '') faults.push(`round ${done}: the process said: ${round.complaint}`)
      const before = known.size
      faults.push(...(await inspect(await victim.open(folder), round, known)).map((fault) => `round ${done}: ${fault}`))
      events += known.size - before
      progress?.(done + 1)
    }
  } finally {
    if (folder !== null) rmSync(folder, { recursive: true, force: true })
  }
  return { rounds: done, killedWhileOpening, acknowledged, events, faults }
}

async function killOnce(folder: string, round: number, random: Prng): Promise<KillRound> {
  const callers = random.pick([1, 4, 64])
  const whileOpening = round > 0 && random.chance(0.2)
  const child = spawn(process.execPath, [CHILD, folder, String(callers)], { stdio: ['ignore', 'pipe', 'pipe'] })
  let [output, complaint] = ['', '']
  const ready = Promise.withResolvers<void>()
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text
    if (output.includes('ready\n')) ready.resolve()
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaint += text
  })
  const closed = new Promise<void>((resolve) => child.once('close', () => resolve()))
  if (whileOpening) await wait(random.below(400))
  else await Promise.race([ready.promise, closed, wait(READY_MS_MAX)])
  if (!whileOpening) await wait(random.below(180))
  child.kill('SIGKILL')
  await closed
  const lines = output.slice(0, output.lastIndexOf('\n') + 1).split('\n')
  const acknowledgements = lines
    .filter((line) => /^(own|other) /.test(line))
    .map((line) => line.split(' ') as [string, string, string, string])
  const acknowledged = acknowledgements.map(([author, epoch, seq, id]) => [`${author} ${epoch} ${seq}`, id] as const)
  return { acknowledged, ready: output.includes('ready\n'), complaint }
}

async function inspect({ log, own, close }: OpenedKillLog, round: KillRound, known: Known): Promise<string[]> {
  const faults: string[] = []
  try {
    if (log.damaged.length > 0) faults.push(`damaged: ${log.damaged.join(', ')}`)
    for (const { author, fault, sealsValid } of await verifyLog(log.state, log.reader, {
      author: null,
      signal: new AbortController().signal,
      progress: () => undefined
    })) {
      if (fault !== null && fault.code !== 'LOG_UNKNOWN') faults.push(`${author}: ${fault.code} ${fault.message}`)
      if (!sealsValid) faults.push(`${author}: a seal does not hold`)
    }
    const stored = await storedIds(log, own)
    for (const [place, id] of [...known, ...round.acknowledged]) {
      const found = stored.get(place)
      if (found === undefined) faults.push(`${place} is lost`)
      else if (found !== id) faults.push(`${place} names another event than before`)
    }
    for (const [place, id] of stored) known.set(place, id)
  } finally {
    await close()
  }
  return faults.slice(0, 10)
}

async function storedIds(log: EventLog, own: string): Promise<Known> {
  const ids: Known = new Map()
  for await (const { head, blocks } of log.reader.all(null)) {
    const author = toHex(head.author) === own ? 'own' : 'other'
    for (const { epoch, seq, id } of loggedEvents(log.mesh, log.view, head, blocks))
      ids.set(`${author} ${epoch} ${seq}`, toHex(id))
  }
  return ids
}

const logVictim: Victim = {
  prepare: async () => undefined,
  killOnce,
  open: async (folder) => ({ ...(await openKillLog(folder)), own: KILL_KEYS.own.publicKeyHex })
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      rounds: { type: 'string', default: '50' },
      seed: { type: 'string', default: '1' },
      node: { type: 'boolean', default: false }
    }
  })
  const started = performance.now()
  const progress = (round: number): void => {
    if (round % 10 === 0) process.stdout.write(`${round} rounds\n`)
  }
  const { rounds, killedWhileOpening, acknowledged, events, faults } = await runKillLoop({
    rounds: Number(values.rounds),
    seed: Number(values.seed),
    victim: values.node ? nodeVictim : logVictim,
    progress
  })
  const seconds = ((performance.now() - started) / 1000).toFixed(1)
  process.stdout.write(
    `killed ${rounds} times in ${seconds} s, ${killedWhileOpening} of them while opening: ${acknowledged} acknowledged, ${events} stored\n`
  )
  process.stdout.write(
    faults.length === 0 ? 'nothing that was acknowledged is lost, nothing is said twice\n' : `${faults.join('\n')}\n`
  )
  process.exitCode = faults.length === 0 ? 0 : 1
}

if (import.meta.main) await main()
