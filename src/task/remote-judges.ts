// Judges on other nodes (JUDGE-7): a member is asked, judges by itself, and says its vote in its own chain. The vote counts once that event is
// here, signed by that member and for this very call: the answer over the wire only names it. Who asks must be the executor of that attempt, and
// gets one vote per call: a vote is an event of this node's own chain, at a place that the asker names.

import { z } from 'zod'
import { fromHex, toHex } from '../base/bytes.ts'
import type { Clock } from '../base/clock.ts'
import { LIMITS } from '../base/limits.ts'
import { MeshError } from '../base/mesh-error.ts'
import { hasRoleNow } from '../log/current-grant.ts'
import type { EventLog } from '../log/event-log.ts'
import { queryEvents } from '../log/event-query.ts'
import type { PublicKeyHex } from '../log/statement.ts'
import type { NodeJudges } from '../model/judge-panel.ts'
import type { JudgeRequest, JudgeVote } from '../pipeline/contract.ts'
import { runEvent, tryParseRunEvent } from '../pipeline/run-events.ts'
import { word } from '../pipeline/verdict.ts'
import { readTaskEvents } from './task-events.ts'
import { foldTask } from './task-fold.ts'

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

/** The assignment may come a little later than the request. */
const ASSIGNMENT_WAIT_MS = 5_000
const ASSIGNING: ReadonlySet<string> = new Set(['task-submitted', 'task-assigned', 'task-cancelled'])
/** Requests of one member at once. */
const ASKS_PER_MEMBER_MAX = 2
/** Calls that are remembered as judged. */
const JUDGED_MAX = 4_096

type Place = NonNullable<JudgeRequest['place']>
type Ask = (peer: PublicKeyHex, method: string, params: unknown, signal: AbortSignal) => Promise<unknown>

/** What judging for other members may cost this node. */
export interface JudgeAllowance {
  /** Counts one judgement; false when the day's are used up. */
  take(): Promise<boolean>
  charge(micros: number): Promise<void>
}

export class RemoteJudges {
  readonly #log: EventLog
  readonly #ask: Ask
  readonly #clock: Clock
  readonly #allowance: JudgeAllowance
  /** Calls that were judged for other members, the oldest first. */
  readonly #judged = new Set<string>()
  readonly #asking = new Map<PublicKeyHex, number>()
  #judging = 0

  constructor(log: EventLog, ask: Ask, clock: Clock, allowance: JudgeAllowance) {
    this.#log = log
    this.#ask = ask
    this.#clock = clock
    this.#allowance = allowance
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
    if (!hasRoleNow(this.#log, peer, 'member')) throw new MeshError('MEMBER_FORBIDDEN', 'an observer asks no judge')
    const ofPeer = this.#asking.get(peer) ?? 0
    if (ofPeer >= ASKS_PER_MEMBER_MAX)
      throw new MeshError('MODEL_OVERLOADED', 'this node judges for the member already')
    this.#asking.set(peer, ofPeer + 1)
    try {
      return await this.#answer(peer, asked.data, judges)
    } finally {
      const left = (this.#asking.get(peer) ?? 1) - 1
      if (left === 0) this.#asking.delete(peer)
      else this.#asking.set(peer, left)
    }
  }

  async #answer(
    peer: PublicKeyHex,
    { place, ...request }: z.output<typeof ASK>,
    judges: NodeJudges
  ): Promise<{ readonly vote: string }> {
    await this.#executes(peer, place)
    this.#noteJudged(place)
    if (!(await this.#allowance.take()))
      throw new MeshError('MODEL_BUDGET_USED', 'this node judges no more for others today')
    // The rest of the judges in flight are this node's own.
    if (this.#judging >= LIMITS.judgesInFlightMax / 2)
      throw new MeshError('MODEL_OVERLOADED', 'this node judges for others already')
    const begun = this.#clock.monotonic()
    this.#judging++
    const vote = await judges.vote({ ...request, judges: 1, place }, AbortSignal.timeout(60_000)).finally(() => {
      this.#judging--
    })
    await this.#allowance.charge(vote.usage?.costMicros ?? 0)
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

  /** Resolves once the log says that `peer` runs that attempt. MEMBER_FORBIDDEN. */
  async #executes(peer: PublicKeyHex, { task, attempt }: Place): Promise<void> {
    const late = AbortSignal.timeout(ASSIGNMENT_WAIT_MS)
    const forbidden = new MeshError('MEMBER_FORBIDDEN', 'only who runs an attempt asks for judges of its calls')
    if (peer === this.#log.self) throw forbidden
    for (;;) {
      const { commitNumber } = this.#log.state
      const fold = foldTask(task, await readTaskEvents(this.#log, fromHex(task), ASSIGNING))
      const assigned = fold?.assigned ?? null
      if (assigned?.attempt === attempt && assigned.executor === peer) return
      if (late.aborted || (assigned !== null && assigned.attempt >= attempt)) throw forbidden
      if (this.#log.state.commitNumber === commitNumber) await this.#nextCommit(late).catch(() => undefined)
    }
  }

  #noteJudged({ task, attempt, call }: Place): void {
    const key = `${task}.${attempt}.${call}`
    if (this.#judged.has(key)) throw new MeshError('MEMBER_FORBIDDEN', 'this node has judged that call')
    this.#judged.add(key)
    for (const oldest of this.#judged) {
      if (this.#judged.size <= JUDGED_MAX) break
      this.#judged.delete(oldest)
    }
  }

  async #arrived(member: PublicKeyHex, place: Place, id: string, signal: AbortSignal): Promise<JudgeVote> {
    for (;;) {
      const { commitNumber } = this.#log.state
      const found = await this.#find(member, place, id)
      if (found !== null) return found
      if (this.#log.state.commitNumber === commitNumber) await this.#nextCommit(signal)
    }
  }

  async #find(member: PublicKeyHex, place: Place, id: string): Promise<JudgeVote | null> {
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
