// Words and operators of text for a shell: quotes, escapes and expansions as POSIX and bash read them.
// Knows no commands; what it cannot read with certainty is thrown as Unreadable.

export interface ShellWord {
  /** Quotes and escapes removed; expansions stand as written. */
  readonly text: string
  /** True when the shell replaces a part of it: a variable, a substitution, a pattern, braces. */
  readonly computed: boolean
}

export type ShellToken = { readonly word: ShellWord; readonly bare: boolean } | { readonly operator: string }

/** The text is broken, or means something that only running it would tell. */
export class Unreadable extends Error {}

const OPERATORS = [
  '&>>',
  '<<<',
  '&&',
  '||',
  '|&',
  ';;',
  '&>',
  '>>',
  '>|',
  '>&',
  '<<',
  '<&',
  '<>',
  ';',
  '&',
  '|',
  '<',
  '>',
  '(',
  ')',
  '\n'
]

/** The tokens of one text; `substitute` is given the text of each command substitution. */
export class ShellLexer {
  readonly #text: string
  readonly #substitute: (inner: string) => void
  #at = 0
  #word = ''
  #computed = false
  #bare = true
  #open = false

  constructor(text: string, substitute: (inner: string) => void) {
    this.#text = text
    this.#substitute = substitute
  }

  tokens(): ShellToken[] {
    const tokens: ShellToken[] = []
    while (this.#at < this.#text.length) {
      const unit = this.#text[this.#at] as string
      if (unit === '#' && !this.#open) {
        this.#at = indexOr(this.#text, '\n', this.#at)
        continue
      }
      const operator = this.#operator()
      if (operator === null) {
        if (unit === ' ' || unit === '\t') this.#end(tokens, 1)
        else this.#part(unit)
        continue
      }
      if ((operator === '<' || operator === '>') && this.#text[this.#at + 1] === '(') {
        this.#at++
        this.#parenthesised(operator)
        continue
      }
      if (operator === '<<') throw new Unreadable()
      const isDescriptor = this.#open && /^\d+$/.test(this.#word) && /^[<>]/.test(operator)
      if (isDescriptor) this.#reset()
      this.#end(tokens, operator.length)
      tokens.push({ operator })
    }
    this.#end(tokens, 0)
    return tokens
  }

  #operator(): string | null {
    return OPERATORS.find((operator) => this.#text.startsWith(operator, this.#at)) ?? null
  }

  #end(tokens: ShellToken[], skip: number): void {
    if (this.#open) tokens.push({ word: { text: this.#word, computed: this.#computed }, bare: this.#bare })
    this.#reset()
    this.#at += skip
  }

