// The registry of every key range of the store: first byte → meaning. Retired numbers stay listed and are never used again.
// Suffix of an append: author 32 ‖ chain u32 ‖ epoch u32 ‖ firstSeq u64 ‖ first 8 bytes of its link, so that branches sit side by side.

import { asBuffer, utf8 } from '../base/bytes.ts'
import type { KeyRange } from './event-store.ts'

export const RANGES = {
  /** Store facts: schema version, mesh id. */
  meta: 0x01,
  /** Append suffix → last id 32 ‖ header block. */
  append: 0x10,
  /** Append suffix → payload block: the only place of payloads, so that erasure rewrites one block. */
  payload: 0x11,
  /** Time u64 of a slice's first event ‖ append suffix → slice. */
  byTime: 0x20,
  /** Type length u8 ‖ type ‖ time u64 ‖ append suffix → slice. */
  byType: 0x21,
  /** Scope 16 ‖ time u64 ‖ append suffix → slice. */
  byScope: 0x22,
  /** Author 32 ‖ chain u32 ‖ epoch u32 → chain row. */
  chain: 0x30,
  /** Author 32 ‖ chain u32 ‖ epoch u32 ‖ seq u64 ‖ link 8 → record of membership, epochs and branches. */
  control: 0x31,
  /** Author 32 ‖ chain u32 ‖ epoch u32 → highest verified head, last beacon. Never rebuilt, never lowered. */
  witness: 0x40,
  /** Author 32 ‖ chain u32 ‖ epoch u32 → fork proof. */
  fork: 0x41,
  /** Append suffix → length u32 ‖ header value ‖ payload block: behind the cut of a removed author. Kept, never served. */
  quarantine: 0x42,
  /** Number u64 → commit mark: check, bytes, appends stored. Arrival order. */
  commit: 0x50,
  /** Name → local facts, never replicated: invites, address book, counters. */
  local: 0x60
} as const

export const SUFFIX_BYTES = 56
export const CHAIN_SUFFIX_BYTES = 40

/** author ‖ chain ‖ epoch */
export function chainSuffix(author: Uint8Array, chain: number, epoch: number): Buffer {
  const key = Buffer.allocUnsafe(CHAIN_SUFFIX_BYTES)
  key.set(author, 0)
  key.writeUInt32BE(chain, 32)
  key.writeUInt32BE(epoch, 36)
  return key
}

/** author ‖ chain ‖ epoch ‖ firstSeq ‖ link 8 */
export function appendSuffix(
  author: Uint8Array,
  chain: number,
  epoch: number,
  firstSeq: number,
  link: Uint8Array
): Buffer {
  const key = Buffer.allocUnsafe(SUFFIX_BYTES)
  key.set(author, 0)
  key.writeUInt32BE(chain, 32)
  key.writeUInt32BE(epoch, 36)
  writeU64(key, firstSeq, 40)
  key.set(link.subarray(0, 8), 48)
  return key
}

export function prefixed(range: number, ...parts: readonly Uint8Array[]): Buffer {
  return Buffer.concat([Uint8Array.of(range), ...parts])
}

/** All keys that begin with `prefix`. */
export function rangeOf(prefix: Uint8Array, options: { reverse?: boolean; limit?: number } = {}): KeyRange {
  return { from: prefix, to: afterPrefix(prefix), ...options }
}

/** The first key behind every key that begins with `prefix`. */
export function afterPrefix(prefix: Uint8Array): Buffer {
  const end = Buffer.from(prefix)
  for (let index = end.length - 1; index >= 0; index--) {
    const byte = end[index] as number
    if (byte < 0xff) {
      end[index] = byte + 1
      return end.subarray(0, index + 1)
    }
  }
  return Buffer.from([0xff, 0xff, 0xff, 0xff])
}

export function writeU64(bytes: Buffer, value: number, offset: number): void {
  bytes.writeUInt32BE(Math.floor(value / 0x1_0000_0000), offset)
  bytes.writeUInt32BE(value % 0x1_0000_0000, offset + 4)
}

/** Reads an unsigned 64-bit integer that fits a safe integer; larger ones come out above Number.MAX_SAFE_INTEGER. */
export function readU64(bytes: Uint8Array, offset: number): number {
  const buffer = asBuffer(bytes)
  return buffer.readUInt32BE(offset) * 0x1_0000_0000 + buffer.readUInt32BE(offset + 4)
}

export function u64(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(8)
  writeU64(bytes, value, 0)
  return bytes
}

/** Local text facts that are never replicated: `local/NAME`. */
export function localKey(name: string): Buffer {
  return prefixed(RANGES.local, utf8(name))
}
