// A few whole messages in turn over one stream, with a deadline: requests between members and talks at the door. Pulls
// instead of pushing, counts and bounds both directions, and always ends.

import type { Stream } from '@libp2p/interface'
import { MeshError } from '../base/mesh-error.ts'
import type { Deadline } from './deadline.ts'
import { FramedStream } from './framed-stream.ts'
import type { DoorExchange } from './network-contract.ts'

export interface ConversationLimits {
  readonly messageBytesMax: number
  /** In each direction. */
  readonly messagesMax: number
}

export class Conversation implements DoorExchange {
  readonly #frames: FramedStream
  readonly #limits: ConversationLimits
  readonly #deadline: Deadline
  readonly #received: Uint8Array[] = []
  #receivedCount = 0
  #sentCount = 0
  #ended = false
  #wake: (() => void) | null = null
  readonly #onAbort = (): void => this.abort(new Error('the conversation took too long'))

  constructor(stream: Stream, limits: ConversationLimits, deadline: Deadline) {
    this.#limits = limits
    this.#deadline = deadline
    this.#frames = new FramedStream(stream, limits.messageBytesMax, {
      message: (message) => this.#onMessage(message),
      ended: () => this.#end(),
      closed: () => this.#end()
    })
    if (deadline.signal.aborted) this.#onAbort()
    deadline.signal.addEventListener('abort', this.#onAbort, { once: true })
  }

  send(message: Uint8Array): void {
    if (message.length > this.#limits.messageBytesMax || this.#sentCount >= this.#limits.messagesMax) {
      throw new MeshError('INTERNAL', 'a conversation went over its limits', { details: { bytes: message.length } })
    }
    this.#sentCount += 1
    if (!this.#frames.send(message)) throw this.#gone()
  }

  async receive(): Promise<Uint8Array> {
    while (true) {
      const message = this.#received.shift()
      if (message !== undefined) return message
      if (this.#ended) throw this.#gone()
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  /** Ends our side after what is queued; the deadline still holds. */
  async finish(): Promise<void> {
    await this.#frames.close(this.#deadline.signal)
  }

  /** Waits until the other side has ended, so that a server's last answer is read before the connection goes. */
  async ended(): Promise<void> {
    while (!this.#ended) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  abort(error: Error): void {
    this.#frames.abort(error)
    this.#end()
  }

  release(): void {
    this.#deadline.signal.removeEventListener('abort', this.#onAbort)
    this.#deadline.clear()
  }

  #onMessage(message: Uint8Array): void {
    this.#receivedCount += 1
    if (this.#receivedCount > this.#limits.messagesMax) {
      this.#frames.abortForViolation('too many messages in one conversation')
      return
    }
    this.#received.push(message)
    this.#rouse()
  }

  #end(): void {
    this.#ended = true
    this.#rouse()
  }

  #rouse(): void {
    const wake = this.#wake
    this.#wake = null
    wake?.()
  }

  #gone(): MeshError {
    const { aborted, reason } = this.#deadline.signal
    if (aborted && reason instanceof MeshError) return reason
    return new MeshError('PEER_UNREACHABLE', 'the other side ended the conversation', {
      ...(aborted ? { cause: reason } : {})
    })
  }
}
