// A stored event as readers see it, and whether it has effect (PROTOCOL §2 "Authorised").

import { toHex } from '../base/bytes.ts'
import { hasRight } from '../identity/certificate.ts'
import { eventIds } from './append-check.ts'
import {
  type AppendBlocks,
  type AppendRow,
  ENCODING_JSON,
  FLAG_ERASABLE,
  rowPayload,
  rowScope,
  rowType
} from './append-codec.ts'
import { rowStamp } from './append-rows.ts'
import { tryParseControl } from './control-records.ts'
import { CONTROL_TYPES, eventType, roleAtLeast } from './event-types.ts'
import { compareStamps, type Stamp } from './hybrid-clock.ts'
import { grantAt, type MeshView } from './mesh-fold.ts'
import { chainKeyOf, type Head, type PublicKeyHex } from './statement.ts'
import { jsonObjectFault } from './strict-json.ts'

export interface LoggedEvent {
  readonly id: Uint8Array
  readonly author: PublicKeyHex
  readonly chain: number
  readonly epoch: number
  readonly seq: number
  readonly stamp: Stamp
  /** 16 bytes, zeros for none. */
  readonly scope: Uint8Array
  readonly type: string
  readonly encoding: number
  /** Null when the payload is absent. */
  readonly payload: Uint8Array | null
  readonly authorised: boolean
}

/** Role, rights, epoch and JSON rules of one event. What is not authorised stays in the chain without effect. */
export function isAuthorised(view: MeshView, head: Head, blocks: AppendBlocks, row: AppendRow, seq: number): boolean {
  const author = toHex(head.author)
  const { chain, epoch } = head
  if (epoch > 1 && !view.opened.has(chainKeyOf(author, chain, epoch))) return false
  const grant = grantAt(view, { author, chain, epoch, seq })
  const type = rowType(blocks, row)
  const rule = eventType(type)
  if (grant === null || rule === null || !roleAtLeast(grant.role, rule.role)) return false
  if (rule.right !== null && !hasRight(grant.rights, rule.right)) return false
  if ((rule.class === 'content') !== ((row.flags & FLAG_ERASABLE) !== 0)) return false
  const payload = rowPayload(blocks, row)
  if (payload === null || row.encoding !== ENCODING_JSON) return true
  return CONTROL_TYPES.has(type) ? tryParseControl(type, payload) !== null : jsonObjectFault(payload) === null
}

/** Events of one append from index `from`, `count` of them. */
export function loggedEvents(
  mesh: Uint8Array,
  view: MeshView,
  head: Head,
  blocks: AppendBlocks,
  from = 0,
  count = blocks.count
): LoggedEvent[] {
  const ids = eventIds(mesh, blocks)
  const author = toHex(head.author)
  const events: LoggedEvent[] = []
  for (let index = from; index < from + count; index++) {
    const row = blocks.rows[index] as AppendRow
    const seq = blocks.firstSeq + index
    events.push({
      id: ids[index] as Buffer,
      author,
      chain: blocks.chain,
      epoch: blocks.epoch,
      seq,
      stamp: rowStamp(row),
      scope: rowScope(blocks, row),
      type: rowType(blocks, row),
      encoding: row.encoding,
      payload: rowPayload(blocks, row),
      authorised: isAuthorised(view, head, blocks, row, seq)
    })
  }
  return events
}

/** Display order: time, author, chain, epoch, sequence number. Time gives no authority. */
export function compareEvents(a: LoggedEvent, b: LoggedEvent): number {
  const time = compareStamps(a.stamp, b.stamp)
  if (time !== 0) return time
  if (a.author !== b.author) return a.author < b.author ? -1 : 1
  return a.chain - b.chain || a.epoch - b.epoch || a.seq - b.seq
}
