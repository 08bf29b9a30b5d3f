// Appends of the model log: a head and its records as JSON, one after another in a frame.

import { compareBytes, fromHex, toHex } from '../src/base/bytes.ts'
import { sha256 } from '../src/log/hash.ts'
import {
  type ChainKey,
  encodeHead,
  type ForkProof,
  HEAD_BYTES,
  type Head,
  headSealValid,
  tryDecodeHead
} from '../src/log/statement.ts'

export interface Stored {
  readonly head: Head
  readonly frame: Uint8Array
  readonly records: readonly ModelRecord[]
}

/** A record as it is written: heads and proofs as hex. */
export interface ModelRecord {
  readonly type: string
  readonly text?: string
  readonly subject?: string
  readonly admin?: boolean
  readonly cuts?: Readonly<Record<ChainKey, { readonly seq: number; readonly id: string }>>
  readonly head?: string
  readonly fork?: string | null
  readonly kept?: string | null
  readonly branches?: readonly string[]
}

export interface Line {
  readonly byLink: Map<string, Stored>
  readonly tips: Set<string>
  fork: ForkProof | null
  witness: Head | null
}

const seals = new Map<string, boolean>()

/** Remembers what was verified: the same seal is met on every simulated node. */
export function sealHolds(head: Head): boolean {
  const name = toHex(head.link)
  const known = seals.get(name)
  if (known !== undefined) return known
  if (seals.size > 500_000) seals.clear()
  const valid = headSealValid(head)
  seals.set(name, valid)
  return valid
}

const decoded = new Map<string, Head | null>()

export function headFromHex(text: string): Head | null {
  let head = decoded.get(text)
  if (head === undefined) {
    head = tryDecodeHead(fromHex(text))
    if (decoded.size > 100_000) decoded.clear()
    decoded.set(text, head)
  }
  return head
}

export function frameOf(head: Head, body: Uint8Array): Buffer {
  const frame = Buffer.alloc(4 + HEAD_BYTES + body.length)
  frame.writeUInt32BE(body.length, 0)
  frame.set(encodeHead(head), 4)
  frame.set(body, 4 + HEAD_BYTES)
  return frame
}

/** Null when anything but the seals does not hold. */
export function decodeModelFrame(mesh: Uint8Array, frame: Uint8Array): Stored[] | null {
  const bytes = Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength)
  const appends: Stored[] = []
  for (let at = 0; at < bytes.length; ) {
    if (at + 4 + HEAD_BYTES > bytes.length) return null
    const end = at + 4 + HEAD_BYTES + bytes.readUInt32BE(at)
    const head = tryDecodeHead(bytes.subarray(at + 4, at + 4 + HEAD_BYTES))
    const body = bytes.subarray(at + 4 + HEAD_BYTES, end)
    if (head === null || end > bytes.length || compareBytes(head.mesh, mesh) !== 0) return null
    if (compareBytes(sha256(body), head.lastId) !== 0) return null
    const append = {
      head,
      frame: Buffer.from(bytes.subarray(at, end)),
      records: JSON.parse(body.toString()) as ModelRecord[]
    }
    appends.push(append)
    at = end
  }
  return appends.length > 0 ? appends : null
}
