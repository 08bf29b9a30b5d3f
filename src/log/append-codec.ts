// The block layout of an append, the same on the wire and on the disk: a header block and a payload block (docs/protocol.md "Blocks").
// Written without what a reader computes: ids, links inside, commitments of payloads that are present. One canonical form: tables list
// values in the order of first use, nothing is unused, no byte is left over. Decoding checks layout and limits, never hashes.

import { asBuffer, equalBytes, isZero } from '../base/bytes.ts'
import { LIMITS } from '../base/limits.ts'
import { SEQ_MAX } from './statement.ts'
import { readU64, writeU64 } from './store-keys.ts'

export const FORMAT = 1
export const FLAG_ERASABLE = 1
export const ENCODING_JSON = 0
export const ENCODING_CIPHERTEXT = 1
export const SALT_BYTES = 16
export const SCOPE_BYTES = 16
/** An erasable payload is filled to a multiple of this. */
export const FILL_BYTES = 32
/** Header bytes of an event without its type (PROTOCOL §1). */
export const HEADER_FIXED_BYTES = 176
export const NO_SCOPE: Uint8Array = new Uint8Array(SCOPE_BYTES)

const FIXED_BYTES = 147
const ROW_BYTES = 19
const PRESENT = 0
const ERASED = 1
/** Commitment 32 ‖ place of the erasure: author 32, chain u32, epoch u32, seq u64. */
const ABSENT_BYTES = 80

/** One decoded append. Its byte fields are views of `header` and `body`. */
export interface AppendBlocks {
  readonly header: Buffer
  readonly body: Buffer
  readonly author: Buffer
  readonly chain: number
  readonly epoch: number
  readonly firstSeq: number
  readonly count: number
  readonly prev: Buffer
  readonly seal: Buffer
  readonly types: readonly string[]
  readonly scopes: readonly Buffer[]
  readonly rows: readonly AppendRow[]
}

export interface AppendRow {
  readonly flags: number
  readonly encoding: number
  readonly type: number
  /** 0: none; n: scopes[n − 1]. */
  readonly scope: number
  readonly length: number
  /** Milliseconds of the hybrid clock, 48 bits. */
  readonly timeMs: number
  /** Counter of the hybrid clock, 16 bits. */
  readonly timeCounter: number
  /** Offset of the salt in the body; −1 when the payload is absent. */
  readonly bodyAt: number
  /** Offset of commitment and eraser in the header block; −1 when the payload is present. */
  readonly absentAt: number
}

export interface AppendRowInput {
  readonly flags: number
  readonly encoding: number
  readonly type: string
  readonly scope: Uint8Array
  readonly timeMs: number
  readonly timeCounter: number
  readonly salt: Uint8Array
  readonly payload: Uint8Array
}

export type CodecFault = 'layout' | 'format'

const TYPE_PATTERN = /^[a-z][a-z0-9]*(?:-[a-z0-9]+)*$/

/** noun-verb, lower-case words joined by hyphens, 1…64 bytes. */
export function isEventType(type: string): boolean {
  return type.length >= 1 && type.length <= LIMITS.typeBytesMax && TYPE_PATTERN.test(type)
}

/** PROTOCOL §1: the size of an append counts header bytes, salt and payload of each event, present or not. */
export function eventSize(typeLength: number, payloadLength: number): number {
  return HEADER_FIXED_BYTES + typeLength + SALT_BYTES + payloadLength
}

export interface AppendPlace {
  readonly author: Uint8Array
  readonly chain: number
  readonly epoch: number
  readonly firstSeq: number
  readonly prev: Uint8Array
}

/** Builds both blocks of a new append; the seal is left zero for `writeSeal`. */
export function encodeBlocks(place: AppendPlace, events: readonly AppendRowInput[]): AppendBlocks {
  const types: string[] = []
  const scopes: Buffer[] = []
  const typeIndex = new Map<string, number>()
  const scopeIndex = new Map<string, number>()
  let typeBytes = 0
  let bodyBytes = 0
  const refs = events.map((event) => {
    let type = typeIndex.get(event.type)
    if (type === undefined) {
      type = types.push(event.type) - 1
      typeIndex.set(event.type, type)
      typeBytes += 1 + event.type.length
    }
    bodyBytes += SALT_BYTES + event.payload.length
    return { type, scope: scopeRef(event.scope, scopes, scopeIndex) }
  })
  const tablesAt = FIXED_BYTES
  const rowsAt = tablesAt + 4 + typeBytes + scopes.length * SCOPE_BYTES
  const header = Buffer.alloc(rowsAt + events.length * ROW_BYTES)
  const body = Buffer.allocUnsafe(bodyBytes)
  writeFixed(header, place, events.length)
  writeTables(header, types, scopes)
  const rows = writeRows(header, rowsAt, body, events, refs)
  return {
    header,
    body,
    author: header.subarray(1, 33),
    chain: place.chain,
    epoch: place.epoch,
    firstSeq: place.firstSeq,
    count: events.length,
    prev: header.subarray(51, 83),
    seal: header.subarray(83, FIXED_BYTES),
    types,
    scopes,
    rows
  }
}

