// The judge stage's panel: as many different judges as the tier needs, one veto blocks, whatever is no clear "safe" blocks (JUDGE-1…3).
// The offline judge looks first, always: what it vetoes is sent to nobody. It counts as a judge only where fewer are configured than needed,
// and once: a critical tier without two real judges is blocked, for fixed rules three times over are no second opinion.

import type { Clock, Random } from '../base/clock.ts'
import { LIMITS } from '../base/limits.ts'
import { isMeshError } from '../base/mesh-error.ts'
import type { ChatModel, ChatUsage, JudgePanel, JudgeRequest, JudgeVerdict, JudgeVote } from '../pipeline/contract.ts'
import type { BudgetLimits, DailyBudget } from './daily-budget.ts'
import { judgeSlots } from './judge-slots.ts'
import { type GivenVerdict, judgeMessages, tryParseVerdict } from './judge-verdict.ts'
import { modelAnswer } from './model-answer.ts'
import { OFFLINE_NAME, type OfflineJudge } from './offline-judge.ts'

/** Who judges now, in the order in which they are asked. */
export interface JudgeSeats {
  readonly models: readonly ChatModel[]
  /** Hex keys of members whose judges are asked behind one’s own. */
  readonly members: readonly string[]
  readonly budget: BudgetLimits
}

export interface JudgePanelOptions {
  /** Hex key of this node. */
  readonly self: string
  /** Read anew for every verdict; a throw blocks. */
  seats(): JudgeSeats
  readonly offline: OfflineJudge
  readonly budget: DailyBudget
  /** One vote of a member’s judge (JUDGE-7), its signature checked by the caller’s mesh. */
  askMember(member: string, request: JudgeRequest, signal: AbortSignal): Promise<JudgeVote>
  readonly clock: Clock
  readonly random: Random
  readonly timeMsMax?: number
}

export interface NodeJudges extends JudgePanel {
  /** For a member that asks: one vote of this node’s first judge, of the offline one where there is no other. Never throws. */
  vote(request: JudgeRequest, signal: AbortSignal): Promise<JudgeVote>
}

/** The account of judges in the daily budget. */
export const JUDGES_ACCOUNT = 'judges'

/** A judge elsewhere has its own time, and its vote a way to go. */
const AWAY_MS = 5_000

const WORDS: Readonly<Record<string, string>> = {
  MODEL_TIMEOUT: 'time-out',
  MODEL_OVERLOADED: 'overloaded',
  MODEL_UNREACHABLE: 'unreachable',
  MODEL_REFUSED: 'refused',
  MODEL_ANSWER_INVALID: 'malformed'
}

/** Neither method throws: whatever goes wrong is a vote or a verdict that blocks. */
export function createJudgePanel(options: JudgePanelOptions): NodeJudges {
  const panel = new Panel(options)
  return {
    get immediate() {
      return panel.immediate
    },
    judge: (request, signal) => panel.judge(request, signal),
    vote: (request, signal) => panel.vote(request, signal)
  }
}

type Seat =
  | { readonly kind: 'model'; readonly model: ChatModel; readonly budget: BudgetLimits }
  | { readonly kind: 'member'; readonly member: string; readonly budget: BudgetLimits }

interface Opinion {
  readonly given: GivenVerdict | null
  /** Why there is no verdict. */
  readonly fault: string
  readonly usage: ChatUsage | null
}

class Panel {
  readonly #options: JudgePanelOptions

  constructor(options: JudgePanelOptions) {
    this.#options = options
  }

  get immediate(): boolean {
    return this.#seats()?.length === 0
  }

  async judge(request: JudgeRequest, signal: AbortSignal): Promise<JudgeVerdict> {
    const first = this.#offlineVote(request)
    if (first.verdict !== 'safe') return blocked('unsafe', [first])
    const configured = this.#seats()
    if (configured === null) return blocked('judges-invalid', [first])
    const needed = Number.isSafeInteger(request.judges) ? Math.max(1, request.judges) : Number.POSITIVE_INFINITY
    const offlineCounts = configured.length < needed
    if (configured.length + (offlineCounts ? 1 : 0) < needed) return blocked('too-few-judges', [first])
    const votes = await this.#ask(configured.slice(0, needed), request, signal)
    return counted([first, ...votes], offlineCounts ? [first, ...votes] : votes, needed)
  }

  async vote(request: JudgeRequest, signal: AbortSignal): Promise<JudgeVote> {
    const first = this.#offlineVote(request)
    if (first.verdict !== 'safe') return first
    const seat = this.#seats()?.find(({ kind }) => kind === 'model')
    return seat === undefined ? first : this.#seatVote(seat, request, signal)
  }

