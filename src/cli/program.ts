// The command line as a tree: names, arguments, options and help. What a command does is in its own file, loaded when it runs.

import { Command, Option } from 'commander'
import { VERSION } from '../config/version.ts'
import type { CommandContext, GlobalOptions } from './command-context.ts'
import { DEFAULT_OPTIONS } from './command-context.ts'
import type { Define } from './define-command.ts'
import { parseDuration } from './option-parsers.ts'
import { addLogCommands } from './program-log.ts'
import { addMeshCommands } from './program-mesh.ts'
import { addAgentCommands, addRuleCommands, addTaskCommands } from './program-run.ts'
import { addInspectCommands, addSetupCommands } from './program-setup.ts'
import type { Terminal } from './terminal.ts'

export type RunCommand = (
  options: GlobalOptions,
  command: (context: CommandContext) => Promise<number | undefined>
) => Promise<void>

/** The whole tree. Errors are thrown as CommanderError; help goes to the terminal's streams. */
export function buildProgram(terminal: Terminal, run: RunCommand): Command {
  const program = new Command('pmesh')
  program
    .description('A node for running AI agents on several machines of your own.')
    .version(VERSION, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print help')
    .helpCommand(false)
    .showSuggestionAfterError(true)
    .configureHelp({ showGlobalOptions: false, sortSubcommands: false })
    .configureOutput({
      writeOut: (text) => void terminal.stdout.write(text),
      writeErr: (text) => void terminal.stderr.write(text),
      // main() reports errors in its own form.
      outputError: () => undefined
    })
    .exitOverride()
  addGlobalOptions(program)
  const define: Define = (parent, usage, description, load) => {
    const command = parent.command(usage).description(description)
    command.action(async () => {
      await run(globalOptions(program), async (context) => {
        const handler = await load()
        return handler(context, command.processedArgs as never, command.opts() as never, command)
      })
    })
    return command
  }
  addLogCommands(program, define)
  addTaskCommands(program, define)
  addSetupCommands(program, define)
  addAgentCommands(program, define)
  addMeshCommands(program, define)
  addRuleCommands(program, define)
  addInspectCommands(program, define)
  for (const command of program.commands) command.helpCommand(false)
  program.addHelpText(
    'after',
    '\nGlobal options: pmesh help environment. Exit codes: pmesh help exit-codes. An error: pmesh help CODE.'
  )
  return program
}

/** The options that every command takes, before or after its name. */
export function globalOptions(program: Command): GlobalOptions {
  const { home, socket, json, quiet, verbose, input, color, timeout } = program.opts()
  return {
    ...(home === undefined ? {} : { home }),
    ...(socket === undefined ? {} : { socket }),
    ...(timeout === undefined ? {} : { timeoutMs: timeout }),
    json: json ?? DEFAULT_OPTIONS.json,
    quiet: quiet ?? DEFAULT_OPTIONS.quiet,
    verbose: verbose ?? DEFAULT_OPTIONS.verbose,
    input: input ?? DEFAULT_OPTIONS.input,
    color: color ?? DEFAULT_OPTIONS.color
  }
}

function addGlobalOptions(program: Command): void {
  program
    .option('--home <folder>', 'home folder (PMESH_HOME, ~/.phantom-mesh)')
    .option('--socket <path>', 'local socket of the node')
    .option('--json', 'JSON for programs: lists {items, next}, streams as lines')
    .option('-q, --quiet', 'results only')
    .option('-v, --verbose', 'causes and details of errors')
    .option('--no-input', 'ask nothing')
    .addOption(new Option('--color <when>', 'colour').choices(['auto', 'always', 'never']).default('auto'))
    .option('--timeout <duration>', 'longest wait for the node: 500ms, 30s, 5m', parseDuration)
}
