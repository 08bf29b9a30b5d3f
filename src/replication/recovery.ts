// Recovering (PROTOCOL §4): before the first own append the own chain is fetched up to the highest sealed own head that any peer shows.
// Ends by what peers answered, by time, by a new epoch, or by a person. Reading never waits for it.

import { toHex } from '../base/bytes.ts'
import { LIMITS } from '../base/limits.ts'
import { chainKeyOf, type Head, type PublicKeyHex } from '../log/statement.ts'
import { type ChainRecord, hasTip, placeOf, storedSeq } from './chain-table.ts'
import type { Phase, ReplicationState, WaitsFor } from './contract.ts'
import type { Core } from './core.ts'

export interface RecoveryHooks {
  yields(): boolean
  /** Goes on in a new epoch of the own chain. */
  openEpoch(record: ChainRecord, missing: Head | null): boolean
  /** Appending became possible. */
  ready(): void
}

export class Recovery {
  readonly #core: Core
  readonly #hooks: RecoveryHooks
  #phase: Phase = 'recovering'
  #waitsFor: WaitsFor = 'peers'
  #markerFits = false
  #markerHead: Head | null = null
  #startedMs = 0
  #progressMs = 0
  #confirmed = false
  #told = ''
  #started = false
  readonly #answered = new Set<PublicKeyHex>()

  constructor(core: Core, hooks: RecoveryHooks) {
    this.#core = core
    this.#hooks = hooks
  }

  get phase(): Phase {
    return this.#phase
  }

