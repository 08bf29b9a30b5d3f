// pmesh log heads: where every chain ends here, and what signed heads say of it.

import type { CommandContext } from '../command-context.ts'
import { formatCount } from '../human-text.ts'
import { tableLines } from '../table.ts'

export async function showHeads(context: CommandContext): Promise<number> {
  const page = await context.call('log/heads', {})
  if (context.out.json) {
    context.out.value(page)
    return 0
  }
  const columns = [
    { title: 'MEMBER' },
    { title: 'CHAIN', align: 'right' },
    { title: 'EPOCH', align: 'right' },
    { title: 'SEQ', align: 'right' },
    { title: 'WITNESSED', align: 'right' },
    { title: 'STATE' },
    { title: 'LINK' }
  ] as const
  const rows = page.items.map((head) => [
    head.author.name,
    String(head.chain),
    String(head.epoch),
    formatCount(head.seq),
    formatCount(head.witnessedSeq),
    head.state,
    head.link.slice(0, 16)
  ])
  for (const line of tableLines(columns, rows, '  ', 'dim')) context.out.line(...line)
  return 0
}
