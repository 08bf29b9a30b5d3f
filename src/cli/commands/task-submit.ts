// pmesh task submit: a tool call for this node, a member or whoever offers the tool; follows it unless it is told to let go.

import { LIMITS } from '../../base/limits.ts'
import { MeshError } from '../../base/mesh-error.ts'
import type { CommandContext } from '../command-context.ts'
import { isJson } from '../exact-json.ts'
import { exitOfTask } from '../run-text.ts'
import { readInput } from '../stdin-text.ts'
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
  const input = await readInput(context, options.input, LIMITS.toolInputBytesMax)
  if (!isJson(input))
    throw new MeshError('USAGE', 'the input is not JSON', {
      hint: `pmesh task submit --tool ${options.tool} --input '{"name": "value"}'`
    })
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
