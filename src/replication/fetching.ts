// Range sync, the asking side (PROTOCOL §6): one fetch per chain, several chains and peers at once, chains of membership authors first.
// A fetch without progress goes to another peer; there is no last attempt. What a frame holds only the log knows.

import { LIMITS } from '../base/limits.ts'
import type { IngestOutcome } from '../log/chain-state.ts'
import type { Head } from '../log/statement.ts'
import {
  type ChainRecord,
  hasTip,
  linkName,
  placeOf,
  restricted,
  sameLink,
  storedSeq,
  wantedMissing
} from './chain-table.ts'
import type { EndReason, PeerFault, Place } from './contract.ts'
import type { Core, PeerRecord } from './core.ts'

interface Fetch {
  readonly id: number
  readonly record: ChainRecord
  readonly peer: PeerRecord
  readonly tip: Place
  /** The wanted head that the line leads to; null when the chain has one line. */
  readonly wanted: Head | null
  /** Places to start after that remain to be tried; null is the beginning. */
  readonly starts: (Place | null)[]
  /** The place that was asked for last. */
  after: Place | null
  /** End of the stored line when it began: unchanged at the end means that nothing was won. */
  readonly begunAt: Head | undefined
  progressMs: number
  frames: number
  ingesting: number
  ended: EndReason | null
  closed: boolean
}

export interface FetchHooks {
  /** The peer's line does not contain this node's tip. */
  diverged(peer: PeerRecord, record: ChainRecord, tip: Place): void
  /** A peer does not have what its claim said, or no longer. */
  dropClaim(peer: PeerRecord, key: string): void
  /** An append of the own key came from elsewhere. */
  ownAhead(): void
  /** Gossip may still close the gap by itself. */
  waits(key: string): boolean
}

const CLOSED_REMEMBERED_MAX = 64

export class Fetching {
  readonly #core: Core
  readonly #hooks: FetchHooks
  readonly #fetches = new Map<number, Fetch>()
  #lastId = 0
  #dirty = false
  #pausedUntilMs = 0

  constructor(core: Core, hooks: FetchHooks) {
    this.#core = core
    this.#hooks = hooks
  }

  get open(): number {
    return this.#fetches.size
  }

  sourceOf(record: ChainRecord): string | null {
    return this.#fetches.get(record.fetchId)?.peer.peer ?? null
  }

  /** Something changed that may allow or demand a fetch; acted on at the end of the step. */
  touch(): void {
    this.#dirty = true
  }

