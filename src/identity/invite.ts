// The invite: one line to paste. It names the mesh, the inviter's key and its doors, and carries the secret that one joiner proves.
// The inviter keeps no secret: it derives it again from its identity key and the invite's nonce, so that a copied store redeems nothing
// and a rotation of the sealing key breaks no open invite.

import { createHash, hkdfSync } from 'node:crypto'
import { concatBytes, copyBytes, equalBytes, utf8 } from '../base/bytes.ts'
import { LIMITS } from '../base/limits.ts'
import { MeshError } from '../base/mesh-error.ts'
import type { SigningKey } from './ed25519.ts'
import { hideFields } from './hidden.ts'
import { isMeshName } from './mesh-id.ts'

const PREFIX = 'pmesh1-'
const TEXT_LENGTH_MAX = 4096
const CHECKSUM_BYTES = 4
const SECRET_BYTES_MIN = 16
const SECRET_BYTES_MAX = 32
const PSK_BYTES = 32
const ADDRESS = /^\/[\x21-\x7e]{1,254}$/

/** Length of the nonce from which `inviteSecret` derives. Not secret: it lies in the inviter's store. */
export const INVITE_NONCE_BYTES = 16

export interface Invite {
  /** 32-byte mesh id. */
  readonly mesh: Uint8Array
  /** 32-byte public key of the only node that redeems it. */
  readonly inviter: Uint8Array
  /** 16…32 bytes. Hidden from inspection, JSON and spread. */
  readonly secret: Uint8Array
  /** Milliseconds since 1970. */
  readonly expiryMs: number
  readonly meshName: string
  /** Multiaddrs of the inviter's door, at most 8. */
  readonly doors: readonly string[]
  /** The mesh's pre-shared key, where it has one. Hidden like the secret. */
  readonly psk?: Uint8Array
}

/** The secret of the invite with this nonce: 16 bytes that only the inviter's identity key can derive. */
export function inviteSecret(key: SigningKey, nonce: Uint8Array): Uint8Array {
  const seed = key.seed
  const secret = new Uint8Array(hkdfSync('sha256', seed, nonce, utf8('pmesh invite secret 1'), SECRET_BYTES_MIN))
  seed.fill(0)
  return secret
}

/** Public name of an invite: 16 letters of hex, from the SHA-256 of its secret. */
export function inviteId(secret: Uint8Array): string {
  return createHash('sha256').update(secret).digest('hex').slice(0, 16)
}

/** One line, `pmesh1-…`. INVITE_INVALID when a field is out of its limits. */
export function encodeInvite(invite: Invite): string {
  const name = utf8(invite.meshName)
  const doors = invite.doors.map((door) => utf8(door))
  const expiry = Buffer.alloc(8)
  expiry.writeBigUInt64BE(BigInt(invite.expiryMs))
  const body = concatBytes([
    Buffer.of(invite.psk === undefined ? 0 : 1),
    invite.mesh,
    invite.inviter,
    expiry,
    Buffer.of(invite.secret.length),
    invite.secret,
    invite.psk ?? Buffer.alloc(0),
    Buffer.of(name.length),
    name,
    Buffer.of(doors.length),
    ...doors.flatMap((door) => [Buffer.of(door.length & 0xff), door])
  ])
  const text = PREFIX + concatBytes([body, checksum(body)]).toString('base64url')
  if (tryParseInvite(text) === null)
    throw new MeshError('INVITE_INVALID', 'the invite’s fields are out of their limits')
  return text
}

/** Reads a pasted line; white space from a wrapped terminal is dropped. INVITE_INVALID when it is cut or changed. Expiry is the caller's. */
export function parseInvite(text: string): Invite {
  const invite = tryParseInvite(text)
  if (invite === null) throw new MeshError('INVITE_INVALID', 'the invite is cut or damaged')
  return invite
}

export function tryParseInvite(text: string): Invite | null {
  const compact = text.length <= TEXT_LENGTH_MAX ? text.replaceAll(/\s+/g, '') : ''
  if (!compact.startsWith(PREFIX)) return null
  const letters = compact.slice(PREFIX.length)
  const bytes = Buffer.from(letters, 'base64url')
  if (bytes.toString('base64url') !== letters || bytes.length <= CHECKSUM_BYTES) return null
  const body = bytes.subarray(0, -CHECKSUM_BYTES)
  return equalBytes(checksum(body), bytes.subarray(-CHECKSUM_BYTES)) ? tryDecodeBody(body) : null
}

function checksum(body: Uint8Array): Buffer {
  return createHash('sha256').update(PREFIX).update(body).digest().subarray(0, CHECKSUM_BYTES)
}

class Reader {
  readonly #bytes: Buffer
  #offset = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  /** Fewer bytes than asked for at the end: every caller checks lengths. */
  take(length: number): Uint8Array {
    const part = copyBytes(this.#bytes.subarray(this.#offset, this.#offset + length))
    this.#offset += length
    return part
  }

  byte(): number {
    return this.take(1)[0] ?? 0
  }

  text(): string {
    return Buffer.from(this.take(this.byte())).toString('utf8')
  }

  integer64(): number {
    const part = this.take(8)
    return part.length === 8 ? Number(Buffer.from(part).readBigUInt64BE(0)) : Number.NaN
  }

  /** Whether exactly everything was read. */
  get done(): boolean {
    return this.#offset === this.#bytes.length
  }
}

function tryDecodeBody(body: Buffer): Invite | null {
  const reader = new Reader(body)
  const flags = reader.byte()
  const mesh = reader.take(32)
  const inviter = reader.take(32)
  const expiryMs = reader.integer64()
  const secret = reader.take(reader.byte())
  const psk = flags === 1 ? reader.take(PSK_BYTES) : undefined
  const meshName = reader.text()
  const doors = Array.from({ length: Math.min(reader.byte(), LIMITS.addressesPerMemberMax + 1) }, () => reader.text())
  const sound =
    reader.done &&
    flags <= 1 &&
    Number.isSafeInteger(expiryMs) &&
    secret.length >= SECRET_BYTES_MIN &&
    secret.length <= SECRET_BYTES_MAX &&
    isMeshName(meshName) &&
    doors.length <= LIMITS.addressesPerMemberMax &&
    doors.every((door) => ADDRESS.test(door))
  if (!sound) return null
  const invite: Invite = { mesh, inviter, secret, expiryMs, meshName, doors, ...(psk === undefined ? {} : { psk }) }
  return hideFields(invite, psk === undefined ? ['secret'] : ['secret', 'psk'])
}
