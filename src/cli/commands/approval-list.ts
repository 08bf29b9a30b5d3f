// pmesh approval list: what waits for a person; --all shows what was decided too.

import type { ApprovalRecord } from '../../rpc/methods.ts'
import type { CommandContext } from '../command-context.ts'
import { formatDuration } from '../human-text.ts'
import type { Piece } from '../output.ts'
import { shortHex } from '../run-text.ts'
import { tableLines } from '../table.ts'

export async function listApprovals(
  context: CommandContext,
  _args: readonly [],
  options: { readonly all?: true }
): Promise<number> {
  const page = await context.call('approval/list', { all: options.all === true })
  const { out } = context
  if (out.json) {
    out.value(page)
    return 0
  }
  if (page.items.length === 0) {
    out.note(
      options.all === true
        ? 'no requests   pmesh task list'
        : 'nothing waits for an approval   pmesh approval list --all'
    )
    return 0
  }
  const columns = [
    { title: 'REQUEST' },
    { title: 'TOOL' },
    { title: 'TIER' },
    { title: 'FROM' },
    { title: 'ON' },
    { title: 'STATE' },
    { title: 'VOTES' },
    { title: 'EXPIRES' },
    { title: 'YOU' }
  ]
  const now = Date.now()
  const rows = page.items.map((approval): Piece[] => [
    shortHex(approval.id),
    approval.tool,
    approval.tier,
    approval.submitter.name,
    approval.executor.name,
    approval.state === 'open' ? { text: 'open', style: 'yellow' } : approval.state,
    `${approval.votes.filter(({ vote }) => vote === 'approve').length}/${approval.votesNeeded}`,
    expiry(approval, now),
    approval.state === 'open' ? (approval.mayVote ? 'may answer' : approval.mayNotBecause || 'may not') : ''
  ])
  for (const line of tableLines(columns, rows, '  ', 'dim')) out.line(...line)
  const answerable = page.items.find(({ state, mayVote }) => state === 'open' && mayVote)
  if (answerable !== undefined)
    out.remark('next: ', { text: `pmesh approval show ${shortHex(answerable.id)}`, style: 'bold' })
  return 0
}

function expiry(approval: ApprovalRecord, nowMs: number): string {
  if (approval.state !== 'open') return ''
  const leftMs = Date.parse(approval.expiresAt) - nowMs
  return leftMs > 0 ? `in ${formatDuration(leftMs)}` : 'over'
}
