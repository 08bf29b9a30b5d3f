// The replication machine of one node (PROTOCOL §4, §6): `step(now, input) → effects`. Pure and deterministic: time comes in, randomness is
// a seeded port, everything slow is an effect. The same code runs on libp2p and in the simulator. It never sees inside a frame.

import { LIMITS } from '../base/limits.ts'
import type { ChainState } from '../log/chain-state.ts'
import { encodeHead, type Head } from '../log/statement.ts'
import { Beacons } from './beacons.ts'
import { Branches } from './branches.ts'
import { type ChainRecord, knownHead, storedSeq } from './chain-table.ts'
import type {
  ChainStatus,
  Effect,
  Input,
  MembersView,
  ReplicationStatus,
  ReplicatorOptions,
  SyncMessage,
  TimerId
} from './contract.ts'
import { Core, type PeerRecord } from './core.ts'
import { Fetching } from './fetching.ts'
import { ForkSearch } from './fork-search.ts'
import { Frontier } from './frontier.ts'
import { Gossip } from './gossip.ts'
import { Instances } from './instances.ts'
import { costOf, newPeer, peerStatus } from './peer-table.ts'
import { Recovery } from './recovery.ts'
import { Serving } from './serving.ts'

/** Sizes of everything that grows. */
export interface MachineSizes {
  readonly tickets: number
  readonly peers: number
  readonly parkedBytes: number
  readonly parked: number
  readonly claims: number
  readonly proofs: number
  readonly fetches: number
  readonly serves: number
}

export class Replicator {
  readonly #core: Core
  readonly #frontier: Frontier
  readonly #fetching: Fetching
  readonly #serving: Serving
  readonly #search: ForkSearch
  readonly #gossip: Gossip
  readonly #branches: Branches
  readonly #beacons: Beacons
  readonly #instances: Instances
  readonly #recovery: Recovery

