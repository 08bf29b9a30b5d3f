// Events and cursors as the local API shows them: plain JSON values.

import { isZero, toHex, tryParseHex } from '../base/bytes.ts'
import { MeshError } from '../base/mesh-error.ts'
import { ENCODING_JSON } from '../log/append-codec.ts'
import type { EventPosition, EventQuery } from '../log/event-query.ts'
import type { LoggedEvent } from '../log/logged-event.ts'
import type { PublicKeyHex } from '../log/statement.ts'
import { jsonObjectFault } from '../log/strict-json.ts'
import type { MemberDirectory } from './member-directory.ts'
import type { EventRecord, LogQuery } from './node-api.ts'

const TIME_MS_MAX = 8.64e15

/** ISO 8601; a stamp beyond what dates can say shows the last date. */
export function isoTime(ms: number): string {
  return new Date(Math.min(ms, TIME_MS_MAX)).toISOString()
}

export function eventRecord(event: LoggedEvent, directory: MemberDirectory): EventRecord {
  const { payload } = event
  const isJson =
    payload !== null && event.encoding === ENCODING_JSON && payload.length > 0 && jsonObjectFault(payload) === null
  return {
    id: toHex(event.id),
    author: directory.ref(event.author),
    chain: event.chain,
    epoch: event.epoch,
    seq: event.seq,
    time: isoTime(event.stamp.ms),
    type: event.type,
    scope: isZero(event.scope) ? null : toHex(event.scope),
    authorised: event.authorised,
    payload: payload === null ? 'erased' : payload.length === 0 ? 'none' : 'present',
    json: isJson ? Buffer.from(payload).toString('utf8').trimEnd() : null
  }
}

/** The log's query for what a client asked. USAGE for times, scopes and cursors that are none. */
export function parseQuery(query: LogQuery, resolve: (member: string) => PublicKeyHex): EventQuery {
  const scope = query.scope === undefined ? null : tryParseHex(query.scope, 16)
  if (query.scope !== undefined && scope === null) throw new MeshError('USAGE', 'a scope is 32 characters of hex')
  return {
    ...(query.author === undefined ? {} : { author: resolve(query.author) }),
    ...(query.type === undefined ? {} : { type: query.type }),
    ...(scope === null ? {} : { scope }),
    ...(query.from === undefined ? {} : { fromMs: timeOf(query.from) }),
    ...(query.to === undefined ? {} : { toMs: timeOf(query.to) }),
    ...(query.cursor === undefined ? {} : { after: decodeCursor(query.cursor) }),
    newestFirst: query.order === 'newest'
  }
}

function timeOf(text: string): number {
  const ms = Date.parse(text)
  if (Number.isNaN(ms)) throw new MeshError('USAGE', `${JSON.stringify(text)} is not a time in ISO 8601`)
  return ms
}

/** ms.counter.author.chain.epoch.seq */
export function encodeCursor(position: EventPosition): string {
  const { stamp, author, chain, epoch, seq } = position
  return [stamp.ms, stamp.counter, author, chain, epoch, seq].join('.')
}

function decodeCursor(text: string): EventPosition {
  const parts = text.split('.')
  const [ms, counter, , chain, epoch, seq] = parts.map(Number) as [number, number, number, number, number, number]
  const author = parts[2] ?? ''
  const sound =
    parts.length === 6 &&
    [ms, counter, chain, epoch, seq].every(Number.isSafeInteger) &&
    tryParseHex(author, 32) !== null
  if (!sound) throw new MeshError('USAGE', 'the cursor is not one of a page’s next')
  return { stamp: { ms, counter }, author, chain, epoch, seq }
}
