// pmesh why: the questions that must hold for a member to be in sync, in their order, and where the first one fails.

import type { CommandContext } from '../command-context.ts'
import { shortId } from '../human-text.ts'
import type { Style } from '../output.ts'
import { tableLines } from '../table.ts'

const MARKS: Readonly<Record<string, { text: string; style: Style }>> = {
  true: { text: '✓', style: 'green' },
  false: { text: '✗', style: 'red' },
  null: { text: '?', style: 'yellow' }
}

export async function explainWhy(context: CommandContext, [member]: readonly [string?]): Promise<number> {
  const report = await context.call('node/why', member === undefined ? {} : { member })
  const { out } = context
  if (out.json) {
    out.value(report)
    return 0
  }
  if (report.items.length === 0) out.line('This node is the only member.')
  for (const [index, { member: ref, steps }] of report.items.entries()) {
    if (index > 0) out.line()
    out.line({ text: ref.name, style: 'bold' }, `   ${shortId(ref.peerId)}`)
    const rows = steps.map(({ question, ok, answer, hint }) => [
      MARKS[String(ok)] ?? '?',
      question,
      hint === '' ? answer : `${answer}   ${hint}`
    ])
    for (const line of tableLines([{}, {}, {}], rows)) out.line('  ', ...line)
  }
  return 0
}
