// Recomputes what an append leaves out: commitments, event ids, statement, link (PROTOCOL §1). One pass, two hashes an event.

import { concatBytes } from '../base/bytes.ts'
import { LIMITS } from '../base/limits.ts'
import { TAGS } from '../identity/tags.ts'
import {
  type AppendBlocks,
  type AppendRow,
  FORMAT,
  HEADER_FIXED_BYTES,
  rowScope,
  rowType,
  SALT_BYTES
} from './append-codec.ts'
import { sha256, sha256Text } from './hash.ts'
import { completeHead, type Head, type Statement } from './statement.ts'
import { writeU64 } from './store-keys.ts'

const HEADER_AT = TAGS.event.length
const PREV_AT = HEADER_AT + 83
const COMMITMENT_AT = HEADER_AT + 143
const headerText = Buffer.alloc(HEADER_AT + HEADER_FIXED_BYTES + LIMITS.typeBytesMax)
headerText.set(TAGS.event, 0)
const payloadText = Buffer.alloc(TAGS.payload.length + SALT_BYTES + LIMITS.payloadBytesMax)
payloadText.set(TAGS.payload, 0)

/** SHA-256 over tag, salt and payload. */
export function commitmentOf(salt: Uint8Array, payload: Uint8Array): Buffer {
  return sha256(concatBytes([TAGS.payload, salt, payload]))
}

function writeCommitment(blocks: AppendBlocks, row: AppendRow): void {
  if (row.bodyAt < 0) {
    blocks.header.copy(headerText, COMMITMENT_AT, row.absentAt, row.absentAt + 32)
    return
  }
  const length = SALT_BYTES + row.length
  blocks.body.copy(payloadText, TAGS.payload.length, row.bodyAt, row.bodyAt + length)
  headerText.write(sha256Text(payloadText.subarray(0, TAGS.payload.length + length)), COMMITMENT_AT, 'latin1')
}

function writeHeaderConstants(mesh: Uint8Array, blocks: AppendBlocks): void {
  headerText[HEADER_AT] = FORMAT
  headerText.set(mesh, HEADER_AT + 3)
  headerText.set(blocks.author, HEADER_AT + 35)
  headerText.writeUInt32BE(blocks.chain, HEADER_AT + 67)
  headerText.writeUInt32BE(blocks.epoch, HEADER_AT + 71)
}

/** Writes the header of one event, all but its `prev`, into the shared text and returns its bytes with the tag in front. */
function writeHeader(blocks: AppendBlocks, index: number): Buffer {
  const row = blocks.rows[index] as AppendRow
  const type = rowType(blocks, row)
  headerText[HEADER_AT + 1] = row.flags
  headerText[HEADER_AT + 2] = row.encoding
  writeU64(headerText, blocks.firstSeq + index, HEADER_AT + 75)
  headerText.writeUIntBE(row.timeMs, HEADER_AT + 115, 6)
  headerText.writeUInt16BE(row.timeCounter, HEADER_AT + 121)
  headerText.set(rowScope(blocks, row), HEADER_AT + 123)
  headerText.writeUInt32BE(row.length, HEADER_AT + 139)
  writeCommitment(blocks, row)
  headerText[HEADER_AT + 175] = type.length
  headerText.write(type, HEADER_AT + HEADER_FIXED_BYTES, 'latin1')
  return headerText.subarray(0, HEADER_AT + HEADER_FIXED_BYTES + type.length)
}

/** Walks the hash chain that starts at the append's `prev`; returns the last id as latin1 text. `each` sees the text that was hashed. */
function walk(mesh: Uint8Array, blocks: AppendBlocks, each: ((id: string, text: Buffer) => void) | null): string {
  writeHeaderConstants(mesh, blocks)
  headerText.set(blocks.prev, PREV_AT)
  let id = ''
  for (let index = 0; index < blocks.count; index++) {
    const text = writeHeader(blocks, index)
    id = sha256Text(text)
    each?.(id, text)
    headerText.write(id, PREV_AT, 'latin1')
  }
  return id
}

/** Id of the last event. */
export function lastIdOf(mesh: Uint8Array, blocks: AppendBlocks): Buffer {
  return Buffer.from(walk(mesh, blocks, null), 'latin1')
}

/** Ids of all events in order. */
export function eventIds(mesh: Uint8Array, blocks: AppendBlocks): Buffer[] {
  const ids: Buffer[] = []
  walk(mesh, blocks, (id) => ids.push(Buffer.from(id, 'latin1')))
  return ids
}

/** Ids of all events in order, with the exact header bytes of each. */
export function eventHeaders(mesh: Uint8Array, blocks: AppendBlocks): { id: Buffer; header: Buffer }[] {
  const events: { id: Buffer; header: Buffer }[] = []
  walk(mesh, blocks, (id, text) =>
    events.push({ id: Buffer.from(id, 'latin1'), header: Buffer.from(text.subarray(HEADER_AT)) })
  )
  return events
}

export function statementOf(mesh: Uint8Array, blocks: AppendBlocks, lastId: Uint8Array): Statement {
  const { author, chain, epoch, firstSeq, count, prev } = blocks
  return { mesh, author, chain, epoch, firstSeq, count, prev, lastId }
}

/** The head that the append claims: hashes done, seal not checked. The head owns its bytes. */
export function claimedHead(mesh: Uint8Array, blocks: AppendBlocks): Head {
  const owned = Buffer.from(blocks.header.subarray(0, 147))
  const statement: Statement = {
    mesh,
    author: owned.subarray(1, 33),
    chain: blocks.chain,
    epoch: blocks.epoch,
    firstSeq: blocks.firstSeq,
    count: blocks.count,
    prev: owned.subarray(51, 83),
    lastId: lastIdOf(mesh, blocks)
  }
  return completeHead(statement, owned.subarray(83, 147))
}
