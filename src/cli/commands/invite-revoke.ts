// pmesh invite revoke.

import type { CommandContext } from '../command-context.ts'

export async function revokeInvite(context: CommandContext, [id]: readonly [string]): Promise<number> {
  const invite = await context.call('invite/revoke', { id })
  if (context.out.json) context.out.value(invite)
  else context.out.remark(`invite ${invite.id} is ${invite.state}`)
  return 0
}
