// What this process may act on (PROTOCOL §13): a store that was set back may have forgotten what it did, so until another member has confirmed
// the own head, assignments and approvals of before this start are left alone. What this process wrote itself is safe.

export class Freshness {
  readonly #confirmed: () => boolean
  readonly #own = new Set<string>()

  /** `confirmed`: another member has shown the own head of this start, or there is no other member. */
  constructor(confirmed: () => boolean) {
    this.#confirmed = confirmed
  }

  /** Notes ids of events that this process appended. */
  note(ids: Iterable<string>): void {
    if (this.#confirmed()) this.#own.clear()
    else for (const id of ids) this.#own.add(id)
  }

  usable(id: string): boolean {
    return this.#confirmed() || this.#own.has(id)
  }
}
