// A guard over JSON: arguments and results of tools. Every string, keys included, is looked at alone and all of them together;
// what a guard changes stays JSON of the same structure, because only string literals are rewritten in place.

import { isJson } from '../base/json-text.ts'
import type { Guard, GuardContext, GuardFinding, GuardVerdict } from './contract.ts'
import { blockVerdict, failClosed } from './fail-closed.ts'

/** Valid JSON has a quotation mark only around strings. */
const STRING_LITERAL = /"(?:[^"\\]|\\.)*"/gs
/** Shorter strings carry no instruction of their own: they are looked at together, and alone once something was found. */
const ALONE_LENGTH_MIN = 24
const FINDINGS_MAX = 64

interface Literal {
  readonly start: number
  readonly end: number
  readonly value: string
}

/** The verdict of `guard` on `jsonText`; text that is not JSON is inspected as it stands. Offsets are those of `jsonText`. */
export function guardJson(guard: Guard, jsonText: string, context: GuardContext): GuardVerdict {
  const closed = failClosed({ name: guard.name, inspect: (text) => inspectJson(failClosed(guard), text, context) })
  return closed.inspect(jsonText, context)
}

function inspectJson(guard: Guard, jsonText: string, context: GuardContext): GuardVerdict {
  if (!isJson(jsonText)) return guard.inspect(jsonText, context)
  const literals = stringLiterals(jsonText)
  const together = guard.inspect(literals.map((literal) => literal.value).join('\n'), context)
  if (together.action === 'block') return wholeText(together, jsonText)
  const findings: GuardFinding[] = together.action === 'pass' ? [...wholeText(together, jsonText).findings] : []
  const parts: string[] = []
  let score = together.score
  let copied = 0
  for (const literal of literals) {
    if (together.action === 'pass' && literal.value.length < ALONE_LENGTH_MIN) continue
    const verdict = guard.inspect(literal.value, context)
    score = Math.max(score, verdict.score)
    const placed = verdict.findings.map((finding) => ({ ...finding, start: literal.start, end: literal.end }))
    if (verdict.action === 'block') return { action: 'block', text: jsonText, score, findings: placed }
    if (findings.length < FINDINGS_MAX) findings.push(...placed)
    if (verdict.action === 'pass') continue
    parts.push(jsonText.slice(copied, literal.start), JSON.stringify(verdict.text))
    copied = literal.end
  }
  if (parts.length === 0) return { action: 'pass', text: jsonText, score, findings }
  const changed = parts.join('') + jsonText.slice(copied)
  if (countKeys(JSON.parse(changed)) !== countKeys(JSON.parse(jsonText))) {
    return blockVerdict(jsonText, 'key-collision', 'plain')
  }
  return { action: 'change', text: changed, score, findings }
}

function wholeText(verdict: GuardVerdict, text: string): GuardVerdict {
  const findings = verdict.findings.map((finding) => ({ ...finding, start: 0, end: text.length }))
  return { ...verdict, text, findings }
}

function stringLiterals(jsonText: string): readonly Literal[] {
  return Array.from(jsonText.matchAll(STRING_LITERAL), (match) => ({
    start: match.index,
    end: match.index + match[0].length,
    value: String(JSON.parse(match[0]))
  }))
}

function countKeys(value: unknown): number {
  let count = 0
  const waiting: unknown[] = [value]
  while (waiting.length > 0) {
    const next = waiting.pop()
    if (typeof next !== 'object' || next === null) continue
    const children: unknown[] = Object.values(next)
    if (!Array.isArray(next)) count += children.length
    for (const child of children) waiting.push(child)
  }
  return count
}
