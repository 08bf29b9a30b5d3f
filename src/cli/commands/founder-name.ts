// pmesh founder name: the recovery key names this node the founder. The words come from a hidden prompt or stdin, never from a flag.

import { MeshError } from '../../base/mesh-error.ts'
import type { CommandContext } from '../command-context.ts'
import { confirmed, readSecret } from '../secret-input.ts'

export async function nameFounder(
  context: CommandContext,
  _args: readonly [],
  options: { readonly yes?: true }
): Promise<number> {
  const question = 'Make this node the founder and remove the founder before it for good?'
  if (options.yes !== true && !(await confirmed(context, question))) throw new MeshError('CANCELLED', 'cancelled')
  const recoveryWords = await readSecret(context, 'The 24 recovery words')
  if (recoveryWords.trim() === '') throw new MeshError('MEMBER_RECOVERY_INVALID', 'there are no words')
  const result = await context.call('founder/name', { recoveryWords })
  if (context.out.json) context.out.value(result)
  else context.out.remark(`this node is the founder   event ${result.id}`)
  return 0
}
