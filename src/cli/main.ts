// `pmesh`: reads the arguments, runs one command, answers the exit code. Nothing heavy is imported here: each command is loaded when it is used.

import { CommanderError } from 'commander'
import { MeshError } from '../base/mesh-error.ts'
import { CommandContext, DEFAULT_OPTIONS, type GlobalOptions } from './command-context.ts'
import { asMeshError, reportError } from './error-report.ts'
import type { ColorWhen } from './output.ts'
import { buildProgram, globalOptions, type RunCommand } from './program.ts'
import { processTerminal, type Terminal } from './terminal.ts'

const CANCELLED_EXIT = 130

/** Runs `pmesh` with these arguments (without node and script). The exit code of the table in `pmesh help exit-codes`; never throws. */
export async function main(argv: readonly string[], terminal: Terminal = processTerminal()): Promise<number> {
  let exitCode = 0
  const run: RunCommand = async (options, command) => {
    exitCode = await runCommand(terminal, options, command)
  }
  const program = buildProgram(terminal, run)
  try {
    const { operands, unknown } = program.parseOptions([...argv])
    if (operands.length === 0 && unknown.length === 0) {
      await run(globalOptions(program), async (context) => (await import('./commands/welcome.ts')).welcome(context))
    } else await program.parseAsync([...argv], { from: 'user' })
    return exitCode
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return 0
    return reportUsage(terminal, argv, error)
  }
}

async function runCommand(
  terminal: Terminal,
  options: GlobalOptions,
  command: (context: CommandContext) => Promise<number | undefined>
): Promise<number> {
  const context = new CommandContext(terminal, options)
  let signals = 0
  const release = terminal.onStopSignal(() => {
    signals++
    if (signals === 1) context.stop()
    else terminal.exit(CANCELLED_EXIT)
  })
  let exitCode: number
  try {
    exitCode = (await command(context)) ?? 0
  } catch (error) {
    exitCode = context.out.failure === null ? reportFailure(context, error) : 0
  }
  context.close()
  await context.out.close()
  release()
  return exitOfOutput(context) ?? exitCode
}

/** A reader that went away is no failure of the command (| head); anything else that stdout refuses is. */
function exitOfOutput(context: CommandContext): number | null {
  const { failure } = context.out
  if (failure === null) return null
  if (failure.code === 'EPIPE') return 0
  const error = new MeshError('INTERNAL', `cannot write the output: ${failure.code ?? failure.message}`, {
    hint: 'Free disk space, or write elsewhere.'
  })
  return reportError(context.out, error, { userHome: context.userHome, verbose: false })
}

function reportFailure(context: CommandContext, error: unknown): number {
  const known = asMeshError(error, context.signal.aborted)
  return reportError(context.out, known, { userHome: context.userHome, verbose: context.options.verbose })
}

/** What commander finds wrong with the arguments. Options may not be parsed yet, so they are looked for in the text. */
function reportUsage(terminal: Terminal, argv: readonly string[], error: unknown): number {
  const color: ColorWhen = argv.includes('--color=never') ? 'never' : 'auto'
  const context = new CommandContext(terminal, { ...DEFAULT_OPTIONS, json: argv.includes('--json'), color })
  if (error instanceof CommanderError && error.code === 'commander.help') return 2
  if (!(error instanceof CommanderError)) return reportFailure(context, error)
  const [message = '', ...rest] = error.message.replace(/^error: /, '').split('\n')
  const hint = rest.join(' ').replaceAll(/[()]/g, '').trim()
  return reportError(context.out, new MeshError('USAGE', message, hint === '' ? {} : { hint }), {
    userHome: context.userHome,
    verbose: false
  })
}
