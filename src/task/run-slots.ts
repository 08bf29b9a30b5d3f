// Places for runs: so many work at once. Who waits for a person gives the place back and takes one again before it goes on, in turn.

export class RunSlots {
  readonly #most: number
  readonly #queue: (() => void)[] = []
  #taken = 0

  constructor(most: number) {
    this.#most = most
  }

  /** Runs that work; who waits for a person is not among them. */
  get taken(): number {
    return this.#taken
  }

  get free(): number {
    return Math.max(0, this.#most - this.#taken)
  }

  /** For who begins: takes a place at once, or not at all. */
  tryTake(): boolean {
    if (this.free === 0) return false
    this.#taken++
    return true
  }

  /** For who goes on: waits for a place, before everybody who begins. Resolves at once when the signal aborts: what ends needs no turn. */
  take(signal: AbortSignal): Promise<void> {
    if (this.free > 0 || signal.aborted) {
      this.#taken++
      return Promise.resolve()
    }
    return new Promise((resolve) => {
      const go = (): void => {
        signal.removeEventListener('abort', go)
        const at = this.#queue.indexOf(go)
        if (at >= 0) this.#queue.splice(at, 1)
        this.#taken++
        resolve()
      }
      this.#queue.push(go)
      signal.addEventListener('abort', go)
    })
  }

  give(): void {
    this.#taken--
    if (this.free > 0) this.#queue[0]?.()
  }
}
