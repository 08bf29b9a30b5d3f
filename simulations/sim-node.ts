// One simulated node: the production replication machine with a log, a disk that takes time, and crashes that lose what was not durable yet.

import { equalBytes, toHex } from '../src/base/bytes.ts'
import { LIMITS } from '../src/base/limits.ts'
import { type SigningKey, signingKeyFromSeed } from '../src/identity/ed25519.ts'
import { type Beacon, makeInstance, signBeacon, tryDecodeBeacon } from '../src/log/beacon.ts'
import { type Head, tryDecodeHead } from '../src/log/statement.ts'
import type { Effect, Input, OwnRecord, ReplicationState, SyncMessage } from '../src/replication/contract.ts'
import { Replicator } from '../src/replication/replicator.ts'
import { sealHolds } from './model-frame.ts'
import type { Endpoint, GossipItem, Link, Network } from './network.ts'
import type { Prng } from './prng.ts'
import type { Schedule } from './schedule.ts'
import type { SimLog, SimLogKind, SimLogOptions, SimRecord } from './sim-log.ts'

export interface NodePorts {
  readonly schedule: Schedule
  readonly network: Network
  readonly logKind: SimLogKind
  readonly logOptions: SimLogOptions
  readonly random: Prng
  /** An append was acknowledged to its caller. */
  readonly acknowledged: (head: Head) => void
  readonly trace: (text: string) => void
}

interface WaitingAppend {
  readonly records: readonly SimRecord[]
}

const SEEN_MAX = 4096
const beacons = new Map<string, Beacon | null>()

export class SimNode implements Endpoint {
  readonly id: string
  readonly key: SigningKey
  readonly #ports: NodePorts
  readonly #links = new Map<string, Link>()
  readonly #seen = new Set<string>()
  #log: SimLog | null = null
  #replicator: Replicator | null = null
  #state: ReplicationState = { phase: 'recovering', waitsFor: 'peers', ownHeadConfirmed: false, missing: null }
  #waiting: WaitingAppend[] = []
  /** Writes under way. */
  #jobs = 0
  #busyUntilMs = 0
  #timers = new Map<string, number>()
  generation = 0
  alive = false
  /** Wall clock minus virtual time. */
  clockOffsetMs = 0
  diskMs = 2
  /** What the node was told to drop or was dropped for. */
  readonly penalties = new Map<string, number>()
  readonly disconnects: string[] = []
  instance: Uint8Array = new Uint8Array(16)
  /** Scenario hook: a liar changes or swallows what it sends. */
  twist: ((message: SyncMessage, link: Link) => readonly SyncMessage[]) | null = null
  /** While set, nothing sent is taken off the stream by the other side: it reports itself as full. */
  markerFits = true

  constructor(id: string, ports: NodePorts) {
    this.id = id
    this.#ports = ports
    this.key = signingKeyFromSeed(ports.logOptions.seed)
  }

