// Tasks and approvals as the local API shows them, made from folds. Text for people is cut; the log has all of it.

import { redactJson } from '../guard/redact-json.ts'
import type { PublicKeyHex } from '../log/statement.ts'
import type { Recorded, RecordedCall } from '../pipeline/recorded-run.ts'
import { shownText } from '../pipeline/shown-text.ts'
import { tallyVotes } from './approval-decision.ts'
import type { Approvals, RequestedCall } from './approvals.ts'
import type { TaskFold } from './task-fold.ts'
import type {
  ApprovalDetail,
  ApprovalRecord,
  CallRecord,
  MemberRef,
  StageRecord,
  TaskDetail,
  TaskRecord
} from './task-records.ts'

type RefOf = (key: PublicKeyHex) => MemberRef

const TIME_MS_MAX = 8.64e15

export function isoTime(ms: number): string {
  return new Date(Math.min(ms, TIME_MS_MAX)).toISOString()
}

/** `stuck`: nobody can know what the executor did. */
export function taskRecord(task: TaskFold, ref: RefOf, stuck = false): TaskRecord {
  const { submitted, assigned, run, cancelled } = task
  const finished = run?.finished ?? null
  const endedMs = finished?.timeMs ?? cancelled?.timeMs ?? null
  return {
    id: task.id,
    kind: submitted.kind,
    name: submitted.name,
    state: stuck ? 'unknown' : task.state,
    submitter: ref(task.submitter),
    on: submitted.on === 'any' ? null : ref(submitted.on),
    executor: assigned === null ? null : ref(assigned.executor),
    attempt: assigned?.attempt ?? 0,
    submittedAt: isoTime(submitted.timeMs),
    finishedAt: endedMs === null ? null : isoTime(endedMs),
    reason: stuck ? 'lease-over' : task.reason,
    calls: run === null ? 0 : toolCalls(task).length,
    inputTokens: finished?.inputTokens ?? 0,
    outputTokens: finished?.outputTokens ?? 0,
    costMicros: finished?.costMicros ?? null
  }
}

export function taskDetail(task: TaskFold, ref: RefOf, approvals: Approvals, stuck = false): TaskDetail {
  const whole = task.run?.calls.get(0)
  return {
    ...taskRecord(task, ref, stuck),
    input: task.input ?? '',
    stages: whole === undefined ? [] : stageRecords(whole),
    callRecords: toolCalls(task).map((call) => callRecord(task, call, ref, approvals)),
    answer: answerOf(task),
    runs: task.assignments.map(({ attempt }) => `${task.id}.${attempt}`)
  }
}

/** Call 0 is the run itself. */
function toolCalls(task: TaskFold): RecordedCall[] {
  return [...(task.run?.calls.values() ?? [])].filter(({ call }) => call > 0).sort((a, b) => a.call - b.call)
}

export function stageRecords(call: RecordedCall): StageRecord[] {
  return call.stages.map((decided) => stageRecord(call, decided))
}

export function stageRecord(call: RecordedCall, decided: Recorded<'stage-decided'>): StageRecord {
  const { stage, subject, verdict, rule, place, reasons, durationMs } = decided
  const text = call.explanations.get(stage) ?? ''
  const at = isoTime(decided.timeMs)
  return { call: call.call, stage, subject, verdict, rule, place, reasons, text, durationMs, at }
}

function callRecord(task: TaskFold, call: RecordedCall, ref: RefOf, approvals: Approvals): CallRecord {
  const { proposed, finished } = call
  const request = call.requests.at(-1) ?? null
  const counted = new Set(
    call.started?.votes ??
      (request === null
        ? []
        : tallyVotes(request, task.votes, task.submitter, approvals.isMember).counted.map(({ id }) => id))
  )
  const votes = task.votes.filter((vote) => call.requests.some(({ id }) => id === vote.request))
  return {
    call: call.call,
    tool: proposed?.tool ?? '',
    tier: call.started?.tier ?? request?.tier ?? proposed?.tier ?? null,
    arguments: call.argumentText ?? '',
    workspace: proposed?.workspace ?? '',
    stages: stageRecords(call),
    status: call.audit?.status ?? finished?.status ?? null,
    output: shownOutput(call),
    outputBytes: finished?.outputBytes ?? 0,
    truncated: finished?.truncated ?? false,
    exitCode: finished?.exitCode ?? null,
    changes: call.changes.map(({ operation, path, size }) => ({ operation, path, size })),
    request: request?.id ?? null,
    votes: votes.map(({ id, voter, vote }) => ({ id, member: ref(voter), vote, counted: counted.has(id) }))
  }
}

/** What the judges let pass, cut with a note. */
export function shownOutput({ output, outputFile }: RecordedCall): string {
  return output === null ? '' : shownText(output, outputFile)
}

/** What the task came to: nothing that a stage held back. */
export function answerOf(task: TaskFold): string {
  if (task.state !== 'done' || task.run === null) return ''
  if (task.submitted.kind === 'tool') {
    const [call] = toolCalls(task)
    return call === undefined ? '' : shownOutput(call)
  }
  return task.run.messages.findLast(({ role, calls }) => role === 'assistant' && calls.length === 0)?.text ?? ''
}

export function approvalRecord(requested: RequestedCall, ref: RefOf, approvals: Approvals): ApprovalRecord {
  const { task, call, request } = requested
  const mayNotBecause = approvals.mayNotBecause(requested)
  const votes = task.votes.filter((vote) => vote.request === request.id && vote.digest === request.digest)
  return {
    id: request.id,
    task: task.id,
    attempt: request.attempt,
    call: request.call,
    tool: call.proposed?.tool ?? '',
    tier: request.tier,
    state: approvals.stateOf(requested),
    executor: ref(task.run?.executor ?? task.submitter),
    submitter: ref(task.submitter),
    requestedAt: isoTime(request.timeMs),
    expiresAt: isoTime(request.expiresAtMs),
    votesNeeded: request.votes,
    anotherKey: request.anotherKey,
    votes: votes.map(({ voter, vote, timeMs }) => ({ member: ref(voter), vote, at: isoTime(timeMs) })),
    reasons: request.reasons,
    mayVote: mayNotBecause === '',
    mayNotBecause
  }
}

export function approvalDetail(requested: RequestedCall, ref: RefOf, approvals: Approvals): ApprovalDetail {
  const { call, request } = requested
  const { proposed } = call
  const argumentText = call.argumentText ?? ''
  const shown = redactJson(argumentText)
  return {
    ...approvalRecord(requested, ref, approvals),
    arguments: shown.text,
    masked: shown.places,
    argumentBytes: Buffer.byteLength(argumentText),
    workspace: proposed?.workspace ?? '',
    paths: proposed?.paths ?? [],
    hosts: proposed?.hosts ?? [],
    taint: proposed?.taint ?? [],
    toolHash: proposed?.toolHash ?? '',
    profile: proposed?.profile ?? '',
    digest: request.digest,
    recomputedDigest: approvals.recompute(requested) ?? '',
    explanation: call.explanations.get('policy') ?? ''
  }
}
