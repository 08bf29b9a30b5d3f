// What a run says, in order. Events gather until something must be durable: before an effect, before a wait, at the end. The order is that of
// the stages; nothing is left out, and what cannot be written ends the run (AUDIT-2).

import { LIMITS } from '../base/limits.ts'
import type { EventDraft } from '../log/append-builder.ts'
import { type RunEvent, type RunEventType, runEvent } from './run-events.ts'

/** Room for the headers of a batch's events. */
const BATCH_BYTES = LIMITS.appendBytesMax - 16 * 1024
const BATCH_EVENTS = 256
const HEADER_BYTES = 320

export class RunJournal {
  readonly #scope: Uint8Array
  readonly #append: (drafts: readonly EventDraft[]) => Promise<readonly string[]>
  #waiting: EventDraft[] = []
  #failure: unknown = null

  constructor(scope: Uint8Array, append: (drafts: readonly EventDraft[]) => Promise<readonly string[]>) {
    this.#scope = scope
    this.#append = append
  }

  /** True once something could not be written: nothing may happen any more. */
  get failed(): boolean {
    return this.#failure !== null
  }

  note<Type extends RunEventType>(type: Type, payload: RunEvent<Type>): void {
    this.#waiting.push(runEvent(type, payload, this.#scope))
  }

  /** Makes durable what was noted; the hex id of the last event. */
  async flush(): Promise<string> {
    if (this.#failure !== null) throw this.#failure
    const drafts = this.#waiting
    this.#waiting = []
    let last = ''
    try {
      for (const batch of batches(drafts)) last = (await this.#append(batch)).at(-1) ?? ''
    } catch (error) {
      this.#failure = error
      throw error
    }
    return last
  }
}

function* batches(drafts: readonly EventDraft[]): Generator<EventDraft[]> {
  let batch: EventDraft[] = []
  let bytes = 0
  for (const draft of drafts) {
    const size = draft.payload.length + HEADER_BYTES
    if (batch.length > 0 && (bytes + size > BATCH_BYTES || batch.length === BATCH_EVENTS)) {
      yield batch
      batch = []
      bytes = 0
    }
    batch.push(draft)
    bytes += size
  }
  if (batch.length > 0) yield batch
}
