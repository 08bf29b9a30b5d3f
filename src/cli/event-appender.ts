// Gathers events into appends: one leaves at once when nothing is under way, else when it is full. A few are in flight at a time.
// Receipts come in the order of the events; the first failure stops everything behind it.

import { LIMITS } from '../base/limits.ts'
import { MeshError } from '../base/mesh-error.ts'
import type { AppendItem, AppendReceipt } from '../rpc/methods.ts'

const IN_FLIGHT_MAX = 4
/** PROTOCOL §1: fixed header and salt of one event; payloads are filled to multiples of 32. */
const EVENT_FIXED_BYTES = 176 + 16
const FILL_BYTES = 32

export interface EventAppenderOptions {
  append(items: readonly AppendItem[]): Promise<readonly AppendReceipt[]>
  onReceipts(receipts: readonly AppendReceipt[]): Promise<void>
}

export class EventAppender {
  readonly #options: EventAppenderOptions
  #items: AppendItem[] = []
  #lines: number[] = []
  #bytes = 0
  #inFlight = 0
  #failure: unknown = null
  #receipts: Promise<void> = Promise.resolve()
  #wake: () => void = () => undefined
  #appended = 0

  constructor(options: EventAppenderOptions) {
    this.#options = options
  }

  /** Events that the node has acknowledged. */
  get appended(): number {
    return this.#appended
  }

  /** Takes one event that came from `line`; waits while too much is under way. Throws the first failure. */
  async add(item: AppendItem, line: number): Promise<void> {
    const bytes =
      EVENT_FIXED_BYTES + item.type.length + Math.ceil(Buffer.byteLength(item.json) / FILL_BYTES) * FILL_BYTES
    // The smallest events fill an append's bytes before its count of 1024.
    if (this.#bytes + bytes > LIMITS.appendBytesMax) {
      while (this.#inFlight >= IN_FLIGHT_MAX && this.#failure === null) await this.#settled()
      this.#send()
    }
    if (this.#failure !== null) throw this.#failure
    this.#items.push(item)
    this.#lines.push(line)
    this.#bytes += bytes
    // Behind the input that is already there, so that what comes together leaves together.
    if (this.#inFlight === 0 && this.#items.length === 1) setImmediate(() => this.#sendWhenIdle())
  }

  /** Sends the rest and waits for every receipt. Throws the first failure. */
  async finish(): Promise<void> {
    while (this.#failure === null && (this.#items.length > 0 || this.#inFlight > 0)) {
      if (this.#inFlight < IN_FLIGHT_MAX && this.#items.length > 0) this.#send()
      else await this.#settled()
    }
    while (this.#inFlight > 0) await this.#settled()
    await this.#receipts
    if (this.#failure !== null) throw this.#failure
  }

  #sendWhenIdle(): void {
    if (this.#inFlight === 0 && this.#failure === null) this.#send()
  }

  #settled(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve
    })
  }

  #send(): void {
    if (this.#items.length === 0) return
    const [items, lines] = [this.#items, this.#lines]
    this.#items = []
    this.#lines = []
    this.#bytes = 0
    this.#inFlight++
    const answer = this.#options.append(items)
    const before = this.#receipts
    this.#receipts = (async () => {
      try {
        const receipts = await answer
        await before
        this.#appended += receipts.length
        await this.#options.onReceipts(receipts)
      } catch (error) {
        this.#failure ??= this.#placed(error, lines)
      } finally {
        this.#inFlight--
        this.#sendWhenIdle()
        this.#wake()
      }
    })()
  }

  /** The node names an event of the append by `item`; people know lines. */
  #placed(error: unknown, lines: readonly number[]): unknown {
    if (!(error instanceof MeshError) || error.code === 'CANCELLED') return error
    const { item, ...details } = error.details
    const line = typeof item === 'number' ? lines[item] : undefined
    const place =
      line !== undefined
        ? { line }
        : lines.length === 1
          ? { line: lines[0] ?? 0 }
          : { lines: `${lines[0]} to ${lines.at(-1)}` }
    return new MeshError(error.code, error.message, {
      details: { ...place, ...details, appended: this.#appended },
      hint: error.hint,
      cause: error
    })
  }
}
