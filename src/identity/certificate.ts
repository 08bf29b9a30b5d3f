// Membership certificates (PROTOCOL §5): the same 175 bytes in `member-admitted` and in a hello.
// Here is only what the bytes themselves prove; who has been removed or changed since, the log knows.

import { createHash } from 'node:crypto'
import { concatBytes, copyBytes } from '../base/bytes.ts'
import { MeshError } from '../base/mesh-error.ts'
import { type SigningKey, verifySignature } from './ed25519.ts'
import { TAGS } from './tags.ts'

/** Roles as certificates write them. An observer appends nothing but its own presence; only admins admit and remove. */
export const ROLES = { observer: 0, member: 1, admin: 2 } as const
export type Role = keyof typeof ROLES

/** Bits of a certificate's rights: vote on approvals, admit members, remove members, erase others' payloads, witness branches. */
export const RIGHTS = { approve: 1, admit: 2, remove: 4, erase: 8, witness: 16 } as const
export type Right = keyof typeof RIGHTS

export const ALL_RIGHTS = RIGHTS.approve | RIGHTS.admit | RIGHTS.remove | RIGHTS.erase | RIGHTS.witness
export const CERTIFICATE_BYTES = 175

const SIGNED_BYTES = 111
const ROLE_NAMES: readonly (Role | undefined)[] = ['observer', 'member', 'admin']

export interface CertificateFields {
  /** 32-byte mesh id. */
  readonly mesh: Uint8Array
  /** 32-byte public key of the admitted. */
  readonly subject: Uint8Array
  /** Below its issuer's, that is a greater number; the founder is 0. */
  readonly rank: number
  readonly role: Role
  /** Bits of `RIGHTS`; unknown bits are kept and mean nothing here. */
  readonly rights: number
  /** Milliseconds since 1970; 0 for never. Counts only at hello. */
  readonly expiryMs: number
}

export interface Certificate extends CertificateFields {
  /** 32-byte public key of the admin who admitted. */
  readonly issuer: Uint8Array
  /** 64 bytes. */
  readonly signature: Uint8Array
}

/** What a role may do unless the admitting admin says less or more. */
export function defaultRights(role: Role): number {
  if (role === 'admin') return ALL_RIGHTS
  return role === 'member' ? RIGHTS.approve | RIGHTS.witness : 0
}

export function hasRight(rights: number, right: Right): boolean {
  return (rights & RIGHTS[right]) !== 0
}

function encodeSigned(fields: CertificateFields, issuer: Uint8Array): Buffer {
  const numbers = Buffer.alloc(15)
  numbers.writeUInt16BE(fields.rank, 0)
  numbers.writeUInt8(ROLES[fields.role], 2)
  numbers.writeUInt32BE(fields.rights >>> 0, 3)
  numbers.writeBigUInt64BE(BigInt(fields.expiryMs), 7)
  const signed = concatBytes([fields.mesh, fields.subject, issuer, numbers])
  if (signed.length !== SIGNED_BYTES) throw new MeshError('INTERNAL', 'certificate with a field of another length')
  return signed
}

/** Signs a certificate with the admitting admin's key. Whether that admin may grant it: `checkGrant`. */
export function issueCertificate(key: SigningKey, fields: CertificateFields): Certificate {
  const signature = key.sign(concatBytes([TAGS.certificate, encodeSigned(fields, key.publicKey)]))
  return { ...fields, rights: fields.rights >>> 0, issuer: key.publicKey, signature }
}

/** The 175 bytes: mesh ‖ subject ‖ issuer ‖ rank u16 ‖ role u8 ‖ rights u32 ‖ expiry u64 ‖ signature. */
export function encodeCertificate(certificate: Certificate): Buffer {
  return concatBytes([encodeSigned(certificate, certificate.issuer), certificate.signature])
}

/** Null for another length, an unknown role or an expiry beyond 2^53 − 1. The signature is not checked. */
export function tryDecodeCertificate(bytes: Uint8Array): Certificate | null {
  if (bytes.length !== CERTIFICATE_BYTES) return null
  const copy = Buffer.from(bytes)
  const role = ROLE_NAMES[copy.readUInt8(98)]
  const expiryMs = Number(copy.readBigUInt64BE(103))
  if (role === undefined || !Number.isSafeInteger(expiryMs)) return null
  return {
    mesh: copyBytes(copy.subarray(0, 32)),
    subject: copyBytes(copy.subarray(32, 64)),
    issuer: copyBytes(copy.subarray(64, 96)),
    rank: copy.readUInt16BE(96),
    role,
    rights: copy.readUInt32BE(99),
    expiryMs,
    signature: copyBytes(copy.subarray(SIGNED_BYTES))
  }
}

/** 32-byte id: SHA-256 of the 175 bytes. */
export function certificateId(bytes: Uint8Array): Uint8Array {
  return createHash('sha256').update(bytes).digest()
}

/** Whether the issuer named in it signed it. */
export function certificateSignatureValid(certificate: Certificate): boolean {
  const message = concatBytes([TAGS.certificate, encodeSigned(certificate, certificate.issuer)])
  return verifySignature(certificate.issuer, message, certificate.signature)
}
