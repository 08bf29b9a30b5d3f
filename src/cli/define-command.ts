// How the groups of the command tree add a command.

import type { Command } from 'commander'
import type { CommandContext } from './command-context.ts'

/** What a command's file exports. `undefined` is exit code 0. */
export type Handler<Args extends readonly unknown[], Options> = (
  context: CommandContext,
  args: Args,
  options: Options,
  command: Command
) => Promise<number | undefined>

/** Adds a command: `usage` as commander's, `load` imports its file. */
export type Define = <Args extends readonly unknown[], Options>(
  parent: Command,
  usage: string,
  description: string,
  load: () => Promise<Handler<Args, Options>>
) => Command
