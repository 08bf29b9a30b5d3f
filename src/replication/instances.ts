// One key, two running copies (PROTOCOL §4 "instance"): another copy is live when two of its beacons or hellos are stamped after this
// start, the second later than the first. Of two the later started stops writing, unless a person claimed the key for it.

import { compareBytes, equalBytes } from '../base/bytes.ts'
import { type Instance, instanceStartMs } from '../log/beacon.ts'
import { linkName } from './chain-table.ts'
import type { Core } from './core.ts'

const INSTANCES_MAX = 16

export class Instances {
  readonly #core: Core
  readonly #changed: () => void
  readonly #seen = new Map<string, { readonly instance: Instance; timeMs: number; live: boolean }>()
  /** The newest claim: when, and of which instance. */
  #claim: { readonly timeMs: number; readonly instance: Instance } | null = null
  #yields = false

  constructor(core: Core, changed: () => void) {
    this.#core = core
    this.#changed = changed
  }

  /** True while another copy is the writer. */
  get yields(): boolean {
    return this.#yields
  }

  /** A beacon or hello of the own key, signatures checked. */
  seen(instance: Instance, timeMs: number): void {
    const own = this.#core.options.instance
    if (equalBytes(instance, own) || timeMs <= instanceStartMs(own)) return
    const name = linkName(instance)
    const known = this.#seen.get(name)
    if (known === undefined) {
      if (this.#seen.size >= INSTANCES_MAX) this.#seen.delete(this.#seen.keys().next().value ?? '')
      this.#seen.set(name, { instance, timeMs, live: false })
    } else if (timeMs > known.timeMs) {
      known.timeMs = timeMs
      known.live = true
      this.#judge()
    }
  }

  claimed(instance: Instance, timeMs: number): void {
    if (this.#claim !== null && this.#claim.timeMs >= timeMs) return
    this.#claim = { instance, timeMs }
    this.#judge()
  }

  #judge(): void {
    const own = this.#core.options.instance
    const before = this.#yields
    if (this.#claim !== null) this.#yields = !equalBytes(this.#claim.instance, own)
    else this.#yields = [...this.#seen.values()].some(({ instance, live }) => live && compareBytes(own, instance) > 0)
    if (before !== this.#yields) this.#changed()
  }
}
