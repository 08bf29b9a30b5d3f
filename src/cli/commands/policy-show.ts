// pmesh policy show: the rules that decide on this node, in the order they count.

import type { CommandContext } from '../command-context.ts'
import { shortPath } from '../human-text.ts'
import type { Piece } from '../output.ts'
import { blockLines, tableLines } from '../table.ts'

export async function showPolicy(context: CommandContext): Promise<number> {
  const policy = await context.call('policy/show', {})
  const { out } = context
  if (out.json) {
    out.value(policy)
    return 0
  }
  const file = shortPath(policy.file, context.userHome)
  const rows: [string, string][] = [
    ['file', policy.exists ? file : `${file} (none: every call asks)`],
    ['mode', policy.mode],
    ['hash', policy.hash]
  ]
  for (const line of blockLines(rows, '')) out.line(...line)
  if (policy.rules.length === 0) return 0
  out.line()
  const columns = [{ title: 'EFFECT' }, { title: 'RULE' }, { title: 'PLACE' }, { title: 'WHEN' }]
  const cells = policy.rules.map(({ id, effect, place, text }): Piece[] => [effectPiece(effect), id, place, text])
  for (const line of tableLines(columns, cells, '  ', 'dim')) out.line(...line)
  return 0
}

/** allow, ask or deny in its colour. */
export function effectPiece(effect: string): Piece {
  return { text: effect, style: effect === 'allow' ? 'green' : effect === 'deny' ? 'red' : 'yellow' }
}
