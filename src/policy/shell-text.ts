// Reads text for a POSIX-like shell into the commands that it would start, as far as that can be known without running it.
// What it cannot read with certainty (here-documents, arithmetic, case, broken quotes) makes the whole text unreadable: a refusal.
// It is not the boundary; the sandbox is (CMD-5).

import { ShellLexer, type ShellToken, type ShellWord, Unreadable } from './shell-lexer.ts'

export interface ShellRedirect {
  readonly operator: string
  readonly target: ShellWord
}

/** One command, those of substitutions, loops and functions included. */
export interface ShellCommand {
  readonly words: readonly ShellWord[]
  readonly redirects: readonly ShellRedirect[]
  /** Names that are set in front of it, or alone. */
  readonly assigned: readonly string[]
  /** Reads the output of the command before it. */
  readonly piped: boolean
}

export interface ShellScript {
  readonly commands: readonly ShellCommand[]
  /** Names of functions that it defines. */
  readonly functions: readonly string[]
}

const NESTING_MAX = 16
const REDIRECTS: ReadonlySet<string> = new Set(['&>>', '<<<', '&>', '>>', '>|', '>&', '<&', '<>', '<', '>'])
/** Words that only structure what stands around them. */
const STRUCTURE: ReadonlySet<string> = new Set([
  'if',
  'then',
  'elif',
  'else',
  'fi',
  'do',
  'done',
  'while',
  'until',
  '{',
  '}',
  '!',
  'time'
])
const LOOP_HEADS: ReadonlySet<string> = new Set(['for', 'select'])

/** The commands in `text`; null when it cannot be read with certainty. */
export function tryParseShell(text: string): ShellScript | null {
  const script: { commands: ShellCommand[]; functions: string[] } = { commands: [], functions: [] }
  try {
    collect(text, script, 0)
    return script
  } catch (error) {
    if (error instanceof Unreadable) return null
    throw error
  }
}

type Collected = { readonly commands: ShellCommand[]; readonly functions: string[] }

function collect(text: string, script: Collected, depth: number): void {
  if (depth > NESTING_MAX) throw new Unreadable()
  const tokens = new ShellLexer(text, (inner) => collect(inner, script, depth + 1)).tokens()
  let command = new CommandBuilder(false)
  for (let index = 0; index < tokens.length; index++) {
    const token = tokens[index] as ShellToken
    if ('word' in token) {
      command.word(token.word, token.bare)
      continue
    }
    if (REDIRECTS.has(token.operator)) {
      const target = tokens[++index]
      if (target === undefined || !('word' in target)) throw new Unreadable()
      command.redirects.push({ operator: token.operator, target: target.word })
      continue
    }
    const name = token.operator === '(' ? command.functionName() : null
    if (name !== null) script.functions.push(name)
    else command.addTo(script.commands)
    command = new CommandBuilder(token.operator === '|' || token.operator === '|&')
  }
  command.addTo(script.commands)
}

class CommandBuilder {
  readonly redirects: ShellRedirect[] = []
  readonly #words: ShellWord[] = []
  readonly #assigned: string[] = []
  readonly #piped: boolean
  #isLoopHead = false
  #isFunction = false

  constructor(piped: boolean) {
    this.#piped = piped
  }

  word(word: ShellWord, bare: boolean): void {
    if (this.#words.length === 0 && bare) {
      if (word.text === 'case' || word.text === 'function') {
        if (word.text === 'case') throw new Unreadable()
        this.#isFunction = true
        return
      }
      if (STRUCTURE.has(word.text)) return
      if (LOOP_HEADS.has(word.text)) this.#isLoopHead = true
    }
    const name =
      this.#words.length === 0 ? /^([A-Za-z_][A-Za-z0-9_]*)(?:\[[^\]]*\])?\+?=/.exec(word.text)?.[1] : undefined
    if (name === undefined) this.#words.push(word)
    else this.#assigned.push(name)
  }

  /** The name when these words and `(` begin a definition. */
  functionName(): string | null {
    const [word, more] = this.#words
    if (word === undefined) return null
    if (more !== undefined) throw new Unreadable()
    return word.text
  }

  addTo(commands: ShellCommand[]): void {
    const words = this.#isLoopHead ? [] : this.#words
    if (this.#isFunction) throw new Unreadable()
    if (words.length === 0 && this.redirects.length === 0 && this.#assigned.length === 0) return
    commands.push({ words, redirects: this.redirects, assigned: this.#assigned, piped: this.#piped })
  }
}
