// Reads the events of one task out of the log. The order is by author, epoch and sequence number, never that of arrival or of time.

import { copyBytes, toHex } from '../base/bytes.ts'
import { LIMITS } from '../base/limits.ts'
import { type EventQuery, type QuerySource, queryEvents } from '../log/event-query.ts'
import type { LoggedEvent } from '../log/logged-event.ts'
import type { TaskEvent } from '../pipeline/recorded-run.ts'
import { isRunEventType, type RunEventType } from '../pipeline/run-events.ts'

/** The records that decide how a task stands: ids, words and numbers, kept in memory while the task is open. */
export const STATE_TYPES: ReadonlySet<string> = new Set<RunEventType>([
  'task-submitted',
  'task-assigned',
  'task-cancelled',
  'run-started',
  'stage-decided',
  'approval-requested',
  'approval-voted',
  'tool-started',
  'tool-finished',
  'run-finished'
])

/** More than any of these records needs: of an open task they are kept in memory. */
const STATE_PAYLOAD_BYTES_MAX = 16 * 1024

/** The event as folds take it, in memory of its own. Null when it has no effect on tasks. */
export function taskEvent(event: LoggedEvent): TaskEvent | null {
  if (!event.authorised || event.chain !== 0 || !isRunEventType(event.type)) return null
  const { author, epoch, seq, type, payload } = event
  if (payload !== null && payload.length > STATE_PAYLOAD_BYTES_MAX && STATE_TYPES.has(type)) return null
  const id = toHex(event.id)
  const isSmall = payload !== null && payload.length <= RECENT_BYTES_MAX
  const known = isSmall ? recent.get(id) : undefined
  if (known !== undefined) return known
  const bytes = payload === null ? null : copyBytes(payload)
  const read = { id, author, epoch, seq, timeMs: event.stamp.ms, type, payload: bytes }
  if (isSmall) remember(read)
  return read
}

/** Small events that were read lately: an id is one event for ever, and what was parsed of it need not be parsed again. */
const recent = new Map<string, TaskEvent>()
const RECENT_MAX = 2048
const RECENT_BYTES_MAX = 1024

function remember(event: TaskEvent): void {
  recent.set(event.id, event)
  if (recent.size <= RECENT_MAX) return
  for (const oldest of recent.keys()) {
    recent.delete(oldest)
    break
  }
}

export function inChainOrder(a: TaskEvent, b: TaskEvent): number {
  if (a.author !== b.author) return a.author < b.author ? -1 : 1
  return a.epoch - b.epoch || a.seq - b.seq || (a.id < b.id ? -1 : 1)
}

/** Authorised events with this scope; of each author no more than a run can have: texts beyond that read like erased ones. `only`: these types. */
export async function readTaskEvents(
  source: QuerySource,
  scope: Uint8Array,
  only: ReadonlySet<string> | null = null
): Promise<TaskEvent[]> {
  const events: TaskEvent[] = []
  const perAuthor = new Map<string, number>()
  const texts = new TextRoom()
  for await (const logged of queryEvents(source, { scope })) {
    if (only?.has(logged.type) === false) continue
    const count = (perAuthor.get(logged.author) ?? 0) + 1
    if (count > (only === STATE_TYPES ? LIMITS.taskStateEventsPerAuthorMax : LIMITS.taskEventsPerAuthorMax)) continue
    const event = taskEvent(logged)
    if (event === null) continue
    perAuthor.set(logged.author, count)
    events.push(texts.holds(event) ? event : { ...event, payload: null })
  }
  return events.sort(inChainOrder)
}

/** Bounds what one reading of a task holds in memory: any member may write any number of texts to any task. */
class TextRoom {
  readonly #spent = new Map<string, number>()

  holds({ author, type, payload }: TaskEvent): boolean {
    if (payload === null || STATE_TYPES.has(type)) return true
    const isInput = type === 'task-input'
    const key = `${author} ${isInput}`
    const spent = (this.#spent.get(key) ?? 0) + payload.length
    if (spent > (isInput ? INPUT_BYTES_MAX : LIMITS.taskTextBytesPerAuthorMax)) return false
    this.#spent.set(key, spent)
    return true
  }
}

/** JSON writes a control character as six bytes; pieces have an envelope and are filled up. */
const INPUT_BYTES_MAX = 8 * LIMITS.toolInputBytesMax

/** The newest event of a type that `matches`, looking at no more than `rowsMax` of them; null when there is none. */
export async function newestEvent(
  source: QuerySource,
  query: Pick<EventQuery, 'author' | 'type'>,
  matches: (event: LoggedEvent) => boolean,
  rowsMax: number
): Promise<LoggedEvent | null> {
  let rows = 0
  for await (const event of queryEvents(source, { ...query, newestFirst: true })) {
    if (++rows > rowsMax) return null
    if (matches(event)) return event
  }
  return null
}
