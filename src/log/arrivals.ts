// Events in the order in which they became durable here, from a cursor on and then live: what subscriptions are made of. A consumer that is
// slow costs one append of memory and keeps no store iterator open; it catches up from the commit marks.

import { toHex } from '../base/bytes.ts'
import { LIMITS } from '../base/limits.ts'
import { MeshError } from '../base/mesh-error.ts'
import { type CommitMark, commitMarkKey, commitMarkNumber, tryDecodeCommitMark } from './commit-mark.ts'
import type { EventLog } from './event-log.ts'
import { countedFilter } from './event-query.ts'
import { type LoggedEvent, loggedEvents } from './logged-event.ts'

export interface Arrival {
  /** Opaque; valid for this store alone. */
  readonly cursor: string
  readonly event: LoggedEvent
}

const MARKS_PER_READ = 64
const CURSOR_PATTERN = /^(\d{1,16})\.(\d{1,16})\.([0-9a-f]{8})$/
const NO_CHECK = '00000000'

interface Position {
  readonly number: number
  /** Place of the append in its commit × 1024 + place of the event in its append; −1 for before the first, infinity for behind the last. */
  readonly index: number
}

/** The cursor behind everything that is here now. */
export async function cursorOfNow(log: EventLog): Promise<string> {
  const { commitNumber } = log.state
  return `${commitNumber}.${Number.MAX_SAFE_INTEGER}.${await markCheck(log, commitNumber)}`
}

/**
 * Events behind `fromCursor` (null: all), oldest arrival first, then each new one as it becomes durable, until the signal aborts. Leaves out
 * what does not count when it is read: branches, and what stands behind a cut. EVENT_UNKNOWN for a cursor that is not of this store.
 */
export async function* arrivals(
  log: EventLog,
  fromCursor: string | null,
  signal: AbortSignal
): AsyncGenerator<Arrival> {
  let position = await startOf(log, fromCursor)
  while (!signal.aborted) {
    const marks = await readMarks(log, position)
    for (const { mark, check } of marks) {
      for await (const { index, event } of eventsOf(log, mark, mark.number === position.number ? position.index : -1)) {
        if (signal.aborted) return
        yield { cursor: `${mark.number}.${index}.${check}`, event }
      }
      position = { number: mark.number, index: Number.POSITIVE_INFINITY }
    }
    if (marks.length === 0) await nextCommit(log, position.number, signal)
  }
}

async function startOf(log: EventLog, cursor: string | null): Promise<Position> {
  if (cursor === null) return { number: 0, index: Number.POSITIVE_INFINITY }
  const [, number = '', index = '', check = ''] = CURSOR_PATTERN.exec(cursor) ?? []
  const position = { number: Number(number), index: Number(index) }
  if (check === '' || (await markCheck(log, position.number)) !== check)
    throw new MeshError('EVENT_UNKNOWN', 'the cursor is not of this store')
  return position
}

/** A store that lost commits gives their numbers again: the check tells the old from the new. */
async function markCheck(log: EventLog, number: number): Promise<string> {
  const value = await log.store.get(commitMarkKey(number))
  return value === null ? NO_CHECK : toHex(value.subarray(0, 4))
}

async function readMarks(log: EventLog, from: Position): Promise<{ mark: CommitMark; check: string }[]> {
  const first = from.index === Number.POSITIVE_INFINITY ? from.number + 1 : from.number
  const range = { from: commitMarkKey(first), to: commitMarkKey(log.state.commitNumber + 1), limit: MARKS_PER_READ }
  const marks: { mark: CommitMark; check: string }[] = []
  for await (const [key, value] of log.store.entries(range)) {
    const mark = tryDecodeCommitMark(commitMarkNumber(key), value)
    if (mark !== null) marks.push({ mark, check: toHex(value.subarray(0, 4)) })
  }
  return marks
}

async function* eventsOf(
  log: EventLog,
  mark: CommitMark,
  behind: number
): AsyncGenerator<{ index: number; event: LoggedEvent }> {
  for (const [place, suffix] of mark.appends.entries()) {
    const base = place * LIMITS.appendEventsMax
    if (base + LIMITS.appendEventsMax - 1 <= behind) continue
    const stored = await log.reader.bySuffix(suffix).catch((error: unknown) => {
      log.noteDamage(error)
      throw error
    })
    const { state } = log
    if (stored === null || !countedFilter(state)(stored)) continue
    for (const [offset, event] of loggedEvents(state.mesh, state.view, stored.head, stored.blocks).entries()) {
      if (base + offset > behind) yield { index: base + offset, event }
    }
  }
}

function nextCommit(log: EventLog, behind: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      unlisten()
      signal.removeEventListener('abort', done)
      resolve()
    }
    const unlisten = log.onCommit(({ number }) => {
      if (number > behind) done()
    })
    signal.addEventListener('abort', done)
    if (signal.aborted || log.state.commitNumber > behind) done()
  })
}
