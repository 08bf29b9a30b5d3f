// pmesh help: a command, a topic, or an error code.

import type { Command } from 'commander'
import { ERRORS, type ErrorCode } from '../../base/errors.ts'
import { MeshError } from '../../base/mesh-error.ts'
import type { CommandContext } from '../command-context.ts'
import { codeHelp, TOPICS } from '../help-topics.ts'

export async function showHelp(
  context: CommandContext,
  [topic]: readonly [string[]],
  _options: unknown,
  command: Command
): Promise<number> {
  const root = command.parent ?? command
  const [name, ...rest] = topic
  if (name === undefined) {
    context.out.ownText(root.helpInformation())
    return 0
  }
  const code = name.toUpperCase()
  if (rest.length === 0 && Object.hasOwn(ERRORS, code)) {
    const known = code as ErrorCode
    if (context.out.json) context.out.value({ code: known, ...ERRORS[known] })
    else context.out.ownText(codeHelp(known))
    return 0
  }
  if (rest.length === 0 && Object.hasOwn(TOPICS, name)) {
    context.out.ownText(TOPICS[name] ?? '')
    return 0
  }
  let found: Command = root
  for (const part of topic) {
    const next = found.commands.find((child) => child.name() === part)
    if (next === undefined) {
      throw new MeshError('USAGE', `there is no command, topic or error code ${topic.join(' ')}`, {
        hint: `pmesh help, or pmesh help ${Object.keys(TOPICS).join('|')}`
      })
    }
    found = next
  }
  context.out.ownText(found.helpInformation())
  return 0
}
