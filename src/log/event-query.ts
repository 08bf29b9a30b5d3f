// Reads events by time, type, scope or author out of the slice indexes, in display order, page by page. A slice spans a tenth of a second at most, so a
// scan keeps only the events of about that long at hand.

import { asBuffer, compareBytes, toHex } from '../base/bytes.ts'
import { Heap } from '../base/heap.ts'
import { LIMITS } from '../base/limits.ts'
import type { AppendReader, StoredBlocks } from './append-reader.ts'
import { decodeSlice, readStamp, SLICE_MS_MAX, type Slice, stampBytes, typePrefix } from './append-rows.ts'
import type { LogState } from './batch.ts'
import { type ChainRow, countedLinks, vouchedHeads } from './chain-row.ts'
import type { EventStore, KeyRange } from './event-store.ts'
import { compareStamps, type Stamp } from './hybrid-clock.ts'
import { compareEvents, type LoggedEvent, loggedEvents } from './logged-event.ts'
import { insideCut } from './mesh-fold.ts'
import type { ChainKey, PublicKeyHex } from './statement.ts'
import { prefixed, RANGES, SUFFIX_BYTES } from './store-keys.ts'

export interface EventQuery {
  readonly author?: PublicKeyHex
  readonly type?: string
  /** 16 bytes. */
  readonly scope?: Uint8Array
  /** Milliseconds, inclusive. */
  readonly fromMs?: number
  readonly toMs?: number
  readonly newestFirst?: boolean
  /** Only events behind this one in the order of the query. */
  readonly after?: EventPosition
}

/** Where a page ended: enough to go on without a gap or a duplicate. */
export interface EventPosition {
  readonly stamp: Stamp
  readonly author: PublicKeyHex
  readonly chain: number
  readonly epoch: number
  readonly seq: number
}

const TIME_MAX: Stamp = { ms: 0xffff_ffff_ffff, counter: 0xffff }
const ANY: Stamp = { ms: 0, counter: 0 }

export interface QuerySource {
  readonly store: EventStore
  readonly reader: AppendReader
  readonly state: LogState
}

/** Matching events in display order. */
export async function* queryEvents(source: QuerySource, query: EventQuery): AsyncGenerator<LoggedEvent> {
  const counts = countedFilter(source.state)
  const newest = query.newestFirst === true
  const order = newest ? (a: LoggedEvent, b: LoggedEvent) => compareEvents(b, a) : compareEvents
  const waiting = new Heap(order)
  for await (const { slice, suffix } of slices(source, query)) {
    for (let top = waiting.peek(); top !== undefined && settled(top, slice, newest); top = waiting.peek())
      yield waiting.pop() as LoggedEvent
    if (query.author !== undefined && suffix.toString('hex', 0, 32) !== query.author) continue
    const stored = await source.reader.bySuffix(suffix)
    if (stored === null || !counts(stored)) continue
    for (const event of sliceEvents(source.state, stored, slice)) if (matches(query, event, order)) waiting.push(event)
  }
  for (let event = waiting.pop(); event !== undefined; event = waiting.pop()) yield event
}

/** No event of this slice or of one behind it comes before `event`. */
function settled(event: LoggedEvent, slice: Slice, newest: boolean): boolean {
  return newest ? event.stamp.ms > slice.first.ms + SLICE_MS_MAX : compareStamps(event.stamp, slice.first) < 0
}

function sliceEvents(state: LogState, { head, blocks }: StoredBlocks, slice: Slice): LoggedEvent[] {
  return loggedEvents(state.mesh, state.view, head, blocks, slice.from, slice.count)
}

function matches(query: EventQuery, event: LoggedEvent, order: (a: LoggedEvent, b: LoggedEvent) => number): boolean {
  if (query.type !== undefined && event.type !== query.type) return false
  if (query.scope !== undefined && compareBytes(event.scope, query.scope) !== 0) return false
  if (query.fromMs !== undefined && event.stamp.ms < query.fromMs) return false
  if (query.toMs !== undefined && event.stamp.ms > query.toMs) return false
  return query.after === undefined || order(event, query.after as LoggedEvent) > 0
}

/** Leaves out branches that do not count and what stands behind a cut. */
export function countedFilter(state: LogState): (stored: StoredBlocks) => boolean {
  const links = new Map<ChainKey, ReadonlySet<string>>()
  return ({ head }) => {
    const author = toHex(head.author)
    const member = state.view.members.get(author)
    if (member === undefined || !insideCut(member, { author, chain: head.chain, epoch: head.epoch, seq: head.lastSeq }))
      return false
    const row = state.rows.get(head.key)
    const fork = row?.fork ?? null
    if (fork === null || head.firstSeq < fork.forkSeq) return true
    let counted = links.get(head.key)
    if (counted === undefined) {
      counted = countedLinks(fork, vouchedHeads(state.view, row as ChainRow, fork))
      links.set(head.key, counted)
    }
    return counted.has(toHex(head.link))
  }
}

async function* slices(source: QuerySource, query: EventQuery): AsyncGenerator<{ slice: Slice; suffix: Buffer }> {
  const { from, to, prefixLength, earliest } = sliceRange(query)
  const range: KeyRange = { from, to, reverse: query.newestFirst === true }
  for await (const page of source.store.pages(range, 16 * 1024)) {
    for (const [key, value] of page) {
      const bytes = asBuffer(key)
      const slice = decodeSlice(readStamp(bytes, prefixLength), value)
      if (compareStamps(slice.last, earliest) < 0) continue
      yield { slice, suffix: bytes.subarray(prefixLength + 8, prefixLength + 8 + SUFFIX_BYTES) }
    }
  }
}

function sliceRange(query: EventQuery): { from: Buffer; to: Buffer; prefixLength: number; earliest: Stamp } {
  const prefix = indexPrefix(query)
  const newest = query.newestFirst === true
  const after = query.after?.stamp
  const low: Stamp = !newest && after !== undefined ? after : { ms: query.fromMs ?? 0, counter: 0 }
  const high: Stamp =
    newest && after !== undefined ? after : { ms: query.toMs ?? TIME_MAX.ms, counter: TIME_MAX.counter }
  const start = { ms: Math.max(0, low.ms - SLICE_MS_MAX - 1), counter: 0 }
  const from = Buffer.concat([prefix, stampBytes(start)])
  const to = Buffer.concat([prefix, stampBytes(high), Buffer.alloc(SUFFIX_BYTES + 1, 0xff)])
  return { from, to, prefixLength: prefix.length, earliest: compareStamps(low, ANY) > 0 ? low : ANY }
}

function indexPrefix(query: EventQuery): Buffer {
  if (query.scope !== undefined) return prefixed(RANGES.byScope, query.scope)
  return query.type !== undefined ? typePrefix(query.type) : Buffer.from([RANGES.byTime])
}

/** One page of at most `limit` events and the position to go on from; null when there is no more. */
export async function queryPage(
  source: QuerySource,
  query: EventQuery,
  limit: number
): Promise<{ events: LoggedEvent[]; next: EventPosition | null }> {
  const events: LoggedEvent[] = []
  const most = Math.min(Math.max(1, limit), LIMITS.pageRowsMax)
  for await (const event of queryEvents(source, query)) {
    if (events.length === most) return { events, next: positionOf(events.at(-1) as LoggedEvent) }
    events.push(event)
  }
  return { events, next: null }
}

export function positionOf(event: LoggedEvent): EventPosition {
  const { stamp, author, chain, epoch, seq } = event
  return { stamp, author, chain, epoch, seq }
}
