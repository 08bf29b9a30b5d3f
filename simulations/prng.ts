// Seeded randomness: one stream per purpose, so that a new draw in one place does not shift every other.

import type { Random } from '../src/base/clock.ts'

function mix(text: string): number {
  let hash = 0x811c9dc5
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193) >>> 0
  return hash >>> 0
}

export interface Prng extends Random {
  /** Uniform integer in [0, bound). */
  below(bound: number): number
  chance(probability: number): boolean
  pick<Item>(items: readonly Item[]): Item
  /** An independent stream. */
  fork(purpose: string): Prng
}

export function prng(seed: number, purpose = ''): Prng {
  let state = (seed ^ mix(purpose)) >>> 0
  const fraction = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let word = state
    word = Math.imul(word ^ (word >>> 15), word | 1)
    word ^= word + Math.imul(word ^ (word >>> 7), word | 61)
    return ((word ^ (word >>> 14)) >>> 0) / 4294967296
  }
  const below = (bound: number): number => Math.floor(fraction() * bound)
  return {
    fraction,
    below,
    bytes: (length) => Uint8Array.from({ length }, () => below(256)),
    chance: (probability) => fraction() < probability,
    pick: (items) => {
      const item = items[below(items.length)]
      if (item === undefined) throw new RangeError('pick from nothing')
      return item
    },
    fork: (name) => prng(seed, `${purpose}/${name}`)
  }
}