function scopeRef(scope: Uint8Array, scopes: Buffer[], index: Map<string, number>): number {
  if (isZero(scope)) return 0
  const text = asBuffer(scope).toString('latin1')
  let ref = index.get(text)
  if (ref === undefined) {
    ref = scopes.push(asBuffer(scope))
    index.set(text, ref)
  }
  return ref
}

function writeFixed(header: Buffer, place: AppendPlace, count: number): void {
  header[0] = FORMAT
  header.set(place.author, 1)
  header.writeUInt32BE(place.chain, 33)
  header.writeUInt32BE(place.epoch, 37)
  writeU64(header, place.firstSeq, 41)
  header.writeUInt16BE(count, 49)
  header.set(place.prev, 51)
}

function writeTables(header: Buffer, types: readonly string[], scopes: readonly Buffer[]): void {
  let at = header.writeUInt16BE(types.length, FIXED_BYTES)
  for (const type of types) {
    header[at] = type.length
    header.write(type, at + 1, 'latin1')
    at += 1 + type.length
  }
  at = header.writeUInt16BE(scopes.length, at)
  for (const scope of scopes) {
    header.set(scope, at)
    at += SCOPE_BYTES
  }
}

function writeRows(
  header: Buffer,
  rowsAt: number,
  body: Buffer,
  events: readonly AppendRowInput[],
  refs: readonly { type: number; scope: number }[]
): AppendRow[] {
  const rows: AppendRow[] = []
  let at = rowsAt
  let bodyAt = 0
  for (let index = 0; index < events.length; index++) {
    const event = events[index] as AppendRowInput
    const { type, scope } = refs[index] as { type: number; scope: number }
    header[at] = event.flags
    header[at + 1] = event.encoding
    header[at + 2] = PRESENT
    header.writeUInt16BE(type, at + 3)
    header.writeUInt16BE(scope, at + 5)
    header.writeUInt32BE(event.payload.length, at + 7)
    header.writeUIntBE(event.timeMs, at + 11, 6)
    header.writeUInt16BE(event.timeCounter, at + 17)
    at += ROW_BYTES
    body.set(event.salt, bodyAt)
    body.set(event.payload, bodyAt + SALT_BYTES)
    const { flags, encoding, timeMs, timeCounter } = event
    rows.push({ flags, encoding, type, scope, length: event.payload.length, timeMs, timeCounter, bodyAt, absentAt: -1 })
    bodyAt += SALT_BYTES + event.payload.length
  }
  return rows
}

export function writeSeal(blocks: AppendBlocks, seal: Uint8Array): void {
  blocks.header.set(seal, 83)
}

/** Decodes and checks layout and limits. The result aliases both buffers. */
export function decodeBlocks(header: Buffer, body: Buffer): AppendBlocks | CodecFault {
  if (header.length < FIXED_BYTES + 4) return 'layout'
  if (header[0] !== FORMAT) return 'format'
  const count = header.readUInt16BE(49)
  const epoch = header.readUInt32BE(37)
  const firstSeq = readU64(header, 41)
  if (count < 1 || count > LIMITS.appendEventsMax || epoch < 1 || firstSeq < 1 || firstSeq + count - 1 > SEQ_MAX)
    return 'layout'
  const tables = decodeTables(header, count)
  if (tables === null) return 'layout'
  const rows = decodeRows(header, body, tables, count)
  if (typeof rows === 'string') return rows
  return {
    header,
    body,
    author: header.subarray(1, 33),
    chain: header.readUInt32BE(33),
    epoch,
    firstSeq,
    count,
    prev: header.subarray(51, 83),
    seal: header.subarray(83, FIXED_BYTES),
    types: tables.types,
    scopes: tables.scopes,
    rows
  }
}

interface Tables {
  readonly types: string[]
  readonly scopes: Buffer[]
  readonly rowsAt: number
}

/** A table cannot be longer than the rows that use it: checked first, so that a hostile table costs nothing. */
function decodeTables(header: Buffer, count: number): Tables | null {
  const types: string[] = []
  let at = FIXED_BYTES + 2
  const typeCount = header.readUInt16BE(FIXED_BYTES)
  if (typeCount > count) return null
  for (let left = typeCount; left > 0; left--) {
    const length = header[at]
    if (length === undefined || at + 1 + length > header.length) return null
    const type = header.toString('latin1', at + 1, at + 1 + length)
    if (!isEventType(type) || types.includes(type)) return null
    types.push(type)
    at += 1 + length
  }
  if (at + 2 > header.length) return null
  const scopeCount = header.readUInt16BE(at)
  at += 2
  if (scopeCount > count || at + scopeCount * SCOPE_BYTES > header.length) return null
  const scopes: Buffer[] = []
  const seen = new Set<string>()
  for (let index = 0; index < scopeCount; index++) {
    const scope = header.subarray(at, at + SCOPE_BYTES)
    const text = scope.toString('latin1')
    if (isZero(scope) || seen.has(text)) return null
    seen.add(text)
    scopes.push(scope)
    at += SCOPE_BYTES
  }
  return { types, scopes, rowsAt: at }
}

