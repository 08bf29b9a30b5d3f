// Patterns of rules. `*` is any run of characters, `?` is one, `\` takes the next one as it is; in a path `*` stays inside its
// segment and `**` is any number of segments. Matching never backtracks over more than one star.

import { posix } from 'node:path'

export type Matcher = (text: string) => boolean

/** What stands between two stars: literal characters, null for `?`. */
type Chunk = readonly (string | null)[]

/** A pattern over a whole text without structure: the name of a tool, member or program, a value. */
export function compileGlob(pattern: string): Matcher {
  const chunks = chunksOf(pattern)
  const literal = chunks.map((chunk) => (chunk.includes(null) ? null : chunk.join('')))
  return (text) => matches(chunks, literal, text)
}

/** A host: `*.example.org` is every name below it, not itself. */
export function compileHostGlob(pattern: string): Matcher {
  const matcher = compileGlob(pattern.toLowerCase())
  return (host) => matcher(normalHost(host))
}

/** A path relative to the workspace, or an absolute one. */
export function compilePathGlob(pattern: string): Matcher {
  const segments = pattern
    .normalize('NFC')
    .split('/')
    .map((segment) => (segment === '**' ? null : compileGlob(segment)))
  return (path) => pathMatches(segments, normalPath(path).split('/'))
}

function chunksOf(pattern: string): Chunk[] {
  const chunks: (string | null)[][] = [[]]
  for (let index = 0; index < pattern.length; index++) {
    const unit = pattern[index] as string
    if (unit === '*') chunks.push([])
    else if (unit === '?') chunks.at(-1)?.push(null)
    else if (unit === '\\' && index + 1 < pattern.length) chunks.at(-1)?.push(pattern[++index] as string)
    else chunks.at(-1)?.push(unit)
  }
  return chunks
}

/** First chunk at the beginning, last at the end, those between each as early as it can be: no choice is ever taken back. */
function matches(chunks: readonly Chunk[], literal: readonly (string | null)[], text: string): boolean {
  const first = chunks[0] as Chunk
  const last = chunks.at(-1) as Chunk
  if (!standsAt(first, text, 0)) return false
  if (chunks.length === 1) return text.length === first.length
  const end = text.length - last.length
  let at = first.length
  for (let index = 1; index < chunks.length - 1; index++) {
    const chunk = chunks[index] as Chunk
    const found = find(chunk, literal[index] ?? null, text, at)
    if (found === -1) return false
    at = found + chunk.length
  }
  return at <= end && standsAt(last, text, end)
}

function find(chunk: Chunk, literal: string | null, text: string, from: number): number {
  if (literal !== null) return text.indexOf(literal, from)
  for (let at = from; at + chunk.length <= text.length; at++) if (standsAt(chunk, text, at)) return at
  return -1
}

function standsAt(chunk: Chunk, text: string, at: number): boolean {
  if (at < 0 || at + chunk.length > text.length) return false
  return chunk.every((unit, index) => unit === null || unit === text[at + index])
}

/** Row by row which pattern segments are reached: the product of both lengths at most. */
function pathMatches(segments: readonly (Matcher | null)[], parts: readonly string[]): boolean {
  let reached = closure(segments, new Set([0]))
  for (const part of parts) {
    const next = new Set<number>()
    for (const at of reached) {
      if (at === segments.length) continue
      const segment = segments[at]
      if (segment === null) next.add(at)
      else if (segment?.(part)) next.add(at + 1)
    }
    reached = closure(segments, next)
    if (reached.size === 0) return false
  }
  return reached.has(segments.length)
}

/** `**` may stand for nothing. */
function closure(segments: readonly (Matcher | null)[], reached: Set<number>): Set<number> {
  for (const at of reached) if (segments[at] === null) reached.add(at + 1)
  return reached
}

/** One spelling of a path: no `.`, no doubled or last slash, `..` resolved, composed characters. */
export function normalPath(path: string): string {
  const normal = posix.normalize(path.normalize('NFC'))
  const trimmed = normal.length > 1 ? normal.replace(/\/$/, '') : normal
  return trimmed.startsWith('./') ? trimmed.slice(2) : trimmed
}

/** Lower case, without port, brackets and the last dot. */
export function normalHost(host: string): string {
  const lower = host.toLowerCase()
  const bracketed = /^\[([^\]]*)\](?::\d+)?$/.exec(lower)
  if (bracketed !== null) return bracketed[1] ?? ''
  const name = /^([^:]*):\d+$/.exec(lower)?.[1] ?? lower
  return name.endsWith('.') ? name.slice(0, -1) : name
}