  get state(): ReplicationState {
    const missing = this.#missing()?.head ?? null
    return { phase: this.#phase, waitsFor: this.#waitsFor, ownHeadConfirmed: this.#confirmed, missing }
  }

  start(markerFits: boolean, markerHead: Head | null): void {
    this.#started = true
    this.#markerFits = markerFits
    this.#markerHead = markerFits ? null : markerHead
    if (this.#markerHead !== null && this.#core.isOwn(toHex(this.#markerHead.author)))
      this.#core.chains.ensure(this.#markerHead.key)
    this.#startedMs = this.#core.nowMs
    this.#progressMs = this.#core.nowMs
    this.check()
  }

  /** Something came in that recovery waits for. */
  progress(): void {
    this.#progressMs = this.#core.nowMs
    this.check()
  }

  /** A member has answered: progress the first time, so that one who comes and goes does not hold recovery up for ever. */
  answeredBy(key: PublicKeyHex): void {
    if (this.#answered.has(key)) return this.check()
    this.#answered.add(key)
    this.progress()
  }

  /** An append of the own key exists that is not here: no more writing until it is. */
  again(): void {
    if (!this.#started || this.#phase !== 'ready') return
    this.#answered.clear()
    this.#phase = 'recovering'
    this.#progressMs = this.#core.nowMs
    this.#startedMs = this.#core.nowMs
    this.check()
  }

  /** Another copy of the key writes, or writes no more. */
  instanceChanged(): void {
    if (!this.#started) return
    if (this.#hooks.yields()) this.#enter('in-use-twice', 'claim')
    else if (this.#phase === 'in-use-twice') {
      this.#phase = 'recovering'
      this.#startedMs = this.#core.nowMs
      this.#progressMs = this.#core.nowMs
      this.check()
    }
  }

  override(): void {
    if (this.#phase !== 'recovering' || !this.#core.selfAdmitted) return
    const missing = this.#missing()
    const record = missing?.record ?? this.#currentChain()
    // Whether more was lost nobody can say: the own tip stands for what may be missing, and a new epoch cannot contradict it.
    const head = missing?.head ?? record?.state?.tips[0] ?? null
    if (record !== null && head !== null) this.#hooks.openEpoch(record, head)
    this.#markerHead = null
    this.#enter('ready', 'none')
  }

  /** Another member holds the own head. */
  ownHeadHeld(): void {
    if (this.#confirmed) return
    this.#confirmed = true
    if (this.#phase === 'ready') this.#enter('ready', 'none')
  }

  check(): void {
    if (!this.#started || this.#phase === 'in-use-twice') return
    if (this.#phase === 'ready') {
      if (this.#missing() !== null) this.again()
      return
    }
    const waitsFor = this.#judge()
    if (waitsFor === 'none') this.#enter('ready', 'none')
    else this.#enter('recovering', waitsFor)
  }

  #judge(): WaitsFor {
    const { nowMs, peers } = this.#core
    if (!this.#core.selfAdmitted) return 'admission'
    const sinceMs = nowMs - this.#startedMs
    if (this.#alone()) return this.#wait(this.#markerFits ? 0 : LIMITS.recoveryAloneMs, sinceMs, 'time')
    const missing = this.#missing()
    const stalled = nowMs - this.#progressMs >= LIMITS.recoveryStallMs
    if (peers.size === 0) {
      if (!this.#markerFits || missing !== null) return 'peers'
      return this.#wait(LIMITS.recoveryAloneMs, sinceMs, 'peers')
    }
    this.#core.wake('recovery', this.#progressMs + LIMITS.recoveryStallMs)
    let answered = 0
    for (const peer of peers.values()) if (peer.answered && peer.ownHeadChecks === 0) answered++
    if (answered === 0) return this.#markerFits && stalled ? 'none' : 'answers'
    if (missing === null && (answered === peers.size || stalled)) return 'none'
    if (missing === null) return 'answers'
    if (!stalled) return 'own-log'
    if (!this.#hooks.openEpoch(missing.record, missing.head)) {
      this.#core.wake('recovery', nowMs + LIMITS.recoveryAloneMs)
      return 'own-log'
    }
    this.#markerHead = null
    return 'none'
  }

  #wait(forMs: number, sinceMs: number, waitsFor: WaitsFor): WaitsFor {
    if (sinceMs >= forMs) return 'none'
    this.#core.wake('recovery', this.#startedMs + forMs)
    return waitsFor
  }

  #alone(): boolean {
    for (const member of this.#core.members.values()) if (!member.removed && !this.#core.isOwn(member.key)) return false
    return true
  }

  /** The highest sealed own head that is known and not held, in an epoch that is still open. */
  #missing(): { record: ChainRecord; head: Head } | null {
    for (const record of this.#core.chains.all()) {
      const { state } = record
      if (!this.#core.isOwn(record.author) || state?.closed === true || state?.fork != null) continue
      const marker = this.#markerHead?.key === record.key ? this.#markerHead : null
      const head = highest(state?.witness ?? null, marker)
      if (head === null || head.lastSeq < storedSeq(record) || hasTip(state, placeOf(head))) continue
      return { record, head }
    }
    return null
  }

  /** The record of the new epoch goes before whatever waits to be appended. */
  #openForked(): void {
    for (const record of this.#core.chains.all()) {
      if (this.#core.isOwn(record.author) && record.state?.fork != null && !record.state.closed)
        this.#hooks.openEpoch(record, null)
    }
  }

  #currentChain(): ChainRecord | null {
    let current: ChainRecord | null = null
    for (const record of this.#core.chains.all()) {
      if (!this.#core.isOwn(record.author) || record.chain !== 0) continue
      if (current === null || record.epoch > current.epoch) current = record
    }
    return current ?? this.#core.chains.get(chainKeyOf(this.#core.options.ownKey, 0, 1)) ?? null
  }

  #enter(phase: Phase, waitsFor: WaitsFor): void {
    const becameReady = phase === 'ready' && this.#phase !== 'ready'
    if (becameReady) this.#openForked()
    this.#phase = phase
    this.#waitsFor = waitsFor
    const { state } = this
    const told = `${phase} ${waitsFor} ${state.ownHeadConfirmed} ${state.missing?.lastSeq ?? ''}`
    if (told === this.#told) return
    this.#told = told
    this.#core.emit({ kind: 'state', state })
    if (becameReady) this.#hooks.ready()
  }
}

function highest(a: Head | null, b: Head | null): Head | null {
  if (a === null || b === null) return a ?? b
  return a.lastSeq >= b.lastSeq ? a : b
}
