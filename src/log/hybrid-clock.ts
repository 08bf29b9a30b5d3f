// Hybrid logical clock (PROTOCOL §4 "Clock"): milliseconds in the high 48 bits, a counter in the low 16 that carries into them.
// Own stamps only grow. A remote stamp pulls the clock forward only while it is at most 60 s ahead of this machine.

import type { Clock } from '../base/clock.ts'
import { LIMITS } from '../base/limits.ts'

export interface Stamp {
  readonly ms: number
  readonly counter: number
}

const COUNTER_MAX = 0xffff

export function compareStamps(a: Stamp, b: Stamp): number {
  return a.ms === b.ms ? a.counter - b.counter : a.ms - b.ms
}

function next(stamp: Stamp): Stamp {
  return stamp.counter < COUNTER_MAX ? { ms: stamp.ms, counter: stamp.counter + 1 } : { ms: stamp.ms + 1, counter: 0 }
}

export class HybridClock {
  readonly #clock: Clock
  #lastOwn: Stamp = { ms: 0, counter: 0 }
  #remote: Stamp = { ms: 0, counter: 0 }

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** The stamp of the newest own event: after open, and when own events come back from others. */
  restore(lastOwn: Stamp): void {
    if (compareStamps(lastOwn, this.#lastOwn) > 0) this.#lastOwn = lastOwn
  }

  /** Notes a remote event's stamp; returns true when it is too far ahead and was not followed. */
  observe(stamp: Stamp): boolean {
    if (stamp.ms > this.#clock.now() + LIMITS.clockSkewMsMax) return true
    if (compareStamps(stamp, this.#remote) > 0) this.#remote = stamp
    return false
  }

  /** The largest of the machine's time, the last own stamp + 1 and the highest followed remote stamp + 1. */
  stamp(): Stamp {
    const physical: Stamp = { ms: this.#clock.now(), counter: 0 }
    let stamp = physical
    const own = next(this.#lastOwn)
    if (compareStamps(own, stamp) > 0) stamp = own
    if (this.#remote.ms <= physical.ms + LIMITS.clockSkewMsMax) {
      const remote = next(this.#remote)
      if (compareStamps(remote, stamp) > 0) stamp = remote
    }
    this.#lastOwn = stamp
    return stamp
  }

  /**
   * When the last own stamp is more than 60 s ahead of the machine's clock (the clock was set back), starts again at the machine's time
   * and returns both ends of the step for a `clock-stepped` event, itself stamped `to`; null otherwise.
   */
  stepBack(): { from: Stamp; to: Stamp } | null {
    const now = this.#clock.now()
    if (this.#lastOwn.ms <= now + LIMITS.clockSkewMsMax) return null
    const step = { from: this.#lastOwn, to: { ms: now, counter: 0 } }
    this.#lastOwn = step.to
    if (this.#remote.ms > now + LIMITS.clockSkewMsMax) this.#remote = step.to
    return step
  }
}
