// Asks a person about requests as they come: one question, one screen, one at a time. Enter alone never approves; the end of the input,
// Ctrl-C and the expiry are no answer; a request that is decided elsewhere takes its question back.

import { isMeshError } from '../base/mesh-error.ts'
import type { ApprovalDetail, ApprovalRecord } from '../rpc/methods.ts'
import { approvalScreen, checkDigest, votedText } from './approval-screen.ts'
import type { CommandContext } from './command-context.ts'
import { askLine } from './line-question.ts'
import { shortHex } from './run-text.ts'

const PROMPT = 'Type yes to approve, no to deny: '
/** Timers hold no more; a request that lives longer is asked about again by its next change. */
const TIMER_MS_MAX = 2_147_483_647

export type Answer = 'approve' | 'deny'

/** What a typed line says; null: nothing yet, ask again. */
export function readAnswer(line: string): Answer | null {
  const word = line.trim().toLowerCase()
  if (word === 'yes' || word === 'approve') return 'approve'
  return word === 'no' || word === 'deny' ? 'deny' : null
}

/** Shows the request and asks until there is an answer; null without one. */
export async function askApproval(
  context: CommandContext,
  approval: ApprovalDetail,
  signal: AbortSignal
): Promise<Answer | null> {
  for (const line of approvalScreen(approval, Date.now())) context.out.warn(...line)
  const leftMs = Math.min(TIMER_MS_MAX, Math.max(0, Date.parse(approval.expiresAt) - Date.now()))
  const until = AbortSignal.any([signal, AbortSignal.timeout(leftMs)])
  while (!until.aborted) {
    const line = await askLine(context, PROMPT, until)
    if (line === null) {
      // The cursor still stands behind the prompt.
      context.out.warn()
      return null
    }
    const answer = readAnswer(line)
    if (answer !== null) return answer
    context.out.warn('Neither yes nor no: nothing is decided.')
  }
  return null
}

export class ApprovalAsker {
  readonly #context: CommandContext
  readonly #onUnanswered: () => void
  readonly #asked = new Set<string>()
  readonly #waiting = new Map<string, ApprovalRecord>()
  readonly #closed = new AbortController()
  #current: { readonly id: string; readonly abort: AbortController } | null = null
  #running: Promise<void> = Promise.resolve()
  #failure: { readonly error: unknown } | null = null

  /** `onUnanswered`: a question was shown and this person gave no answer. */
  constructor(context: CommandContext, onUnanswered: () => void = () => undefined) {
    this.#context = context
    this.#onUnanswered = onUnanswered
  }

  /** A request that opened or changed. True when this person is or was asked about it. */
  offer(approval: ApprovalRecord): boolean {
    const { id, state } = approval
    if (state !== 'open') {
      this.#waiting.delete(id)
      this.#asked.delete(id)
      if (this.#current?.id === id) this.#current.abort.abort()
      return false
    }
    if (this.#asked.has(id)) return true
    if (!approval.mayVote) return false
    this.#asked.add(id)
    this.#waiting.set(id, approval)
    if (this.#current === null) this.#running = this.#askAll()
    return true
  }

  /** Takes the open question back, and waits until it is gone. Throws what went wrong with asking. */
  async close(): Promise<void> {
    this.#closed.abort()
    this.#waiting.clear()
    await this.#running
    if (this.#failure !== null) throw this.#failure.error
  }

  async #askAll(): Promise<void> {
    for (let [next] = this.#waiting.values(); next !== undefined; [next] = this.#waiting.values()) {
      this.#waiting.delete(next.id)
      const abort = new AbortController()
      this.#current = { id: next.id, abort }
      const signal = AbortSignal.any([abort.signal, this.#closed.signal, this.#context.signal])
      try {
        await this.#askOne(next.id, signal)
      } catch (error) {
        if (!isMeshError(error)) {
          this.#failure = { error }
          return
        }
        if (!signal.aborted) this.#context.out.warn({ text: '✗ ', style: 'red' }, `${error.message}   ${error.hint}`)
      } finally {
        this.#current = null
      }
    }
  }

  async #askOne(id: string, signal: AbortSignal): Promise<void> {
    const { out } = this.#context
    const approval = await this.#context.call('approval/show', { approval: id })
    if (approval.state !== 'open' || !approval.mayVote || signal.aborted) return
    const answer = await askApproval(this.#context, approval, signal)
    if (answer === null) {
      out.warn(`no answer for ${shortHex(id)}: nothing was decided here`)
      if (!signal.aborted) this.#onUnanswered()
      return
    }
    if (answer === 'approve') checkDigest(approval)
    const voted = await this.#context.call('approval/vote', { approval: id, vote: answer, digest: approval.digest })
    // What it is decided to comes with the stream.
    if (voted.state === 'open') out.note(votedText(voted))
  }
}
