// pmesh member role.

import { MeshError } from '../../base/mesh-error.ts'
import type { CommandContext } from '../command-context.ts'

const ROLES = ['observer', 'member', 'admin'] as const

export async function changeRole(
  context: CommandContext,
  [member, wanted]: readonly [string, string]
): Promise<number> {
  const role = ROLES.find((known) => known === wanted)
  if (role === undefined) throw new MeshError('USAGE', 'a role is observer, member or admin')
  const result = await context.call('member/role', { member, role })
  if (context.out.json) context.out.value(result)
  else context.out.remark(`${member} is ${role} now   event ${result.id}`)
  return 0
}
