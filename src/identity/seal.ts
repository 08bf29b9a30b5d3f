// Sealed values, `enc2:` (ID-5, ID-6, ID-8). New: `enc2:v1:KEYID:base64url(nonce24 ‖ ciphertext ‖ tag16)`, XChaCha20-Poly1305 under a
// key derived by purpose, the value's place as additional data, so that a moved value does not open. Old: v0.1, only read.
// There is no other cipher and no way to get a ciphertext back as if it were the value.

import { hkdfSync } from 'node:crypto'
import { inspect } from 'node:util'
import { chacha20poly1305, xchacha20poly1305 } from '@noble/ciphers/chacha.js'
import { concatBytes, copyBytes, tryParseHex, utf8 } from '../base/bytes.ts'
import { systemRandom } from '../base/clock.ts'
import { MeshError } from '../base/mesh-error.ts'

export const ROOT_KEY_BYTES = 32
const NONCE_BYTES = 24
const NONCE_BYTES_V01 = 12
const TAG_BYTES = 16
const SEALED = /^enc2:v1:([0-9a-f]{8}):([A-Za-z0-9_-]+)$/
const SEALED_V01 = /^enc2:([0-9a-f]+)$/

/** Where a sealed value lies. The same bytes at another place do not open. */
export interface SealPlace {
  readonly purpose: 'identity' | 'mesh' | 'credential'
  /** For a credential provider and field. No part holds a NUL. */
  readonly name: readonly string[]
}

/** `format`: no enc2 value; `key-unknown`: sealed by a key that is not here; `not-authentic`: changed, cut, or moved from another place. */
export type OpenReason = 'format' | 'key-unknown' | 'not-authentic'
export type OpenVerdict =
  | { readonly ok: true; readonly bytes: Uint8Array }
  | { readonly ok: false; readonly reason: OpenReason }

/** A root key and the name that sealed values carry of it. */
export interface RootKey {
  /** 8 letters of lower-case hex. */
  readonly id: string
  readonly bytes: Uint8Array
}

/** Whether `text` claims to be sealed, v0.1's form included. */
export function isSealed(text: string): boolean {
  return text.startsWith('enc2:')
}

/** The key id of a value of ours; null for v0.1's and for anything else. */
export function sealedKeyId(text: string): string | null {
  return SEALED.exec(text)?.[1] ?? null
}

function additionalData(keyId: string, place: SealPlace): Buffer {
  if (place.name.some((part) => part.includes('\0'))) throw new MeshError('INTERNAL', 'a place’s name holds a NUL')
  return utf8(['pmesh-enc2', '1', keyId, place.purpose, ...place.name].join('\0'))
}

/** The keys that seal and open values: one current, and the earlier ones while a rotation is under way. Shows no key in inspection or JSON. */
export class KeyRing {
  readonly #keys: Map<string, Uint8Array>
  readonly #derived = new Map<string, Uint8Array>()
  readonly currentId: string

  constructor(current: RootKey, earlier: readonly RootKey[] = []) {
    this.currentId = current.id
    this.#keys = new Map([current, ...earlier].map((key) => [key.id, copyBytes(key.bytes)]))
  }

  /** Ids of all keys, the current one first. */
  get keyIds(): string[] {
    return [...this.#keys.keys()]
  }

  /** For the file that keeps the ring, nothing else. */
  exportKeys(): RootKey[] {
    return [...this.#keys].map(([id, bytes]) => ({ id, bytes: copyBytes(bytes) }))
  }

  /** One line of text that opens at this place only. */
  seal(place: SealPlace, plaintext: Uint8Array): string {
    const nonce = systemRandom.bytes(NONCE_BYTES)
    const key = this.#derive(this.currentId, place)
    if (key === null) throw new MeshError('INTERNAL', 'the key ring lacks its current key')
    const sealed = xchacha20poly1305(key, nonce, additionalData(this.currentId, place)).encrypt(plaintext)
    return `enc2:v1:${this.currentId}:${concatBytes([nonce, sealed]).toString('base64url')}`
  }

  /** Opens a value of `seal`. v0.1's values read `format` here. */
  open(place: SealPlace, text: string): OpenVerdict {
    const match = SEALED.exec(text)
    const [keyId, body] = [match?.[1], match?.[2]]
    if (keyId === undefined || body === undefined) return { ok: false, reason: 'format' }
    const bytes = Buffer.from(body, 'base64url')
    if (bytes.toString('base64url') !== body || bytes.length < NONCE_BYTES + TAG_BYTES)
      return { ok: false, reason: 'format' }
    const key = this.#derive(keyId, place)
    if (key === null) return { ok: false, reason: 'key-unknown' }
    const cipher = xchacha20poly1305(key, bytes.subarray(0, NONCE_BYTES), additionalData(keyId, place))
    return tryDecrypt(() => cipher.decrypt(bytes.subarray(NONCE_BYTES)))
  }

  #derive(keyId: string, place: SealPlace): Uint8Array | null {
    const name = `${keyId} ${place.purpose}`
    const known = this.#derived.get(name)
    if (known !== undefined) return known
    const root = this.#keys.get(keyId)
    if (root === undefined) return null
    const key = new Uint8Array(hkdfSync('sha256', root, utf8(keyId), utf8(`pmesh enc2 v1 ${place.purpose}`), 32))
    this.#derived.set(name, key)
    return key
  }

  toJSON(): { currentId: string } {
    return { currentId: this.currentId }
  }

  [inspect.custom](): string {
    return `KeyRing(${this.keyIds.join(', ')})`
  }
}

/** Opens a v0.1 value: `enc2:` and lower-case hex of nonce12 ‖ ciphertext ‖ tag16, ChaCha20-Poly1305, no additional data. */
export function openSealedV01(text: string, key: Uint8Array): OpenVerdict {
  const bytes = tryParseHex(SEALED_V01.exec(text)?.[1] ?? '')
  if (bytes === null || bytes.length < NONCE_BYTES_V01 + TAG_BYTES) return { ok: false, reason: 'format' }
  const cipher = chacha20poly1305(key, bytes.subarray(0, NONCE_BYTES_V01))
  return tryDecrypt(() => cipher.decrypt(bytes.subarray(NONCE_BYTES_V01)))
}

function tryDecrypt(decrypt: () => Uint8Array): OpenVerdict {
  try {
    return { ok: true, bytes: decrypt() }
  } catch {
    // the library throws for a wrong tag and for nothing else: lengths were checked
    return { ok: false, reason: 'not-authentic' }
  }
}
