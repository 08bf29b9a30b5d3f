// Both sides of a lease (PROTOCOL §14). The executor counts from sending, on the larger of monotonic and wall time, so that it stops early; the
// submitter counts from writing or answering and adds to it, so that it gives the task away late. A suspended machine loses its lease.

import type { Clock } from '../base/clock.ts'

const GRANT_FACTOR = 1.02
const GRANT_EXTRA_MS = 5_000

/** What the executor holds. */
export class HeldLease {
  readonly #clock: Clock
  readonly #leaseMs: number
  readonly #sentMs: number
  readonly #sentMonotonicMs: number

  /** Made before the claim or the renewal is sent; counts once it is granted. */
  constructor(clock: Clock, leaseMs: number) {
    this.#clock = clock
    this.#leaseMs = leaseMs
    this.#sentMs = clock.now()
    this.#sentMonotonicMs = clock.monotonic()
  }

  /** Wall time of this machine at sending. */
  get sentMs(): number {
    return this.#sentMs
  }

  /** Negative when it is over. */
  remainingMs(): number {
    const elapsed = Math.max(this.#clock.monotonic() - this.#sentMonotonicMs, this.#clock.now() - this.#sentMs)
    return this.#leaseMs - elapsed
  }
}

/** What the submitter has granted. */
export class GrantedLease {
  readonly #clock: Clock
  readonly #grantedMs: number
  readonly #endsAfterMs: number
  readonly executorSentMs: number
  /** End of the lease by the executor's own wall clock. */
  readonly executorEndMs: number

  /** `executorSentMs`: the executor's wall clock when it sent the claim or renewal. */
  constructor(clock: Clock, leaseMs: number, executorSentMs: number) {
    this.#clock = clock
    this.#grantedMs = clock.monotonic()
    this.#endsAfterMs = leaseMs * GRANT_FACTOR + GRANT_EXTRA_MS
    this.executorSentMs = executorSentMs
    this.executorEndMs = executorSentMs + leaseMs
  }

  /** Until the executor has certainly stopped; negative when it has. */
  remainingMs(): number {
    return this.#endsAfterMs - (this.#clock.monotonic() - this.#grantedMs)
  }
}
