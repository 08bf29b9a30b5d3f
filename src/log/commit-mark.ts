// Commit marks (PROTOCOL §4): one per durable batch, numbered without gaps. They find the middle that LevelDB drops from a damaged write-ahead
// log, and they are the order of arrival that subscriptions resume from.

import { equalBytes } from '../base/bytes.ts'
import { sha256 } from './hash.ts'
import { prefixed, RANGES, readU64, SUFFIX_BYTES, u64 } from './store-keys.ts'

export interface CommitMark {
  readonly number: number
  /** Bytes of the batch, roughly: tells how many marks the write-ahead log may still hold. */
  readonly bytes: number
  /** Append suffixes in the order stored. */
  readonly appends: readonly Buffer[]
}

const CHECK_BYTES = 8

export function commitMarkKey(number: number): Buffer {
  return prefixed(RANGES.commit, u64(number))
}

export function commitMarkNumber(key: Uint8Array): number {
  return readU64(key, 1)
}

/** check 8 ‖ bytes u32 ‖ suffixes */
export function encodeCommitMark(mark: CommitMark): Buffer {
  const size = Buffer.allocUnsafe(4)
  size.writeUInt32BE(Math.min(mark.bytes, 0xffff_ffff), 0)
  const rest = Buffer.concat([size, ...mark.appends])
  return Buffer.concat([checkOf(mark.number, rest), rest])
}

export function tryDecodeCommitMark(number: number, value: Uint8Array): CommitMark | null {
  const bytes = Buffer.from(value)
  const rest = bytes.subarray(CHECK_BYTES)
  if (rest.length < 4 || (rest.length - 4) % SUFFIX_BYTES !== 0) return null
  if (!equalBytes(bytes.subarray(0, CHECK_BYTES), checkOf(number, rest))) return null
  const appends: Buffer[] = []
  for (let at = 4; at < rest.length; at += SUFFIX_BYTES) appends.push(rest.subarray(at, at + SUFFIX_BYTES))
  return { number, bytes: rest.readUInt32BE(0), appends }
}

function checkOf(number: number, rest: Uint8Array): Buffer {
  return sha256(Buffer.concat([u64(number), rest])).subarray(0, CHECK_BYTES)
}
