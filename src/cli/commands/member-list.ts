// pmesh member list: who is in, this node first.

import type { CommandContext } from '../command-context.ts'
import { formatAgo, formatCount, shortId } from '../human-text.ts'
import { tableLines } from '../table.ts'

export async function listMembers(context: CommandContext): Promise<number> {
  const page = await context.call('member/list', {})
  const { out } = context
  if (out.json) {
    out.value(page)
    return 0
  }
  const columns = [
    { title: 'MEMBER' },
    { title: 'PEER ID' },
    { title: 'ROLE' },
    { title: 'STATE' },
    { title: 'SEEN' },
    { title: 'EVENTS', align: 'right' },
    { title: 'CHAIN' }
  ] as const
  const now = Date.now()
  const sorted = [...page.items].sort((a, b) => Number(b.self) - Number(a.self))
  const rows = sorted.map((member) => [
    member.self ? `${member.name}*` : member.name,
    shortId(member.peerId),
    member.role,
    member.removed ? 'removed' : member.self ? 'this node' : member.connected ? 'connected' : 'not connected',
    member.self ? 'now' : formatAgo(member.lastSeenAt, now),
    formatCount(member.events),
    member.chain
  ])
  for (const line of tableLines(columns, rows, '  ', 'dim')) out.line(...line)
  return 0
}
