// pmesh credential list: which credentials there are and how each one is kept; values are never read.

import { checkHome } from '../../config/paths.ts'
import type { CommandContext } from '../command-context.ts'
import { credentialRows } from '../credential-store.ts'
import type { Piece } from '../output.ts'
import { tableLines } from '../table.ts'

export async function listCredentials(context: CommandContext): Promise<number> {
  const { out, paths } = context
  checkHome(paths)
  const rows = credentialRows(paths.agents)
  if (out.json) {
    out.value({ items: rows, next: null })
    return 0
  }
  if (rows.length === 0) out.note('no credentials')
  else {
    const columns = [{ title: 'PROVIDER' }, { title: 'FIELD' }, { title: 'STATE' }]
    const cells = rows.map(({ provider, field, state }): Piece[] => [
      provider,
      field,
      state === 'plaintext' || state === 'foreign' ? { text: state, style: 'red' } : state
    ])
    for (const line of tableLines(columns, cells, '  ', 'dim')) out.line(...line)
  }
  return 0
}
