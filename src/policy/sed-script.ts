// Whether a sed script only edits the text that flows through it: GNU sed can also run programs (e, s///e) and write files (w, s///w).

/** Why the script is refused, or null. What cannot be read is refused. */
export function sedFault(script: string): string | null {
  if (script.length > SCRIPT_LENGTH_MAX) return UNREADABLE
  const reader = new SedReader(script)
  try {
    reader.read()
    return null
  } catch (error) {
    if (error instanceof SedFault) return error.message
    throw error
  }
}

const SCRIPT_LENGTH_MAX = 4096
const UNREADABLE = 'sed: the script cannot be read'

class SedFault extends Error {}

class SedReader {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  read(): void {
    while (this.#skip(/[\s;{}]/)) {
      this.#address()
      this.#command()
    }
  }

  /** False at the end of the text. */
  #skip(kind: RegExp): boolean {
    while (this.#at < this.#text.length && kind.test(this.#text[this.#at] as string)) this.#at++
    return this.#at < this.#text.length
  }

  #address(): void {
    for (;;) {
      const unit = this.#text[this.#at]
      if (unit === undefined) throw new SedFault('sed: a command is missing')
      if (unit === '/') {
        this.#at++
        this.#delimited('/')
        this.#skip(/[IM]/)
      } else if (unit === '\\') {
        const delimiter = this.#text[this.#at + 1] ?? ''
        this.#at += 2
        this.#delimited(delimiter)
        this.#skip(/[IM]/)
      } else if (/[0-9$,~+!\s]/.test(unit)) this.#at++
      else return
    }
  }

  #command(): void {
    const command = this.#text[this.#at++] as string
    if ('eE'.includes(command)) throw new SedFault('sed e runs a program')
    if ('wW'.includes(command)) throw new SedFault('sed w writes a file')
    if (command === 's' || command === 'y') this.#substitution(command)
    else if ('aicrR:btTv'.includes(command)) this.#restOfLine(command)
    else if ('qQlL'.includes(command)) this.#skip(/[0-9 ]/)
    else if (!'=dDgGhHnNpPxzF{}#'.includes(command)) throw new SedFault(UNREADABLE)
    else if (command === '#') this.#restOfLine(command)
  }

  #substitution(command: string): void {
    const delimiter = this.#text[this.#at++] ?? ''
    this.#delimited(delimiter)
    this.#delimited(delimiter, false)
    if (command === 'y') return
    while (this.#at < this.#text.length && !/[\s;}]/.test(this.#text[this.#at] as string)) {
      const flag = this.#text[this.#at++] as string
      if (flag === 'e') throw new SedFault('sed s///e runs a program')
      if (flag === 'w') throw new SedFault('sed s///w writes a file')
      if (!/[gpiImM0-9]/.test(flag)) throw new SedFault(UNREADABLE)
    }
  }

  #delimited(delimiter: string, isPattern = true): void {
    if (delimiter === '' || delimiter === '\n' || delimiter === '\\') throw new SedFault(UNREADABLE)
    for (; this.#at < this.#text.length; this.#at++) {
      const unit = this.#text[this.#at]
      if (unit === '\\') this.#at++
      else if (unit === delimiter) {
        this.#at++
        return
      } else if (isPattern && unit === '[') this.#bracket(delimiter)
    }
    throw new SedFault(UNREADABLE)
  }

  /** GNU ends the pattern at a delimiter inside brackets, POSIX does not: neither such a delimiter nor a backslash is read. */
  #bracket(delimiter: string): void {
    const inner = /^\[\^?\]?(?:\[[:.=][^\]]*\]|[^\]])*\]/.exec(this.#text.slice(this.#at))?.[0]
    if (inner === undefined || inner.includes(delimiter) || inner.includes('\\')) throw new SedFault(UNREADABLE)
    this.#at += inner.length - 1
  }

  /** Labels, file names and texts go to the end of the line. A continued line is not read. */
  #restOfLine(command: string): void {
    const end = this.#text.indexOf('\n', this.#at)
    const rest = this.#text.slice(this.#at, end === -1 ? undefined : end)
    if ('btT'.includes(command) && /[;}]/.test(rest)) {
      this.#at += rest.search(/[;}]/)
      return
    }
    if (end !== -1 && rest.endsWith('\\')) throw new SedFault('sed: a continued line is not read')
    this.#at = end === -1 ? this.#text.length : end + 1
  }
}
