// A task as its events tell it: a pure function of the set of authorised events, so that the order of arrival cannot matter (PROTOCOL §7, §12).
// The submitter's chain owns the task, the executor's chain its run: only the run of the highest attempt, by the member that the submitter
// gave it to, decides. What lower attempts or other members still say is late and changes nothing (TASK-2).

import { LIMITS } from '../base/limits.ts'
import type { PublicKeyHex } from '../log/statement.ts'
import {
  foldRun,
  payloadOf,
  type Recorded,
  type RecordedCall,
  type RecordedRun,
  type TaskEvent
} from '../pipeline/recorded-run.ts'
import { OUTCOMES, type RunEventType } from '../pipeline/run-events.ts'
import { isInside } from '../policy/contract.ts'
import { inChainOrder } from './task-events.ts'
import type { TaskState } from './task-records.ts'
import { taskScope } from './task-scope.ts'

export interface CastVote extends Recorded<'approval-voted'> {
  readonly voter: PublicKeyHex
}

export interface TaskFold {
  /** Hex of the scope. */
  readonly id: string
  readonly submitter: PublicKeyHex
  readonly submitted: Recorded<'task-submitted'>
  /** Null until every piece is there, and once it is erased. */
  readonly input: string | null
  /** One per attempt, rising. */
  readonly assignments: readonly Recorded<'task-assigned'>[]
  /** The highest attempt. */
  readonly assigned: Recorded<'task-assigned'> | null
  /** Set while no later attempt was made. */
  readonly cancelled: Recorded<'task-cancelled'> | null
  /** Of the highest attempt by its executor. */
  readonly run: RecordedRun | null
  /** Of all members, in the order of their keys and chains. */
  readonly votes: readonly CastVote[]
  readonly state: TaskState
  /** A word. */
  readonly reason: string
}

/** `events`: authorised ones with the scope `id`, in any order. Null without the submission that makes the scope. */
export function foldTask(id: string, events: readonly TaskEvent[]): TaskFold | null {
  const sorted = [...events].sort(inChainOrder)
  const opening = submission(id, sorted)
  if (opening === null) return null
  const { submitter, submitted } = opening
  const own = sorted.filter(({ author }) => author === submitter)
  const assignments = firstPerAttempt(parsedEvents(own, 'task-assigned'))
  const assigned = assignments.at(-1) ?? null
  const attempt = assigned?.attempt ?? 0
  const cancelled = parsedEvents(own, 'task-cancelled').find((event) => event.attempt >= attempt) ?? null
  const run = assigned === null ? null : foldRun(sorted, assigned.executor, assigned.attempt)
  const votes = sorted.flatMap((event) => {
    const vote = parsed(event, 'approval-voted')
    return vote === null ? [] : [{ ...vote, voter: event.author }]
  })
  const input = inputOf(own, submitted.inputParts)
  const facts = { id, submitter, submitted, input, assignments, assigned, cancelled, run, votes }
  return { ...facts, ...standing(facts) }
}

function submission(
  id: string,
  events: readonly TaskEvent[]
): { submitter: PublicKeyHex; submitted: Recorded<'task-submitted'> } | null {
  for (const event of events) {
    const submitted = parsed(event, 'task-submitted')
    if (submitted !== null && taskScope(event.author, submitted.nonce).toString('hex') === id)
      return { submitter: event.author, submitted }
  }
  return null
}

function parsed<Type extends RunEventType>(event: TaskEvent, type: Type): Recorded<Type> | null {
  const payload = payloadOf(event, type)
  return payload === null ? null : { ...payload, id: event.id, timeMs: event.timeMs }
}

function parsedEvents<Type extends RunEventType>(events: readonly TaskEvent[], type: Type): Recorded<Type>[] {
  return events.flatMap((event) => parsed(event, type) ?? [])
}

/** Put-if-absent: the first assignment of an attempt counts. */
function firstPerAttempt(assignments: readonly Recorded<'task-assigned'>[]): Recorded<'task-assigned'>[] {
  const first = new Map<number, Recorded<'task-assigned'>>()
  for (const assigned of assignments) if (!first.has(assigned.attempt)) first.set(assigned.attempt, assigned)
  return [...first.values()].sort((a, b) => a.attempt - b.attempt)
}

function inputOf(events: readonly TaskEvent[], parts: number): string | null {
  const texts = new Map<number, string>()
  for (const { part, text } of parsedEvents(events, 'task-input')) if (!texts.has(part)) texts.set(part, text)
  let input = ''
  for (let part = 0; part < parts; part++) {
    const text = texts.get(part)
    if (text === undefined) return null
    input += text
  }
  return input
}

function standing(fold: Omit<TaskFold, 'state' | 'reason'>): { state: TaskState; reason: string } {
  const { assigned, cancelled, run } = fold
  const finished = run?.finished ?? null
  // What happened stands; a person's word ends only what nobody can know or what was broken off.
  const open = finished === null || finished.outcome === 'unknown' || finished.outcome === 'interrupted'
  if (finished !== null && (cancelled === null || !open)) return { state: finished.outcome, reason: finished.reason }
  if (cancelled !== null)
    return { state: cancelled.reason === 'expired' ? 'expired' : 'cancelled', reason: cancelled.reason }
  if (assigned === null) return { state: 'submitted', reason: '' }
  if (run === null || run.started === null) return { state: 'assigned', reason: '' }
  const waits = [...run.calls.values()].some((call) => undecidedRequest(call) !== null)
  return { state: waits ? 'waiting-approval' : 'running', reason: '' }
}

/** The newest request of a call while its executor has not said what became of it. */
export function undecidedRequest(call: RecordedCall): Recorded<'approval-requested'> | null {
  const decided = call.started !== null || call.stages.some(({ stage }) => stage === 'approval' || stage === 'tool')
  return decided ? null : (call.requests.at(-1) ?? null)
}

const ENDED: ReadonlySet<TaskState> = new Set<TaskState>(OUTCOMES)

/** Nothing more happens by itself, or nobody knows. */
export function hasEnded(state: TaskState): boolean {
  return ENDED.has(state)
}

/** True when no event of the run shows an effect above "internal" that was allowed. */
export function withoutOutsideEffect(run: RecordedRun | null): boolean {
  if (run === null) return true
  return [...run.calls.values()].every(({ started }) => started === null || isInside(started.tier))
}

/** Calls whose effect began and of which the executor never said how it ended. */
export function openEffects(run: RecordedRun): RecordedCall[] {
  return [...run.calls.values()].filter(({ started, finished }) => started !== null && finished === null)
}

/** True when nobody does anything about the task by itself any more. */
export function isSettled(fold: TaskFold): boolean {
  return hasEnded(fold.state) && !mayRepeat(fold)
}

/** A run that was broken off and had no effect above "internal" is tried again without a person, a few times. */
export function mayRepeat(fold: TaskFold): boolean {
  const automatic = fold.assignments.filter(({ confirmed }) => !confirmed).length
  return fold.state === 'interrupted' && withoutOutsideEffect(fold.run) && automatic < LIMITS.taskAttemptsMax
}
