// What happens once a fork is proven (PROTOCOL §4, §6): the proof goes to everybody in a lane of its own, who holds a branch witnesses it,
// and the author goes on in a new epoch. What an honest node saw is never un-said.

import { LIMITS } from '../base/limits.ts'
import type { ChainState } from '../log/chain-state.ts'
import { type ChainKey, chainKeyOf, type ForkProof, type Head } from '../log/statement.ts'
import { type ChainRecord, linkName, placeOf, restricted, sameLink, storedSeq } from './chain-table.ts'
import type { Core, PeerRecord } from './core.ts'

const WITNESS_SPREAD_MS = 3000
const WITNESS_PATIENCE_MS = 30_000
const EPOCH_GAP_MS = 30_000

export interface BranchHooks {
  /** The own log may be appended to. */
  mayAppend(): boolean
  /** The own chain is forked: perhaps another copy of the key is live. */
  ownForked(): void
}

export class Branches {
  readonly #core: Core
  readonly #hooks: BranchHooks
  /** When the stored lines of a chain key are witnessed. */
  readonly #due = new Map<ChainKey, number>()
  /** Links of the heads that were witnessed since the start. */
  readonly #witnessed = new Map<ChainKey, Set<string>>()
  /** When a new epoch of the own chain was asked for last. */
  #openedMs = Number.NEGATIVE_INFINITY
  /** Heads of other branches of the own key that fork searches met. */
  readonly #ownBranches = new Map<ChainKey, Head[]>()

  constructor(core: Core, hooks: BranchHooks) {
    this.#core = core
    this.#hooks = hooks
  }

