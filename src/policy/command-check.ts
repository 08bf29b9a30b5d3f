// The one check of a command line before anything is started: is the program listed (CMD-1), are its arguments of a form that runs other
// programs (CMD-2), would it destroy (CMD-3). Every path that can start a process asks here. It states intent for rules and the log;
// what a process can do is the sandbox's matter, which holds with this check switched off (CMD-5).

import { LIMITS } from '../base/limits.ts'
import { argumentFault, STARTERS } from './argument-forms.ts'
import { isStream, operands, programName } from './command-options.ts'
import { destructiveReason, type Invocation, READ_SHELLS, SHELLS } from './destructive-commands.ts'
import { type ShellCommand, tryParseShell } from './shell-text.ts'

export interface CommandRules {
  /** Programs as they are called: a bare name, or the exact path. */
  readonly allow: readonly string[]
  /** Whether a listed shell may be given text to run. */
  readonly shell: boolean
}

export type CommandRule = 'command-not-listed' | 'command-arguments' | 'command-destructive'

export type CommandVerdict =
  | { readonly ok: true }
  | { readonly ok: false; readonly rule: CommandRule /** One sentence for a person. */; readonly reason: string }

/** Text tools that neither write, run another program, nor reach the network in the forms that the check leaves. */
export const DEFAULT_PROGRAMS: readonly string[] = (
  'basename cat cmp comm cut date diff dirname du echo false file find fold grep head join ls nl paste printf pwd realpath rg seq ' +
  'sha256sum sort stat tac tail tr true uniq wc'
).split(' ')

/** Programs that the command line names, those inside text for a shell included; for the rules' `program`. */
export function programsOf(argv: readonly string[]): readonly string[] {
  return unfold(argv).invocations.map((invocation) => invocation.argv[0] ?? '')
}

/** The verdict on one argument array. Pure. */
export function checkCommand(argv: readonly string[], rules: CommandRules): CommandVerdict {
  if (argv.length === 0 || argv[0] === '') return refusal('command-not-listed', 'no program is named')
  if (argv.some((word) => word.includes('\0'))) return refusal('command-arguments', 'an argument holds a zero byte')
  const { invocations, suspected, faults } = unfold(argv)
  for (const invocation of [...invocations, ...suspected]) {
    const reason = destructiveReason(invocation)
    if (reason !== null) return refusal('command-destructive', reason)
  }
  const destroys = faults.find((fault) => fault.rule === 'command-destructive')
  if (destroys !== undefined) return refusal(destroys.rule, destroys.reason)
  for (const invocation of invocations) {
    const reason = listingFault(invocation, rules)
    if (reason !== null) return refusal('command-not-listed', reason)
  }
  const [fault] = faults
  if (fault !== undefined) return refusal(fault.rule, fault.reason)
  for (const invocation of invocations) {
    const reason = argumentFault(invocation.argv)
    if (reason !== null) return refusal('command-arguments', reason)
  }
  return { ok: true }
}

function refusal(rule: CommandRule, reason: string): CommandVerdict {
  return { ok: false, rule, reason }
}

/** What a shell does itself, without any program. */
const HARMLESS_BUILTINS: ReadonlySet<string> = new Set(['cd', ':', 'test', '[', 'true', 'false', 'pwd', 'exit', 'wait'])

function listingFault({ argv, inShell }: Invocation, { allow, shell }: CommandRules): string | null {
  const [program = ''] = argv
  if (inShell && HARMLESS_BUILTINS.has(program)) return null
  if (!allow.includes(program)) return `${JSON.stringify(program.slice(0, 60))} is not in the list of programs`
  return SHELLS.has(programName(program)) && !shell ? 'there is no shell unless the policy names one' : null
}

interface Fault {
  readonly rule: CommandRule
  readonly reason: string
}

interface Unfolded {
  /** What is started for certain, in order. */
  readonly invocations: Invocation[]
  /** What a program that runs others may start: tails of its arguments. */
  readonly suspected: Invocation[]
  readonly faults: Fault[]
}

/** Tails of one program's arguments that are looked at. */
const TAILS_MAX = 32

function unfold(argv: readonly string[]): Unfolded {
  const unfolded: Unfolded = { invocations: [], suspected: [], faults: [] }
  follow({ argv, redirects: [], piped: false, inShell: false }, { unfolded, isCertain: true, depth: 0 })
  return unfolded
}

interface Following {
  readonly unfolded: Unfolded
  /** False for what only may be started: then only what destroys is a fault. */
  readonly isCertain: boolean
  readonly depth: number
}

function addFault({ unfolded, isCertain }: Following, fault: Fault): void {
  if (isCertain || fault.rule === 'command-destructive') unfolded.faults.push(fault)
}

function argumentsFault(reason: string): Fault {
  return { rule: 'command-arguments', reason }
}

function follow(invocation: Invocation, at: Following): void {
  const { invocations, suspected, faults } = at.unfolded
  if (isFull(at)) {
    if (faults.length === 0) faults.push(argumentsFault('the command holds too many others'))
    return
  }
  const list = at.isCertain ? invocations : suspected
  list.push(invocation)
  const program = programName(invocation.argv[0] ?? '')
  const args = invocation.argv.slice(1)
  if (SHELLS.has(program)) followShell(program, args, at)
  else if (program === 'ssh') followText(operands(args, SSH_VALUED).slice(1).join(' '), { ...at, isCertain: false })
  else if (program === 'eval') followText(args.join(' '), at)
  else if (STARTERS.has(program)) followTails(invocation, 1, at)
  else if (program === 'find') followFind(invocation, at)
}

