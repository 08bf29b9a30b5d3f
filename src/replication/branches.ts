// What happens once a fork is proven (PROTOCOL §4, §6): the proof goes to everybody in a lane of its own, who holds a branch witnesses it,
// and the author goes on in a new epoch. What an honest node saw is never un-said.

import { LIMITS } from '../base/limits.ts'
import type { ChainState } from '../log/chain-state.ts'
import { type ChainKey, chainKeyOf, type ForkProof, type Head } from '../log/statement.ts'
import { type ChainRecord, linkName, restricted, sameLink, storedSeq } from './chain-table.ts'
import type { Core, PeerRecord } from './core.ts'

const WITNESS_SPREAD_MS = 3000
const WITNESS_PATIENCE_MS = 30_000
const RETRY_MS = 30_000

export interface BranchHooks {
  /** The own log may be appended to. */
  mayAppend(): boolean
}

export class Branches {
  readonly #core: Core
  readonly #hooks: BranchHooks
  /** When the stored lines of a chain key are witnessed. */
  readonly #due = new Map<ChainKey, number>()
  /** Links of the heads that were witnessed since the start. */
  readonly #witnessed = new Map<ChainKey, Set<string>>()
  /** Own chain keys that a new epoch was asked for, and when. */
  readonly #opened = new Map<ChainKey, number>()
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
    if (this.#core.isOwn(record.author)) {
      if (state.fork !== null && !state.closed) this.#core.wake('branches', this.#core.nowMs)
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

  /** A head of another branch of the own key; the next epoch adopts it. */
  ownBranch(head: Head): void {
    const known = this.#ownBranches.get(head.key) ?? []
    if (known.length >= LIMITS.epochBranchesMax || known.some((other) => sameLink(other.link, head.link))) return
    this.#ownBranches.set(head.key, [...known, head])
  }

  /** Goes on in the next epoch of the own chain. Once per chain key; repeated when the log did not take it. */
  openEpoch(record: ChainRecord, missing: Head | null): boolean {
    const { state, key } = record
    const askedMs = this.#opened.get(key)
    if (askedMs !== undefined && askedMs + RETRY_MS > this.#core.nowMs) return false
    const next = this.#core.chains.get(chainKeyOf(record.author, record.chain, record.epoch + 1))
    if (state?.closed === true || storedSeq(next) > 0) return false
    this.#opened.set(key, this.#core.nowMs)
    this.#core.wake('branches', this.#core.nowMs + RETRY_MS)
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
    for (const head of this.#unwitnessed(record)) {
      const done = this.#witnessed.get(key) ?? new Set()
      if (done.size >= LIMITS.branchesWitnessedMax) return
      this.#witnessed.set(key, done.add(linkName(head.link)))
      this.#core.emit({ kind: 'append-record', record: { type: 'branch-witnessed', head } })
    }
  }
}

/** Somebody's word holds the line already, or it is an unforked line that has only not reached its kept head yet. */
function covered(state: ChainState, tip: Head): boolean {
  if (state.wanted.some((head) => sameLink(head.link, tip.link))) return true
  return state.fork === null && state.wanted.every((head) => head.lastSeq > tip.lastSeq)
}
