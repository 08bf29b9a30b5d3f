// What stored events say about the clocks of their authors: followed while they are near, flagged while they are far ahead (PROTOCOL §4 "Clock").

import { toHex } from '../base/bytes.ts'
import type { Clock } from '../base/clock.ts'
import type { IngestOutcome } from './chain-state.ts'
import type { CheckedAppend } from './frame-check.ts'
import type { HybridClock } from './hybrid-clock.ts'
import type { PublicKeyHex } from './statement.ts'

export class RemoteClocks {
  readonly #own: HybridClock
  readonly #clock: Clock
  readonly #self: PublicKeyHex
  readonly #ahead = new Map<PublicKeyHex, number>()

  constructor(own: HybridClock, clock: Clock, self: PublicKeyHex) {
    this.#own = own
    this.#clock = clock
    this.#self = self
  }

  /** Authors whose last stamp was more than a minute ahead of this machine's clock, with how far in ms. */
  get farFuture(): ReadonlyMap<PublicKeyHex, number> {
    return this.#ahead
  }

  /** Takes note of what was stored; what was refused says nothing. */
  observe(appends: readonly CheckedAppend[], outcomes: readonly IngestOutcome[]): void {
    for (const [index, { head, blocks }] of appends.entries()) {
      const last = blocks.rows[blocks.count - 1]
      const outcome = outcomes[index]
      const stored = outcome?.kind === 'stored' || (outcome?.kind === 'fork' && outcome.stored)
      if (!stored || last === undefined) continue
      const stamp = { ms: last.timeMs, counter: last.timeCounter }
      const author = toHex(head.author)
      if (author === this.#self) this.#own.restore(stamp)
      if (this.#own.observe(stamp)) this.#ahead.set(author, stamp.ms - this.#clock.now())
      else this.#ahead.delete(author)
    }
  }
}
