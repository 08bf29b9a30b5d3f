// pmesh member remove: asks on a terminal, because a removed key never returns.

import { MeshError } from '../../base/mesh-error.ts'
import type { CommandContext } from '../command-context.ts'
import { shortId } from '../human-text.ts'
import { confirmed } from '../secret-input.ts'

export async function removeMember(
  context: CommandContext,
  [name]: readonly [string],
  options: { readonly yes?: true }
): Promise<number> {
  const member = await context.call('member/show', { member: name })
  const question = `Remove ${member.name} (${shortId(member.peerId)}) for good?`
  if (options.yes !== true && !(await confirmed(context, question))) throw new MeshError('CANCELLED', 'cancelled')
  const result = await context.call('member/remove', { member: member.peerId })
  if (context.out.json) context.out.value(result)
  else context.out.remark(`removed ${member.name}   event ${result.id}`)
  return 0
}
