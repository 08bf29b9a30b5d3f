// Guests that are started before they are needed and used once. Few wait warm, a bounded number lives, callers beyond it queue in order.
// A start that fails is told to one caller and not repeated by itself: a guest that cannot start makes no loop.

import { MeshError } from '../base/mesh-error.ts'

export interface PooledGuest {
  /** False once it has died or was ended. */
  readonly alive: boolean
  /** Kills it; resolves when it is gone. */
  end(): Promise<void>
}

export interface WarmPoolOptions<Guest extends PooledGuest> {
  /** Guests that wait started from the beginning. */
  readonly warm: number
  /** Guests that live at once: starting, waiting, at work and ending. */
  readonly live: number
  /** Callers that may wait for a guest. */
  readonly waiters: number
  start(): Promise<Guest>
}

interface Waiter<Guest> {
  give(guest: Guest): void
  refuse(error: unknown): void
}

export class WarmPool<Guest extends PooledGuest> {
  readonly #options: WarmPoolOptions<Guest>
  readonly #waiters: Waiter<Guest>[] = []
  readonly #pending = new Set<Promise<void>>()
  #idle: Guest[] = []
  #starting = 0
  #live = 0
  #closed = false
  #warm: number

  constructor(options: WarmPoolOptions<Guest>) {
    this.#options = options
    this.#warm = options.warm
    this.#pump()
  }

  /** From now on so many wait started, at least. */
  keepWarm(guests: number): void {
    this.#warm = Math.max(this.#warm, guests)
    this.#pump()
  }

  /** A guest for one use, to be given to `release`. Throws CANCELLED, SANDBOX_UNAVAILABLE, or what starting it threw. */
  async take(signal: AbortSignal): Promise<Guest> {
    if (signal.aborted) throw cancelled()
    if (this.#closed) throw new MeshError('SANDBOX_UNAVAILABLE', 'the sandbox is closed')
    if (this.#waiters.length >= this.#options.waiters)
      throw new MeshError('SANDBOX_UNAVAILABLE', 'too many calls wait for the sandbox')
    const { promise, resolve, reject } = Promise.withResolvers<Guest>()
    const waiter: Waiter<Guest> = { give: resolve, refuse: reject }
    const abort = () => {
      const at = this.#waiters.indexOf(waiter)
      if (at >= 0) this.#waiters.splice(at, 1)
      reject(cancelled())
    }
    signal.addEventListener('abort', abort, { once: true })
    this.#waiters.push(waiter)
    this.#pump()
    try {
      return await promise
    } finally {
      signal.removeEventListener('abort', abort)
    }
  }

  /** Ends a taken guest; another is started in its place where one is missing. One that cannot be ended keeps its place: it still lives. */
  release(guest: Guest): void {
    this.#follow(
      guest.end().then(
        () => {
          this.#live--
          this.#pump()
        },
        () => undefined
      )
    )
  }

  /** Refuses who waits, ends who idles, and resolves when every guest that was released is gone. */
  async close(): Promise<void> {
    this.#closed = true
    const closed = new MeshError('SANDBOX_UNAVAILABLE', 'the sandbox is closed')
    for (const waiter of this.#waiters.splice(0)) waiter.refuse(closed)
    for (const guest of this.#idle.splice(0)) this.release(guest)
    while (this.#pending.size > 0) await Promise.all(this.#pending)
  }

  #pump(): void {
    if (this.#closed) return
    const dead = this.#idle.filter((guest) => !guest.alive)
    this.#idle = this.#idle.filter((guest) => guest.alive)
    for (const guest of dead) this.release(guest)
    while (this.#waiters.length > 0 && this.#idle.length > 0) this.#waiters.shift()!.give(this.#idle.shift()!)
    const wanted = () => this.#waiters.length + this.#warm - this.#idle.length - this.#starting
    while (this.#live < this.#options.live && wanted() > 0) this.#start()
  }

  #start(): void {
    this.#live++
    this.#starting++
    this.#follow(
      this.#options.start().then(
        (guest) => {
          this.#starting--
          if (this.#closed) return this.release(guest)
          this.#idle.push(guest)
          this.#pump()
        },
        (error: unknown) => {
          this.#starting--
          this.#live--
          const waiter = this.#waiters.shift()
          waiter?.refuse(error)
          if (waiter !== undefined && this.#waiters.length > 0) this.#pump()
        }
      )
    )
  }

  #follow(work: Promise<void>): void {
    this.#pending.add(work)
    void work.finally(() => this.#pending.delete(work))
  }
}

function cancelled(): MeshError {
  return new MeshError('CANCELLED', 'the call was cancelled')
}
