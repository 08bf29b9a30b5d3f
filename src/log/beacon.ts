// Head beacon (PROTOCOL §4): the author's signed word "my chain reaches here, at this time, from this running instance".

import { copyBytes } from '../base/bytes.ts'
import { type SigningKey, verifySignature } from '../identity/ed25519.ts'
import { TAGS } from '../identity/tags.ts'
import { encodeHead, HEAD_BYTES, type Head, headSealValid, tryDecodeHead } from './statement.ts'

/** Start time in ms as u64 ‖ 8 random bytes: one per process start. */
export type Instance = Uint8Array
export const INSTANCE_BYTES = 16
const BEACON_TEXT_BYTES = HEAD_BYTES + 8 + INSTANCE_BYTES
export const BEACON_BYTES = BEACON_TEXT_BYTES + 64

export interface Beacon {
  readonly head: Head
  /** Wall clock of the author, ms. */
  readonly timeMs: number
  readonly instance: Instance
}

export function makeInstance(startMs: number, random8: Uint8Array): Instance {
  const instance = Buffer.alloc(INSTANCE_BYTES)
  instance.writeBigUInt64BE(BigInt(startMs), 0)
  instance.set(random8.subarray(0, 8), 8)
  return instance
}

export function instanceStartMs(instance: Instance): number {
  return Number(Buffer.from(instance).readBigUInt64BE(0))
}

/** S ‖ seal ‖ time u64 ‖ instance ‖ signature, 300 bytes. */
export function signBeacon(beacon: Beacon, key: SigningKey): Buffer {
  const text = Buffer.alloc(TAGS.head.length + BEACON_TEXT_BYTES)
  text.set(TAGS.head, 0)
  text.set(encodeHead(beacon.head), TAGS.head.length)
  text.writeBigUInt64BE(BigInt(beacon.timeMs), TAGS.head.length + HEAD_BYTES)
  text.set(beacon.instance, TAGS.head.length + HEAD_BYTES + 8)
  return Buffer.concat([text.subarray(TAGS.head.length), key.sign(text)])
}

/** Checks layout and both signatures; null when anything does not hold. */
export function tryDecodeBeacon(bytes: Uint8Array): Beacon | null {
  if (bytes.length !== BEACON_BYTES) return null
  const source = Buffer.from(copyBytes(bytes))
  const head = tryDecodeHead(source.subarray(0, HEAD_BYTES))
  if (head === null) return null
  const text = Buffer.concat([TAGS.head, source.subarray(0, BEACON_TEXT_BYTES)])
  if (!verifySignature(head.author, text, source.subarray(BEACON_TEXT_BYTES)) || !headSealValid(head)) return null
  const timeMs = source.readBigUInt64BE(HEAD_BYTES)
  if (timeMs > BigInt(Number.MAX_SAFE_INTEGER)) return null
  return { head, timeMs: Number(timeMs), instance: source.subarray(HEAD_BYTES + 8, BEACON_TEXT_BYTES) }
}
