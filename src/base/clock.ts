// Ports for time and randomness, so that every layer below the composition root runs on virtual time in tests.

export interface Clock {
  /** Wall clock, milliseconds since 1970. May jump in both directions. */
  now(): number
  /** Milliseconds that never go backwards. */
  monotonic(): number
}

export interface Random {
  bytes(length: number): Uint8Array
  /** Uniform in [0, 1): for jitter only, never for keys. */
  fraction(): number
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now()
}

export const systemRandom: Random = {
  bytes: (length) => globalThis.crypto.getRandomValues(new Uint8Array(length)),
  fraction: () => Math.random()
}
