// One at a time per key, in the order of asking; a key that nobody waits for costs nothing.

export class KeyedLock {
  readonly #tails = new Map<string, Promise<void>>()

  async run<Result>(key: string, act: () => Promise<Result>): Promise<Result> {
    const before = this.#tails.get(key) ?? Promise.resolve()
    const { promise: done, resolve } = Promise.withResolvers<void>()
    const tail = before.then(() => done)
    this.#tails.set(key, tail)
    await before
    try {
      return await act()
    } finally {
      resolve()
      if (this.#tails.get(key) === tail) this.#tails.delete(key)
    }
  }
}
