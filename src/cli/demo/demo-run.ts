// The demo itself, step by step. Every number in its result was measured or counted here; what was not seen is null.

import { MeshError } from '../../base/mesh-error.ts'
import { countOf, formatCount, formatDuration } from '../human-text.ts'
import type { DemoFolder } from './demo-folder.ts'
import type { DemoInput } from './demo-input.ts'
import type { DemoNode } from './demo-node.ts'
import { type DemoTaskResult, DemoTasks } from './demo-tasks.ts'
import { demoEvents, equalHeads, missingTexts } from './held-events.ts'
import { verifyIndependently } from './independent-check.ts'
import { appendShare, type Share } from './share-appender.ts'

const NAMES = ['alice', 'bob', 'carol'] as const
const JOIN_MS_MAX = 60_000
const READY_MS_MAX = 60_000
const EQUAL_MS_MAX = 60_000
const INVITE_LIFE_MS = 600_000
/** Shares of the input: while all are up, around the kill, while one is down (the killed node’s after its return). */
const FIRST_SHARE = 0.4
const KILL_SHARE = 0.2

export interface DemoResult {
  nodes: number
  /** Events of the input that every node holds. */
  events: number | null
  acknowledged: number
  /** Of the acknowledged events, those that at least one node does not hold at the end. */
  acknowledgedLost: number | null
  /** Of the killed node’s acknowledged events, those that it did not hold when it was back. */
  lostAtRestart: number | null
  /** Every node holds each line of the input exactly once, byte for byte. */
  exact: boolean | null
  /** All nodes ended with equal heads of all chains. */
  converged: boolean
  chains: number | null
  /** The exports passed the independent verifier and hold the same. */
  verified: boolean
  digest: string | null
  exportedEvents: number | null
  /** A node was ended by SIGKILL while appends were under way. */
  killed: boolean
  kill: { node: string; pid: number; acknowledged: number; unanswered: number; unansweredKept: number | null } | null
  appendPerSecond: number | null
  /** Events that the others appended while the node was down, through start of its process and equality of its heads. */
  catchUpPerSecond: number | null
  missedEvents: number | null
  /** From the start of the killed node’s process until its socket answered. */
  restartMs: number | null
  /** From there until its heads were those of the others. */
  catchUpMs: number | null
  verifyMs: number | null
  /** What was seen of tasks and approvals. */
  run: DemoTaskResult | null
}

export interface DemoRunOptions {
  readonly input: DemoInput
  readonly folder: DemoFolder
  /** Folder of the program. */
  readonly root: string
  readonly program: string
  readonly detached: boolean
  readonly signal: AbortSignal
  /** One line about what was just seen. */
  readonly say: (step: string, text: string) => void
}

export class DemoRun {
  readonly result: DemoResult = {
    nodes: 0,
    events: null,
    acknowledged: 0,
    acknowledgedLost: null,
    lostAtRestart: null,
    exact: null,
    converged: false,
    chains: null,
    verified: false,
    digest: null,
    exportedEvents: null,
    killed: false,
    kill: null,
    appendPerSecond: null,
    catchUpPerSecond: null,
    missedEvents: null,
    restartMs: null,
    catchUpMs: null,
    verifyMs: null,
    run: null
  }
  readonly #options: DemoRunOptions
  readonly #alice: DemoNode
  readonly #bob: DemoNode
  readonly #carol: DemoNode
  readonly #nodes: readonly DemoNode[]
  readonly #shares: readonly (readonly string[])[]
  readonly #acknowledged: string[] = []
  readonly #acknowledgedByCarol: string[] = []

  constructor(options: DemoRunOptions) {
    const { folder, program, detached, input } = options
    this.#options = options
    const [alice, bob, carol] = NAMES.map((name) => folder.add(name, { program, detached })) as [
      DemoNode,
      DemoNode,
      DemoNode
    ]
    this.#alice = alice
    this.#bob = bob
    this.#carol = carol
    this.#nodes = [alice, bob, carol]
    this.#shares = NAMES.map((_, node) => input.texts.filter((_text, index) => index % NAMES.length === node))
  }

  /** Throws what stops it; `result` has what was seen until then. */
  async run(): Promise<void> {
    await this.#start()
    await this.#join()
    await this.#appendTogether()
    const carolsRest = await this.#killAmidAppends()
    await this.#appendWithoutCarol()
    await this.#restartCarol()
    await this.#continue(carolsRest)
    await this.#work()
    await this.#compare()
    await this.#verify()
  }

