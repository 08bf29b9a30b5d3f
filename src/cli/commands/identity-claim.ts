// pmesh identity claim: this instance writes again when its identity is in use twice.

import { MeshError } from '../../base/mesh-error.ts'
import type { CommandContext } from '../command-context.ts'
import { confirmed } from '../secret-input.ts'

export async function claimIdentity(context: CommandContext): Promise<number> {
  if (!(await confirmed(context, 'Is the other copy of this identity stopped for good?')))
    throw new MeshError('CANCELLED', 'cancelled')
  await context.call('identity/claim', {})
  if (context.out.json) context.out.value({ claimed: true })
  else context.out.remark('this instance writes now')
  return 0
}
