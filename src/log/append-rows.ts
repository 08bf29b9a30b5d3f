// The store operations that one append makes: its two blocks, its control records, and index entries per slice of time.
// A slice is a run of events whose times do not fall and span at most a tenth of a second, so that a scan by time looks back no further.

import { copyBytes, fromHex, toHex } from '../base/bytes.ts'
import { eventHeaders } from './append-check.ts'
import { type AppendBlocks, type AppendRow, ENCODING_JSON, rowPayload, rowScope, rowType } from './append-codec.ts'
import { type ControlRecord, tryParseControl } from './control-records.ts'
import type { StoreOperation } from './event-store.ts'
import { CONTROL_TYPES } from './event-types.ts'
import { compareStamps, type Stamp } from './hybrid-clock.ts'
import type { Head } from './statement.ts'
import { appendSuffix, prefixed, RANGES, readU64, SUFFIX_BYTES } from './store-keys.ts'

/** Longest time a slice spans. */
export const SLICE_MS_MAX = 100
export const SLICE_BYTES = 12

export interface Slice {
  /** Index of the first event inside the append. */
  readonly from: number
  readonly count: number
  readonly first: Stamp
  readonly last: Stamp
}

export function stampBytes(stamp: Stamp): Buffer {
  const bytes = Buffer.allocUnsafe(8)
  bytes.writeUIntBE(Math.min(Math.max(stamp.ms, 0), 0xffff_ffff_ffff), 0, 6)
  bytes.writeUInt16BE(stamp.counter, 6)
  return bytes
}

export function readStamp(bytes: Buffer, at: number): Stamp {
  return { ms: bytes.readUIntBE(at, 6), counter: bytes.readUInt16BE(at + 6) }
}

export function rowStamp(row: AppendRow): Stamp {
  return { ms: row.timeMs, counter: row.timeCounter }
}

export function slicesOf(blocks: AppendBlocks): Slice[] {
  const slices: Slice[] = []
  let from = 0
  let first = rowStamp(blocks.rows[0] as AppendRow)
  let last = first
  for (let index = 1; index < blocks.count; index++) {
    const stamp = rowStamp(blocks.rows[index] as AppendRow)
    if (compareStamps(stamp, last) < 0 || stamp.ms - first.ms > SLICE_MS_MAX) {
      slices.push({ from, count: index - from, first, last })
      from = index
      first = stamp
    }
    last = stamp
  }
  slices.push({ from, count: blocks.count - from, first, last })
  return slices
}

function encodeSlice(slice: Slice): Buffer {
  const bytes = Buffer.allocUnsafe(SLICE_BYTES)
  bytes.writeUInt16BE(slice.from, 0)
  bytes.writeUInt16BE(slice.count, 2)
  bytes.set(stampBytes(slice.last), 4)
  return bytes
}

export function decodeSlice(first: Stamp, value: Uint8Array): Slice {
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength)
  return { from: bytes.readUInt16BE(0), count: bytes.readUInt16BE(2), first, last: readStamp(bytes, 4) }
}

export function suffixOf(head: Head): Buffer {
  return appendSuffix(head.author, head.chain, head.epoch, head.firstSeq, head.link)
}

export function typePrefix(type: string): Buffer {
  return prefixed(RANGES.byType, Uint8Array.of(type.length), Buffer.from(type, 'latin1'))
}

/** Keys of the index entries of one append, with their values. */
export function indexEntries(blocks: AppendBlocks, suffix: Uint8Array): { key: Buffer; value: Buffer }[] {
  const entries: { key: Buffer; value: Buffer }[] = []
  const slices = slicesOf(blocks)
  for (const slice of slices) {
    const value = encodeSlice(slice)
    const time = stampBytes(slice.first)
    entries.push({ key: prefixed(RANGES.byTime, time, suffix), value })
    const types = slices.length === 1 ? blocks.types : distinct(blocks, slice, rowType)
    for (const type of types) entries.push({ key: Buffer.concat([typePrefix(type), time, suffix]), value })
    if (blocks.scopes.length === 0) continue
    const scopes = slices.length === 1 ? blocks.scopes : distinct(blocks, slice, rowScope)
    for (const scope of scopes) entries.push({ key: prefixed(RANGES.byScope, scope, time, suffix), value })
  }
  return entries
}

function distinct<Value>(
  blocks: AppendBlocks,
  slice: Slice,
  pick: (blocks: AppendBlocks, row: AppendRow) => Value
): Set<Value> {
  const values = new Set<Value>()
  for (let index = slice.from; index < slice.from + slice.count; index++)
    values.add(pick(blocks, blocks.rows[index] as AppendRow))
  return values
}

