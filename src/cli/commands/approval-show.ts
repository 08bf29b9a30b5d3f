// pmesh approval show: everything that an approval would release; exit code 14 when the digest is not of what is shown.

import { approvalScreen } from '../approval-screen.ts'
import type { CommandContext } from '../command-context.ts'
import { approvalId } from '../id-prefix.ts'
import { shortHex } from '../run-text.ts'

const VERIFICATION_FAILED_EXIT = 14

export async function showApproval(context: CommandContext, [id]: readonly [string]): Promise<number> {
  const approval = await context.call('approval/show', { approval: await approvalId(context, id) })
  const { out } = context
  const equal = approval.digest === approval.recomputedDigest
  if (out.json) out.value(approval)
  else {
    for (const line of approvalScreen(approval, Date.now())) out.line(...line)
    if (approval.state === 'open' && approval.mayVote && equal) {
      const short = shortHex(approval.id)
      out.remark(
        'next: ',
        { text: `pmesh approval approve ${short}`, style: 'bold' },
        `, or pmesh approval deny ${short}`
      )
    }
  }
  return equal ? 0 : VERIFICATION_FAILED_EXIT
}
