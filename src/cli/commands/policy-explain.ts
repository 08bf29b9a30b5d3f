// pmesh policy explain: what the policy says to a call, and by which rule. Nothing runs.

import { MeshError } from '../../base/mesh-error.ts'
import type { CommandContext } from '../command-context.ts'
import { readJsonInput } from '../stdin-text.ts'
import { blockLines } from '../table.ts'
import { effectPiece } from './policy-show.ts'

export const TAINTS = ['peer', 'web', 'file', 'tool', 'model'] as const
export type TaintName = (typeof TAINTS)[number]

export interface PolicyExplainOptions {
  readonly input: string
  readonly taint?: readonly string[]
  readonly member?: string
}

export async function explainPolicy(
  context: CommandContext,
  [tool]: readonly [string],
  options: PolicyExplainOptions
): Promise<number> {
  const verdict = await context.call('policy/explain', {
    tool,
    input: await readJsonInput(context, options.input, `pmesh policy explain ${tool}`),
    taint: (options.taint ?? []).map(taintOf),
    member: options.member ?? null
  })
  const { out } = context
  if (out.json) {
    out.value(verdict)
    return 0
  }
  out.line(effectPiece(verdict.decision), `   ${tool}`)
  const asks = verdict.decision === 'ask'
  const rows: [string, string][] = [
    ['rule', `${verdict.rule} (${verdict.place})`],
    ['tier', verdict.tier],
    ...verdict.reasons.map((reason, index): [string, string] => [index === 0 ? 'because' : '', reason]),
    ...(asks
      ? [['votes', `${verdict.votes}${verdict.anotherKey ? ', one by another key' : ''}`] as [string, string]]
      : []),
    ['judges', String(verdict.judges)]
  ]
  for (const line of blockLines(rows)) out.line(...line)
  return 0
}

function taintOf(text: string): TaintName {
  const found = TAINTS.find((taint) => taint === text)
  if (found === undefined) throw new MeshError('USAGE', `a taint is one of ${TAINTS.join(', ')}`)
  return found
}
