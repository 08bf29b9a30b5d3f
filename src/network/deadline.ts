// One time-out joined with the caller's signal. Composed signals are cleared by hand: AbortSignal.any keeps its parents
// listening for as long as they live.

import { MeshError } from '../base/mesh-error.ts'

export class Deadline {
  readonly #controller = new AbortController()
  readonly #timer: NodeJS.Timeout
  readonly #outer: AbortSignal | undefined
  readonly #onOuter = (): void => this.#controller.abort(this.#outer?.reason)

  /** Aborts after `timeoutMs` with a MeshError TIMEOUT, or with the reason of `outer`. */
  constructor(timeoutMs: number, what: string, outer?: AbortSignal) {
    this.#outer = outer
    this.#timer = setTimeout(() => {
      this.#controller.abort(new MeshError('TIMEOUT', `${what} took longer than ${timeoutMs} ms`))
    }, timeoutMs)
    if (outer?.aborted) this.#onOuter()
    outer?.addEventListener('abort', this.#onOuter, { once: true })
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  clear(): void {
    clearTimeout(this.#timer)
    this.#outer?.removeEventListener('abort', this.#onOuter)
  }
}
