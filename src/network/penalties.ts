// Points against peers that sent what no correct node sends. They halve every minute, weigh on the gossip score, and
// keep a repeated offender out for a while. Only admitted keys get in, so the table is bounded by the membership.

import { toHex } from '../base/bytes.ts'
import type { Clock } from '../base/clock.ts'
import type { Logger } from '../base/logger.ts'
import { tryParsePeerId } from '../identity/peer-id.ts'
import type { PeerKey } from './network-contract.ts'

const HALF_LIFE_MS = 60_000
const BARRED_OVER = 200
const FREE_UNDER = 100
const FORGOTTEN_UNDER = 1

/** Points of the faults that this layer sees by itself. */
export const PENALTY = {
  frameViolation: 50,
  helloViolation: 20,
  gossipMalformed: 20,
  gossipEnvelope: 20,
  gossipFrameTooLarge: 50
} as const

interface Record {
  points: number
  atMs: number
  barred: boolean
}

export class Penalties {
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #records = new Map<PeerKey, Record>()

  constructor(clock: Clock, logger: Logger) {
    this.#clock = clock
    this.#logger = logger
  }

  add(peer: PeerKey, points: number, reason: string): void {
    const total = this.pointsOf(peer) + points
    const barred = total > BARRED_OVER || this.isBarred(peer)
    this.#records.set(peer, { points: total, atMs: this.#clock.monotonic(), barred })
    this.#logger.warn('peer penalised', { peer, points, total: Math.round(total), reason })
  }

  pointsOf(peer: PeerKey): number {
    const record = this.#records.get(peer)
    if (record === undefined) return 0
    return record.points * 2 ** (-(this.#clock.monotonic() - record.atMs) / HALF_LIFE_MS)
  }

  /** Points by libp2p's text of a peer id. */
  pointsOfPeerId(text: string): number {
    if (this.#records.size === 0) return 0
    const key = tryParsePeerId(text)
    return key === null ? 0 : this.pointsOf(toHex(key))
  }

  isBarred(peer: PeerKey): boolean {
    const record = this.#records.get(peer)
    if (record === undefined) return false
    const points = this.pointsOf(peer)
    if (points < FREE_UNDER) record.barred = false
    if (points < FORGOTTEN_UNDER) this.#records.delete(peer)
    return record.barred
  }

  forget(peer: PeerKey): void {
    this.#records.delete(peer)
  }
}
