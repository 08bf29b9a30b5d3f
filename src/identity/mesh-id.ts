// The preimage of a mesh id (PROTOCOL §5): who founded the mesh, which recovery key may name another founder, and its name.

import { createHash } from 'node:crypto'
import { asBuffer, concatBytes, copyBytes, isZero, utf8 } from '../base/bytes.ts'
import { MeshError } from '../base/mesh-error.ts'
import { TAGS } from './tags.ts'

const KEY_BYTES = 32
const NONCE_BYTES = 16
const FIXED_BYTES = 2 * KEY_BYTES + NONCE_BYTES
const NAME_BYTES_MAX = 64
const NO_RECOVERY = Buffer.alloc(KEY_BYTES)
const utf8Decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

export interface MeshPreimage {
  /** 32-byte public key. */
  readonly founder: Uint8Array
  /** 32-byte public key that may name another founder; null for none. */
  readonly recovery: Uint8Array | null
  /** 16 bytes. */
  readonly nonce: Uint8Array
  /** 1…64 bytes of UTF-8. */
  readonly name: string
}

/** Whether `name` is 1…64 bytes of UTF-8 without control characters: it is shown on other people's terminals. */
export function isMeshName(name: string): boolean {
  const length = Buffer.byteLength(name)
  return length >= 1 && length <= NAME_BYTES_MAX && name.isWellFormed() && !/\p{Cc}/u.test(name)
}

/** founder ‖ recovery or zeros ‖ nonce16 ‖ name. CONFIG_INVALID for a name that is empty, too long or holds control characters. */
export function encodeMeshPreimage(preimage: MeshPreimage): Buffer {
  if (!isMeshName(preimage.name))
    throw new MeshError('CONFIG_INVALID', `a mesh name is 1 to ${NAME_BYTES_MAX} bytes of text`)
  if (preimage.founder.length !== KEY_BYTES || preimage.nonce.length !== NONCE_BYTES) {
    throw new MeshError('INTERNAL', 'mesh preimage with a key or nonce of another length')
  }
  return concatBytes([preimage.founder, preimage.recovery ?? NO_RECOVERY, preimage.nonce, utf8(preimage.name)])
}

export function tryDecodeMeshPreimage(bytes: Uint8Array): MeshPreimage | null {
  if (bytes.length <= FIXED_BYTES || bytes.length > FIXED_BYTES + NAME_BYTES_MAX) return null
  const name = tryDecodeUtf8(bytes.subarray(FIXED_BYTES))
  if (name === null || !isMeshName(name)) return null
  const recovery = bytes.subarray(KEY_BYTES, 2 * KEY_BYTES)
  return {
    founder: copyBytes(bytes.subarray(0, KEY_BYTES)),
    recovery: isZero(recovery) ? null : copyBytes(recovery),
    nonce: copyBytes(bytes.subarray(2 * KEY_BYTES, FIXED_BYTES)),
    name
  }
}

/** 32-byte mesh id: SHA-256(tag ‖ preimage). */
export function meshIdOf(preimage: MeshPreimage): Uint8Array {
  return createHash('sha256').update(TAGS.mesh).update(encodeMeshPreimage(preimage)).digest()
}

function tryDecodeUtf8(bytes: Uint8Array): string | null {
  try {
    return utf8Decoder.decode(asBuffer(bytes))
  } catch {
    // a fatal TextDecoder has no other way to say "not UTF-8"
    return null
  }
}
