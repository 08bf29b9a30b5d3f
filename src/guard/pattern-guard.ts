// The pattern layer of the guardrail: reads a text in all its forms, sums what the patterns find, and blocks, cleans or passes it.
// It knows nothing of runs, tools or the log. A stronger detector goes behind the same port (contract.ts).

import { LIMITS } from '../base/limits.ts'
import { clean } from './clean.ts'
import type { Guard, GuardContext, GuardFinding, GuardVerdict } from './contract.ts'
import { failClosed } from './fail-closed.ts'
import { findPhrase, type GuardPattern, type Span, type SpansOf } from './pattern.ts'
import { PATTERNS } from './patterns.ts'
import { type TextForm, textForms } from './text-forms.ts'

/** Recorded with every verdict; changes with the patterns. */
export const PATTERN_GUARD_NAME = 'patterns/1'

const BLOCK_AT = 0.5
/** The owner may quote and discuss attacks: only what is sure, or an attack in disguise, stops them. */
const BLOCK_OWNER_AT = 0.8
const DISGUISED_SCORE = 0.9
/** A UTF-16 unit takes at most three bytes of UTF-8. */
const WINDOW_UNITS = Math.floor(LIMITS.guardTextBytesMax / 3)
/** Longer than any pattern matches. */
const OVERLAP_UNITS = 4096
const FINDINGS_MAX = 64

interface Hit {
  readonly pattern: GuardPattern
  readonly start: number
  readonly end: number
  readonly form: string
  readonly disguise: boolean
}

/** The pattern layer. `patterns` is the table to use; anything that throws in it blocks. */
export function createPatternGuard(patterns: readonly GuardPattern[] = PATTERNS): Guard {
  // A result is looked at by the judge stage and once more by the offline judge.
  let last: { readonly text: string; readonly blockAt: number; readonly verdict: GuardVerdict } | null = null
  const looked = (text: string, { origin }: GuardContext): GuardVerdict => {
    const blockAt = origin === 'owner' ? BLOCK_OWNER_AT : BLOCK_AT
    if (last?.text !== text || last.blockAt !== blockAt)
      last = { text, blockAt, verdict: inspect(patterns, text, blockAt) }
    return last.verdict
  }
  return failClosed({ name: PATTERN_GUARD_NAME, inspect: looked })
}

function inspect(patterns: readonly GuardPattern[], text: string, blockAt: number): GuardVerdict {
  const findings: GuardFinding[] = []
  let score = 0
  for (let start = 0; start === 0 || start + OVERLAP_UNITS < text.length; start += WINDOW_UNITS - OVERLAP_UNITS) {
    const found = inspectWindow(patterns, text, start, blockAt)
    score = Math.max(score, found.score)
    for (const finding of found.findings) if (findings.length < FINDINGS_MAX) findings.push(finding)
    if (score >= blockAt) return { action: 'block', text, score, findings }
  }
  const cleaned = clean(text)
  score = Math.max(score, ...cleaned.findings.map((finding) => finding.score))
  findings.push(...cleaned.findings)
  return { action: cleaned.text === text ? 'pass' : 'change', text: cleaned.text, score, findings }
}

function inspectWindow(
  patterns: readonly GuardPattern[],
  text: string,
  offset: number,
  blockAt: number
): { score: number; findings: GuardFinding[] } {
  const window = text.length <= WINDOW_UNITS ? text : text.slice(offset, offset + WINDOW_UNITS)
  const hits: Hit[] = []
  const plainRules = new Set<string>()
  for (const form of textForms(window)) {
    const spansOf = matcher(form.text)
    for (const pattern of patterns) {
      if (plainRules.has(pattern.rule)) continue
      const hit = firstHit(pattern, form, window, spansOf)
      if (hit === null) continue
      hits.push(hit)
      if (form.name === 'normalised') plainRules.add(pattern.rule)
    }
  }
  const score = scoreOf(hits)
  const action = score >= blockAt ? 'block' : 'note'
  const findings = hits.map((hit) => ({
    rule: hit.pattern.rule,
    action,
    score: hit.disguise ? Math.max(hit.pattern.weight, DISGUISED_SCORE) : hit.pattern.weight,
    start: offset + hit.start,
    end: offset + hit.end,
    form: hit.form
  })) satisfies GuardFinding[]
  return { score, findings }
}

function firstHit(pattern: GuardPattern, form: TextForm, source: string, spansOf: SpansOf): Hit | null {
  for (const phrase of pattern.phrases) {
    const span = findPhrase(phrase, spansOf)
    if (span === null) continue
    const whole = { pattern, start: 0, end: source.length, form: form.name, disguise: form.disguise }
    if (form.offsets === null) return whole
    const start = form.offsets[span.start] ?? 0
    const end = (form.offsets[span.end - 1] ?? source.length - 1) + 1
    const plain = source.slice(start, end).toLowerCase() === form.text.slice(span.start, span.end)
    return { ...whole, start, end, form: plain ? 'plain' : form.name }
  }
  return null
}

/** Matches of expressions in `text`, each expression run once. */
function matcher(text: string): SpansOf {
  const known = new Map<RegExp, readonly Span[]>()
  return (expression) => {
    const spans = known.get(expression) ?? allSpans(expression, text)
    known.set(expression, spans)
    return spans
  }
}

function allSpans(expression: RegExp, text: string): readonly Span[] {
  const spans: Span[] = []
  expression.lastIndex = 0
  for (let match = expression.exec(text); match !== null; match = expression.exec(text)) {
    if (match[0] === '') throw new TypeError(`a pattern matches nothing: ${expression.source}`)
    spans.push({ start: match.index, end: match.index + match[0].length })
  }
  return spans
}

/** Independent signals add up: 1 − Π(1 − weight), each rule once. A sure pattern, or an attack in disguise, decides alone. */
function scoreOf(hits: readonly Hit[]): number {
  const open = new Map<string, number>()
  const disguised = new Map<string, Map<string, number>>()
  let sure = 0
  for (const { pattern, form, disguise } of hits) {
    if (pattern.always === true) sure = Math.max(sure, pattern.weight)
    const weights = disguise ? (disguised.get(form) ?? new Map<string, number>()) : open
    weights.set(pattern.rule, pattern.weight)
    if (disguise) disguised.set(form, weights)
  }
  const hidden = [...disguised.values()].some((weights) => combined(weights) >= BLOCK_AT)
  return Math.max(sure, combined(open), hidden ? DISGUISED_SCORE : 0)
}

function combined(weights: ReadonlyMap<string, number>): number {
  let remaining = 1
  for (const weight of weights.values()) remaining *= 1 - weight
  return 1 - remaining
}
