// pmesh task retry: another attempt although the one before may have had its effect; a person says so.

import { MeshError } from '../../base/mesh-error.ts'
import type { CommandContext } from '../command-context.ts'
import { taskId } from '../id-prefix.ts'
import { shortHex, workText } from '../run-text.ts'
import { confirmed } from '../secret-input.ts'

export async function retryTask(
  context: CommandContext,
  [id]: readonly [string],
  options: { readonly yes?: true }
): Promise<number> {
  const task = await context.call('task/show', { task: await taskId(context, id) })
  if (options.yes !== true) {
    if (!context.canAsk)
      throw new MeshError('USAGE', 'a retry may repeat an effect: --yes says so where nobody can be asked')
    const risk = task.state === 'unknown' ? 'What it did before is unknown' : `It ended: ${task.state}`
    if (!(await confirmed(context, `${risk}. Run ${workText(task)} (${shortHex(task.id)}) again?`)))
      throw new MeshError('CANCELLED', 'cancelled')
  }
  const again = await context.call('task/retry', { task: task.id })
  if (context.out.json) context.out.value(again)
  else
    context.out.remark(`task ${shortHex(again.id)}: attempt ${again.attempt}   pmesh task follow ${shortHex(again.id)}`)
  return 0
}
