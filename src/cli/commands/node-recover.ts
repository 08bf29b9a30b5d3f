// pmesh node recover: a person ends recovery by name; the node opens a new epoch.

import { MeshError } from '../../base/mesh-error.ts'
import type { CommandContext } from '../command-context.ts'
import { confirmed } from '../secret-input.ts'

export async function recoverNode(context: CommandContext): Promise<number> {
  const status = await context.call('node/status', {})
  if (status.state !== 'recovering') {
    throw new MeshError('USAGE', `the node does not recover: it is ${status.state.replaceAll('-', ' ')}`, {
      hint: 'pmesh status'
    })
  }
  if (!(await confirmed(context, 'Open a new epoch without the own log of the other members?')))
    throw new MeshError('CANCELLED', 'cancelled')
  await context.call('recovery/override', {})
  if (context.out.json) context.out.value({ recovered: true })
  else context.out.remark('recovery ended: a new epoch is open')
  return 0
}
