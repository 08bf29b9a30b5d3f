// pmesh status: one row per member, self first; health with facts and a command at the end.

import type { MemberStatus, NodeStatus } from '../../rpc/methods.ts'
import type { CommandContext } from '../command-context.ts'
import { countOf, formatAgo, formatCount, formatDuration, hostOf, shortId } from '../human-text.ts'
import type { Output, Piece } from '../output.ts'
import { tableLines } from '../table.ts'

export async function showStatus(context: CommandContext): Promise<number> {
  const status = await context.call('node/status', {})
  if (context.out.json) context.out.value(status)
  else printStatus(context.out, status, Date.now())
  return 0
}

/** The screen of `pmesh status`. `nowMs` is what "12 s ago" counts from. */
export function printStatus(out: Output, status: NodeStatus, nowMs: number): void {
  const { log } = status
  const sync = log.behind > 0 ? `${formatCount(log.behind)} behind` : log.synced ? 'in sync' : 'not in sync yet'
  out.line(
    { text: status.name, style: 'bold' },
    `   ${shortId(status.peerId)}   up ${formatDuration(status.uptimeMs)}   log ${formatCount(log.events)} events, ${sync}`
  )
  if (status.state !== 'ready') {
    out.line({ text: `! ${stateText(status)}`, style: 'yellow' })
  }
  out.line()
  for (const line of memberTable(status.members, nowMs)) out.line(...line)
  const run = runLine(status)
  if (status.health.length > 0 || status.run !== undefined) out.line()
  if (run !== null) out.line(...run)
  if (status.run !== undefined) {
    const help: Piece = { text: status.run.boxed === false ? '   pmesh doctor' : '', style: 'bold' }
    out.line({ text: 'sandbox  ', style: 'dim' }, status.run.sandbox, help)
  }
  const width = Math.max(0, ...status.health.map(({ text }) => text.length))
  for (const { level, text, hint } of status.health) {
    out.line(
      { text: level === 'error' ? '✗' : '!', style: level === 'error' ? 'red' : 'yellow' },
      ` ${hint === '' ? text : `${text.padEnd(width)}     ${hint}`}`
    )
  }
}

/** `2 tasks running · 1 approval waits for you   pmesh approval list`; null when nothing does. */
function runLine({ run }: NodeStatus): Piece[] | null {
  if (run === undefined || run.running + run.waitingApprovals === 0) return null
  const running = run.running === 0 ? [] : [`${countOf(run.running, 'task')} running`]
  const { waitingApprovals } = run
  if (waitingApprovals === 0) return [running.join('')]
  const waits = `${countOf(waitingApprovals, 'approval')} wait${waitingApprovals === 1 ? 's' : ''} for you`
  return [[...running, waits].join(' · '), { text: '   pmesh approval list', style: 'bold' }]
}

function stateText({ state, stateDetail }: NodeStatus): string {
  const text = state.replaceAll('-', ' ')
  return stateDetail === '' ? text : `${text}: ${stateDetail}`
}

/** The table of members, titles first. */
export function memberTable(members: readonly MemberStatus[], nowMs: number): Piece[][] {
  const columns = [
    { title: 'MEMBER' },
    { title: 'PEER ID' },
    { title: 'LINK' },
    { title: 'SEEN' },
    { title: 'EVENTS', align: 'right' },
    { title: 'BEHIND', align: 'right' }
  ] as const
  const sorted = [...members].sort((a, b) => Number(b.self) - Number(a.self))
  const rows = sorted.map((member): Piece[] => [
    member.self ? `${member.name}*` : member.name,
    shortId(member.peerId),
    linkText(member, members),
    member.self ? 'now' : formatAgo(member.lastSeenAt, nowMs),
    formatCount(member.events),
    member.behind > 0 ? { text: formatCount(member.behind), style: 'yellow' } : '0'
  ])
  return tableLines(columns, rows, '  ', 'dim')
}

function linkText(member: MemberStatus, members: readonly MemberStatus[]): string {
  if (member.self) return 'this node'
  if (member.removed) return 'removed'
  const trouble = member.chain === 'contradicted' || member.chain === 'forked' ? `, ${member.chain}` : ''
  if (!member.connected) return `not connected${trouble}`
  const rtt = member.rttMs === null ? '' : ` ${Math.round(member.rttMs)} ms`
  if (!member.relayed) return `direct ${hostOf(member.address)}${rtt}${trouble}`
  const relayId = /\/p2p\/([^/]+)\/p2p-circuit/.exec(member.address)?.[1]
  const relay =
    members.find((other) => other.peerId === relayId)?.name ?? (relayId === undefined ? '' : shortId(relayId))
  return `relay${relay === '' ? '' : ` via ${relay}`}${rtt}${trouble}`
}