  constructor(options: ReplicatorOptions) {
    const core = new Core(options)
    this.#core = core
    this.#serving = new Serving(core)
    this.#frontier = new Frontier(core, {
      claimsChanged: () => this.#fetching.touch(),
      answered: (peer) => this.#answered(peer),
      proofMissing: (peer, key) => this.#branches.proofMissing(peer, key),
      ownHeadShown: (head) => this.#branches.ownBranch(head),
      ownHeadHeld: () => this.#recovery.ownHeadHeld()
    })
    this.#fetching = new Fetching(core, {
      diverged: (peer, record, tip) => this.#search.start(peer, record, tip),
      dropClaim: (peer, key) => this.#frontier.drop(peer, key),
      ownAhead: () => this.#recovery.again(),
      waits: (key) => this.#gossip.waits(key)
    })
    this.#search = new ForkSearch(core, { ended: (record, peer, found) => this.#searched(record, peer, found) })
    this.#gossip = new Gossip(core, {
      hint: (peer, head) => this.#frontier.hint(peer, head),
      touch: () => this.#fetching.touch(),
      ownHeadShown: (head) => this.#branches.ownBranch(head),
      ownAhead: () => this.#recovery.again()
    })
    this.#branches = new Branches(core, {
      mayAppend: () => this.#recovery.phase === 'ready',
      ownForked: () => this.#beacons.hurry()
    })
    this.#instances = new Instances(core, () => this.#recovery.instanceChanged())
    this.#beacons = new Beacons(core, { own: (beacon) => this.#instances.seen(beacon.instance, beacon.timeMs) })
    this.#recovery = new Recovery(core, {
      yields: () => this.#instances.yields,
      openEpoch: (record, missing) => this.#branches.openEpoch(record, missing),
      ready: () => core.wake('branches', core.nowMs)
    })
  }

  /** Takes one input; `nowMs` never goes back. The effects are to be done in their order. */
  step(nowMs: number, input: Input): readonly Effect[] {
    const core = this.#core
    core.nowMs = Math.max(core.nowMs, nowMs)
    core.effects = []
    this.#take(input)
    this.#fetching.run()
    return core.effects
  }

  status(): ReplicationStatus {
    const chains = [...this.#core.chains.sorted()].map((record) => this.#chainStatus(record))
    const peers = [...this.#core.peers.values()].map(peerStatus)
    return { state: this.#recovery.state, chains, peers, parkedBytes: this.#gossip.parkedBytes }
  }

  /** Sizes of everything that grows, for tests and metrics. */
  sizes(): MachineSizes {
    let claims = 0
    let proofs = 0
    for (const peer of this.#core.peers.values()) {
      claims += peer.claims.size
      proofs += peer.proofs.size
    }
    const parked = { parkedBytes: this.#gossip.parkedBytes, parked: this.#gossip.parkedCount }
    return {
      ...this.#core.sizes(),
      ...parked,
      claims,
      proofs,
      fetches: this.#fetching.open,
      serves: this.#serving.open
    }
  }

  #take(input: Input): void {
    switch (input.kind) {
      case 'start':
        return this.#start(input)
      case 'chain':
        return this.#chain(input.state)
      case 'members':
        return this.#members(input)
      case 'appended':
        return this.#appended(input.head, input.bytes)
      case 'peer-up':
        return this.#peerUp(input)
      case 'peer-down':
        return this.#peerDown(input.peer)
      case 'message':
        return this.#message(input.peer, input.message)
      case 'writable':
        return this.#writable(input.peer, input.writable)
      case 'gossip':
        return this.#gossip.receive(this.#core.peers.get(input.peer), input.peer, input.head, input.frame)
      case 'beacon':
        return this.#beacons.receive(input.beacon)
      case 'claimed':
        return this.#instances.claimed(input.instance, input.timeMs)
      case 'claim':
        return this.#claim(input.timeMs)
      case 'override':
        return this.#recovery.override()
      case 'timer':
        return this.#timer(input.id)
      default:
        return this.#answer(input)
    }
  }

  #answer(input: Input & { readonly ticket: number }): void {
    const answer = this.#core.answer(input.ticket)
    if (input.kind === 'ingested') answer?.ingested?.(input.outcomes)
    else if (input.kind === 'witnessed') answer?.witnessed?.(input.valid)
    else if (input.kind === 'range') answer?.range?.(input.result)
    else if (input.kind === 'points') answer?.points?.(input.heads)
  }

  #start(input: Input & { readonly kind: 'start' }): void {
    this.#takeMembers(input)
    for (const state of input.chains) this.#chain(state)
    this.#recovery.start(input.markerFits, input.markerHead)
  }

  #chain(state: ChainState): void {
    const before = this.#core.chains.get(state.key)?.state ?? null
    const record = this.#core.chains.update(state)
    this.#frontier.settle(state.key)
    this.#gossip.chainChanged(state.key)
    this.#branches.chainChanged(record, before)
    this.#beacons.chainChanged(state.key)
    if (record.fetchId === 0) this.#fetching.touch()
    if (!this.#core.isOwn(record.author)) return
    const tip = state.tips[0]
    if (tip !== undefined && !state.closed) this.#beacons.ownHead(tip)
    if (tip?.link !== before?.tips[0]?.link) this.#recovery.progress()
    else this.#recovery.check()
  }

  #takeMembers(view: MembersView): { readonly removal: boolean; readonly admission: boolean } {
    const before = this.#core.members
    let removal = false
    let admission = false
    for (const member of view.members) {
      const known = before.get(member.key)
      if (known === undefined) admission = true
      if (member.removed && known?.removed !== true) removal = true
    }
    this.#core.members = new Map(view.members.map((member) => [member.key, member]))
    this.#core.selfAdmitted = view.selfAdmitted
    this.#core.observer = view.observer
    return { removal, admission }
  }

  #members(view: MembersView): void {
    const wasAdmitted = this.#core.selfAdmitted
    const { removal, admission } = this.#takeMembers(view)
    if (!wasAdmitted && view.selfAdmitted) this.#askAgain()
    if (removal) this.#dropRemoved()
    if (removal || admission) {
      for (const record of this.#core.chains.all()) record.stopped = null
      this.#frontier.nudge()
      this.#fetching.touch()
    }
    this.#recovery.progress()
  }

  /** Before the own admission was known here, heads of the own key could not be taken from anybody. */
  #askAgain(): void {
    for (const peer of this.#core.peers.values()) {
      peer.answered = false
      peer.frontierRound = 0
    }
  }

  #dropRemoved(): void {
    for (const peer of [...this.#core.peers.values()]) {
      if (this.#core.members.get(peer.key)?.removed !== true) continue
      this.#core.disconnect(peer, 'removed')
      this.#forget(peer)
    }
  }

  #appended(head: Head, bytes: Uint8Array | null): void {
    if (bytes !== null && bytes.length <= LIMITS.gossipBytesMax)
      this.#core.emit({ kind: 'publish', what: 'append', bytes, head })
    else this.#core.emit({ kind: 'publish', what: 'head', bytes: encodeHead(head), head })
  }

  #peerUp(input: Input & { readonly kind: 'peer-up' }): void {
    const core = this.#core
    const known = core.peers.get(input.peer)
    if (known !== undefined) this.#forget(known)
    const peer = newPeer(core.nowMs, input)
    if (core.isOwn(input.key)) this.#instances.seen(input.instance, input.timeMs)
    if (core.members.get(input.key)?.removed === true) return core.disconnect(peer, 'removed')
    if (core.peers.size >= LIMITS.connectionsMax) return core.disconnect(peer, 'too-many')
    core.peers.set(input.peer, peer)
    this.#serving.peerUp(peer)
    this.#frontier.peerUp(peer)
    this.#beacons.peerUp(peer)
    this.#recovery.check()
  }

  #peerDown(handle: string): void {
    const peer = this.#core.peers.get(handle)
    if (peer === undefined) return
    peer.gone = true
    this.#forget(peer)
    this.#recovery.check()
  }

  #forget(peer: PeerRecord): void {
    this.#core.peers.delete(peer.peer)
    this.#frontier.dropAll(peer)
    this.#fetching.peerDown(peer)
    this.#serving.peerDown(peer)
    this.#search.peerDown(peer)
  }

  #message(handle: string, message: SyncMessage): void {
    const core = this.#core
    const peer = core.peers.get(handle)
    if (peer === undefined || peer.gone) return
    if (message.kind === 'frame') return this.#fetching.frame(peer, message.id, message.bytes)
    if (!core.spend(peer, costOf(message))) {
      core.fault(peer, 'flood')
      return
    }
    this.#small(peer, message)
    if (peer.gone) this.#forget(peer)
  }

  #small(peer: PeerRecord, message: Exclude<SyncMessage, { readonly kind: 'frame' }>): void {
    switch (message.kind) {
      case 'digest':
        return this.#frontier.digest(peer, message.digest, message.asks)
      case 'frontier':
        this.#frontier.frontier(peer, message)
        return this.#branches.flush(peer)
      case 'fetch':
        return this.#serving.fetch(peer, message)
      case 'cancel':
        return this.#serving.cancel(peer, message.id)
      case 'credit':
        return this.#serving.credit(peer, message.bytes)
      case 'end':
        return this.#fetching.ended(peer, message.id, message.reason)
      case 'probe':
        return this.#serving.probe(peer, message)
      case 'points':
        return this.#search.points(peer, message.id, message.heads)
      case 'proofs':
        return this.#branches.receive(peer, message.proofs)
      case 'beacon':
        return this.#beacons.receiveBytes(peer, message.bytes)
    }
  }

  #writable(handle: string, writable: boolean): void {
    const peer = this.#core.peers.get(handle)
    if (peer === undefined) return
    peer.writable = writable
    if (!writable) return
    this.#branches.flush(peer)
    this.#serving.resume(peer)
    this.#frontier.writable(peer)
    this.#beacons.writable(peer)
  }

  #answered(peer: PeerRecord): void {
    if (peer.inSync) this.#recovery.ownHeadHeld()
    this.#recovery.answeredBy(peer.key)
  }

  #searched(record: ChainRecord, peer: PeerRecord, found: boolean): void {
    const claim = peer.claims.get(record.key)
    if (found && this.#core.isOwn(record.author) && claim?.checked === true && claim.head !== null) {
      this.#branches.ownBranch(claim.head)
    }
    if (!found) record.avoided.set(peer.peer, this.#core.nowMs + LIMITS.fetchStallMs)
    this.#fetching.touch()
  }

  #claim(timeMs: number): void {
    this.#core.emit({ kind: 'announce-claim', timeMs })
    this.#instances.claimed(this.#core.options.instance, timeMs)
  }

  #timer(id: TimerId): void {
    this.#core.timerFired(id)
    switch (id) {
      case 'frontier':
        this.#gossip.expire()
        return this.#frontier.tick()
      case 'fetch':
        this.#search.tick()
        return this.#fetching.tick()
      case 'gap':
        return this.#gossip.tick()
      case 'beacon':
        return this.#beacons.tick()
      case 'branches':
        return this.#branches.tick()
      case 'recovery':
        return this.#recovery.check()
    }
  }

  /** Own chains have no beacon from elsewhere: a peer with the same frontier holds them, and alone there is nobody to confirm. */
  #heldElsewhere(record: ChainRecord): boolean {
    if (!this.#core.isOwn(record.author)) return false
    const others = [...this.#core.members.values()].some((member) => !member.removed && !this.#core.isOwn(member.key))
    return !others || [...this.#core.peers.values()].some((peer) => peer.inSync)
  }

  #chainStatus(record: ChainRecord): ChainStatus {
    const told = this.#beacons.of(record.author)
    const ofThis = told?.beacon.head.key === record.key ? told : undefined
    const knownSeq = knownHead(record.state)?.lastSeq ?? 0
    const seq = storedSeq(record)
    let state: ChainStatus['state'] = 'unconfirmed'
    if (record.state?.fork != null) state = 'forked'
    else if (ofThis?.contradicted === true) state = 'contradicted'
    else if (knownSeq > seq) state = 'behind'
    else if (ofThis?.confirmed != null || this.#heldElsewhere(record)) state = 'complete'
    const source = this.#fetching.sourceOf(record)
    return {
      key: record.key,
      storedSeq: seq,
      knownSeq,
      state,
      beaconMs: ofThis?.beacon.timeMs ?? null,
      source,
      failures: record.failures
    }
  }
}