  /** Each judge once; null when they cannot be told. */
  #seats(): readonly Seat[] | null {
    try {
      const { models, members, budget } = this.#options.seats()
      const different = [...new Map(models.map((model) => [model.name, model])).values()]
      return [
        ...different.map((model): Seat => ({ kind: 'model', model, budget })),
        ...[...new Set(members)].map((member): Seat => ({ kind: 'member', member, budget }))
      ]
    } catch {
      // whatever is wrong with agents.toml: `agent list` tells it, here it means that nobody may judge
      return null
    }
  }

  /** All at once; the first that is not "safe" cancels the others (JUDGE-5). */
  #ask(seats: readonly Seat[], request: JudgeRequest, signal: AbortSignal): Promise<JudgeVote[]> {
    const veto = new AbortController()
    const stop = AbortSignal.any([signal, veto.signal])
    return Promise.all(
      seats.map(async (seat) => {
        const vote = await this.#seatVote(seat, request, stop)
        if (vote.verdict !== 'safe') veto.abort()
        return vote
      })
    )
  }

  async #seatVote(seat: Seat, request: JudgeRequest, stop: AbortSignal): Promise<JudgeVote> {
    const { clock, timeMsMax = LIMITS.judgeTimeMsMax } = this.#options
    const begun = clock.monotonic()
    let phase: 'waiting' | 'asked' = 'waiting'
    let late = AbortSignal.timeout(timeMsMax)
    let release = (): void => undefined
    try {
      release = await judgeSlots.take(AbortSignal.any([stop, late]))
      phase = 'asked'
      late = AbortSignal.timeout(seat.kind === 'member' ? timeMsMax + AWAY_MS : timeMsMax)
      const ends = AbortSignal.any([stop, late])
      const asked = seat.kind === 'model' ? this.#modelVote(seat, request, ends) : this.#memberVote(seat, request, ends)
      return await orAborted(asked, ends)
    } catch (error) {
      const fault = stop.aborted
        ? 'cancelled'
        : late.aborted
          ? phase === 'asked'
            ? 'time-out'
            : 'busy'
          : wordOf(error)
      return this.#voteOf(seat, { given: null, fault, usage: null }, clock.monotonic() - begun)
    } finally {
      release()
    }
  }

  async #modelVote(seat: Seat & { kind: 'model' }, request: JudgeRequest, signal: AbortSignal): Promise<JudgeVote> {
    const { budget, clock, random } = this.#options
    const begun = clock.monotonic()
    const opinion = (given: GivenVerdict | null, fault: string, usage: ChatUsage | null): JudgeVote =>
      this.#voteOf(seat, { given, fault, usage }, clock.monotonic() - begun)
    if (textBytes(request) > LIMITS.judgeTextBytesMax) return opinion(null, 'too-large', null)
    if (!(await budget.take(JUDGES_ACCOUNT, seat.budget))) return opinion(null, 'budget-used-up', null)
    const messages = judgeMessages(request, random)
    const asked = { messages, tools: [], outputTokensMax: LIMITS.judgeOutputTokensMax }
    const { text, calls, reason, usage } = await modelAnswer(seat.model, asked, signal)
    await budget.charge(JUDGES_ACCOUNT, usage?.costMicros ?? 0)
    const given = calls || reason !== 'stop' ? null : tryParseVerdict(text)
    return opinion(given, 'malformed', usage)
  }

  async #memberVote(seat: Seat & { kind: 'member' }, request: JudgeRequest, signal: AbortSignal): Promise<JudgeVote> {
    const { budget, askMember } = this.#options
    if (!(await budget.take(JUDGES_ACCOUNT, seat.budget)))
      return this.#voteOf(seat, { given: null, fault: 'budget-used-up', usage: null }, 0)
    const vote = await askMember(seat.member, request, signal)
    const sound = vote.member === seat.member && vote.confidence >= 0 && vote.confidence <= 1
    return sound ? vote : this.#voteOf(seat, { given: null, fault: 'malformed', usage: vote.usage }, vote.durationMs)
  }

  #offlineVote(request: JudgeRequest): JudgeVote {
    const begun = this.#options.clock.monotonic()
    const given = this.#options.offline(request)
    const durationMs = this.#options.clock.monotonic() - begun
    return { judge: OFFLINE_NAME, offline: true, member: this.#options.self, ...given, durationMs, usage: null }
  }

  #voteOf(seat: Seat, { given, fault, usage }: Opinion, durationMs: number): JudgeVote {
    const [judge, member, offline] =
      seat.kind === 'model' ? [seat.model.name, this.#options.self, seat.model.offline] : ['member', seat.member, false]
    const verdict = given ?? { verdict: 'invalid' as const, confidence: 0, reason: fault }
    return { judge, offline, member, ...verdict, durationMs, usage }
  }
}

/** `votes` are all that were given, `counting` those that stand for judges of their own. */
function counted(votes: readonly JudgeVote[], counting: readonly JudgeVote[], needed: number): JudgeVerdict {
  if (votes.some(({ verdict }) => verdict === 'unsafe')) return blocked(needed > 1 ? 'minority-veto' : 'unsafe', votes)
  const fault = votes.find(({ verdict, reason }) => verdict !== 'safe' && reason !== 'cancelled')
  const cancelled = votes.find(({ verdict }) => verdict !== 'safe')
  if (fault !== undefined || cancelled !== undefined) return blocked((fault ?? cancelled)?.reason ?? 'malformed', votes)
  const different = new Set(counting.map(({ judge }) => judge))
  if (different.size < needed) return blocked('too-few-judges', votes)
  return { verdict: 'safe', reason: 'safe', votes }
}

function blocked(reason: string, votes: readonly JudgeVote[]): JudgeVerdict {
  return { verdict: 'unsafe', reason, votes }
}

/** A judge that does not heed the signal is not waited for. */
function orAborted<Value>(asked: Promise<Value>, signal: AbortSignal): Promise<Value> {
  const { promise: aborted, reject } = Promise.withResolvers<never>()
  const leave = (): void => reject(signal.reason)
  if (signal.aborted) leave()
  signal.addEventListener('abort', leave, { once: true })
  return Promise.race([asked, aborted]).finally(() => signal.removeEventListener('abort', leave))
}

function wordOf(error: unknown): string {
  return (isMeshError(error) ? WORDS[error.code] : undefined) ?? 'failed'
}

function textBytes({ task, tool, argumentText, output }: JudgeRequest): number {
  return Buffer.byteLength(task) + Buffer.byteLength(tool) + Buffer.byteLength(argumentText) + Buffer.byteLength(output)
}
