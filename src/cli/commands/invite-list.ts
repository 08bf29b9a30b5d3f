// pmesh invite list: what this node has offered, without the lines themselves.

import type { CommandContext } from '../command-context.ts'
import { formatTime } from '../human-text.ts'
import { tableLines } from '../table.ts'

export async function listInvites(context: CommandContext): Promise<number> {
  const page = await context.call('invite/list', {})
  const { out } = context
  if (out.json) {
    out.value(page)
    return 0
  }
  if (page.items.length === 0) out.note('no invites')
  else {
    const columns = [
      { title: 'ID' },
      { title: 'ROLE' },
      { title: 'STATE' },
      { title: 'EXPIRES' },
      { title: 'USED BY' },
      { title: 'NOTE' }
    ]
    const rows = page.items.map((invite) => [
      invite.id,
      invite.role,
      invite.state,
      formatTime(invite.expiresAt),
      invite.usedBy ?? '-',
      invite.name
    ])
    for (const line of tableLines(columns, rows, '  ', 'dim')) out.line(...line)
  }
  return 0
}
