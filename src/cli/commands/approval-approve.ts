// pmesh approval approve: releases exactly the call that is shown. Without a terminal it takes --yes; the digest that was shown goes with the vote.

import { MeshError } from '../../base/mesh-error.ts'
import type { ApprovalDetail } from '../../rpc/methods.ts'
import { askApproval } from '../approval-asker.ts'
import { checkDigest, votedText } from '../approval-screen.ts'
import type { CommandContext } from '../command-context.ts'
import { approvalId } from '../id-prefix.ts'
import { shortHex } from '../run-text.ts'

const DENIED_EXIT = 12
const WAITS_EXIT = 13

export interface ApproveOptions {
  /** The digest that the person was shown elsewhere. */
  readonly digest?: string
  readonly yes?: true
}

export async function approve(
  context: CommandContext,
  [id]: readonly [string],
  options: ApproveOptions
): Promise<number> {
  const { out } = context
  const approval = await context.call('approval/show', { approval: await approvalId(context, id) })
  checkOpen(approval)
  checkDigest(approval, options.digest?.toLowerCase())
  if (options.yes !== true && !context.canAsk)
    throw new MeshError('USAGE', 'without a terminal an approval takes --yes', {
      details: { digest: approval.digest },
      hint: `pmesh approval show ${shortHex(approval.id)}, then pmesh approval approve ${shortHex(approval.id)} --digest HEX --yes`
    })
  const answer = options.yes === true ? 'approve' : await askApproval(context, approval, context.signal)
  if (answer === null) {
    out.note('no answer: nothing was decided')
    return WAITS_EXIT
  }
  const voted = await context.call('approval/vote', { approval: approval.id, vote: answer, digest: approval.digest })
  if (out.json) out.value({ ...voted, digest: approval.digest })
  else out.remark(`${votedText(voted)}   digest ${approval.digest}`)
  return answer === 'deny' ? DENIED_EXIT : 0
}

const CLOSED = {
  approved: 'was approved already',
  denied: 'was denied already',
  used: 'was approved, and the call has begun',
  void: 'is void: it is not of the attempt that counts'
} as const

/** APPROVAL_EXPIRED, APPROVAL_CLOSED, APPROVAL_FORBIDDEN. */
export function checkOpen(approval: ApprovalDetail): void {
  const { state, id, task } = approval
  if (state === 'expired') throw new MeshError('APPROVAL_EXPIRED', `cannot answer: ${shortHex(id)} has expired`)
  if (state !== 'open') {
    throw new MeshError('APPROVAL_CLOSED', `cannot answer: ${shortHex(id)} ${CLOSED[state]}`, {
      hint: `pmesh task show ${shortHex(task)}`
    })
  }
  if (!approval.mayVote)
    throw new MeshError('APPROVAL_FORBIDDEN', `cannot answer: ${approval.mayNotBecause || 'this node may not'}`)
}
