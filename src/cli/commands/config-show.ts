// pmesh config show: every setting, what counts, and where it comes from.

import { loadConfig } from '../../config/config-file.ts'
import type { CommandContext } from '../command-context.ts'
import type { Piece } from '../output.ts'
import { tableLines } from '../table.ts'

export async function showConfig(context: CommandContext): Promise<number> {
  const { out } = context
  const { rows } = loadConfig(context.paths.config, { env: context.terminal.env })
  if (out.json) {
    out.value({
      items: rows.map(({ key, shown, origin, variable }) => ({ key, value: shown, origin, variable })),
      next: null
    })
    return 0
  }
  const columns = [{ title: 'KEY' }, { title: 'VALUE' }, { title: 'FROM' }]
  const cells = rows.map(({ key, shown, origin }): Piece[] => [
    key,
    JSON.stringify(shown),
    origin === 'default' ? { text: origin, style: 'dim' } : origin
  ])
  for (const line of tableLines(columns, cells, '  ', 'dim')) out.line(...line)
  return 0
}
