// Progress of long work on stderr: one line that is drawn over on a terminal, a plain line now and then elsewhere.

import { formatCount } from './human-text.ts'
import type { Terminal } from './terminal.ts'

const BAR_WIDTH = 24
const DRAW_INTERVAL_MS = 80
const PLAIN_INTERVAL_MS = 2_000

export class ProgressLine {
  readonly #terminal: Terminal
  readonly #what: string
  readonly #mode: 'bar' | 'plain' | 'none'
  #shownAt: number
  #drawn = false

  constructor(terminal: Terminal, what: string, shown: boolean) {
    this.#terminal = terminal
    this.#what = what
    this.#mode = !shown ? 'none' : terminal.stderr.isTTY === true ? 'bar' : 'plain'
    this.#shownAt = this.#mode === 'plain' ? performance.now() : Number.NEGATIVE_INFINITY
  }

  update({ done, total }: { readonly done: number; readonly total: number }): void {
    const now = performance.now()
    if (this.#mode === 'none' || now - this.#shownAt < (this.#mode === 'bar' ? DRAW_INTERVAL_MS : PLAIN_INTERVAL_MS))
      return
    this.#shownAt = now
    const share = total <= 0 ? 0 : Math.min(1, done / total)
    const percent = `${Math.floor(share * 100)} %`.padStart(5)
    const counts = `${formatCount(done)} of ${formatCount(total)}`
    if (this.#mode === 'plain') {
      this.#terminal.stderr.write(`${this.#what} ${percent.trim()}, ${counts}\n`)
      return
    }
    const filled = Math.round(share * BAR_WIDTH)
    this.#terminal.stderr.write(
      `\r${this.#what} ${'█'.repeat(filled)}${'░'.repeat(BAR_WIDTH - filled)} ${percent}  ${counts}\x1b[K`
    )
    this.#drawn = true
  }

  /** Takes the bar away. */
  end(): void {
    if (this.#drawn) this.#terminal.stderr.write('\r\x1b[K')
    this.#drawn = false
  }
}
