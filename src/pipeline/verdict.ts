// The verdict of a stage: it lets the call pass to the next one with what that needs, or it ends the call.

import { ERRORS, type ErrorCode } from '../base/errors.ts'
import { isInside, type Tier } from '../policy/contract.ts'
import type { Outcome, RunEvent } from './run-events.ts'

export interface VerdictFacts {
  readonly subject: RunEvent<'stage-decided'>['subject']
  readonly verdict: RunEvent<'stage-decided'>['verdict']
  /** What decided, and where it stands. */
  readonly rule: string
  readonly place: string
  readonly tier: Tier | null
  /** Words for programs. */
  readonly reasons: readonly string[]
  /** Sentences for a person; '' for none. */
  readonly text: string
}

export interface Passed<Next> extends VerdictFacts {
  readonly passes: true
  readonly next: Next
}
export interface Stopped extends VerdictFacts {
  readonly passes: false
  readonly status: Exclude<Outcome, 'done'>
}
export type Verdict<Next> = Passed<Next> | Stopped

const NO_FACTS = { place: 'built-in', tier: null, reasons: [], text: '' } as const

export function passed<Next>(
  next: Next,
  facts: Pick<VerdictFacts, 'subject' | 'verdict' | 'rule'> & Partial<VerdictFacts>
): Passed<Next> {
  return { ...NO_FACTS, ...facts, passes: true, next }
}

export function stopped(
  status: Stopped['status'],
  facts: Pick<VerdictFacts, 'subject' | 'verdict' | 'rule'> & Partial<VerdictFacts>
): Stopped {
  return { ...NO_FACTS, ...facts, passes: false, status }
}

/** An effect that was begun and whose end nobody knows: what stayed inside may be tried by another attempt, the rest waits for a person. */
export function lostEffect(tier: Tier, rule: string, text: string): Stopped {
  return stopped(isInside(tier) ? 'interrupted' : 'unknown', { subject: 'call', verdict: 'deny', rule, tier, text })
}

/** A word that fits a record: lower-case letters, digits and hyphens, at most 100 characters. */
export function word(text: string): string {
  const cleaned = text
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+/, '')
    .slice(0, 100)
    .replace(/-+$/, '')
  return cleaned === '' ? 'unnamed' : cleaned
}

export function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(ERRORS, text)
}
