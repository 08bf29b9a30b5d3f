// Values of options that are more than text. Each throws commander's error, which becomes a usage error.

import { InvalidArgumentError, Option } from 'commander'
import { tryParseDuration } from './human-text.ts'

/** Milliseconds of `30s`, `5m`, `2h`, `7d`. */
export function parseDuration(text: string): number {
  const milliseconds = tryParseDuration(text)
  if (milliseconds === null || milliseconds <= 0)
    throw new InvalidArgumentError('Not a duration like 500ms, 30s, 5m, 2h or 7d.')
  return milliseconds
}

export function parseCount(text: string): number {
  const count = /^\d{1,9}$/.test(text) ? Number(text) : 0
  if (count < 1) throw new InvalidArgumentError('Not a number of at least 1.')
  return count
}

/** ISO 8601 text; a bare day is its first moment. */
export function parseTime(text: string): string {
  const time = /^\d{4}-\d{2}-\d{2}(T|$)/.test(text) ? Date.parse(text) : Number.NaN
  if (Number.isNaN(time)) throw new InvalidArgumentError('Not a time like 2026-11-20 or 2026-11-20T08:00:00Z.')
  return new Date(time).toISOString()
}

/** An option that may be given several times. */
export function repeatable(flags: string, description: string): Option {
  return new Option(flags, description).argParser((text: string, before: readonly string[] = []) => [...before, text])
}
