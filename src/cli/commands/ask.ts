// pmesh ask: a prompt for an agent. What it says goes to stdout as it comes, its stages to stderr.

import { randomBytes } from 'node:crypto'
import { toHex } from '../../base/bytes.ts'
import { LIMITS } from '../../base/limits.ts'
import { MeshError } from '../../base/mesh-error.ts'
import type { CommandContext } from '../command-context.ts'
import { readInput } from '../stdin-text.ts'
import { type FollowOptions, followTask } from '../task-follower.ts'
import { memberToAsk } from './task-submit.ts'

const DEFAULT_AGENT = 'default'

export interface AskOptions extends FollowOptions {
  readonly agent?: string
  readonly conversation?: string
  readonly on?: string
}

export async function ask(context: CommandContext, [words]: readonly [string[]], options: AskOptions): Promise<number> {
  const prompt = (await readInput(context, words.join(' '), LIMITS.toolInputBytesMax)).trim()
  if (prompt === '') throw new MeshError('USAGE', 'there is no question')
  const conversation = (options.conversation ?? toHex(randomBytes(16))).toLowerCase()
  if (!/^[0-9a-f]{32}$/.test(conversation)) throw new MeshError('USAGE', 'a conversation is named by 32 hex characters')
  const task = await context.call('task/submit', {
    kind: 'agent',
    name: options.agent ?? (await onlyAgent(context)),
    input: prompt,
    on: await memberToAsk(context, options.on),
    conversation
  })
  const exit = await followTask(context, task.id, options)
  if (exit === 0 && !context.out.json)
    context.out.note({ text: `go on: pmesh ask --conversation ${conversation} …`, style: 'dim' })
  return exit
}

/** The one that is called `default`, or the only one there is. USAGE when it must be named. */
async function onlyAgent(context: CommandContext): Promise<string> {
  const { items } = await context.call('agent/list', {})
  const names = items.map(({ name }) => name)
  const [first, second] = names
  if (names.includes(DEFAULT_AGENT)) return DEFAULT_AGENT
  if (first !== undefined && second === undefined) return first
  throw first === undefined
    ? new MeshError('AGENT_UNKNOWN', 'there is no agent yet', {
        hint: 'pmesh agent add default --provider ollama --type ollama --model MODEL'
      })
    : new MeshError('USAGE', `there are several agents: ${names.join(', ')}`, { hint: 'pmesh ask --agent NAME …' })
}
