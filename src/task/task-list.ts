// Finds tasks in the log: one by its id, many by pages.

import { fromHex, toHex, tryParseHex } from '../base/bytes.ts'
import { LIMITS } from '../base/limits.ts'
import { MeshError } from '../base/mesh-error.ts'
import { type EventPosition, positionOf, type QuerySource, queryEvents } from '../log/event-query.ts'
import { newestEvent, readTaskEvents, STATE_TYPES } from './task-events.ts'
import { foldTask, type TaskFold } from './task-fold.ts'

/** With its texts; null when the log has no such task. */
export async function readTask(source: QuerySource, id: string): Promise<TaskFold | null> {
  return foldTask(id, await readTaskEvents(source, fromHex(id)))
}

/** The whole id of a task from it or its beginning. TASK_UNKNOWN. */
export async function findTaskId(source: QuerySource, text: string): Promise<string> {
  const wanted = text.toLowerCase()
  if (/^[0-9a-f]{32}$/.test(wanted)) return wanted
  if (!/^[0-9a-f]{4,31}$/.test(wanted)) throw new MeshError('TASK_UNKNOWN', 'there is no such task')
  const begins = (event: { readonly scope: Uint8Array }): boolean => toHex(event.scope).startsWith(wanted)
  const event = await newestEvent(source, { type: 'task-submitted' }, begins, LIMITS.pageRowsMax)
  if (event === null) throw new MeshError('TASK_UNKNOWN', 'there is no such task')
  return toHex(event.scope)
}

/** Newest first; at most a page of submissions is looked at. USAGE for a cursor that is none. */
export async function listTasks(
  source: QuerySource,
  query: { readonly limit: number; readonly cursor: string | null },
  matches: (task: TaskFold) => boolean
): Promise<{ tasks: TaskFold[]; next: string | null }> {
  const after = query.cursor === null ? {} : { after: decodeCursor(query.cursor) }
  const tasks: TaskFold[] = []
  let rows = 0
  let last: EventPosition | null = null
  for await (const event of queryEvents(source, { type: 'task-submitted', newestFirst: true, ...after })) {
    if (tasks.length >= query.limit || rows >= LIMITS.pageRowsMax) return { tasks, next: encodeCursor(last) }
    rows++
    last = positionOf(event)
    const id = toHex(event.scope)
    const task = foldTask(id, await readTaskEvents(source, event.scope, STATE_TYPES))
    if (task !== null && task.submitted.id === toHex(event.id) && matches(task)) tasks.push(task)
  }
  return { tasks, next: null }
}

function encodeCursor(position: EventPosition | null): string | null {
  if (position === null) return null
  const { stamp, author, chain, epoch, seq } = position
  return [stamp.ms, stamp.counter, author, chain, epoch, seq].join('.')
}

function decodeCursor(text: string): EventPosition {
  const parts = text.split('.')
  const [ms, counter, , chain, epoch, seq] = parts.map(Number) as [number, number, number, number, number, number]
  const author = parts[2] ?? ''
  if (parts.length !== 6 || ![ms, counter, chain, epoch, seq].every(Number.isSafeInteger) || !tryParseHex(author, 32))
    throw new MeshError('USAGE', 'the cursor is not one of a page’s next')
  return { stamp: { ms, counter }, author, chain, epoch, seq }
}
