// A guard over text that arrives in pieces. The newest characters are held back and the released ones remembered, so that what spans
// a border between pieces is seen whole; what is longer than both together is judged by the caller on the complete text.

import type { Guard, GuardContext, GuardVerdict } from './contract.ts'
import { blockVerdict, failClosed } from './fail-closed.ts'

export type StreamVerdict =
  | { readonly action: 'release'; readonly text: string }
  | { readonly action: 'block'; readonly verdict: GuardVerdict }

/** UTF-16 units that wait for what comes next. */
const HELD_UNITS = 512
/** Released units that are looked at again with what follows. */
const REMEMBERED_UNITS = 2048
/** New units before the guard looks again: a token at a time would cost a look each. */
const LOOK_EVERY_UNITS = 128

export class GuardStream {
  readonly #guard: Guard
  readonly #context: GuardContext
  #remembered = ''
  #waiting = ''
  #newUnits = 0
  #blocked: StreamVerdict | null = null

  constructor(guard: Guard, context: GuardContext) {
    this.#guard = failClosed(guard)
    this.#context = context
  }

  /** Takes the next piece; answers the text that may go on now, possibly none, or the block. After a block nothing is released. */
  push(piece: string): StreamVerdict {
    if (this.#blocked !== null) return this.#blocked
    this.#waiting += piece
    this.#newUnits += piece.length
    if (this.#newUnits < LOOK_EVERY_UNITS || this.#waiting.length <= HELD_UNITS) return { action: 'release', text: '' }
    return this.#look() ?? this.#release(this.#border())
  }

  /** Says that nothing follows; answers the rest or the block. */
  end(): StreamVerdict {
    if (this.#blocked !== null) return this.#blocked
    return this.#look() ?? this.#release(this.#waiting.length)
  }

  #look(): StreamVerdict | null {
    this.#newUnits = 0
    const seen = this.#remembered + this.#waiting
    const verdict = this.#guard.inspect(seen, this.#context)
    if (verdict.action === 'block') return this.#block(verdict)
    if (verdict.action === 'pass') return null
    if (!verdict.text.startsWith(this.#remembered))
      return this.#block(blockVerdict(seen, 'changed-after-release', 'plain'))
    this.#waiting = verdict.text.slice(this.#remembered.length)
    return null
  }

  #block(verdict: GuardVerdict): StreamVerdict {
    this.#blocked = { action: 'block', verdict }
    this.#waiting = ''
    this.#remembered = ''
    return this.#blocked
  }

  #release(end: number): StreamVerdict {
    const text = this.#waiting.slice(0, end)
    this.#waiting = this.#waiting.slice(end)
    this.#remembered = (this.#remembered + text).slice(-REMEMBERED_UNITS)
    return { action: 'release', text }
  }

  /** Where to cut: never between the halves of a character. */
  #border(): number {
    const end = Math.max(0, this.#waiting.length - HELD_UNITS)
    const unit = this.#waiting.charCodeAt(end - 1)
    return unit >= 0xd800 && unit <= 0xdbff ? end - 1 : end
  }
}
