// pmesh task cancel.

import type { CommandContext } from '../command-context.ts'
import { taskId } from '../id-prefix.ts'
import { shortHex } from '../run-text.ts'

export async function cancelTask(context: CommandContext, [id]: readonly [string]): Promise<number> {
  const task = await context.call('task/cancel', { task: await taskId(context, id) })
  if (context.out.json) context.out.value(task)
  else context.out.remark(`task ${shortHex(task.id)} is ${task.state}`)
  return 0
}
