// Every guard runs behind this: whatever goes wrong inside one blocks (GUARD-4).

import type { Guard, GuardContext, GuardFinding, GuardVerdict } from './contract.ts'

const ACTIONS: ReadonlySet<unknown> = new Set(['pass', 'change', 'block'])

/** The same guard, but a throw or a verdict that makes no sense becomes a block with the rule `guard-failed`. */
export function failClosed(guard: Guard): Guard {
  return {
    name: guard.name,
    inspect(text: string, context: GuardContext): GuardVerdict {
      try {
        const verdict = guard.inspect(text, context)
        return isSound(verdict, text) ? verdict : blockVerdict(text, 'guard-failed', 'verdict')
      } catch (error) {
        return blockVerdict(text, 'guard-failed', error instanceof Error ? error.name : 'throw')
      }
    }
  }
}

/** A verdict that blocks the whole of `text` by `rule`. */
export function blockVerdict(text: string, rule: string, form: string): GuardVerdict {
  const finding: GuardFinding = { rule, action: 'block', score: 1, start: 0, end: text.length, form }
  return { action: 'block', text, score: 1, findings: [finding] }
}

function isSound(verdict: GuardVerdict, text: string): boolean {
  if (!ACTIONS.has(verdict.action) || typeof verdict.text !== 'string' || !Array.isArray(verdict.findings)) return false
  return verdict.action === 'change' || verdict.text === text
}
