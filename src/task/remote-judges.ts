// Judges on other nodes (JUDGE-7): a member is asked, judges by itself, and says its vote in its own chain. The vote counts once that event is
// here, signed by that member and for this very call: the answer over the wire only names it.

import { z } from 'zod'
import { fromHex, toHex } from '../base/bytes.ts'
import type { Clock } from '../base/clock.ts'
import { MeshError } from '../base/mesh-error.ts'
import type { EventLog } from '../log/event-log.ts'
import { queryEvents } from '../log/event-query.ts'
import { roleAtLeast } from '../log/event-types.ts'
import type { PublicKeyHex } from '../log/statement.ts'
import type { NodeJudges } from '../model/judge-panel.ts'
import type { JudgeRequest, JudgeVote } from '../pipeline/contract.ts'
import { runEvent, tryParseRunEvent } from '../pipeline/run-events.ts'
import { word } from '../pipeline/verdict.ts'

/** Room in one request between members. */
const REQUEST_BYTES_MAX = 56 * 1024
const ASK = z.strictObject({
  place: z.strictObject({
    task: z.string().regex(/^[0-9a-f]{32}$/),
    attempt: z.int().min(1),
    call: z.int().min(0)
  }),
  task: z.string().max(8_192),
  tool: z.string().max(100),
  argumentText: z.string(),
  output: z.string()
})
const ANSWER = z.strictObject({ vote: z.string().regex(/^[0-9a-f]{64}$/) })

type Ask = (peer: PublicKeyHex, method: string, params: unknown, signal: AbortSignal) => Promise<unknown>

export class RemoteJudges {
  readonly #log: EventLog
  readonly #ask: Ask
  readonly #clock: Clock

  constructor(log: EventLog, ask: Ask, clock: Clock) {
    this.#log = log
    this.#ask = ask
    this.#clock = clock
  }

  /** One vote of a member's judge, from its chain. Throws what kept it from coming: no vote is a missing judge. */
  async ask(member: PublicKeyHex, request: JudgeRequest, signal: AbortSignal): Promise<JudgeVote> {
    const { place, task, tool, argumentText, output } = request
    if (place === undefined) throw new MeshError('INTERNAL', 'a judgement of no call')
    const params = { place, task: task.slice(0, 8_192), tool, argumentText, output }
    if (Buffer.byteLength(JSON.stringify(params)) > REQUEST_BYTES_MAX)
      throw new MeshError('TASK_INPUT_TOO_LARGE', 'the result is too long to be sent to a judge elsewhere')
    const answer = ANSWER.safeParse(await this.#ask(member, 'judge/ask', params, signal))
    if (!answer.success) throw new MeshError('MODEL_ANSWER_INVALID', 'the member answered something else than a vote')
    return this.#arrived(member, place, answer.data.vote, signal)
  }

  /** Judges for a member and says the vote in the own chain before it answers. */
  async answer(peer: PublicKeyHex, params: unknown, judges: NodeJudges): Promise<{ readonly vote: string }> {
    const asked = ASK.safeParse(params)
    if (!asked.success) throw new MeshError('RPC_PARAMS_INVALID', 'the parameters do not fit')
    const member = this.#log.view.members.get(peer)
    if (member === undefined || !roleAtLeast(member.role, 'member'))
      throw new MeshError('MEMBER_FORBIDDEN', 'an observer asks no judge')
    const { place, ...request } = asked.data
    const begun = this.#clock.monotonic()
    const vote = await judges.vote({ ...request, judges: 1, place }, AbortSignal.timeout(60_000))
    const draft = runEvent(
      'judge-voted',
      {
        attempt: place.attempt,
        call: place.call,
        judge: vote.judge,
        offline: vote.offline,
        verdict: vote.verdict,
        confidence: vote.confidence,
        reason: word(vote.reason),
        durationMs: this.#clock.monotonic() - begun,
        inputTokens: vote.usage?.inputTokens ?? 0,
        outputTokens: vote.usage?.outputTokens ?? 0,
        costMicros: vote.usage?.costMicros ?? null
      },
      fromHex(place.task)
    )
    const [event] = await this.#log.append([draft])
    if (event === undefined) throw new MeshError('INTERNAL', `the vote for ${peer} was not recorded`)
    return { vote: toHex(event.id) }
  }

  async #arrived(
    member: PublicKeyHex,
    place: NonNullable<JudgeRequest['place']>,
    id: string,
    signal: AbortSignal
  ): Promise<JudgeVote> {
    for (;;) {
      const { commitNumber } = this.#log.state
      const found = await this.#find(member, place, id)
      if (found !== null) return found
      if (this.#log.state.commitNumber === commitNumber) await this.#nextCommit(signal)
    }
  }

  async #find(member: PublicKeyHex, place: NonNullable<JudgeRequest['place']>, id: string): Promise<JudgeVote | null> {
    const { store, reader, state } = this.#log
    for await (const event of queryEvents(
      { store, reader, state },
      { scope: fromHex(place.task), type: 'judge-voted' }
    )) {
      if (toHex(event.id) !== id || event.author !== member || !event.authorised) continue
      const vote = tryParseRunEvent('judge-voted', event.payload)
      if (vote === null || vote.attempt !== place.attempt || vote.call !== place.call)
        throw new MeshError('MODEL_ANSWER_INVALID', 'the vote is for another call')
      const { judge, offline, verdict, confidence, reason, durationMs, inputTokens, outputTokens, costMicros } = vote
      const usage = { inputTokens, outputTokens, costMicros }
      return { judge, offline, member, verdict, confidence, reason, durationMs, usage }
    }
    return null
  }

  #nextCommit(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const done = (): void => {
        unlisten()
        signal.removeEventListener('abort', done)
        if (signal.aborted) reject(signal.reason)
        else resolve()
      }
      const unlisten = this.#log.onCommit(done)
      signal.addEventListener('abort', done)
      if (signal.aborted) done()
    })
  }
}
