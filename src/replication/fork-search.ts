// Finds the first append in which two lines of one chain key differ (PROTOCOL §4): a search over heads that both sides name. What the peer
// shows is believed only when both seals of the two heads at that place hold.

import { LIMITS } from '../base/limits.ts'
import { type Head, tryForkProof } from '../log/statement.ts'
import { type ChainRecord, placeOf, sameLink } from './chain-table.ts'
import type { Place } from './contract.ts'
import type { Core, PeerRecord } from './core.ts'

interface Search {
  readonly id: number
  readonly peer: PeerRecord
  readonly record: ChainRecord
  readonly mine: Place
  readonly theirs: Place
  /** Last sequence number known to be common, and one known to differ. */
  common: number
  differs: number
  seqs: readonly number[]
  ours: readonly (Head | null)[] | null
  shown: readonly Head[] | null
  rounds: number
  untilMs: number
}

const POINTS = 16

export interface SearchHooks {
  /** The search is over; `found` is what the peer's line differs in. */
  ended(record: ChainRecord, peer: PeerRecord, found: boolean): void
}

export class ForkSearch {
  readonly #core: Core
  readonly #hooks: SearchHooks
  readonly #searches = new Map<number, Search>()
  #lastId = 0

  constructor(core: Core, hooks: SearchHooks) {
    this.#core = core
    this.#hooks = hooks
  }

  /** The peer's line to `theirs`, at least as long as the own one, does not contain the own tip. */
  start(peer: PeerRecord, record: ChainRecord, theirs: Place): void {
    const tip = record.state?.tips[0]
    if (tip === undefined || record.searching || this.#searches.size >= LIMITS.fetchesMax) return
    this.#lastId++
    record.searching = true
    const search: Search = {
      id: this.#lastId,
      peer,
      record,
      mine: placeOf(tip),
      theirs,
      common: 0,
      differs: tip.lastSeq,
      seqs: [],
      ours: null,
      shown: null,
      rounds: 0,
      untilMs: 0
    }
    this.#searches.set(search.id, search)
    this.#round(search, exponential(tip.lastSeq))
  }

  points(peer: PeerRecord, id: number, heads: readonly Head[]): void {
    const search = this.#searches.get(id)
    if (search === undefined || search.peer !== peer || search.shown !== null) return
    search.shown = heads
    this.#compare(search)
  }

  peerDown(peer: PeerRecord): void {
    for (const search of [...this.#searches.values()]) if (search.peer === peer) this.#end(search, false)
  }

  tick(): void {
    for (const search of [...this.#searches.values()]) {
      if (search.untilMs <= this.#core.nowMs) this.#end(search, false)
      else this.#core.wake('fetch', search.untilMs)
    }
  }

  #round(search: Search, seqs: readonly number[]): void {
    search.rounds++
    search.seqs = seqs
    search.ours = null
    search.shown = null
    search.untilMs = this.#core.nowMs + LIMITS.fetchStallMs
    this.#core.wake('fetch', search.untilMs)
    const { id, record, theirs, mine, peer } = search
    this.#core.send(peer, { kind: 'probe', id, key: record.key, tip: theirs, seqs })
    const ticket = this.#core.ticket({
      points: (heads) => {
        search.ours = heads
        this.#compare(search)
      }
    })
    this.#core.emit({ kind: 'read-points', ticket, key: record.key, tip: mine, seqs })
  }

  #compare(search: Search): void {
    const { ours, shown, seqs, record } = search
    if (ours === null || shown === null || this.#searches.get(search.id) !== search) return
    if (shown.length !== seqs.length || ours.length !== seqs.length) return this.#end(search, false)
    let pair: { mine: Head; theirs: Head } | null = null
    for (let index = 0; index < seqs.length; index++) {
      const seq = seqs[index] ?? 0
      const mine = ours[index]
      const theirs = shown[index]
      if (
        mine == null ||
        theirs === undefined ||
        theirs.key !== record.key ||
        theirs.firstSeq > seq ||
        theirs.lastSeq < seq
      ) {
        this.#core.fault(search.peer, 'points-invalid')
        return this.#end(search, false)
      }
      if (sameLink(mine.link, theirs.link)) search.common = Math.max(search.common, mine.lastSeq)
      else {
        const differs = Math.min(mine.firstSeq, theirs.firstSeq)
        if (differs <= search.differs) search.differs = differs
        if (mine.firstSeq === theirs.firstSeq && mine.firstSeq === search.differs) pair = { mine, theirs }
      }
    }
    if (search.common >= search.differs || search.rounds >= LIMITS.probeRoundsMax) return this.#end(search, false)
    if (search.differs > search.common + 1) return this.#round(search, spread(search.common, search.differs))
    if (pair === null || pair.mine.firstSeq !== search.differs) return this.#round(search, [search.differs])
    this.#prove(search, pair.mine, pair.theirs)
  }

  #prove(search: Search, mine: Head, theirs: Head): void {
    const proof = tryForkProof(mine, theirs)
    if (proof === null) return this.#end(search, false)
    const ticket = this.#core.ticket({
      witnessed: (valid) => {
        if (valid[0] === false) this.#core.fault(search.peer, 'points-invalid')
        this.#end(search, valid[0] === true)
      }
    })
    search.untilMs = Number.MAX_SAFE_INTEGER
    this.#core.emit({ kind: 'fork', ticket, proof })
  }

  #end(search: Search, found: boolean): void {
    if (!this.#searches.delete(search.id)) return
    search.record.searching = false
    this.#hooks.ended(search.record, search.peer, found)
  }
}

/** Near the end first: most forks are young. */
function exponential(last: number): readonly number[] {
  const seqs: number[] = []
  for (let step = 0; seqs.length < POINTS && last - step >= 1; step = step === 0 ? 1 : step * 2) seqs.push(last - step)
  return seqs.reverse()
}

/** At most POINTS numbers in (common, differs], the last one included. */
function spread(common: number, differs: number): readonly number[] {
  const width = differs - common
  const count = Math.min(POINTS, width)
  const seqs: number[] = []
  for (let index = 1; index <= count; index++) seqs.push(common + Math.floor((width * index) / count))
  return seqs
}