/** Puts of one append. Values share no memory with the network's buffers once they are written. */
export function appendOperations(head: Head, blocks: AppendBlocks): StoreOperation[] {
  const suffix = suffixOf(head)
  const operations: StoreOperation[] = [
    { type: 'put', key: prefixed(RANGES.append, suffix), value: Buffer.concat([head.lastId, blocks.header]) },
    { type: 'put', key: prefixed(RANGES.payload, suffix), value: blocks.body }
  ]
  for (const { key, value } of indexEntries(blocks, suffix)) operations.push({ type: 'put', key, value })
  return operations
}

/** Deletes of everything that `appendOperations` and `controlOperations` put. */
export function removeOperations(
  head: Head,
  blocks: AppendBlocks,
  records: readonly ControlRecord[]
): StoreOperation[] {
  const suffix = suffixOf(head)
  const keys = [prefixed(RANGES.append, suffix), prefixed(RANGES.payload, suffix)]
  for (const { key } of indexEntries(blocks, suffix)) keys.push(key)
  for (const record of records) keys.push(controlKey(head, record.place.seq))
  return keys.map((key) => ({ type: 'del', key }))
}

export function controlKey(head: Head, seq: number): Buffer {
  return prefixed(RANGES.control, suffixOf({ ...head, firstSeq: seq }))
}

/** A control record with the link of the append that holds it, and its bytes. */
export interface StoredControl extends ControlRecord {
  readonly link: string
  readonly type: string
  readonly payload: Uint8Array
}

export function hasControlTypes(blocks: AppendBlocks): boolean {
  return blocks.types.some((type) => CONTROL_TYPES.has(type))
}

/** Control records of an append; events of these types that do not parse have no effect and are left out. */
export function controlsOf(mesh: Uint8Array, head: Head, blocks: AppendBlocks): StoredControl[] {
  if (!hasControlTypes(blocks)) return []
  const records: StoredControl[] = []
  const ids = eventHeaders(mesh, blocks)
  const author = toHex(head.author)
  for (let index = 0; index < blocks.count; index++) {
    const row = blocks.rows[index] as AppendRow
    const type = rowType(blocks, row)
    const payload = rowPayload(blocks, row)
    // A record is never erasable and always JSON: what could vanish on one node must have no effect on any.
    if (!CONTROL_TYPES.has(type) || payload === null || row.flags !== 0 || row.encoding !== ENCODING_JSON) continue
    const body = tryParseControl(type, payload)
    if (body === null) continue
    const seq = blocks.firstSeq + index
    records.push({
      place: { author, chain: blocks.chain, epoch: blocks.epoch, seq },
      id: (ids[index] as { id: Buffer }).id,
      firstPrev: seq === 1 ? copyBytes(blocks.prev) : null,
      body,
      link: toHex(head.link),
      type,
      payload: copyBytes(payload)
    })
  }
  return records
}

/** Puts of the control range: id 32 ‖ has prev u8 ‖ prev 32 ‖ link 32 ‖ type length u8 ‖ type ‖ payload. Records are never erased. */
export function controlOperations(head: Head, records: readonly StoredControl[]): StoreOperation[] {
  return records.map((record) => ({
    type: 'put',
    key: controlKey(head, record.place.seq),
    value: encodeControlValue(record)
  }))
}

const NO_PREV = new Uint8Array(32)

function encodeControlValue(record: StoredControl): Buffer {
  const type = Buffer.from(record.type, 'latin1')
  const prev = record.firstPrev ?? NO_PREV
  const flag = Uint8Array.of(record.firstPrev === null ? 0 : 1)
  return Buffer.concat([record.id, flag, prev, fromHex(record.link), Uint8Array.of(type.length), type, record.payload])
}

/** The record at a key of the control range; null when the row does not hold together. */
export function tryDecodeControlRow(key: Uint8Array, value: Uint8Array): StoredControl | null {
  const suffix = Buffer.from(key).subarray(1)
  const bytes = Buffer.from(value)
  if (suffix.length !== SUFFIX_BYTES || bytes.length < 98) return null
  const typeEnd = 98 + (bytes[97] as number)
  const type = bytes.toString('latin1', 98, typeEnd)
  const payload = bytes.subarray(typeEnd)
  const body = tryParseControl(type, payload)
  if (body === null) return null
  const place = {
    author: suffix.toString('hex', 0, 32),
    chain: suffix.readUInt32BE(32),
    epoch: suffix.readUInt32BE(36),
    seq: readU64(suffix, 40)
  }
  const firstPrev = bytes[32] === 1 ? bytes.subarray(33, 65) : null
  return { place, id: bytes.subarray(0, 32), firstPrev, body, link: bytes.toString('hex', 65, 97), type, payload }
}
