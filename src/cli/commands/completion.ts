// pmesh completion: scripts for four shells, made from the command tree.

import type { Command } from 'commander'
import { MeshError } from '../../base/mesh-error.ts'
import type { CommandContext } from '../command-context.ts'
import { type CompletionWords, completionScript, isShell } from '../completion-scripts.ts'
import { TOPICS } from '../help-topics.ts'

export async function printCompletion(
  context: CommandContext,
  [shell]: readonly [string],
  _options: unknown,
  command: Command
): Promise<number> {
  if (!isShell(shell))
    throw new MeshError('USAGE', `there is no completion for ${shell}`, {
      hint: 'pmesh completion bash|zsh|fish|powershell'
    })
  const root = command.parent ?? command
  context.out.ownText(completionScript(shell, wordsOf(root)))
  return 0
}

function wordsOf(root: Command): CompletionWords {
  const globals = root.options.flatMap(({ long }) => (long ? [long] : []))
  const words = new Map<string, readonly string[]>()
  const visit = (command: Command, path: string) => {
    const own = command === root ? [] : command.options.flatMap(({ long }) => (long ? [long] : []))
    words.set(path, [...command.commands.map((child) => child.name()), ...own, ...globals])
    for (const child of command.commands) visit(child, path === '' ? child.name() : `${path} ${child.name()}`)
  }
  visit(root, '')
  words.set('completion', ['bash', 'zsh', 'fish', 'powershell'])
  words.set('help', [...Object.keys(TOPICS), ...root.commands.map((child) => child.name())])
  return words
}
