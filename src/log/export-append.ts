// One append line of an export → the blocks that the log stores, or null when the line cannot be one. Layout only: hashes and seals are
// checked by recomputing them from the blocks.

import { copyBytes, tryParseHex } from '../base/bytes.ts'
import { LIMITS } from '../base/limits.ts'
import {
  type AppendBlocks,
  type AppendRowInput,
  decodeBlocks,
  encodeBlocks,
  SALT_BYTES,
  writeSeal
} from './append-codec.ts'
import { u64 } from './store-keys.ts'

const ROW_BYTES = 19
const HEADER_BYTES_MIN = 177

type Fields = Readonly<Record<string, unknown>>

/** `headers`: the bytes that the export gives for each event. `lastId`: the id it gives. */
export interface ExportedAppend {
  readonly blocks: AppendBlocks
  readonly headers: readonly Uint8Array[]
  readonly lastId: Uint8Array
}

interface ReadEvent {
  readonly header: Uint8Array
  readonly input: AppendRowInput
  /** Commitment 32 ‖ place of the erasure 48, for an absent payload. */
  readonly absent: Uint8Array | null
}

function fieldsOf(value: unknown): Fields {
  return typeof value === 'object' && value !== null ? (value as Fields) : {}
}

function hexOf(value: unknown, length?: number): Uint8Array | null {
  return typeof value === 'string' && !/[A-F]/.test(value) ? tryParseHex(value, length) : null
}

function numberOf(value: unknown, min: number, max: number): number | null {
  return typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max ? value : null
}

/** `format`: written in a format, with a flag or an encoding that this program does not know. */
export function readExportedAppend(value: unknown): ExportedAppend | 'layout' | 'format' {
  const fields = fieldsOf(value)
  const author = hexOf(fields.author, 32)
  const chain = numberOf(fields.chain, 0, 0xffff_ffff)
  const epoch = numberOf(fields.epoch, 1, 0xffff_ffff)
  const firstSeq = numberOf(fields.firstSeq, 1, Number.MAX_SAFE_INTEGER)
  const [prev, lastId, seal] = [hexOf(fields.prev, 32), hexOf(fields.lastId, 32), hexOf(fields.seal, 64)]
  const list = fields.events
  if (author === null || chain === null || epoch === null || firstSeq === null) return 'layout'
  if (prev === null || lastId === null || seal === null || !Array.isArray(list)) return 'layout'
  if (list.length < 1 || list.length !== fields.count) return 'layout'
  const events: ReadEvent[] = []
  for (const entry of list) {
    const event = readEvent(fieldsOf(entry))
    if (typeof event === 'string') return event
    events.push(event)
  }
  const blocks = blocksOf({ author, chain, epoch, firstSeq, prev }, seal, events)
  return typeof blocks === 'string' ? blocks : { blocks, headers: events.map(({ header }) => header), lastId }
}

function readEvent(fields: Fields): ReadEvent | 'layout' | 'format' {
  const bytes = hexOf(fields.header)
  if (bytes === null || bytes.length < HEADER_BYTES_MIN) return 'layout'
  const header = Buffer.from(bytes)
  const flags = header.readUInt8(1)
  const encoding = header.readUInt8(2)
  if (header.readUInt8(0) !== 1 || flags > 1 || encoding > 1) return 'format'
  const row = {
    flags,
    encoding,
    type: header.toString('latin1', 176),
    scope: header.subarray(123, 139),
    timeMs: header.readUIntBE(115, 6),
    timeCounter: header.readUInt16BE(121)
  }
  if (fields.erased !== undefined) {
    if (header.readUInt32BE(139) > LIMITS.payloadBytesMax) return 'layout'
    const eraser = eraserBytes(fieldsOf(fields.erased))
    const input = { ...row, salt: new Uint8Array(SALT_BYTES), payload: new Uint8Array(header.readUInt32BE(139)) }
    return eraser === null ? 'layout' : { header, input, absent: Buffer.concat([header.subarray(143, 175), eraser]) }
  }
  const salt = hexOf(fields.salt, SALT_BYTES)
  const text = fields.text
  const payload = typeof text === 'string' ? Buffer.from(text, 'utf8') : hexOf(fields.payload)
  return salt === null || payload === null ? 'layout' : { header, input: { ...row, salt, payload }, absent: null }
}

function eraserBytes(fields: Fields): Buffer | null {
  const author = hexOf(fields.author, 32)
  const chain = numberOf(fields.chain, 0, 0xffff_ffff)
  const epoch = numberOf(fields.epoch, 1, 0xffff_ffff)
  const seq = numberOf(fields.seq, 1, Number.MAX_SAFE_INTEGER)
  if (author === null || chain === null || epoch === null || seq === null) return null
  const place = Buffer.alloc(8)
  place.writeUInt32BE(chain, 0)
  place.writeUInt32BE(epoch, 4)
  return Buffer.concat([author, place, u64(seq)])
}

/** Encodes with every payload present, takes the absent ones out, and decodes: the codec's own checks decide. */
function blocksOf(
  place: { author: Uint8Array; chain: number; epoch: number; firstSeq: number; prev: Uint8Array },
  seal: Uint8Array,
  events: readonly ReadEvent[]
): AppendBlocks | 'layout' | 'format' {
  const full = encodeBlocks(
    place,
    events.map(({ input }) => input)
  )
  writeSeal(full, seal)
  if (events.every(({ absent }) => absent === null)) return decodeBlocks(full.header, full.body)
  const header = Buffer.from(copyBytes(full.header))
  const rowsAt = header.length - events.length * ROW_BYTES
  const body: Uint8Array[] = []
  for (const [index, { absent, input }] of events.entries()) {
    if (absent === null) body.push(input.salt, input.payload)
    else header[rowsAt + index * ROW_BYTES + 2] = 1
  }
  const absent = events.flatMap((event) => (event.absent === null ? [] : [event.absent]))
  return decodeBlocks(Buffer.concat([header, ...absent]), Buffer.concat(body))
}