  async #start(): Promise<void> {
    const { signal } = this.#options
    await Promise.all(this.#nodes.map((node) => node.start(signal)))
    this.result.nodes = new Set(this.#nodes.map(({ pid }) => pid)).size
    const processes = this.#nodes.map(({ name, pid }) => `${name} (${pid})`).join(', ')
    this.#say('start', `three processes, each with a home and keys of its own: ${processes}`)
  }

  async #join(): Promise<void> {
    const { signal } = this.#options
    const { client } = this.#alice
    const { fingerprint } = await client.call('identity/show', {}, { signal })
    const joiners = [this.#bob, this.#carol]
    const invites: { readonly node: DemoNode; readonly line: string }[] = []
    for (const node of joiners) {
      const params = { name: node.name, expiresInMs: INVITE_LIFE_MS }
      invites.push({ node, line: (await client.call('invite/create', params, { signal })).line })
    }
    this.#say('invite', `alice founded the mesh and made two invites; each admits one node`)
    for (const { node, line } of invites) {
      const joined = await node.client.call('mesh/join', { line, name: node.name }, { signal, timeoutMs: JOIN_MS_MAX })
      if (joined.inviter.fingerprint !== fingerprint)
        throw new MeshError('DEMO_FAILED', `${node.name} was shown other words than alice’s`)
      this.#say('join', `${node.name} entered and saw the words of alice: ${joined.inviter.fingerprint}`)
    }
    await Promise.all(this.#nodes.map((node) => this.#ready(node)))
    this.#say('ready', 'all three accept appends')
  }

  async #appendTogether(): Promise<void> {
    const startedAt = performance.now()
    const shares = await Promise.all(
      this.#nodes.map((node, index) => this.#append(node, this.#part(index, 0, FIRST_SHARE)))
    )
    const elapsedMs = performance.now() - startedAt
    const count = shares.reduce((sum, { acknowledged }) => sum + acknowledged.length, 0)
    this.result.appendPerSecond = rate(count, elapsedMs)
    const { chains } = await equalHeads(this.#nodes, EQUAL_MS_MAX, this.#options.signal)
    const equalMs = performance.now() - startedAt - elapsedMs
    this.#say(
      'append',
      `${countOf(count, 'event')} at three nodes in ${formatDuration(elapsedMs)}, each on disk before its answer; ${chains} chains equal ${formatDuration(equalMs)} later`
    )
  }

  /** Answers what of carol’s share is still to be appended, apart from what was under way. */
  async #killAmidAppends(): Promise<{ readonly unanswered: readonly string[]; readonly unsent: readonly string[] }> {
    const { signal } = this.#options
    const carol = this.#carol
    const { pid } = carol
    const texts = this.#part(2, FIRST_SHARE, 1)
    const half = Math.floor((texts.length * KILL_SHARE) / (1 - FIRST_SHARE))
    const interrupt = (acknowledged: number) => acknowledged >= half && carol.kill()
    const [share] = await Promise.all([
      this.#append(carol, texts, interrupt),
      ...[this.#alice, this.#bob].map((node, index) =>
        this.#append(node, this.#part(index, FIRST_SHARE, FIRST_SHARE + KILL_SHARE))
      )
    ])
    // A share that ended unkilled would wait here for ever.
    const by = share.unanswered.length === 0 && share.unsent.length === 0 ? null : await carol.ended(signal)
    const [acknowledged, unanswered] = [share.acknowledged.length, share.unanswered.length]
    this.result.kill = { node: carol.name, pid, acknowledged, unanswered, unansweredKept: null }
    this.result.killed = by === 'SIGKILL' && unanswered > 0
    if (by === null) throw new MeshError('DEMO_FAILED', 'carol was not killed amid her appends')
    this.#say(
      'kill',
      `carol (${pid}) ended by ${by} amid her appends: ${formatCount(acknowledged)} acknowledged just before, ${formatCount(unanswered)} under way`
    )
    return share
  }

  async #appendWithoutCarol(): Promise<void> {
    const shares = await Promise.all(
      [this.#alice, this.#bob].map((node, index) => this.#append(node, this.#part(index, FIRST_SHARE + KILL_SHARE, 1)))
    )
    this.result.missedEvents = shares.reduce((sum, { acknowledged }) => sum + acknowledged.length, 0)
    this.#say('outage', `alice and bob went on: ${countOf(this.result.missedEvents, 'event')} that carol does not have`)
  }

  async #restartCarol(): Promise<void> {
    const { result } = this
    const { signal } = this.#options
    const startedAt = performance.now()
    await this.#carol.start(signal)
    const answeredAt = performance.now()
    const [held, equalAt] = await Promise.all([
      this.#peerIdOf(this.#carol).then((author) => demoEvents(this.#carol, signal, author)),
      equalHeads(this.#nodes, EQUAL_MS_MAX, signal).then(() => performance.now())
    ])
    result.lostAtRestart = this.#acknowledgedByCarol.filter((id) => !held.has(id)).length
    result.restartMs = Math.round(answeredAt - startedAt)
    result.catchUpMs = Math.round(equalAt - answeredAt)
    result.catchUpPerSecond = rate(result.missedEvents ?? 0, equalAt - startedAt)
    const kept = `${formatCount(this.#acknowledgedByCarol.length - result.lostAtRestart)} of ${formatCount(this.#acknowledgedByCarol.length)}`
    this.#say(
      'restart',
      `carol (${this.#carol.pid}) is back after ${formatDuration(result.restartMs)} with ${kept} events that she had acknowledged`
    )
    this.#say('catch up', `her heads equal the others’ ${formatDuration(result.catchUpMs)} later`)
  }

  /** Appends what carol had not answered for and does not hold, and the rest of her share. */
  async #continue(rest: { readonly unanswered: readonly string[]; readonly unsent: readonly string[] }): Promise<void> {
    const { signal } = this.#options
    await this.#ready(this.#carol)
    const held = await demoEvents(this.#carol, signal, await this.#peerIdOf(this.#carol))
    const acknowledged = new Set(this.#acknowledgedByCarol)
    const extra = [...held].filter(([id]) => !acknowledged.has(id)).map(([, text]) => text)
    const lacking = missingTexts(rest.unanswered, extra)
    const kept = rest.unanswered.length - lacking.length
    if (this.result.kill !== null) this.result.kill.unansweredKept = kept
    const share = await this.#append(this.#carol, [...lacking, ...rest.unsent])
    this.#say(
      'continue',
      `of the ${formatCount(rest.unanswered.length)} under way, ${formatCount(kept)} had reached the log; carol appended the other ${formatCount(share.acknowledged.length)} of her share`
    )
  }

  async #work(): Promise<void> {
    const { signal, say } = this.#options
    const tasks = new DemoTasks({ nodes: [this.#alice, this.#bob, this.#carol], signal, say })
    this.result.run = tasks.result
    await tasks.run()
  }

  async #compare(): Promise<void> {
    const { result } = this
    const { signal, input } = this.#options
    result.chains = (await equalHeads(this.#nodes, EQUAL_MS_MAX, signal)).chains
    result.converged = true
    const lost = new Set<string>()
    const counts: number[] = []
    let exact = true
    for (const node of this.#nodes) {
      const held = await demoEvents(node, signal)
      for (const id of this.#acknowledged) if (!held.has(id)) lost.add(id)
      counts.push(held.size)
      exact &&= held.size === input.texts.length && missingTexts(input.texts, held.values()).length === 0
    }
    result.events = Math.min(...counts)
    result.exact = exact
    result.acknowledgedLost = lost.size
    result.acknowledged = this.#acknowledged.length
    const found = `${formatCount(this.#acknowledged.length - lost.size)} of ${formatCount(this.#acknowledged.length)}`
    this.#say(
      'compare',
      `${result.chains} chains end alike on all three; ${found} acknowledged events are on every node`
    )
  }

  async #verify(): Promise<void> {
    const { folder, root, signal } = this.#options
    const verdict = await verifyIndependently(this.#nodes, { folder: folder.path, root, signal })
    this.result.verified = verdict.ok
    this.result.digest = verdict.digest
    this.result.exportedEvents = verdict.events
    this.result.verifyMs = Math.round(verdict.elapsedMs)
    for (const fault of verdict.faults) this.#say('verify', fault)
    const same = verdict.digest === null ? 'with different digests' : `one digest ${verdict.digest.slice(0, 16)}…`
    this.#say(
      'verify',
      `an independent program read the three exports: ${verdict.ok ? 'verified' : 'NOT verified'}, ${same}`
    )
  }

  async #append(
    node: DemoNode,
    texts: readonly string[],
    interrupt?: (acknowledged: number) => boolean
  ): Promise<Share> {
    const share = await appendShare(node, texts, {
      signal: this.#options.signal,
      ...(interrupt === undefined ? {} : { interrupt })
    })
    this.#acknowledged.push(...share.acknowledged)
    if (node === this.#carol) this.#acknowledgedByCarol.push(...share.acknowledged)
    this.result.acknowledged = this.#acknowledged.length
    if (interrupt === undefined && share.unanswered.length > 0)
      throw new MeshError('DEMO_FAILED', `${node.name} ended while it was appending`)
    return share
  }

  /** A node’s share of the input between two fractions of it. */
  #part(node: number, from: number, to: number): readonly string[] {
    const share = this.#shares[node] ?? []
    return share.slice(Math.floor(share.length * from), Math.floor(share.length * to))
  }

  async #ready(node: DemoNode): Promise<void> {
    const { signal } = this.#options
    await node.client.call('node/wait', { timeoutMs: READY_MS_MAX }, { signal, timeoutMs: READY_MS_MAX + 1_000 })
  }

  async #peerIdOf(node: DemoNode): Promise<string> {
    return (await node.client.call('identity/show', {}, { signal: this.#options.signal })).peerId
  }

  #say(step: string, text: string): void {
    this.#options.say(step, text)
  }
}

function rate(count: number, elapsedMs: number): number {
  return Math.round((count * 1_000) / Math.max(elapsedMs, 1))
}
