// Ed25519 keys, signatures and the admission check of public keys.
// A valid signature is RFC 8032, cofactorless, s < L, as node:crypto answers (PROTOCOL §1); no other verifier is asked anywhere.
// Whether a key belongs to anybody is not known here.

import { createHash, createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto'
import { inspect } from 'node:util'
import { getPublicKey, hashes, Point } from '@noble/ed25519'
import { asBuffer, concatBytes, copyBytes, fromHex, toHex } from '../base/bytes.ts'
import { systemRandom } from '../base/clock.ts'
import { MeshError } from '../base/mesh-error.ts'

const KEY_BYTES = 32
const SIGNATURE_BYTES = 64
const PUBLIC_KEYS_CACHED_MAX = 4096
const PKCS8_PREFIX = fromHex('302e020100300506032b657004220420')
const SPKI_PREFIX = fromHex('302a300506032b6570032100')

hashes.sha512 = (message) => new Uint8Array(createHash('sha512').update(message).digest())

/** A private key. Its secret shows in no inspection and no JSON. */
export interface SigningKey {
  /** 32 bytes. */
  readonly publicKey: Uint8Array
  /** Lower-case hex of the public key: how a member is named inside the program. */
  readonly publicKeyHex: string
  /** The 32-byte RFC 8032 secret. Only the identity store and libp2p ask for it. */
  readonly seed: Uint8Array
  /** 64-byte signature of `message`, which starts with a tag of `TAGS`. */
  sign(message: Uint8Array): Uint8Array
}

class Ed25519SigningKey implements SigningKey {
  readonly publicKey: Uint8Array
  readonly publicKeyHex: string
  readonly #seed: Uint8Array
  readonly #privateKey: KeyObject

  constructor(seed: Uint8Array) {
    this.#seed = copyBytes(seed)
    this.publicKey = getPublicKey(this.#seed)
    this.publicKeyHex = toHex(this.publicKey)
    const der = concatBytes([PKCS8_PREFIX, this.#seed])
    this.#privateKey = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
    der.fill(0)
  }

  get seed(): Uint8Array {
    return copyBytes(this.#seed)
  }

  sign(message: Uint8Array): Uint8Array {
    return sign(null, message, this.#privateKey)
  }

  toJSON(): { publicKey: string } {
    return { publicKey: this.publicKeyHex }
  }

  [inspect.custom](): string {
    return `SigningKey(${this.publicKeyHex})`
  }
}

/** The key of a 32-byte secret; IDENTITY_KEY_INVALID for another length. */
export function signingKeyFromSeed(seed: Uint8Array): SigningKey {
  if (seed.length !== KEY_BYTES) throw new MeshError('IDENTITY_KEY_INVALID', 'an Ed25519 secret is 32 bytes')
  return new Ed25519SigningKey(seed)
}

/** A fresh random key. */
export function generateSigningKey(): SigningKey {
  return signingKeyFromSeed(systemRandom.bytes(KEY_BYTES))
}

const publicKeys = new Map<string, KeyObject>()

function importedPublicKey(publicKey: Uint8Array): KeyObject {
  const name = asBuffer(publicKey).toString('latin1')
  const cached = publicKeys.get(name)
  if (cached !== undefined) {
    publicKeys.delete(name)
    publicKeys.set(name, cached)
    return cached
  }
  const imported = createPublicKey({ key: concatBytes([SPKI_PREFIX, publicKey]), format: 'der', type: 'spki' })
  if (publicKeys.size >= PUBLIC_KEYS_CACHED_MAX) {
    const oldest = publicKeys.keys().next()
    if (!oldest.done) publicKeys.delete(oldest.value)
  }
  publicKeys.set(name, imported)
  return imported
}

/** y of every point whose order divides 8, in all encodings: 0, 1, p − 1, the two of order 8, p, p + 1. The sign bit is left out. */
const SMALL_ORDER_Y: ReadonlySet<string> = new Set([
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000000',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f'
])
const SMALL_ORDER_FIRST_BYTES: ReadonlySet<number> = new Set(
  [...SMALL_ORDER_Y].map((y) => Number.parseInt(y.slice(0, 2), 16))
)

/** Whether the first 32 bytes encode a point of small order, canonically or not. */
export function isSmallOrderEncoding(bytes: Uint8Array): boolean {
  if (!SMALL_ORDER_FIRST_BYTES.has(bytes[0] ?? -1)) return false
  const y = copyBytes(bytes.subarray(0, KEY_BYTES))
  y[KEY_BYTES - 1] = (y[KEY_BYTES - 1] ?? 0) & 0x7f
  return SMALL_ORDER_Y.has(toHex(y))
}

/**
 * Whether `signature` is valid (PROTOCOL §1). Never throws: wrong lengths and keys off the curve read false.
 * Node refuses points of small order only in its later releases; asked here first, every release gives one answer.
 */
export function verifySignature(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (publicKey.length !== KEY_BYTES || signature.length !== SIGNATURE_BYTES) return false
  if (isSmallOrderEncoding(publicKey) || isSmallOrderEncoding(signature)) return false
  return verify(null, message, importedPublicKey(publicKey), signature)
}

/** `malformed`: not 32 bytes or no point; `non-canonical`: another encoding of a point; the other two have a torsion component. */
export type PublicKeyVerdict = 'ok' | 'malformed' | 'non-canonical' | 'small-order' | 'mixed-order'

function tryDecodePoint(publicKey: Uint8Array, acceptsNonCanonical: boolean): Point | null {
  try {
    return Point.fromBytes(publicKey, acceptsNonCanonical)
  } catch {
    // noble has no other way to say "not a point"
    return null
  }
}

/** Admission demands a canonical, torsion-free key (PROTOCOL §1). Costs about a millisecond: not for hot paths. */
export function checkPublicKey(publicKey: Uint8Array): PublicKeyVerdict {
  if (publicKey.length !== KEY_BYTES) return 'malformed'
  const point = tryDecodePoint(publicKey, false)
  if (point === null) return tryDecodePoint(publicKey, true) === null ? 'malformed' : 'non-canonical'
  if (point.isSmallOrder()) return 'small-order'
  return point.isTorsionFree() ? 'ok' : 'mixed-order'
}
