// pmesh task submit: a tool call for this node, a member or whoever offers the tool; follows it unless it is told to let go.

import type { CommandContext } from '../command-context.ts'
import { exitOfTask } from '../run-text.ts'
import { readJsonInput } from '../stdin-text.ts'
import { type FollowOptions, followTask } from '../task-follower.ts'

export interface TaskSubmitOptions extends FollowOptions {
  readonly tool: string
  readonly input: string
  readonly on?: string
  readonly expires?: number
  readonly detach?: true
}

export async function submitTask(
  context: CommandContext,
  _args: readonly [],
  options: TaskSubmitOptions
): Promise<number> {
  const input = await readJsonInput(context, options.input, `pmesh task submit --tool ${options.tool}`)
  const task = await context.call('task/submit', {
    kind: 'tool',
    name: options.tool,
    input,
    on: await memberToAsk(context, options.on),
    ...(options.expires === undefined ? {} : { expiresInMs: options.expires })
  })
  if (options.detach !== true) return followTask(context, task.id, options)
  if (context.out.json) context.out.value(task)
  else context.out.line(task.id)
  return exitOfTask(task.state)
}

/** Where it runs: this node unless another is named; null is any member. */
export async function memberToAsk(context: CommandContext, on: string | undefined): Promise<string | null> {
  if (on === 'any') return null
  return on ?? (await context.call('identity/show', {})).peerId
}