  /** Starts what can be started. */
  run(): void {
    if (!this.#dirty) return
    this.#dirty = false
    if (this.#pausedUntilMs > this.#core.nowMs) return this.#core.wake('fetch', this.#pausedUntilMs)
    for (const record of this.#candidates()) {
      if (this.#fetches.size >= LIMITS.fetchesMax) return
      this.#start(record)
    }
  }

  tick(): void {
    const { nowMs } = this.#core
    for (const fetch of [...this.#fetches.values()]) {
      const due = fetch.progressMs + LIMITS.fetchStallMs
      if (fetch.ingesting > 0 || due > nowMs) {
        this.#core.wake('fetch', Math.max(due, nowMs + 1000))
        continue
      }
      if (fetch.peer.lastFrameMs > fetch.progressMs) this.#move(fetch)
      else this.#fail(fetch, 'claim-not-served')
    }
    this.#dirty = true
  }

  peerDown(peer: PeerRecord): void {
    for (const fetch of [...this.#fetches.values()]) if (fetch.peer === peer) this.#close(fetch)
    this.#dirty = true
  }

  frame(peer: PeerRecord, id: number, bytes: Uint8Array): void {
    peer.receiveCredit -= bytes.length
    if (peer.receiveCredit < 0) {
      this.#core.fault(peer, 'credit-exceeded')
      return this.#core.disconnect(peer, 'misbehaving')
    }
    const fetch = this.#fetches.get(id)
    peer.lastFrameMs = this.#core.nowMs
    const size = bytes.length
    if (fetch === undefined || fetch.peer !== peer || fetch.ended !== null) return this.#late(peer, id, bytes)
    fetch.ingesting++
    fetch.frames++
    fetch.progressMs = this.#core.nowMs
    const ticket = this.#core.ticket({ ingested: (outcomes) => this.#ingested(fetch, size, outcomes) })
    this.#core.emit({ kind: 'ingest', ticket, peer: peer.peer, bytes })
  }

  /** On a slow link a frame may come after its fetch was moved: its appends are as good as any. */
  #late(peer: PeerRecord, id: number, bytes: Uint8Array): void {
    const size = bytes.length
    if (!peer.closedFetches.has(id)) {
      this.#core.fault(peer, 'frame-unasked')
      return this.#grant(peer, size)
    }
    const ticket = this.#core.ticket({ ingested: () => this.#grant(peer, size) })
    this.#core.emit({ kind: 'ingest', ticket, peer: peer.peer, bytes })
  }

  ended(peer: PeerRecord, id: number, reason: EndReason): void {
    const fetch = this.#fetches.get(id)
    if (fetch === undefined || fetch.peer !== peer || fetch.ended !== null) return
    if (reason === 'diverged' && fetch.frames === 0 && fetch.wanted !== null && fetch.starts.length > 0)
      return this.#ask(fetch)
    fetch.ended = reason
    if (fetch.ingesting === 0) this.#finish(fetch)
  }

  #candidates(): ChainRecord[] {
    const { nowMs, members, options } = this.#core
    const list: { record: ChainRecord; rank: number }[] = []
    for (const record of this.#core.chains.all()) {
      if (
        record.fetchId !== 0 ||
        record.searching ||
        record.looking ||
        record.stopped !== null ||
        record.sources.size === 0
      )
        continue
      if (this.#hooks.waits(record.key)) continue
      if (record.retryAtMs > nowMs) {
        this.#core.wake('fetch', record.retryAtMs)
        continue
      }
      const rank = record.author === options.ownKey ? 0 : members.get(record.author)?.admits === true ? 1 : 2
      list.push({ record, rank })
    }
    return list.sort((a, b) => a.rank - b.rank || a.record.epoch - b.record.epoch).map(({ record }) => record)
  }

  #start(record: ChainRecord): void {
    if (restricted(record.state)) return this.#startWanted(record)
    const source = this.#choose(record, (tip) => tip.seq >= storedSeq(record) && !hasTip(record.state, tip))
    if (source === null) return
    const mine = record.state?.tips[0]
    if (mine !== undefined && source.tip.seq === mine.lastSeq)
      return this.#hooks.diverged(source.peer, record, source.tip)
    this.#open(record, source.peer, source.tip, null, [mine === undefined ? null : placeOf(mine)])
  }

  #startWanted(record: ChainRecord): void {
    const wanted = wantedMissing(record)[0]
    if (wanted === undefined) return
    const tips = record.state?.tips ?? []
    if (tips.some((tip) => tip.lastSeq > wanted.lastSeq))
      return this.#look(record, wanted, () => this.#openWanted(record, wanted))
    this.#openWanted(record, wanted)
  }

  /** A wanted head may lie inside a stored line. `missing` is done when it lies in none. */
  #look(record: ChainRecord, wanted: Head, missing: () => void): void {
    const lines = (record.state?.tips ?? []).filter((tip) => tip.lastSeq >= wanted.lastSeq)
    if (lines.length === 0) return missing()
    let left = lines.length
    record.looking = true
    const looked = (heads: readonly (Head | null)[]): void => {
      left--
      if (heads[0] != null && sameLink(heads[0].link, wanted.link)) record.heldWanted.add(linkName(wanted.link))
      if (left > 0) return
      record.looking = false
      this.#dirty = true
      if (!record.heldWanted.has(linkName(wanted.link))) missing()
    }
    for (const line of lines) {
      const ticket = this.#core.ticket({ points: looked })
      this.#core.emit({ kind: 'read-points', ticket, key: record.key, tip: placeOf(line), seqs: [wanted.lastSeq] })
    }
  }

  #openWanted(record: ChainRecord, wanted: Head): void {
    const source = this.#choose(record, (tip) => tip.seq >= wanted.lastSeq)
    if (source === null) return
    const starts: (Place | null)[] = []
    for (const tip of record.state?.tips ?? []) if (tip.lastSeq < wanted.lastSeq) starts.push(placeOf(tip))
    const fork = record.state?.fork?.a
    if (fork !== undefined && fork.firstSeq > 1 && fork.firstSeq <= wanted.lastSeq)
      starts.push({ seq: fork.firstSeq - 1, link: fork.prev })
    starts.push(null)
    this.#open(record, source.peer, placeOf(wanted), wanted, starts)
  }

  #choose(record: ChainRecord, usable: (tip: Place) => boolean): { peer: PeerRecord; tip: Place } | null {
    const { nowMs, peers } = this.#core
    let best: { peer: PeerRecord; tip: Place; score: number } | null = null
    for (const name of record.sources) {
      const peer = peers.get(name)
      const claim = peer?.claims.get(record.key)
      if (peer === undefined || claim === undefined || !claim.checked || peer.gone) continue
      if (peer.fetches >= LIMITS.fetchesPerPeerMax) continue
      const avoidedUntil = record.avoided.get(name) ?? 0
      if (avoidedUntil > nowMs) {
        this.#core.wake('fetch', avoidedUntil)
        continue
      }
      const tip = claim.tips.find(usable)
      if (tip === undefined) continue
      const score =
        (peer.key === record.author ? -2 : 0) + peer.fetches + 4 * peer.faults + this.#core.options.random.fraction()
      if (best === null || score < best.score) best = { peer, tip, score }
    }
    return best
  }