  get log(): SimLog {
    if (this.#log === null) throw new Error(`${this.id} is down`)
    return this.#log
  }

  get replicator(): Replicator {
    if (this.#replicator === null) throw new Error(`${this.id} is down`)
    return this.#replicator
  }

  get state(): ReplicationState {
    return this.#state
  }

  get waitingAppends(): number {
    return this.#waiting.length + this.#jobs
  }

  async start(snapshot: unknown, markerHead: Head | null = null): Promise<void> {
    const { schedule, logKind, logOptions, random, trace } = this.#ports
    this.generation++
    this.alive = true
    this.#busyUntilMs = 0
    this.#timers = new Map()
    this.#seen.clear()
    const clock = { now: () => this.#wallMs(), monotonic: () => schedule.nowMs }
    this.#log = await logKind.open(logOptions, snapshot, {
      clock,
      random: random.fork(`log ${this.id} ${this.generation}`),
      instance: () => this.instance
    })
    this.#state = { phase: 'recovering', waitsFor: 'peers', ownHeadConfirmed: false, missing: null }
    this.#log.setRecovering(true)
    const wallMs = Math.floor(schedule.nowMs + this.clockOffsetMs) + 1_700_000_000_000
    this.instance = makeInstance(wallMs, random.fork(`instance ${this.id} ${this.generation}`).bytes(8))
    this.#replicator = new Replicator({
      ownKey: this.key.publicKeyHex,
      mesh: logOptions.mesh,
      instance: this.instance,
      random: random.fork(`machine ${this.id} ${this.generation}`),
      signBeacon: (head) => signBeacon({ head, timeMs: this.#wallMs(), instance: this.instance }, this.key)
    })
    trace(`${this.id} starts`)
    const chains = this.#log.states()
    this.#log.takeChanges()
    this.#log.takeMembersChange()
    await this.input({ kind: 'start', chains, ...this.#log.members(), markerFits: this.markerFits, markerHead })
  }

  /** Dies at once: what the disk has not finished is lost. Returns what is left on the disk. */
  crash(): unknown {
    const snapshot = this.log.snapshot()
    this.generation++
    this.alive = false
    this.#waiting = []
    this.#jobs = 0
    this.#log = null
    this.#replicator = null
    this.#links.clear()
    this.#ports.network.cutAll(this)
    this.#ports.trace(`${this.id} dies`)
    return snapshot
  }

  /** Appends once the node may write; `acknowledged` is called when it is durable. */
  append(...records: SimRecord[]): void {
    this.#waiting.push({ records })
    this.#drain()
  }

  async input(input: Input): Promise<void> {
    const machine = this.#replicator
    if (machine === null) return
    for (const effect of machine.step(this.#ports.schedule.nowMs, input)) this.#do(effect)
  }

  async linkUp(link: Link): Promise<void> {
    if (!this.alive) return
    const other = link.other(this) as SimNode
    this.#links.set(link.name, link)
    await this.input({
      kind: 'peer-up',
      peer: link.name,
      key: other.key.publicKeyHex,
      instance: other.instance,
      timeMs: other.#wallMs()
    })
  }

  async linkDown(link: Link): Promise<void> {
    if (!this.alive || !this.#links.delete(link.name)) return
    await this.input({ kind: 'peer-down', peer: link.name })
  }

  async receive(link: Link, message: SyncMessage): Promise<void> {
    if (this.alive) await this.input({ kind: 'message', peer: link.name, message })
  }

  async gossip(link: Link, item: GossipItem): Promise<void> {
    if (!this.alive || this.#seen.has(item.name)) return
    this.#remember(item.name)
    if (item.kind === 'append' || item.kind === 'head') return this.#gossipAppend(link, item)
    this.#ports.network.flood(this, link, item)
    if (item.kind === 'beacon') {
      const beacon = beaconOf(item.bytes)
      if (beacon !== null) await this.input({ kind: 'beacon', beacon })
    } else if (
      item.kind === 'claim' &&
      item.key === this.key.publicKeyHex &&
      !equalBytes(item.instance, this.instance)
    ) {
      await this.input({ kind: 'claimed', instance: item.instance, timeMs: item.timeMs })
    }
  }

  async #gossipAppend(link: Link, item: GossipItem & { readonly kind: 'append' | 'head' }): Promise<void> {
    const head = item.kind === 'append' ? this.log.tryHeadOf(item.bytes) : tryDecodeHead(item.bytes)
    if (head === null || (item.kind === 'head' && !sealHolds(head))) return
    const author = this.log.members().members.find((member) => member.key === toHex(head.author))
    if (author === undefined || author.removed) return
    this.#ports.network.flood(this, link, item)
    await this.input({ kind: 'gossip', peer: link.name, head, frame: item.kind === 'append' ? item.bytes : null })
  }

  #remember(name: string): void {
    this.#seen.add(name)
    if (this.#seen.size > SEEN_MAX) this.#seen.delete(this.#seen.values().next().value as string)
  }

  #wallMs(): number {
    return Math.floor(this.#ports.schedule.nowMs + this.clockOffsetMs) + 1_700_000_000_000
  }

  #do(effect: Effect): void {
    switch (effect.kind) {
      case 'send':
        return this.#send(effect.peer, effect.message)
      case 'publish':
        return this.#publish(effect)
      case 'ingest':
        return this.#write(async (log) => ({
          kind: 'ingested',
          ticket: effect.ticket,
          outcomes: await log.ingest(effect.bytes)
        }))
      case 'witness':
        return this.#write(async (log) => ({
          kind: 'witnessed',
          ticket: effect.ticket,
          valid: await log.witness(effect.heads)
        }))
      case 'fork':
        return this.#write(async (log) => ({
          kind: 'witnessed',
          ticket: effect.ticket,
          valid: [await log.recordFork(effect.proof)]
        }))
      case 'append-record':
        return this.#appendOwn([effect.record])
      case 'read-range':
        return this.#read(async (log) => {
          const { ticket, key, after, tip, bytesMax } = effect
          return { kind: 'range', ticket, result: await log.readRange(key, after, tip, bytesMax) }
        })
      case 'read-points':
        return this.#read(async (log) => ({
          kind: 'points',
          ticket: effect.ticket,
          heads: await log.readPoints(effect.key, effect.tip, effect.seqs)
        }))
      case 'timer':
        return this.#timer(effect.id, effect.atMs)
      case 'disconnect':
        return this.#disconnect(effect.peer, effect.reason)
      case 'penalise': {
        this.penalties.set(effect.fault, (this.penalties.get(effect.fault) ?? 0) + 1)
        return this.#ports.trace(`${this.id} penalises ${effect.peer}: ${effect.fault}`)
      }
      case 'state':
        return this.#phase(effect.state)
      case 'announce-claim': {
        const name = `claim ${toHex(this.instance)} ${effect.timeMs}`
        const item: GossipItem = {
          kind: 'claim',
          key: this.key.publicKeyHex,
          instance: this.instance,
          timeMs: effect.timeMs,
          name
        }
        return this.#ports.network.flood(this, null, item)
      }
    }
  }

  #send(peer: string, message: SyncMessage): void {
    const link = this.#links.get(peer)
    if (link === undefined) return
    const messages = this.twist === null ? [message] : this.twist(message, link)
    for (const each of messages) this.#ports.network.send(link, this, each)
  }

  #publish(effect: Effect & { readonly kind: 'publish' }): void {
    const name = `${effect.what} ${toHex(effect.what === 'beacon' ? effect.bytes.subarray(-64) : effect.head.link)}`
    this.#remember(name)
    this.#ports.network.flood(this, null, { kind: effect.what, bytes: effect.bytes, name })
  }

  #phase(state: ReplicationState): void {
    this.#state = state
    this.#ports.trace(`${this.id} ${state.phase} ${state.waitsFor}`)
    this.#log?.setRecovering(state.phase !== 'ready')
    this.#drain()
  }

  #disconnect(peer: string, reason: string): void {
    const link = this.#links.get(peer)
    this.disconnects.push(reason)
    this.#ports.trace(`${this.id} disconnects ${peer}: ${reason}`)
    if (link !== undefined) this.#ports.network.cut(link)
  }

  #timer(id: string, atMs: number): void {
    const { generation } = this
    this.#timers.set(id, atMs)
    this.#ports.schedule.at(atMs, async () => {
      if (this.generation !== generation || this.#timers.get(id) !== atMs) return
      this.#timers.delete(id)
      await this.input({ kind: 'timer', id: id as never })
    })
  }

  #drain(): void {
    if (this.#state.phase !== 'ready' || !this.alive) return
    const waiting = this.#waiting
    this.#waiting = []
    for (const { records } of waiting) this.#appendOwn(records)
  }

  #appendOwn(records: readonly (SimRecord | OwnRecord)[]): void {
    this.#job(async (log) => {
      const opens = records[0]?.type === 'epoch-opened'
      if (this.#state.phase !== 'ready' && !opens) {
        this.#waiting.push({ records })
        return
      }
      const appended = await log.append(records)
      if (appended === null) {
        this.#waiting.push({ records })
        return this.#ports.schedule.after(500, () => this.#drain())
      }
      const { head, frame } = appended
      // Nobody waits for the log's own records of forks and epochs.
      if (!opens && records[0]?.type !== 'branch-witnessed') this.#ports.acknowledged(head)
      await this.#changes(log)
      await this.input({ kind: 'appended', head, bytes: frame.length < LIMITS.gossipBytesMax ? frame : null })
    })
  }

  #write(work: (log: SimLog) => Promise<Input>): void {
    this.#job(async (log) => {
      const answer = await work(log)
      await this.#changes(log)
      await this.input(answer)
    })
  }

  /** One write after another; each is durable when its time has come, or never. */
  #job(work: (log: SimLog) => Promise<void>): void {
    const { generation } = this
    const { schedule } = this.#ports
    this.#busyUntilMs = Math.max(this.#busyUntilMs, schedule.nowMs) + this.diskMs
    this.#jobs++
    schedule.at(this.#busyUntilMs, async () => {
      if (this.generation !== generation || this.#log === null) return
      this.#jobs--
      await work(this.#log)
    })
  }

  #read(work: (log: SimLog) => Promise<Input>): void {
    const { generation } = this
    this.#ports.schedule.after(1, async () => {
      if (this.generation === generation && this.#log !== null) await this.input(await work(this.#log))
    })
  }

  async #changes(log: SimLog): Promise<void> {
    for (const state of log.takeChanges()) await this.input({ kind: 'chain', state })
    if (log.takeMembersChange()) await this.input({ kind: 'members', ...log.members() })
  }
}

function beaconOf(bytes: Uint8Array): Beacon | null {
  const name = toHex(bytes.subarray(-64))
  let beacon = beacons.get(name)
  if (beacon === undefined) {
    if (beacons.size > 20_000) beacons.clear()
    beacon = tryDecodeBeacon(bytes)
    beacons.set(name, beacon)
  }
  return beacon
}
