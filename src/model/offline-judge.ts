// The judge that needs no key and no network (JUDGE-6): fixed rules, the same answer for the same text everywhere, labelled `offline` in
// every vote. It knows secrets, instructions and forged verdicts by their form alone; meaning is beyond it.

import type { Guard } from '../guard/contract.ts'
import type { JudgeRequest } from '../pipeline/contract.ts'
import type { GivenVerdict } from './judge-verdict.ts'

export interface OfflineRules {
  readonly guard: Guard
  /** Text with its secrets masked; equal to the text where there are none. */
  redact(text: string): string
}

export type OfflineJudge = (request: JudgeRequest) => GivenVerdict

export const OFFLINE_NAME = 'offline'

const FORGED_VERDICT = /["'`]verdict["'`]\s*:\s*["'`](?:un)?safe["'`]/i
const REPLACEMENT = '\ufffd'

/** Certain of what it says: confidence is always 1. A rule that throws is a veto. */
export function createOfflineJudge({ guard, redact }: OfflineRules): OfflineJudge {
  const rules: readonly (readonly [reason: string, broken: (text: string) => boolean])[] = [
    ['not-text', (text) => !text.isWellFormed() || text.includes('\0') || text.includes(REPLACEMENT)],
    ['secret', (text) => redact(text) !== text],
    ['injection', (text) => guard.inspect(text, { subject: 'result', origin: 'tool' }).action === 'block'],
    ['forged-verdict', (text) => FORGED_VERDICT.test(text.normalize('NFKC'))]
  ]
  return ({ output }) => {
    for (const [reason, broken] of rules) if (holds(broken, output)) return unsafe(reason)
    return { verdict: 'safe', confidence: 1, reason: 'ok' }
  }
}

function holds(broken: (text: string) => boolean, output: string): boolean {
  try {
    return broken(output)
  } catch {
    // GUARD-4: a rule that cannot tell is a veto
    return true
  }
}

function unsafe(reason: string): GivenVerdict {
  return { verdict: 'unsafe', confidence: 1, reason }
}
