// Frontier exchange (PROTOCOL §6 "Sync"): a digest on every connection at fixed times, whatever gossip and writers do; the whole frontier
// when digests differ. A claim above what is known here counts only once its sealed head was checked.

import { equalBytes, toHex } from '../base/bytes.ts'
import { LIMITS } from '../base/limits.ts'
import type { Head } from '../log/statement.ts'
import { hasTip, knownHead, prefixOf, restricted, storedSeq } from './chain-table.ts'
import type { ChainClaim, SyncMessage } from './contract.ts'
import type { Core, PeerRecord } from './core.ts'

export interface FrontierHooks {
  /** A peer has something that is not here, or no longer. */
  claimsChanged(): void
  /** A peer has shown its whole frontier, or that it is equal. */
  answered(peer: PeerRecord): void
  /** A peer does not know of a fork that is proven here. */
  proofMissing(peer: PeerRecord, key: string): void
  /** A peer shows a sealed head of the own key above what is known here. */
  ownHeadShown(head: Head): void
  /** A peer holds the own head. */
  ownHeadHeld(): void
}

export class Frontier {
  readonly #core: Core
  readonly #hooks: FrontierHooks
  #round = 0

  constructor(core: Core, hooks: FrontierHooks) {
    this.#core = core
    this.#hooks = hooks
  }

  peerUp(peer: PeerRecord): void {
    this.#sendDigest(peer)
  }

