// Callers that wait for something about a key, until it happens, fails or their signal aborts.

interface Waiter {
  resolve(): void
  reject(error: unknown): void
}

export class KeyedWaiters {
  readonly #waiters = new Map<string, Set<Waiter>>()

  /** Rejects with the reason of `signal` when that aborts first. */
  async wait(key: string, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const waiter = { resolve, reject }
    const onAbort = (): void => reject(signal.reason)
    const waiters = this.#waiters.get(key) ?? new Set()
    this.#waiters.set(key, waiters.add(waiter))
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      await promise
    } finally {
      signal.removeEventListener('abort', onAbort)
      waiters.delete(waiter)
      if (waiters.size === 0 && this.#waiters.get(key) === waiters) this.#waiters.delete(key)
    }
  }

  resolve(key: string): void {
    for (const waiter of this.#waiters.get(key) ?? []) waiter.resolve()
  }

  reject(key: string, error: Error): void {
    for (const waiter of this.#waiters.get(key) ?? []) waiter.reject(error)
  }
}