function decodeRows(header: Buffer, body: Buffer, tables: Tables, count: number): AppendRow[] | CodecFault {
  const { types, scopes, rowsAt } = tables
  let absentAt = rowsAt + count * ROW_BYTES
  if (absentAt > header.length) return 'layout'
  const rows: AppendRow[] = new Array(count)
  let bodyAt = 0
  let size = 0
  let typesUsed = 0
  let scopesUsed = 0
  for (let index = 0, at = rowsAt; index < count; index++, at += ROW_BYTES) {
    const flags = header[at] as number
    const encoding = header[at + 1] as number
    if (flags > FLAG_ERASABLE || encoding > ENCODING_CIPHERTEXT) return 'format'
    const presence = header[at + 2] as number
    const type = header.readUInt16BE(at + 3)
    const scope = header.readUInt16BE(at + 5)
    const length = header.readUInt32BE(at + 7)
    if (type > typesUsed || type >= types.length || scope > scopesUsed + 1 || scope > scopes.length) return 'layout'
    if (type === typesUsed) typesUsed++
    if (scope === scopesUsed + 1) scopesUsed++
    if (length > LIMITS.payloadBytesMax || presence > ERASED) return 'layout'
    if ((flags & FLAG_ERASABLE) !== 0 ? length % FILL_BYTES !== 0 : presence === ERASED) return 'layout'
    size += eventSize((types[type] as string).length, length)
    const present = presence === PRESENT
    rows[index] = {
      flags,
      encoding,
      type,
      scope,
      length,
      timeMs: header.readUIntBE(at + 11, 6),
      timeCounter: header.readUInt16BE(at + 17),
      bodyAt: present ? bodyAt : -1,
      absentAt: present ? -1 : absentAt
    }
    if (present) bodyAt += SALT_BYTES + length
    else absentAt += ABSENT_BYTES
  }
  const complete = absentAt === header.length && bodyAt === body.length
  const canonical = typesUsed === types.length && scopesUsed === scopes.length
  return complete && canonical && size <= LIMITS.appendBytesMax ? rows : 'layout'
}

export function rowScope(blocks: AppendBlocks, row: AppendRow): Uint8Array {
  return row.scope === 0 ? NO_SCOPE : (blocks.scopes[row.scope - 1] as Buffer)
}

export function rowType(blocks: AppendBlocks, row: AppendRow): string {
  return blocks.types[row.type] as string
}

export function rowSalt(blocks: AppendBlocks, row: AppendRow): Buffer | null {
  return row.bodyAt < 0 ? null : blocks.body.subarray(row.bodyAt, row.bodyAt + SALT_BYTES)
}

export function rowPayload(blocks: AppendBlocks, row: AppendRow): Buffer | null {
  if (row.bodyAt < 0) return null
  return blocks.body.subarray(row.bodyAt + SALT_BYTES, row.bodyAt + SALT_BYTES + row.length)
}

/** header length u32 ‖ body length u32 ‖ header ‖ body */
export function frameAppend(header: Uint8Array, body: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(8 + header.length + body.length)
  frame.writeUInt32BE(header.length, 0)
  frame.writeUInt32BE(body.length, 4)
  frame.set(header, 8)
  frame.set(body, 8 + header.length)
  return frame
}

export function framedBytes(header: Uint8Array, body: Uint8Array): number {
  return 8 + header.length + body.length
}

/** Appends of a frame of whole appends, one after another; stops at the first fault. Never throws. */
export function decodeFrame(frame: Uint8Array): { appends: AppendBlocks[]; fault: CodecFault | null } {
  const bytes = asBuffer(frame)
  const appends: AppendBlocks[] = []
  let at = 0
  while (at < bytes.length) {
    if (at + 8 > bytes.length) return { appends, fault: 'layout' }
    const headerEnd = at + 8 + bytes.readUInt32BE(at)
    const end = headerEnd + bytes.readUInt32BE(at + 4)
    if (end > bytes.length) return { appends, fault: 'layout' }
    const blocks = decodeBlocks(bytes.subarray(at + 8, headerEnd), bytes.subarray(headerEnd, end))
    if (typeof blocks === 'string') return { appends, fault: blocks }
    appends.push(blocks)
    at = end
  }
  return { appends, fault: null }
}

export function sameBlocks(a: AppendBlocks, b: AppendBlocks): boolean {
  return equalBytes(a.header, b.header) && equalBytes(a.body, b.body)
}
