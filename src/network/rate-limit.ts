// So many per source and span of time. The table is bounded: when it is full of young sources, new ones are refused.

import type { Clock } from '../base/clock.ts'

const SOURCES_MAX = 1024

export class RateLimit {
  readonly #count: number
  readonly #everyMs: number
  readonly #clock: Clock
  readonly #spans = new Map<string, { startMs: number; taken: number }>()

  constructor(limit: { count: number; everyMs: number }, clock: Clock) {
    this.#count = limit.count
    this.#everyMs = limit.everyMs
    this.#clock = clock
  }

  /** False when `source` has had its share. */
  take(source: string): boolean {
    const now = this.#clock.monotonic()
    const span = this.#spans.get(source)
    if (span !== undefined && now - span.startMs < this.#everyMs) {
      span.taken += 1
      return span.taken <= this.#count
    }
    if (this.#spans.size >= SOURCES_MAX) this.#prune(now)
    if (this.#spans.size >= SOURCES_MAX) return false
    this.#spans.set(source, { startMs: now, taken: 1 })
    return true
  }

  #prune(now: number): void {
    for (const [source, span] of this.#spans) if (now - span.startMs >= this.#everyMs) this.#spans.delete(source)
  }
}
