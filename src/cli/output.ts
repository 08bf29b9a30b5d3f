// The one way to stdout and stderr. Text is escaped here, at the edge; style is given beside the text, never inside it.
// A reader that goes away (| head) ends the command quietly; a disk that is full does not.

import { styleText } from 'node:util'
import { escapeJson, escapeLines, escapeText } from './escape-text.ts'
import type { OutputStream, Terminal } from './terminal.ts'

export type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan'
export type Piece = string | { readonly text: string; readonly style: Style }
export type ColorWhen = 'auto' | 'always' | 'never'

export interface OutputOptions {
  readonly json: boolean
  readonly quiet: boolean
  readonly color: ColorWhen
}

export class Output {
  readonly json: boolean
  readonly #terminal: Terminal
  readonly #options: OutputOptions
  readonly #onFailure: () => void
  #failure: NodeJS.ErrnoException | null = null

  /** `onFailure` is called once, when stdout cannot be written any more. */
  constructor(terminal: Terminal, options: OutputOptions, onFailure: () => void) {
    this.#terminal = terminal
    this.#options = options
    this.#onFailure = onFailure
    this.json = options.json
    terminal.stdout.on('error', this.#fail)
    terminal.stderr.on('error', this.#failStderr)
  }

  /** Why stdout cannot be written; null while it can. */
  get failure(): NodeJS.ErrnoException | null {
    return this.#failure
  }

  /** True when a person reads stdout. */
  get onTerminal(): boolean {
    return this.#terminal.stdout.isTTY === true && !this.json
  }

  /** Columns of the terminal; Infinity elsewhere. */
  get columns(): number {
    return this.onTerminal ? (this.#terminal.stdout.columns ?? 80) : Number.POSITIVE_INFINITY
  }

  /** A line for people, on stdout. */
  line(...pieces: readonly Piece[]): void {
    this.#write(this.#terminal.stdout, pieces)
  }

  /** A line that -q leaves out. */
  remark(...pieces: readonly Piece[]): void {
    if (!this.#options.quiet) this.line(...pieces)
  }

  /** A line about the work, on stderr; -q leaves it out. */
  note(...pieces: readonly Piece[]): void {
    if (!this.#options.quiet) this.#write(this.#terminal.stderr, pieces)
  }

  /** A line on stderr that is always written. */
  warn(...pieces: readonly Piece[]): void {
    this.#write(this.#terminal.stderr, pieces)
  }

  /** Foreign text with its line ends on stdout, as it comes: nothing is added. */
  text(part: string): void {
    if (this.#failure === null) this.#terminal.stdout.write(escapeLines(part))
  }

  /** One JSON value on one line of stdout. */
  value(value: unknown): void {
    if (this.#failure === null) this.#terminal.stdout.write(`${escapeJson(JSON.stringify(value))}\n`)
  }

  /** One JSON value on one line of stderr. */
  errorValue(value: unknown): void {
    this.#terminal.stderr.write(`${escapeJson(JSON.stringify(value))}\n`)
  }

  /** A text of this program's own with its line breaks, as help and completion scripts. */
  ownText(text: string, stream: 'stdout' | 'stderr' = 'stdout'): void {
    if (this.#failure === null || stream === 'stderr')
      this.#terminal[stream].write(text.endsWith('\n') ? text : `${text}\n`)
  }

  /** Waits until a slow reader of stdout has caught up. */
  async drained(): Promise<void> {
    const { stdout } = this.#terminal
    if (!stdout.writableNeedDrain || this.#failure !== null) return
    await new Promise<void>((resolve) => {
      const done = () => {
        stdout.off('drain', done)
        stdout.off('error', done)
        stdout.off('close', done)
        resolve()
      }
      stdout.on('drain', done)
      stdout.on('error', done)
      stdout.on('close', done)
    })
  }

  /** Waits until everything is written, then stops listening. */
  async close(): Promise<void> {
    await new Promise<void>((resolve) => {
      if (this.#failure !== null || this.#terminal.stdout.destroyed) resolve()
      else this.#terminal.stdout.write('', () => resolve())
    })
    // Late errors of a closed pipe still need a listener, so the quiet one stays.
    this.#terminal.stderr.off('error', this.#failStderr)
    this.#terminal.stderr.on('error', ignoreLateError)
  }

  #fail = (error: NodeJS.ErrnoException): void => {
    if (this.#failure !== null) return
    this.#failure = error
    this.#onFailure()
  }

  #failStderr = (error: NodeJS.ErrnoException): void => this.#fail(error)

  #write(stream: OutputStream, pieces: readonly Piece[]): void {
    if (this.#failure !== null && stream === this.#terminal.stdout) return
    const colored = this.#colored(stream)
    const text = pieces.map((piece) => {
      if (typeof piece === 'string') return escapeText(piece)
      const safe = escapeText(piece.text)
      return colored && safe !== '' ? styleText(piece.style, safe, { validateStream: false }) : safe
    })
    stream.write(`${text.join('')}\n`)
  }

  #colored(stream: OutputStream): boolean {
    if (this.#options.color !== 'auto') return this.#options.color === 'always'
    const { env } = this.#terminal
    return stream.isTTY === true && !env.NO_COLOR && env.TERM !== 'dumb'
  }
}

function ignoreLateError(): void {
  // Nothing can be told any more: the stream that would tell it is the one that broke.
}
