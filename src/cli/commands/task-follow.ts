// pmesh task follow: what is known of a task, then what comes, until its end.

import type { CommandContext } from '../command-context.ts'
import { taskId } from '../id-prefix.ts'
import { type FollowOptions, followTask } from '../task-follower.ts'

export async function followTaskCommand(
  context: CommandContext,
  [id]: readonly [string],
  options: FollowOptions
): Promise<number> {
  return followTask(context, await taskId(context, id), options)
}
