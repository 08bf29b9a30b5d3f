// Stage 5: the result passes the guardrail, secrets are masked, then it is judged. What is blocked stays a commitment and is shown to nobody.

import { LIMITS } from '../../base/limits.ts'
import { redactSecrets } from '../../guard/redact.ts'
import type { JudgeVerdict, JudgeVote, ToolOutcome } from '../contract.ts'
import type { RunEvent } from '../run-events.ts'
import type { RunSession } from '../run-session.ts'
import { passed, stopped, type Verdict, word } from '../verdict.ts'
import { guardFacts, sentence } from './guardrail.ts'
import type { FinishedCall } from './tool.ts'

/** What the caller may see of a call that ran. */
export interface JudgedCall {
  readonly text: string
  /** Where a text stands that is too long for events. */
  readonly file: RunEvent<'tool-output'>['file']
  readonly outcome: ToolOutcome
}

export async function judge(run: RunSession, call: FinishedCall): Promise<Verdict<JudgedCall>> {
  const { input } = call
  const outcome = withSafeMessage(run, call)
  const scrubbed = redactSecrets(Buffer.from(outcome.output).toString('utf8'))
  const guarded = run.ports.guard.inspect(scrubbed, { subject: 'result', origin: originOf(call) })
  const facts = { ...guardFacts(guarded), subject: 'result' as const }
  run.noteStage(input.call, 'guardrail', { ...facts, place: 'built-in', tier: null, text: '' }, 0)
  if (guarded.action === 'block') {
    return stopped('blocked', { ...facts, text: `by the guardrail: ${sentence(guarded)}` })
  }
  if (run.ports.judges.immediate !== true) await run.journal.flush()
  // What the guardrail took out may have stood inside a secret.
  const output = guarded.action === 'change' ? redactSecrets(guarded.text) : guarded.text
  const request = {
    task: input.purpose,
    tool: call.tool.descriptor.name,
    argumentText: call.argumentText,
    output,
    judges: call.ruling.judges,
    place: { task: run.task, attempt: run.start.attempt, call: input.call }
  }
  const verdict = await run.ports.judges.judge(request, AbortSignal.any([run.signal, AbortSignal.timeout(PANEL_MS)]))
  for (const vote of verdict.votes) if (vote.member === run.start.executor) noteVote(run, input.call, vote)
  const reasons = verdict.votes.map((vote) => vote.judge)
  const judged = { subject: 'result' as const, rule: word(verdict.reason), reasons }
  if (!isSafe(verdict, call.ruling.judges)) {
    const text = `the judges blocked the result: ${verdict.reason}`
    return stopped('blocked', { ...judged, verdict: 'block', text })
  }
  const file = await run.noteOutput(input.call, output)
  return passed({ text: output, file, outcome }, { ...judged, verdict: 'pass' })
}

const PANEL_MS = 2 * LIMITS.judgeTimeMsMax

/** The panel's word is not enough: no vote against it, and as many for it as were asked for. */
function isSafe(verdict: JudgeVerdict, judges: number): boolean {
  const safe = verdict.votes.filter((vote) => vote.verdict === 'safe')
  return verdict.verdict === 'safe' && safe.length >= judges && !verdict.votes.some((vote) => vote.verdict === 'unsafe')
}

/** What a tool says beside its output may quote others: a server's name, a path. */
function withSafeMessage(run: RunSession, call: FinishedCall): ToolOutcome {
  if (call.outcome.message === '') return call.outcome
  const message = redactSecrets(call.outcome.message)
  const { action } = run.ports.guard.inspect(message, { subject: 'result', origin: originOf(call) })
  return { ...call.outcome, message: action === 'pass' ? message : '' }
}

function originOf(call: FinishedCall): 'web' | 'file' | 'tool' {
  return call.tool.descriptor.taints ?? 'tool'
}

function noteVote(run: RunSession, call: number, vote: JudgeVote): void {
  run.journal.note('judge-voted', {
    attempt: run.start.attempt,
    call,
    judge: vote.judge,
    offline: vote.offline,
    verdict: vote.verdict,
    confidence: Number.isFinite(vote.confidence) ? Math.min(1, Math.max(0, vote.confidence)) : 0,
    reason: word(vote.reason),
    durationMs: vote.durationMs,
    inputTokens: vote.usage?.inputTokens ?? 0,
    outputTokens: vote.usage?.outputTokens ?? 0,
    costMicros: vote.usage?.costMicros ?? null
  })
}