  #reset(): void {
    this.#word = ''
    this.#computed = false
    this.#bare = true
    this.#open = false
  }

  #part(unit: string): void {
    this.#open = true
    switch (unit) {
      case '\\':
        return this.#escape()
      case "'":
        return this.#quoted()
      case '"':
        return this.#doubleQuoted()
      case '$':
        return this.#dollar()
      case '`':
        return this.#backtick()
      default:
        if ('*?[{'.includes(unit)) this.#computed = true
        this.#word += unit
        this.#at++
    }
  }

  #escape(): void {
    const next = this.#text[this.#at + 1]
    if (next === undefined) throw new Unreadable()
    this.#bare = false
    if (next !== '\n') this.#word += next
    this.#at += 2
  }

  #quoted(): void {
    const end = indexOf(this.#text, "'", this.#at + 1)
    this.#bare = false
    this.#word += this.#text.slice(this.#at + 1, end)
    this.#at = end + 1
  }

  #doubleQuoted(): void {
    this.#bare = false
    this.#at++
    for (;;) {
      const unit = this.#text[this.#at]
      if (unit === undefined) throw new Unreadable()
      if (unit === '"') break
      if (unit === '$') this.#dollar(true)
      else if (unit === '`') this.#backtick()
      else if (unit === '\\' && '$`"\\\n'.includes(this.#text[this.#at + 1] ?? ' ')) this.#escape()
      else {
        this.#word += unit
        this.#at++
      }
    }
    this.#at++
  }

  #dollar(inQuotes = false): void {
    const next = this.#text[this.#at + 1] ?? ''
    if (next === '(') {
      this.#at++
      if (this.#text[this.#at + 1] === '(') throw new Unreadable()
      return this.#parenthesised('$')
    }
    if (next === "'" && !inQuotes) return this.#ansiQuoted()
    if (next === '"' && !inQuotes) {
      this.#at++
      return this.#doubleQuoted()
    }
    if (next === '{') return this.#parameter()
    this.#bare = false
    if (/[A-Za-z0-9_@*#?$!-]/.test(next)) this.#computed = true
    this.#word += `$${/[0-9@*#?$!-]/.test(next) ? next : ''}`
    this.#at += /[0-9@*#?$!-]/.test(next) ? 2 : 1
  }

  /** `${NAME…}`: the words inside may run commands, and `@P` runs what a value holds. */
  #parameter(): void {
    const end = indexOf(this.#text, '}', this.#at)
    const inner = this.#text.slice(this.#at + 2, end)
    if (/[`"'\\@{]|\$\(/.test(inner)) throw new Unreadable()
    this.#computed = true
    this.#bare = false
    this.#word += `\${${inner}}`
    this.#at = end + 1
  }

  /** Stands on the bracket. */
  #parenthesised(mark: string): void {
    const end = closingBracket(this.#text, this.#at)
    const inner = this.#text.slice(this.#at + 1, end)
    this.#substitute(inner)
    this.#replaced(`${mark}(${inner})`, end + 1)
  }

  #backtick(): void {
    let end = this.#at + 1
    while (end < this.#text.length && this.#text[end] !== '`') end += this.#text[end] === '\\' ? 2 : 1
    if (end >= this.#text.length) throw new Unreadable()
    const inner = this.#text.slice(this.#at + 1, end).replaceAll(/\\([`$\\])/g, '$1')
    this.#substitute(inner)
    this.#replaced(`$(${inner})`, end + 1)
  }

  #replaced(text: string, next: number): void {
    this.#open = true
    this.#computed = true
    this.#bare = false
    this.#word += text
    this.#at = next
  }

  #ansiQuoted(): void {
    let end = this.#at + 2
    while (end < this.#text.length && this.#text[end] !== "'") end += this.#text[end] === '\\' ? 2 : 1
    if (end >= this.#text.length) throw new Unreadable()
    this.#bare = false
    this.#word += ansiText(this.#text.slice(this.#at + 2, end))
    this.#at = end + 1
  }
}

const ANSI: Readonly<Record<string, string>> = {
  n: '\n',
  t: '\t',
  r: '\r',
  a: '\x07',
  b: '\b',
  e: '\x1b',
  E: '\x1b',
  f: '\f',
  v: '\v'
}

function ansiText(text: string): string {
  return text.replaceAll(
    /\\(x[0-9A-Fa-f]{1,2}|u[0-9A-Fa-f]{1,4}|U[0-9A-Fa-f]{1,8}|[0-7]{1,3}|c.|.)/gs,
    (_, code: string) => {
      if (/^[0-7]/.test(code)) return String.fromCharCode(Number.parseInt(code, 8) & 0xff)
      if (/^[xuU]./.test(code)) {
        const point = Number.parseInt(code.slice(1), 16)
        return point > 0x10ffff ? '\ufffd' : String.fromCodePoint(point)
      }
      if (code.startsWith('c') && code.length === 2) return String.fromCharCode(code.charCodeAt(1) & 0x1f)
      return ANSI[code] ?? code
    }
  )
}

/** Place of the bracket that closes the one at `from`; quotes are skipped. */
function closingBracket(text: string, from: number): number {
  let depth = 0
  for (let at = from; at < text.length; at++) {
    const unit = text[at]
    if (unit === '\\') at++
    else if (unit === "'") at = indexOf(text, "'", at + 1)
    else if (unit === '"') at = closingQuote(text, at)
    else if (unit === '#' && /[\s;(]/.test(text[at - 1] ?? '')) at = indexOr(text, '\n', at)
    else if (unit === '(') depth++
    else if (unit === ')' && --depth === 0) return at
  }
  throw new Unreadable()
}

/** Quotes inside a substitution inside quotes are not followed: such text is unreadable. */
function closingQuote(text: string, from: number): number {
  for (let at = from + 1; at < text.length; at++) {
    if (text[at] === '\\') at++
    else if (text[at] === '"') return at
    else if (text[at] === '`' || (text[at] === '$' && text[at + 1] === '(')) throw new Unreadable()
  }
  throw new Unreadable()
}

function indexOf(text: string, part: string, from: number): number {
  const at = text.indexOf(part, from)
  if (at === -1) throw new Unreadable()
  return at
}

function indexOr(text: string, part: string, from: number): number {
  const at = text.indexOf(part, from)
  return at === -1 ? text.length : at
}
