// Runs the replication machine on the real log and network: turns what happens into inputs, does the effects, answers. Decides nothing.

import { equalBytes, toHex } from '../base/bytes.ts'
import type { Clock } from '../base/clock.ts'
import { LIMITS } from '../base/limits.ts'
import type { Logger } from '../base/logger.ts'
import { messageOf } from '../base/mesh-error.ts'
import { type SigningKey, verifySignature } from '../identity/ed25519.ts'
import { TAGS } from '../identity/tags.ts'
import { frameAppend, framedBytes } from '../log/append-codec.ts'
import { INSTANCE_BYTES, type Instance, signBeacon, tryDecodeBeacon } from '../log/beacon.ts'
import type { EventLog, LogCommit } from '../log/event-log.ts'
import type { CheckedFrame } from '../log/frame-check.ts'
import { grantAt, insideCut } from '../log/mesh-fold.ts'
import { type Head, headSealValid, type PublicKeyHex, tryDecodeHead } from '../log/statement.ts'
import type { GossipVerdict, MeshNetwork } from '../network/network-contract.ts'
import { encodeGossip, type GossipMessage, tryDecodeGossip } from '../network/wire/gossip-codec.ts'
import { encodeSyncMessage, tryDecodeSyncMessage } from '../network/wire/sync-codec.ts'
import type {
  Effect,
  Input,
  MembersView,
  OwnRecord,
  PeerFault,
  ReplicationState,
  TimerId
} from '../replication/contract.ts'
import { Replicator } from '../replication/replicator.ts'

export interface ReplicationShellOptions {
  readonly log: EventLog
  readonly network: () => MeshNetwork
  readonly key: SigningKey
  readonly instance: Instance
  readonly clock: Clock
  readonly random: { bytes(length: number): Uint8Array; fraction(): number }
  readonly logger: Logger
  readonly markerFits: boolean
  readonly markerHead: Head | null
  readonly stateChanged: (state: ReplicationState) => void
}

/** Penalty points per fault: 200 keep a peer out for a while. */
const POINTS: Readonly<Record<PeerFault, number>> = {
  'frame-invalid': 100,
  'frame-wrong-range': 50,
  'frame-unasked': 50,
  'credit-exceeded': 50,
  'claim-not-served': 10,
  'claim-invalid': 50,
  'head-invalid': 50,
  'points-invalid': 50,
  'proof-invalid': 50,
  'beacon-invalid': 20,
  flood: 50
}

export class ReplicationShell {
  readonly #options: ReplicationShellOptions
  readonly #replicator: Replicator
  readonly #inputs: Input[] = []
  readonly #timers = new Map<TimerId, NodeJS.Timeout>()
  /** Frames that the gossip validator has checked, until they are stored: nothing is decoded twice. */
  readonly #checked = new WeakMap<Uint8Array, CheckedFrame>()
  readonly #unlisten: () => void
  /** Events in a format, flag or encoding that this version does not know were offered. */
  formatUnknown = false
  #running = false
  #stopped = false
  #state: ReplicationState | null = null

