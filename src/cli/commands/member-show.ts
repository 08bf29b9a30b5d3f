// pmesh member show: one member in full.

import type { CommandContext } from '../command-context.ts'
import { formatCount, formatTime } from '../human-text.ts'
import { blockLines } from '../table.ts'

export async function showMember(context: CommandContext, [name]: readonly [string]): Promise<number> {
  const member = await context.call('member/show', { member: name })
  const { out } = context
  if (out.json) {
    out.value(member)
    return 0
  }
  out.line({ text: member.name, style: 'bold' }, member.self ? '   this node' : '')
  const admitted =
    member.admittedBy === null
      ? 'founder'
      : `by ${member.admittedBy.name}${member.admittedAt === null ? '' : `, ${formatTime(member.admittedAt)}`}`
  const rows: [string, string][] = [
    ['peer id', member.peerId],
    ['words', member.fingerprint],
    ['role', `${member.role} (rank ${member.rank})`],
    ['rights', member.rights.join(' ') || '-'],
    ['admitted', admitted],
    ...(member.removedBy === null ? [] : [['removed', `by ${member.removedBy.name}`] as [string, string]]),
    ['log', `${formatCount(member.events)} events, ${formatCount(member.behind)} behind, ${member.chain}`],
    ['link', member.self ? 'this node' : member.connected ? member.address : 'not connected'],
    ['addresses', member.addresses.join(' ') || '-'],
    ...(member.flags.length === 0 ? [] : [['flags', member.flags.join(' ')] as [string, string]])
  ]
  for (const row of blockLines(rows)) out.line(...row)
  return 0
}
