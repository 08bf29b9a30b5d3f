// pmesh approval deny: the call does not run. Needs no confirmation: no is the safe answer.

import { votedText } from '../approval-screen.ts'
import type { CommandContext } from '../command-context.ts'
import { approvalId } from '../id-prefix.ts'
import { checkOpen } from './approval-approve.ts'

export async function deny(context: CommandContext, [id]: readonly [string]): Promise<number> {
  const approval = await context.call('approval/show', { approval: await approvalId(context, id) })
  // Who approved may still deny until the call begins: whether that was this node is for the node to say.
  if (approval.votes.length === 0 || (approval.state !== 'open' && approval.state !== 'approved')) checkOpen(approval)
  const voted = await context.call('approval/vote', { approval: approval.id, vote: 'deny', digest: approval.digest })
  if (context.out.json) context.out.value(voted)
  else context.out.remark(votedText(voted))
  return 0
}