  constructor(options: ReplicationShellOptions) {
    this.#options = options
    const { log, key, instance, clock, random } = options
    this.#replicator = new Replicator({
      ownKey: key.publicKeyHex,
      mesh: log.mesh,
      instance,
      random,
      signBeacon: (head) => signBeacon({ head, timeMs: clock.now(), instance }, key)
    })
    this.#unlisten = log.onCommit((commit) => this.#committed(commit))
  }

  get replicator(): Replicator {
    return this.#replicator
  }

  get state(): ReplicationState | null {
    return this.#state
  }

  start(): void {
    const { log, markerFits, markerHead } = this.#options
    this.step({ kind: 'start', chains: [...log.chains.values()], markerFits, markerHead, ...membersView(log) })
  }

  stop(): void {
    this.#stopped = true
    this.#unlisten()
    for (const timer of this.#timers.values()) clearTimeout(timer)
    this.#timers.clear()
  }

  /** Inputs are taken one after another, also those that effects bring about at once. */
  step(input: Input): void {
    this.#inputs.push(input)
    if (this.#running) return
    this.#running = true
    try {
      for (let next = this.#inputs.shift(); next !== undefined && !this.#stopped; next = this.#inputs.shift()) {
        const effects = this.#replicator.step(this.#options.clock.monotonic(), next)
        for (const effect of effects) this.#run(effect)
      }
    } finally {
      this.#running = false
    }
  }

  message(peer: PublicKeyHex, bytes: Uint8Array): void {
    const message = tryDecodeSyncMessage(bytes)
    if (message === null) {
      this.#options.network().penalise(peer, POINTS['frame-invalid'], 'a sync message that does not decode')
      return
    }
    this.step({ kind: 'message', peer, message })
  }

  /** Validator and delivery of gossip (PROTOCOL §6): what lacks a predecessor is accepted, parked and synced. */
  gossip(peer: PublicKeyHex, data: Uint8Array): GossipVerdict {
    const message = tryDecodeGossip(data)
    if (message === null) return 'reject'
    switch (message.kind) {
      case 'append':
        return this.#gossipAppend(peer, message.bytes)
      case 'head':
        return this.#gossipHead(peer, message.bytes)
      case 'claim':
        return this.#gossipClaim(message.bytes)
      case 'beacon': {
        const beacon = tryDecodeBeacon(message.bytes)
        if (beacon === null || !equalBytes(beacon.head.mesh, this.#options.log.mesh)) return 'reject'
        if (!this.#countsFrom(beacon.head)) return 'ignore'
        this.step({ kind: 'beacon', beacon })
        return 'accept'
      }
    }
  }

  #gossipAppend(peer: PublicKeyHex, frame: Uint8Array): GossipVerdict {
    const checked = this.#options.log.check(frame)
    const [append] = checked.appends
    if (checked.rest !== null || append === undefined || checked.appends.length !== 1 || append.fault !== null)
      return 'reject'
    if (!this.#countsFrom(append.head)) return 'ignore'
    this.#checked.set(frame, checked)
    this.step({ kind: 'gossip', peer, head: append.head, frame })
    return 'accept'
  }

  #gossipHead(peer: PublicKeyHex, bytes: Uint8Array): GossipVerdict {
    const head = tryDecodeHead(bytes)
    if (head === null || !equalBytes(head.mesh, this.#options.log.mesh) || !headSealValid(head)) return 'reject'
    if (!this.#countsFrom(head)) return 'ignore'
    this.step({ kind: 'gossip', peer, head, frame: null })
    return 'accept'
  }

  /** The author is a member and the place is not behind its cut. */
  #countsFrom(head: Head): boolean {
    const author = toHex(head.author)
    const member = this.#options.log.view.members.get(author)
    return (
      member !== undefined && insideCut(member, { author, chain: head.chain, epoch: head.epoch, seq: head.lastSeq })
    )
  }

  #gossipClaim(body: Uint8Array): GossipVerdict {
    const { log, key } = this.#options
    const bytes = Buffer.from(body)
    const author = bytes.subarray(INSTANCE_BYTES + 8, INSTANCE_BYTES + 40)
    const text = Buffer.concat([TAGS.claim, log.mesh, bytes.subarray(0, INSTANCE_BYTES + 40)])
    if (!verifySignature(author, text, bytes.subarray(INSTANCE_BYTES + 40))) return 'reject'
    if (!log.view.members.has(toHex(author))) return 'ignore'
    if (equalBytes(author, key.publicKey)) {
      const timeMs = Number(bytes.readBigUInt64BE(INSTANCE_BYTES))
      this.step({ kind: 'claimed', instance: bytes.subarray(0, INSTANCE_BYTES), timeMs })
    }
    return 'accept'
  }

  #committed(commit: LogCommit): void {
    for (const state of commit.chains) this.step({ kind: 'chain', state })
    if (commit.view !== null) this.step({ kind: 'members', ...membersView(this.#options.log) })
    for (const { head, blocks, own } of commit.stored) {
      if (!own) continue
      const small = framedBytes(blocks.header, blocks.body) < LIMITS.gossipBytesMax
      this.step({ kind: 'appended', head, bytes: small ? frameAppend(blocks.header, blocks.body) : null })
    }
  }

  #run(effect: Effect): void {
    const network = this.#options.network()
    switch (effect.kind) {
      case 'send':
        if (!network.send(effect.peer, encodeSyncMessage(effect.message)))
          this.step({ kind: 'writable', peer: effect.peer, writable: false })
        return
      case 'publish':
        return this.#publish({ kind: effect.what, bytes: effect.bytes })
      case 'timer':
        return this.#setTimer(effect.id, effect.atMs)
      case 'disconnect':
        network.hangUp(effect.peer).catch((error: unknown) => this.#failed('hang up', error))
        return
      case 'penalise':
        this.#options.logger.warn('a peer is at fault', { peer: effect.peer, fault: effect.fault })
        network.penalise(effect.peer, POINTS[effect.fault], effect.fault)
        return
      case 'state':
        this.#state = effect.state
        this.#options.stateChanged(effect.state)
        return
      case 'announce-claim':
        return this.#announceClaim(effect.timeMs)
      case 'append-record':
        this.#appendRecord(effect.record).catch((error: unknown) => this.#failed(effect.record.type, error))
        return
      default:
        this.#answer(effect).catch((error: unknown) => {
          this.#failed(effect.kind, error)
          this.step(failedAnswer(effect))
        })
    }
  }

  async #answer(effect: Asking): Promise<void> {
    const { log } = this.#options
    const { ticket } = effect
    switch (effect.kind) {
      case 'ingest': {
        const checked = this.#checked.get(effect.bytes)
        const outcomes =
          checked === undefined ? await log.ingest(effect.bytes, 'sync') : await log.ingestChecked(checked, 'gossip')
        if (outcomes.some((outcome) => outcome.kind === 'format')) this.formatUnknown = true
        return this.step({ kind: 'ingested', ticket, outcomes })
      }
      case 'read-range':
        return this.step({
          kind: 'range',
          ticket,
          result: await log.readRange(effect.key, effect.after, effect.tip, effect.bytesMax)
        })
      case 'read-points':
        return this.step({ kind: 'points', ticket, heads: await log.readPoints(effect.key, effect.tip, effect.seqs) })
      case 'witness':
        return this.step({ kind: 'witnessed', ticket, valid: await log.recordHeads(effect.heads) })
      case 'fork':
        return this.step({ kind: 'witnessed', ticket, valid: [await log.recordFork(effect.proof)] })
    }
  }

  async #appendRecord(record: OwnRecord): Promise<void> {
    const { log, instance } = this.#options
    if (record.type === 'epoch-opened') {
      const { fork, missing, branches } = record
      if (log.ownChain().epoch < record.epoch) await log.openEpoch({ fork, missing, branches, instance })
      return
    }
    const witnessed = log.state.records.some(
      ({ place, body }) =>
        place.author === log.self && body.type === 'branch-witnessed' && equalBytes(body.head.link, record.head.link)
    )
    if (!witnessed) await log.appendRecord(record)
  }

  #publish(message: GossipMessage): void {
    this.#options
      .network()
      .publish(encodeGossip(message))
      .catch((error: unknown) => this.#failed('publish', error))
  }

  #announceClaim(timeMs: number): void {
    const { key, instance, log } = this.#options
    const time = Buffer.alloc(8)
    time.writeBigUInt64BE(BigInt(timeMs))
    const text = Buffer.concat([instance, time, key.publicKey])
    this.#publish({
      kind: 'claim',
      bytes: Buffer.concat([text, key.sign(Buffer.concat([TAGS.claim, log.mesh, text]))])
    })
  }

  #setTimer(id: TimerId, atMs: number): void {
    clearTimeout(this.#timers.get(id))
    const delay = Math.max(0, atMs - this.#options.clock.monotonic())
    this.#timers.set(
      id,
      setTimeout(() => this.step({ kind: 'timer', id }), delay)
    )
  }

  #failed(what: string, error: unknown): void {
    if (!this.#stopped)
      this.#options.logger.warn('replication could not go on with one thing', { what, message: messageOf(error) })
  }
}

/** Effects that wait for an answer. */
type Asking = Effect & { readonly ticket: number }

/** What the machine hears when the store could not answer: nobody is blamed, and it asks again later. */
function failedAnswer(effect: Asking): Input {
  const { ticket } = effect
  switch (effect.kind) {
    case 'ingest':
      return { kind: 'ingested', ticket, outcomes: [{ kind: 'failed', key: null }] }
    case 'read-range':
      return { kind: 'range', ticket, result: 'failed' }
    case 'read-points':
      return { kind: 'points', ticket, heads: [] }
    default:
      return { kind: 'witnessed', ticket, valid: [] }
  }
}

export function membersView(log: EventLog): MembersView {
  const { members } = log.view
  const self = members.get(log.self)
  const list = [...members.values()].map(({ key, removal, role }) => ({
    key,
    removed: removal !== null,
    admits: role === 'admin'
  }))
  const { epoch, tips } = log.ownChain()
  const grant = grantAt(log.view, { author: log.self, chain: 0, epoch, seq: (tips[0]?.lastSeq ?? 0) + 1 })
  return {
    members: list,
    selfAdmitted: self !== undefined && self.removal === null,
    observer: grant?.role === 'observer'
  }
}
