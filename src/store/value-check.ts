// Each stored value ends in the CRC-32 of its key and itself: LevelDB does not check its block checksums on reads.

import { crc32 } from 'node:zlib'
import { asBuffer } from '../base/bytes.ts'

const CHECK_BYTES = 4

export function withCheck(key: Uint8Array, value: Uint8Array): Buffer {
  const stored = Buffer.allocUnsafe(value.length + CHECK_BYTES)
  stored.set(value, 0)
  stored.writeUInt32BE(crc32(value, crc32(key)), value.length)
  return stored
}

/** The value without its check; null when the check does not hold. */
export function tryWithoutCheck(key: Uint8Array, stored: Uint8Array): Buffer | null {
  const bytes = asBuffer(stored)
  const length = bytes.length - CHECK_BYTES
  if (length < 0) return null
  const value = bytes.subarray(0, length)
  return bytes.readUInt32BE(length) === crc32(value, crc32(key)) ? value : null
}
