// What can be taken out of a text without asking: characters that hide text or turn its direction, and tokens that only a chat
// template may write. Cleaning twice changes nothing more.

import type { GuardFinding } from './contract.ts'
import { REGION_FLAGS } from './decode.ts'

export interface CleanedText {
  readonly text: string
  readonly findings: readonly GuardFinding[]
}

interface Cleaner {
  readonly rule: string
  readonly score: number
  readonly expression: RegExp
  readonly replace: (match: string) => string
}

const FINDINGS_PER_RULE_MAX = 8

/** Zero-width joiners are letters of some scripts and of emoji: they go only between ASCII. */
const CLEANERS: readonly Cleaner[] = [
  {
    rule: 'invisible-text',
    score: 0.3,
    expression: new RegExp(`${REGION_FLAGS.source}|[\\u{e0000}-\\u{e007f}\\u{e0100}-\\u{e01ef}]+`, 'gu'),
    replace: (match) => (match.startsWith('\u{1f3f4}') ? match : '')
  },
  {
    rule: 'invisible-text',
    score: 0.2,
    expression: /(?<=[\x21-\x7e])[\u200b-\u200d\u2060-\u2064\ufeff]+(?=[\x21-\x7e])/gu,
    replace: () => ''
  },
  { rule: 'bidi-control', score: 0.3, expression: /[\u202a-\u202e\u2066-\u2069]+/gu, replace: () => '' },
  {
    rule: 'role-token-defused',
    score: 0.2,
    expression: /<\|[a-z_0-9]{1,32}\|>/giu,
    replace: (match) => `[${match.slice(2, -2)}]`
  },
  {
    rule: 'role-token-defused',
    score: 0.2,
    expression: /\[\/?INST\]/gu,
    replace: (match) => `(${match.slice(1, -1)})`
  },
  { rule: 'role-token-defused', score: 0.2, expression: /<<\/?SYS>>/gu, replace: (match) => `(${match.slice(2, -2)})` }
]

/** `text` with hidden characters gone and template tokens made harmless. */
export function clean(text: string): CleanedText {
  const findings: GuardFinding[] = []
  let cleaned = text
  for (;;) {
    const before = cleaned
    for (const cleaner of CLEANERS) cleaned = apply(cleaner, cleaned, cleaned === text, findings)
    if (cleaned === before) return { text: cleaned, findings }
  }
}

/** Offsets are those of the text as given; once something was cut out, a finding names the whole text. */
function apply(cleaner: Cleaner, text: string, placed: boolean, findings: GuardFinding[]): string {
  let count = 0
  return text.replaceAll(cleaner.expression, (match: string, ...rest: unknown[]) => {
    const replacement = cleaner.replace(match)
    if (replacement === match) return match
    const offset = rest.find((value) => typeof value === 'number') ?? 0
    const [start, end] = placed ? [offset, offset + match.length] : [0, text.length]
    if (count++ < FINDINGS_PER_RULE_MAX) {
      findings.push({ rule: cleaner.rule, action: 'change', score: cleaner.score, start, end, form: 'plain' })
    }
    return replacement
  })
}
