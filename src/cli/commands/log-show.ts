// pmesh log show: a page of events, the newest last; --all goes through every page.

import type { EventRecord, LogQuery } from '../../rpc/methods.ts'
import type { CommandContext } from '../command-context.ts'
import { formatTime } from '../human-text.ts'
import type { Piece } from '../output.ts'

export interface LogShowOptions {
  readonly member?: string
  readonly type?: string
  readonly scope?: string
  readonly from?: string
  readonly to?: string
  readonly limit?: number
  readonly oldest?: true
  readonly cursor?: string
  readonly all?: true
}

const PAGE_ROWS = 20
const ALL_PAGE_ROWS = 500

export async function showLog(context: CommandContext, _args: readonly [], options: LogShowOptions): Promise<number> {
  const { member, oldest, all, ...filters } = options
  const query: LogQuery = {
    ...filters,
    ...(member === undefined ? {} : { author: member }),
    order: oldest === true || all === true ? 'oldest' : 'newest',
    limit: options.limit ?? (all === true ? ALL_PAGE_ROWS : PAGE_ROWS)
  }
  if (all === true) return showAll(context, query)
  const page = await context.call('log/query', query)
  if (context.out.json) {
    context.out.value(page)
    return 0
  }
  const items = query.order === 'newest' ? [...page.items].reverse() : page.items
  for (const event of items) context.out.line(...eventLine(event, context.out.columns))
  if (items.length === 0) context.out.note('no events')
  if (page.next !== null)
    context.out.note({
      text: `more: pmesh log show ${oldest === true ? '--oldest ' : ''}--cursor ${page.next}`,
      style: 'dim'
    })
  return 0
}

async function showAll(context: CommandContext, query: LogQuery): Promise<number> {
  let cursor = query.cursor
  do {
    const page = await context.call('log/query', { ...query, ...(cursor === undefined ? {} : { cursor }) })
    for (const event of page.items) {
      if (context.out.json) context.out.value(event)
      else context.out.line(...eventLine(event, context.out.columns))
    }
    await context.out.drained()
    cursor = page.next ?? undefined
  } while (cursor !== undefined && !context.signal.aborted)
  return 0
}

/** One event on one line: time, author, place, type, JSON; cut to the terminal's width. */
export function eventLine(event: EventRecord, columns: number): Piece[] {
  const head = `${formatTime(event.time)}  ${event.author.name}  ${event.epoch}/${event.seq}  `
  const marks = event.authorised ? '' : '  (no effect)'
  const content =
    event.payload === 'present' ? (event.json ?? '(not JSON)') : event.payload === 'none' ? '' : `(${event.payload})`
  const room = columns - head.length - event.type.length - marks.length - 2
  const shown = content.length > room ? `${content.slice(0, Math.max(0, room - 1))}…` : content
  const pieces: Piece[] = [
    { text: head, style: 'dim' },
    { text: event.type, style: 'cyan' }
  ]
  if (shown !== '') pieces.push(`  ${shown}`)
  if (marks !== '') pieces.push({ text: marks, style: 'yellow' })
  return pieces
}