  /** Sends a digest to everybody at once: something that must not wait was learnt. */
  nudge(): void {
    for (const peer of this.#core.peers.values()) this.#sendDigest(peer)
  }

  tick(): void {
    const { nowMs } = this.#core
    for (const peer of this.#core.peers.values()) {
      if (peer.digestDueMs <= nowMs) this.#sendDigest(peer)
      if (peer.frontierDue) this.#sendFrontier(peer)
      this.#core.wake('frontier', peer.digestDueMs)
    }
  }

  writable(peer: PeerRecord): void {
    if (peer.frontierDue) this.#sendFrontier(peer)
  }

  digest(peer: PeerRecord, digest: Uint8Array, asks: boolean): void {
    if (equalBytes(digest, this.#core.chains.digest())) {
      this.#dropClaims(peer, peer.frontierRound + 1)
      peer.inSync = true
      peer.answered = true
      if (asks || this.#core.nowMs - peer.digestSentMs >= LIMITS.frontierGapMsMin) this.#sendDigest(peer)
      this.#hooks.answered(peer)
      return
    }
    peer.inSync = false
    peer.frontierDue = true
    this.#sendFrontier(peer)
    if (this.#core.nowMs - peer.digestSentMs >= LIMITS.frontierGapMsMin) this.#sendDigest(peer)
  }

  frontier(peer: PeerRecord, message: SyncMessage & { readonly kind: 'frontier' }): void {
    if (message.round < peer.frontierRound) return
    peer.frontierRound = message.round
    const unchecked: Head[] = []
    for (const claim of message.claims) this.#take(peer, claim, message.round, unchecked)
    if (unchecked.length > 0) this.#check(peer, unchecked)
    if (message.last) {
      this.#dropClaims(peer, message.round)
      peer.answered = true
      peer.inSync = false
    }
    this.#hooks.claimsChanged()
    if (message.last && peer.ownHeadChecks === 0) this.#hooks.answered(peer)
  }

  /** Gossip showed that a peer may have an append: a hint, checked already. */
  hint(peer: PeerRecord, head: Head): void {
    const known = peer.claims.get(head.key)
    if ((known?.tips[0]?.seq ?? 0) >= head.lastSeq) return
    this.#remember(peer, {
      key: head.key,
      tips: [prefixOf(head)],
      head,
      forked: false,
      round: peer.frontierRound,
      checked: true
    })
  }

  /** Forgets what a peer was said to have of one chain. */
  drop(peer: PeerRecord, key: string): void {
    peer.claims.delete(key)
    this.#core.chains.get(key)?.sources.delete(peer.peer)
  }

  dropAll(peer: PeerRecord): void {
    for (const key of [...peer.claims.keys()]) this.drop(peer, key)
  }

  /** The own chain or another's changed: claims that are met now are forgotten. */
  settle(key: string): void {
    const record = this.#core.chains.get(key)
    if (record === undefined || record.sources.size === 0) return
    for (const name of [...record.sources]) {
      const peer = this.#core.peers.get(name)
      const claim = peer?.claims.get(key)
      if (peer === undefined || claim === undefined) record.sources.delete(name)
      else if (!this.#interesting(claim)) this.drop(peer, key)
    }
  }

  #take(peer: PeerRecord, claim: ChainClaim, round: number, unchecked: Head[]): void {
    const record = this.#core.chains.get(claim.key)
    const state = record?.state ?? null
    const head = claim.head
    if (head !== null && head.key !== claim.key) return this.#core.fault(peer, 'claim-invalid')
    const tips = claim.tips.filter((tip) => tip.seq <= (head?.lastSeq ?? storedSeq(record)))
    const author = claim.key.slice(0, claim.key.indexOf('/'))
    if (!this.#core.members.has(author)) return
    if (this.#core.isOwn(author) && tips.some((tip) => hasTip(state, tip))) this.#hooks.ownHeadHeld()
    if (state?.fork != null && !claim.forked) this.#hooks.proofMissing(peer, claim.key)
    const above = head !== null && head.lastSeq > (knownHead(state)?.lastSeq ?? 0)
    if (above) unchecked.push(head)
    const remembered = { ...claim, tips, round, checked: !above }
    if (this.#interesting(remembered)) this.#remember(peer, remembered)
    else this.drop(peer, claim.key)
  }

  #remember(peer: PeerRecord, claim: ChainClaim & { round: number; checked: boolean }): void {
    if (peer.claims.size >= LIMITS.claimsPerPeerMax && !peer.claims.has(claim.key)) return
    peer.claims.set(claim.key, claim)
    this.#core.chains.ensure(claim.key).sources.add(peer.peer)
  }

  #interesting(claim: ChainClaim): boolean {
    const record = this.#core.chains.get(claim.key)
    const state = record?.state ?? null
    if (state?.upgradeNeeded === true) return false
    if (restricted(state)) return claim.tips.length > 0
    const seq = storedSeq(record)
    return claim.tips.some((tip) => tip.seq > seq || (tip.seq === seq && !hasTip(state, tip)))
  }

  #check(peer: PeerRecord, heads: readonly Head[]): void {
    const own = heads.filter((head) => this.#core.isOwn(toHex(head.author))).length
    peer.ownHeadChecks += own
    const ticket = this.#core.ticket({ witnessed: (valid) => this.#checked(peer, heads, valid, own) })
    this.#core.emit({ kind: 'witness', ticket, heads })
  }

  #checked(peer: PeerRecord, heads: readonly Head[], valid: readonly boolean[], own: number): void {
    peer.ownHeadChecks -= own
    let invalid = false
    heads.forEach((head, index) => {
      const claim = peer.claims.get(head.key)
      if (valid[index] === true && this.#core.isOwn(toHex(head.author))) this.#hooks.ownHeadShown(head)
      if (valid[index] !== true) {
        // Without an answer the store failed: nobody is blamed, the next frontier shows it again.
        if (valid[index] === false) invalid = true
        this.drop(peer, head.key)
      } else if (claim !== undefined) claim.checked = true
    })
    if (invalid) this.#core.fault(peer, 'head-invalid')
    this.#hooks.claimsChanged()
    if (peer.answered && peer.ownHeadChecks === 0) this.#hooks.answered(peer)
  }

  #dropClaims(peer: PeerRecord, round: number): void {
    for (const [key, claim] of [...peer.claims]) if (claim.round < round) this.drop(peer, key)
  }

  #sendDigest(peer: PeerRecord): void {
    const { nowMs } = this.#core
    peer.digestDueMs = nowMs + LIMITS.frontierIntervalMs + this.#core.jitter(LIMITS.frontierIntervalMs / 10)
    this.#core.wake('frontier', peer.digestDueMs)
    if (!peer.writable) return
    peer.digestSentMs = nowMs
    const asks = !peer.answered && this.#core.selfAdmitted
    this.#core.send(peer, { kind: 'digest', digest: this.#core.chains.digest(), asks })
  }

  #sendFrontier(peer: PeerRecord): void {
    const { nowMs } = this.#core
    if (!peer.writable) return
    if (peer.frontierSentMs + LIMITS.frontierGapMsMin > nowMs) {
      return this.#core.wake('frontier', peer.frontierSentMs + LIMITS.frontierGapMsMin)
    }
    peer.frontierDue = false
    peer.frontierSentMs = nowMs
    this.#round++
    const claims = this.#claims()
    let from = 0
    do {
      const page = claims.slice(from, from + LIMITS.claimsPerMessageMax)
      from += LIMITS.claimsPerMessageMax
      this.#core.send(peer, { kind: 'frontier', round: this.#round, last: from >= claims.length, claims: page })
    } while (from < claims.length)
  }

  #claims(): ChainClaim[] {
    const claims: ChainClaim[] = []
    for (const { key, state } of this.#core.chains.sorted()) {
      if (state === null) continue
      const head = knownHead(state)
      if (head === null && state.fork === null) continue
      claims.push({
        key,
        tips: state.tips.slice(0, LIMITS.tipsPerClaimMax).map(prefixOf),
        head,
        forked: state.fork !== null
      })
    }
    return claims
  }
}
