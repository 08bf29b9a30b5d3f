// State that all parts of the machine share: peers, chains, members, tickets and the effects of the step under way.

import { LIMITS } from '../base/limits.ts'
import type { Instance } from '../log/beacon.ts'
import type { IngestOutcome } from '../log/chain-state.ts'
import type { ChainKey, ForkProof, Head, PublicKeyHex } from '../log/statement.ts'
import { ChainTable } from './chain-table.ts'
import type {
  ChainClaim,
  Effect,
  MemberView,
  PeerFault,
  PeerHandle,
  RangeResult,
  ReplicatorOptions,
  SyncMessage,
  TimerId
} from './contract.ts'

/** What a peer's frontier shows of one chain and is not here. */
export interface RememberedClaim extends ChainClaim {
  round: number
  /** Its head was checked, or is not above what is known here. */
  checked: boolean
}

export interface PeerRecord {
  readonly peer: PeerHandle
  readonly key: PublicKeyHex
  readonly instance: Instance
  writable: boolean
  /** Bytes of frames that may be sent to the peer before it grants more. */
  sendCredit: number
  /** Bytes of frames that the peer may still send. */
  receiveCredit: number
  /** Bytes that were taken in and not granted again yet. */
  owedCredit: number
  readonly claims: Map<ChainKey, RememberedClaim>
  frontierRound: number
  /** A whole frontier, or an equal digest, has come since the peer is up. */
  answered: boolean
  inSync: boolean
  /** Heads of the own key from its frontier that are being checked. */
  ownHeadChecks: number
  digestSentMs: number
  frontierSentMs: number
  frontierDue: boolean
  digestDueMs: number
  fetches: number
  lastFrameMs: number
  readonly closedFetches: Set<number>
  readonly proofs: Map<ChainKey, ForkProof>
  beaconDue: boolean
  faults: number
  lastFault: PeerFault | null
  budget: number
  budgetAtMs: number
  gone: boolean
}

type Answer = {
  ingested: (outcomes: readonly IngestOutcome[]) => void
  witnessed: (valid: readonly boolean[]) => void
  range: (result: RangeResult | 'diverged' | 'unknown' | 'failed') => void
  points: (heads: readonly (Head | null)[]) => void
}

export class Core {
  readonly options: ReplicatorOptions
  readonly chains = new ChainTable()
  readonly peers = new Map<PeerHandle, PeerRecord>()
  members = new Map<PublicKeyHex, MemberView>()
  selfAdmitted = false
  observer = false
  nowMs = 0
  effects: Effect[] = []
  readonly #answers = new Map<number, Partial<Answer>>()
  readonly #timers = new Map<TimerId, number>()
  #lastTicket = 0

  constructor(options: ReplicatorOptions) {
    this.options = options
  }

  emit(effect: Effect): void {
    this.effects.push(effect)
  }

  send(peer: PeerRecord, message: SyncMessage): void {
    if (!peer.gone) this.effects.push({ kind: 'send', peer: peer.peer, message })
  }

  /** A number that the shell gives back with the answer. */
  ticket(answer: Partial<Answer>): number {
    this.#lastTicket++
    this.#answers.set(this.#lastTicket, answer)
    return this.#lastTicket
  }

  /** The waiting answer of a ticket, once. */
  answer(ticket: number): Partial<Answer> | undefined {
    const answer = this.#answers.get(ticket)
    this.#answers.delete(ticket)
    return answer
  }

  /** Wakes at `atMs` or earlier. */
  wake(id: TimerId, atMs: number): void {
    const armed = this.#timers.get(id)
    if (armed !== undefined && armed <= atMs) return
    this.#timers.set(id, atMs)
    this.emit({ kind: 'timer', id, atMs })
  }

  timerFired(id: TimerId): void {
    this.#timers.delete(id)
  }

  /** Uniform in [0, spanMs). */
  jitter(spanMs: number): number {
    return Math.floor(this.options.random.fraction() * spanMs)
  }

  isOwn(author: PublicKeyHex): boolean {
    return author === this.options.ownKey
  }

  /** Counts a peer's fault; too many end the connection. */
  fault(peer: PeerRecord, fault: PeerFault): void {
    if (peer.gone) return
    peer.faults++
    peer.lastFault = fault
    this.emit({ kind: 'penalise', peer: peer.peer, fault })
    if (peer.faults >= LIMITS.peerFaultsMax) this.disconnect(peer, 'misbehaving')
  }

  /** The shell answers with `peer-down`; nothing is sent or taken in between. */
  disconnect(peer: PeerRecord, reason: 'removed' | 'misbehaving' | 'too-many'): void {
    if (peer.gone) return
    peer.gone = true
    this.emit({ kind: 'disconnect', peer: peer.peer, reason })
  }

  /** One small message of a peer; false when it sends too many. */
  spend(peer: PeerRecord, cost: number): boolean {
    const refill = ((this.nowMs - peer.budgetAtMs) * LIMITS.peerMessagesPerSecond) / 1000
    peer.budget = Math.min(LIMITS.peerMessagesBurst, peer.budget + Math.max(0, refill))
    peer.budgetAtMs = this.nowMs
    if (peer.budget < cost) return false
    peer.budget -= cost
    return true
  }

  sizes(): { readonly tickets: number; readonly peers: number } {
    return { tickets: this.#answers.size, peers: this.peers.size }
  }
}
