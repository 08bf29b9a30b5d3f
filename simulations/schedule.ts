// Virtual time: events in the order (time, number of their making). Ties never depend on anything else.

interface Entry {
  readonly atMs: number
  readonly order: number
  readonly run: () => void | Promise<void>
}

export class Schedule {
  readonly #heap: Entry[] = []
  #order = 0
  nowMs = 0

  get pending(): number {
    return this.#heap.length
  }

  at(atMs: number, run: () => void | Promise<void>): void {
    const heap = this.#heap
    const entry = { atMs: Math.max(atMs, this.nowMs), order: this.#order++, run }
    let index = heap.length
    heap.push(entry)
    while (index > 0) {
      const parent = (index - 1) >> 1
      if (!before(entry, heap[parent] as Entry)) break
      heap[index] = heap[parent] as Entry
      heap[parent] = entry
      index = parent
    }
  }

  after(delayMs: number, run: () => void | Promise<void>): void {
    this.at(this.nowMs + delayMs, run)
  }

  /** Runs everything up to and including `untilMs`. */
  async runUntil(untilMs: number): Promise<void> {
    for (;;) {
      const first = this.#heap[0]
      if (first === undefined || first.atMs > untilMs) break
      this.#pop()
      this.nowMs = first.atMs
      const done = first.run()
      if (done !== undefined) await done
    }
    this.nowMs = Math.max(this.nowMs, untilMs)
  }

  #pop(): void {
    const heap = this.#heap
    const last = heap.pop() as Entry
    if (heap.length === 0) return
    let index = 0
    for (;;) {
      let child = 2 * index + 1
      if (child >= heap.length) break
      const right = child + 1
      if (right < heap.length && before(heap[right] as Entry, heap[child] as Entry)) child = right
      if (!before(heap[child] as Entry, last)) break
      heap[index] = heap[child] as Entry
      index = child
    }
    heap[index] = last
  }
}

function before(a: Entry, b: Entry): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order)
}
