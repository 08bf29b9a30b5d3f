/** Binary heap: the item that `compare` puts first is on top. */
export class Heap<Item> {
  readonly #items: Item[] = []
  readonly #compare: (a: Item, b: Item) => number

  constructor(compare: (a: Item, b: Item) => number) {
    this.#compare = compare
  }

  get size(): number {
    return this.#items.length
  }

  peek(): Item | undefined {
    return this.#items[0]
  }

  push(item: Item): void {
    const items = this.#items
    let at = items.push(item) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (this.#compare(items[at] as Item, items[parent] as Item) >= 0) return
      this.#swap(at, parent)
      at = parent
    }
  }

  pop(): Item | undefined {
    const items = this.#items
    const top = items[0]
    const last = items.pop()
    if (items.length === 0 || last === undefined) return top
    items[0] = last
    let at = 0
    for (;;) {
      let first = at
      for (const child of [2 * at + 1, 2 * at + 2]) {
        if (child < items.length && this.#compare(items[child] as Item, items[first] as Item) < 0) first = child
      }
      if (first === at) return top
      this.#swap(at, first)
      at = first
    }
  }

  #swap(a: number, b: number): void {
    const items = this.#items
    const item = items[a] as Item
    items[a] = items[b] as Item
    items[b] = item
  }
}