  /** A chain state changed; `before` is the one it replaces. */
  chainChanged(record: ChainRecord, before: ChainState | null): void {
    const { state } = record
    if (state === null) return
    if (state.fork !== null && before?.fork == null) this.#spread(record.key, state.fork)
    if (!restricted(state)) return
    if (this.#core.isOwn(record.author) && !state.closed) {
      this.#hooks.ownForked()
      this.#core.wake('branches', this.#core.nowMs)
    } else if (!this.#due.has(record.key) && this.#unwitnessed(record).length > 0) this.#plan(record)
  }

  tick(): void {
    for (const record of this.#ownForked()) this.openEpoch(record, null)
    for (const [key, atMs] of [...this.#due]) {
      if (atMs > this.#core.nowMs) this.#core.wake('branches', atMs)
      else this.#witness(key)
    }
  }

  /** A peer's frontier shows that it does not know of a fork. */
  proofMissing(peer: PeerRecord, key: ChainKey): void {
    const fork = this.#core.chains.get(key)?.state?.fork ?? null
    if (fork !== null && peer.proofs.size < LIMITS.claimsPerPeerMax) peer.proofs.set(key, fork)
  }

  /** Sends what waits in the lane of a peer, one message at a time. */
  flush(peer: PeerRecord): void {
    while (peer.writable && !peer.gone && peer.proofs.size > 0) {
      const proofs: ForkProof[] = []
      for (const [key, proof] of peer.proofs) {
        if (proofs.length >= LIMITS.proofsPerMessageMax) break
        proofs.push(proof)
        peer.proofs.delete(key)
      }
      this.#core.send(peer, { kind: 'proofs', proofs })
    }
  }

  receive(peer: PeerRecord, proofs: readonly ForkProof[]): void {
    for (const proof of proofs) {
      const key = proof.a.key
      const author = key.slice(0, key.indexOf('/'))
      if (!this.#core.members.has(author) || this.#core.chains.get(key)?.state?.fork != null) continue
      const ticket = this.#core.ticket({
        witnessed: (valid) => {
          if (valid[0] === false) this.#core.fault(peer, 'proof-invalid')
        }
      })
      this.#core.emit({ kind: 'fork', ticket, proof })
    }
  }

  /** A sealed head of the own key that is not stored here: the next epoch adopts it, a closed one's is witnessed. */
  ownBranch(head: Head): void {
    const known = this.#ownBranches.get(head.key) ?? []
    if (known.length >= LIMITS.epochBranchesMax || known.some((other) => sameLink(other.link, head.link))) return
    this.#ownBranches.set(head.key, [...known, head])
    const record = this.#core.chains.get(head.key)
    if (record?.state?.closed === true && !this.#due.has(head.key)) this.#plan(record)
  }

  /** Goes on in the next epoch of the own chain; false when that must wait or is done. Repeated when the log did not take it. */
  openEpoch(record: ChainRecord, missing: Head | null): boolean {
    const { state } = record
    // One at a time: another live copy of the key would answer each epoch with its own, without end (PROTOCOL §4 "instance").
    const freeMs = this.#openedMs + EPOCH_GAP_MS
    if (freeMs > this.#core.nowMs) {
      this.#core.wake('branches', freeMs)
      return false
    }
    const next = this.#core.chains.get(chainKeyOf(record.author, record.chain, record.epoch + 1))
    if (state?.closed === true || storedSeq(next) > 0) return false
    this.#openedMs = this.#core.nowMs
    this.#core.wake('branches', this.#core.nowMs + EPOCH_GAP_MS)
    const kept = state?.tips[0] ?? null
    const branches = this.#branchesOf(record, kept, missing)
    this.#core.emit({
      kind: 'append-record',
      record: {
        type: 'epoch-opened',
        chain: record.chain,
        epoch: record.epoch + 1,
        fork: missing === null ? (state?.fork ?? null) : null,
        missing,
        kept,
        branches
      }
    })
    return true
  }

  #branchesOf(record: ChainRecord, kept: Head | null, missing: Head | null): readonly Head[] {
    const branches: Head[] = []
    const add = (head: Head): void => {
      if (kept !== null && sameLink(kept.link, head.link)) return
      if (branches.length < LIMITS.epochBranchesMax && !branches.some((other) => sameLink(other.link, head.link)))
        branches.push(head)
    }
    for (const tip of record.state?.tips ?? []) add(tip)
    if (missing !== null) add(missing)
    for (const head of this.#ownBranches.get(record.key) ?? []) add(head)
    return branches
  }

  *#ownForked(): Iterable<ChainRecord> {
    if (!this.#hooks.mayAppend()) return
    for (const record of this.#core.chains.all()) {
      if (this.#core.isOwn(record.author) && record.state?.fork != null && !record.state.closed) yield record
    }
  }

  #spread(key: ChainKey, proof: ForkProof): void {
    for (const peer of this.#core.peers.values()) {
      peer.proofs.set(key, proof)
      this.flush(peer)
    }
  }

  #unwitnessed(record: ChainRecord): readonly Head[] {
    const { state } = record
    const done = this.#witnessed.get(record.key)
    if (state === null || this.#core.observer || (done?.size ?? 0) >= LIMITS.branchesWitnessedMax) return []
    return state.tips.filter((tip) => done?.has(linkName(tip.link)) !== true && !covered(state, tip))
  }

  /** Spread over time, so that one member's word serves the others. */
  #plan(record: ChainRecord): void {
    const higher = record.state?.wanted.some((head) => head.lastSeq > storedSeq(record)) ?? false
    const atMs = this.#core.nowMs + (higher ? WITNESS_PATIENCE_MS : 0) + this.#core.jitter(WITNESS_SPREAD_MS)
    this.#due.set(record.key, atMs)
    this.#core.wake('branches', atMs)
  }

  #witness(key: ChainKey): void {
    if (!this.#hooks.mayAppend()) {
      this.#due.set(key, this.#core.nowMs + WITNESS_SPREAD_MS)
      return this.#core.wake('branches', this.#core.nowMs + WITNESS_SPREAD_MS)
    }
    this.#due.delete(key)
    const record = this.#core.chains.get(key)
    if (record === undefined || !restricted(record.state)) return
    for (const head of this.#unwitnessed(record)) this.#record(head)
    for (const head of this.#ownBranches.get(key) ?? []) this.#recordUnlessStored(record, head)
  }

  #record(head: Head): void {
    const done = this.#witnessed.get(head.key) ?? new Set()
    if (done.size >= LIMITS.branchesWitnessedMax || done.has(linkName(head.link))) return
    this.#witnessed.set(head.key, done.add(linkName(head.link)))
    this.#core.emit({ kind: 'append-record', record: { type: 'branch-witnessed', head } })
  }

  /** What lies inside a stored line needs no word of its own. */
  #recordUnlessStored(record: ChainRecord, head: Head): void {
    const { state } = record
    if (state === null || covered(state, head)) return
    const lines = state.tips.filter((tip) => tip.lastSeq >= head.lastSeq)
    let left = lines.length
    let stored = false
    if (left === 0) return this.#record(head)
    for (const line of lines) {
      const ticket = this.#core.ticket({
        points: ([at]) => {
          left--
          stored ||= at != null && sameLink(at.link, head.link)
          if (left === 0 && !stored) this.#record(head)
        }
      })
      this.#core.emit({ kind: 'read-points', ticket, key: record.key, tip: placeOf(line), seqs: [head.lastSeq] })
    }
  }
}

/** Somebody's word holds the line already, or it is an unforked line that has only not reached its kept head yet. */
function covered(state: ChainState, tip: Head): boolean {
  if (state.wanted.some((head) => sameLink(head.link, tip.link))) return true
  return state.fork === null && state.wanted.every((head) => head.lastSeq > tip.lastSeq)
}
