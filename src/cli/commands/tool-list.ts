// pmesh tool list: what this node offers, or what a member announces.

import type { CommandContext } from '../command-context.ts'
import type { Piece } from '../output.ts'
import { tableLines } from '../table.ts'

const DESCRIPTION_CHARACTERS = 60

export async function listTools(
  context: CommandContext,
  _args: readonly [],
  options: { readonly member?: string }
): Promise<number> {
  const page = await context.call('tool/list', { member: options.member ?? null })
  const { out } = context
  if (out.json) {
    out.value(page)
    return 0
  }
  if (page.items.length === 0) {
    out.note('no tools')
    return 0
  }
  const columns = [
    { title: 'TOOL' },
    { title: 'KIND' },
    { title: 'TIER' },
    { title: 'ON' },
    { title: '' },
    { title: 'WHAT' }
  ]
  const rows = page.items.map((tool): Piece[] => [
    tool.name,
    tool.kind,
    tool.tier ?? (tool.hash === '' ? '-' : { text: 'irreversible', style: 'yellow' }),
    tool.member.name,
    tool.available ? { text: '✓', style: 'green' } : { text: '✗', style: 'red' },
    tool.available ? cut(tool.description) : tool.why
  ])
  for (const line of tableLines(columns, rows, '  ', 'dim')) out.line(...line)
  return 0
}

function cut(text: string): string {
  const [first = ''] = text.split('\n')
  return first.length > DESCRIPTION_CHARACTERS ? `${first.slice(0, DESCRIPTION_CHARACTERS - 1)}…` : first
}