function isFull({ unfolded: { invocations, suspected }, depth }: Following): boolean {
  return depth > LIMITS.shellDepthMax || invocations.length + suspected.length >= LIMITS.shellCommandsMax
}

const SSH_VALUED = 'BbcDEeFIiJLlmOopQRSWw'

function followFind(invocation: Invocation, at: Following): void {
  const starts = invocation.argv.findIndex((word) => /^-(?:exec|ok)(?:dir)?$/.test(word))
  if (starts !== -1) followTails(invocation, starts + 1, at)
}

/** Whatever stands behind `sudo -u x`, `timeout 5`, `find -exec`: each tail of the arguments is looked at as a command. */
function followTails({ argv, piped, inShell }: Invocation, first: number, at: Following): void {
  const inner = { ...at, isCertain: false, depth: at.depth + 1 }
  for (let from = first; from < Math.min(argv.length, first + TAILS_MAX) && !isFull(inner); from++) {
    const word = argv[from] as string
    if (word.startsWith('-') || !/[A-Za-z]/.test(word)) continue
    if (/\s/.test(word)) followText(word, inner)
    else follow({ argv: argv.slice(from), redirects: [], piped, inShell }, inner)
  }
}

function followShell(program: string, args: readonly string[], at: Following): void {
  const script = READ_SHELLS.has(program) ? shellText(args) : UNREAD
  if (script.kind === 'text') followText(script.text, at)
  else if (script.kind === 'fault') addFault(at, argumentsFault(`${program}: ${script.reason}`))
}

type ShellArguments =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'file' }
  | { readonly kind: 'fault'; readonly reason: string }

const UNREAD: ShellArguments = { kind: 'fault', reason: 'its language is not read' }

/** `-c TEXT` in every spelling of the options before it, or a script file. */
function shellText(args: readonly string[]): ShellArguments {
  let isText = false
  let at = 0
  for (; at < args.length; at++) {
    const arg = args[at] as string
    if (arg === '--' || arg === '-') {
      at++
      break
    }
    if (!/^[-+]/.test(arg)) break
    if (/^--(?:rcfile|init-file)/.test(arg)) return { kind: 'fault', reason: 'settings of its own' }
    if (!arg.startsWith('--')) {
      if (arg.startsWith('-') && arg.includes('c')) isText = true
      if (arg.includes('s') && arg.startsWith('-'))
        return { kind: 'fault', reason: 'it would read commands from its input' }
      if (/[oO]$/.test(arg)) at++
    }
  }
  const operand = args[at]
  if (operand === undefined || (!isText && isStream(operand)))
    return { kind: 'fault', reason: 'it would read commands from its input' }
  return isText ? { kind: 'text', text: operand } : { kind: 'file' }
}

/** Variables that change what a program loads or runs. */
const LOADING_VARIABLE =
  /^(?:PATH|IFS|ENV|BASH_.*|LD_.*|DYLD_.*|GIT_.*|NODE_.*|PYTHON.*|PERL.*|RUBY.*|SHELLOPTS|PS4|PAGER|.*EDITOR|LESSOPEN|CDPATH|PROMPT_COMMAND|HOME)$/

function followText(text: string, at: Following): void {
  const script = tryParseShell(text)
  if (script === null) return addFault(at, argumentsFault('the text for the shell cannot be read with certainty'))
  for (const name of script.functions) {
    const isBomb = script.commands.some((command) => command.piped && command.words[0]?.text === name)
    if (isBomb) addFault(at, { rule: 'command-destructive', reason: 'a function that starts itself twice (fork bomb)' })
    else addFault(at, argumentsFault('functions are not read'))
  }
  for (const command of script.commands) {
    const fault = computedFault(command)
    if (fault !== null) addFault(at, fault)
    const argv = command.words.map((word) => word.text)
    const invocation = { argv, redirects: command.redirects, piped: command.piped, inShell: true }
    if (argv.length > 0) follow(invocation, { ...at, depth: at.depth + 1 })
    else at.unfolded.suspected.push(invocation)
  }
}

function computedFault({ words, assigned, redirects }: ShellCommand): Fault | null {
  const [program] = words
  const isShell =
    program !== undefined && (SHELLS.has(programName(program.text)) || /^(?:eval|source|\.)$/.test(program.text))
  if ((isShell || program?.computed) && words.some((word) => word.computed && /[$<]\(/.test(word.text)))
    return { rule: 'command-destructive', reason: 'runs text that another command writes' }
  if (program?.computed) return argumentsFault('the name of a program is computed')
  if (isShell && words.some((word) => word.computed)) return argumentsFault('the text for a shell is computed')
  if (assigned.some((name) => LOADING_VARIABLE.test(name)))
    return argumentsFault('a variable is set that changes what programs load')
  if (redirects.some(({ operator, target }) => operator.includes('>') && target.computed))
    return argumentsFault('the name of a file to write is computed')
  return null
}