  #open(record: ChainRecord, peer: PeerRecord, tip: Place, wanted: Head | null, starts: (Place | null)[]): void {
    this.#lastId++
    const fetch: Fetch = {
      id: this.#lastId,
      record,
      peer,
      tip,
      wanted,
      starts,
      after: null,
      begunAt: record.state?.tips[0],
      progressMs: this.#core.nowMs,
      frames: 0,
      ingesting: 0,
      ended: null,
      closed: false
    }
    this.#fetches.set(fetch.id, fetch)
    record.fetchId = fetch.id
    peer.fetches++
    this.#ask(fetch)
  }

  #ask(fetch: Fetch): void {
    fetch.after = fetch.starts.shift() ?? null
    fetch.progressMs = this.#core.nowMs
    this.#core.wake('fetch', this.#core.nowMs + LIMITS.fetchStallMs)
    this.#core.send(fetch.peer, {
      kind: 'fetch',
      id: fetch.id,
      key: fetch.record.key,
      after: fetch.after,
      tip: fetch.tip
    })
  }

  /** Small frames are granted again together: the window never shrinks by more than one piece. */
  #grant(peer: PeerRecord, bytes: number): void {
    peer.owedCredit += bytes
    if (peer.owedCredit < LIMITS.creditBytesMin) return
    const granted = peer.owedCredit
    peer.owedCredit = 0
    peer.receiveCredit += granted
    this.#core.send(peer, { kind: 'credit', bytes: granted })
  }

  #ingested(fetch: Fetch, size: number, outcomes: readonly IngestOutcome[]): void {
    fetch.ingesting--
    this.#grant(fetch.peer, size)
    if (fetch.closed) return
    fetch.progressMs = this.#core.nowMs
    let won = false
    for (const outcome of outcomes) {
      if (outcome.kind === 'stored' || (outcome.kind === 'fork' && outcome.stored)) won = true
      else if (outcome.kind !== 'known') return this.#refused(fetch, outcome)
      if (outcome.key !== fetch.record.key) return this.#fail(fetch, 'frame-wrong-range')
    }
    if (won) {
      fetch.record.failures = 0
      fetch.record.avoided.delete(fetch.peer.peer)
    }
    if (fetch.ended !== null && fetch.ingesting === 0) this.#finish(fetch)
  }

  #refused(fetch: Fetch, outcome: IngestOutcome): void {
    const { record } = fetch
    if (outcome.kind === 'invalid') return this.#fail(fetch, 'frame-invalid')
    if (outcome.kind === 'gap' && record.state?.fork == null) return this.#fail(fetch, 'frame-wrong-range')
    // A peer's word does not stop a chain: whether a format is new the log decides (ChainState.upgradeNeeded).
    if (outcome.kind === 'gap' || outcome.kind === 'format') return this.#move(fetch)
    if (outcome.kind === 'cut' || outcome.kind === 'stranger') record.stopped = outcome.kind
    if (outcome.kind === 'own') this.#hooks.ownAhead()
    if (outcome.kind === 'failed') this.#pausedUntilMs = this.#core.nowMs + LIMITS.fetchStallMs / 2
    if (outcome.kind === 'failed' || outcome.kind === 'own')
      record.retryAtMs = this.#core.nowMs + LIMITS.fetchRetryMsMin
    this.#cancel(fetch)
  }

  /** Everything that was asked for has come, or the peer ended it. */
  #finish(fetch: Fetch): void {
    const { record, peer } = fetch
    this.#close(fetch)
    if (fetch.ended === 'diverged' && fetch.wanted === null && fetch.after !== null)
      return this.#hooks.diverged(peer, record, fetch.tip)
    if (fetch.wanted !== null) {
      if (!hasTip(record.state, fetch.tip)) this.#look(record, fetch.wanted, () => this.#avoid(record, peer))
      return
    }
    if (fetch.ended === 'busy') record.avoided.set(peer.peer, this.#core.nowMs + 2 * LIMITS.fetchRetryMsMin)
    else if (record.state?.tips[0] === fetch.begunAt) {
      this.#avoid(record, peer)
      this.#hooks.dropClaim(peer, record.key)
    }
  }

  /** The peer is at fault: another one is asked. */
  #fail(fetch: Fetch, fault: PeerFault): void {
    this.#avoid(fetch.record, fetch.peer)
    this.#core.fault(fetch.peer, fault)
    this.#cancel(fetch)
  }

  #move(fetch: Fetch): void {
    this.#avoid(fetch.record, fetch.peer)
    this.#cancel(fetch)
  }

  #avoid(record: ChainRecord, peer: PeerRecord): void {
    record.failures = Math.min(record.failures + 1, 16)
    const pauseMs = Math.min(LIMITS.fetchRetryMsMax, LIMITS.fetchRetryMsMin * 2 ** record.failures)
    record.avoided.set(peer.peer, this.#core.nowMs + pauseMs + this.#core.jitter(pauseMs))
  }

  #cancel(fetch: Fetch): void {
    if (fetch.closed) return
    if (fetch.ended === null) this.#core.send(fetch.peer, { kind: 'cancel', id: fetch.id })
    this.#close(fetch)
  }

  #close(fetch: Fetch): void {
    if (fetch.closed) return
    fetch.closed = true
    this.#fetches.delete(fetch.id)
    fetch.record.fetchId = 0
    fetch.peer.fetches--
    const { closedFetches } = fetch.peer
    closedFetches.add(fetch.id)
    if (closedFetches.size > CLOSED_REMEMBERED_MAX) closedFetches.delete(closedFetches.values().next().value ?? 0)
    this.#dirty = true
  }
}
