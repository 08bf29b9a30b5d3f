// Whole messages over a libp2p stream: u32 big-endian length, then the bytes. Reads by events, because iterating a
// stream gives no back-pressure; the flow of messages is bounded by the credits of the protocol above. Writes are
// bounded here: a backlog over the limit resets the stream. `onDrain()` is not used, its promise is never renewed.

import type { Stream } from '@libp2p/interface'
import { Uint8ArrayList } from 'uint8arraylist'

const HEADER_BYTES = 4
/** Over this, `send` returns false. */
const BACKLOG_HIGH_BYTES = 1024 * 1024
/** Under this, a sender that was told to wait goes on. */
const BACKLOG_LOW_BYTES = 256 * 1024
/** Over this the reader is given up. */
const BACKLOG_BYTES_MAX = 4 * 1024 * 1024

export interface FramedStreamEvents {
  /** One whole message; the bytes are exclusively the receiver's. */
  message(message: Uint8Array): void
  writable?(): void
  /** Once; `violation` when the peer broke the framing. */
  closed(reason: { violation: boolean; error?: Error | undefined }): void
  /** The other side will send no more. */
  ended?(): void
}

export class FramedStream {
  readonly stream: Stream
  readonly #events: FramedStreamEvents
  readonly #messageBytesMax: number
  readonly #header = new Uint8Array(HEADER_BYTES)
  #headerFilled = 0
  #body: Uint8Array | null = null
  #bodyFilled = 0
  #waiting = false
  #violation = false
  #closed = false

  constructor(stream: Stream, messageBytesMax: number, events: FramedStreamEvents) {
    this.stream = stream
    this.#messageBytesMax = messageBytesMax
    this.#events = events
    stream.addEventListener('drain', this.#onDrain)
    stream.addEventListener('idle', this.#onDrain)
    stream.addEventListener('remoteCloseWrite', () => this.#events.ended?.())
    stream.addEventListener('close', (event) => this.#onClose(event.error))
    stream.addEventListener('message', (event) => this.#read(event.data))
    // What happened before the listeners were there is not told again; buffered data comes first, in an earlier microtask.
    queueMicrotask(() => this.#catchUp())
  }

  get backlogBytes(): number {
    return this.stream.writeBufferLength
  }

  get open(): boolean {
    return !this.#closed && this.stream.status === 'open'
  }

  /** False when the backlog is high or the stream is not open. */
  send(message: Uint8Array): boolean {
    if (!this.open || this.stream.writeStatus !== 'writable') return false
    const header = new Uint8Array(HEADER_BYTES)
    new DataView(header.buffer).setUint32(0, message.length)
    this.stream.send(new Uint8ArrayList(header, message))
    if (this.backlogBytes > BACKLOG_BYTES_MAX) {
      this.abort(new Error('the peer reads too slowly'))
      return false
    }
    this.#waiting ||= this.backlogBytes > BACKLOG_HIGH_BYTES
    return !this.#waiting
  }

  /** Ends our side after what is queued. */
  async close(signal: AbortSignal): Promise<void> {
    if (this.open) await this.stream.close({ signal })
  }

  abort(error: Error): void {
    this.stream.abort(error)
  }

  /** Resets the stream because of what the peer sent. */
  abortForViolation(what: string): void {
    this.#violation = true
    this.abort(new Error(what))
  }

  readonly #onDrain = (): void => {
    if (!this.#waiting || !this.open || this.backlogBytes > BACKLOG_LOW_BYTES) return
    this.#waiting = false
    this.#events.writable?.()
  }

  #catchUp(): void {
    if (this.stream.status !== 'open') this.#onClose()
    else if (this.stream.remoteWriteStatus === 'closed') this.#events.ended?.()
  }

  #onClose(error?: Error): void {
    if (this.#closed) return
    this.#closed = true
    this.#body = null
    this.#events.closed({ violation: this.#violation, error })
  }

  #read(data: Uint8Array | Uint8ArrayList): void {
    for (const chunk of data instanceof Uint8Array ? [data] : data) {
      let offset = 0
      while (offset < chunk.length && this.open) offset = this.#readPart(chunk, offset)
      if (!this.open) return
    }
  }

  /** Takes what fits into the header or the body from `offset`; returns the next offset. */
  #readPart(chunk: Uint8Array, offset: number): number {
    if (this.#body === null) {
      const taken = Math.min(HEADER_BYTES - this.#headerFilled, chunk.length - offset)
      this.#header.set(chunk.subarray(offset, offset + taken), this.#headerFilled)
      this.#headerFilled += taken
      if (this.#headerFilled === HEADER_BYTES) this.#begin()
      return offset + taken
    }
    const taken = Math.min(this.#body.length - this.#bodyFilled, chunk.length - offset)
    this.#body.set(chunk.subarray(offset, offset + taken), this.#bodyFilled)
    this.#bodyFilled += taken
    this.#finishWhenWhole()
    return offset + taken
  }

  #begin(): void {
    const length = new DataView(this.#header.buffer).getUint32(0)
    this.#headerFilled = 0
    if (length > this.#messageBytesMax) {
      this.abortForViolation(`a message of ${length} bytes is over the limit`)
      return
    }
    this.#body = new Uint8Array(length)
    this.#bodyFilled = 0
    this.#finishWhenWhole()
  }

  #finishWhenWhole(): void {
    const body = this.#body
    if (body === null || this.#bodyFilled < body.length) return
    this.#body = null
    this.#events.message(body)
  }
}
