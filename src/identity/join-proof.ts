// The proof that a joiner holds an invite's secret (PROTOCOL §5). It is made only after Noise has shown the inviter's key,
// binds both keys, both nonces and the mesh, and never carries the secret itself.

import { createHmac, timingSafeEqual } from 'node:crypto'
import { MeshError } from '../base/mesh-error.ts'
import { TAGS } from './tags.ts'

/** Length of each side's nonce. Fixed, because the fields are joined without lengths. */
export const JOIN_NONCE_BYTES = 32
const FIELD_BYTES = 32

export interface JoinProofFields {
  /** 32-byte mesh id. */
  readonly mesh: Uint8Array
  /** 32-byte public keys. */
  readonly inviter: Uint8Array
  readonly joiner: Uint8Array
  /** 32 random bytes of each side. */
  readonly inviterNonce: Uint8Array
  readonly joinerNonce: Uint8Array
}

function partsOf(fields: JoinProofFields): Uint8Array[] {
  return [fields.mesh, fields.inviter, fields.joiner, fields.inviterNonce, fields.joinerNonce]
}

function hasFixedLengths(fields: JoinProofFields): boolean {
  return partsOf(fields).every((part) => part.length === FIELD_BYTES)
}

/** 32 bytes: HMAC-SHA256(secret, tag ‖ mesh ‖ inviter ‖ joiner ‖ inviterNonce ‖ joinerNonce). */
export function joinProof(secret: Uint8Array, fields: JoinProofFields): Uint8Array {
  if (!hasFixedLengths(fields)) throw new MeshError('INTERNAL', 'join proof with a field of another length')
  const hmac = createHmac('sha256', secret).update(TAGS.join)
  for (const part of partsOf(fields)) hmac.update(part)
  return hmac.digest()
}

/** Constant-time check; false for fields or a proof of another length. */
export function joinProofValid(secret: Uint8Array, fields: JoinProofFields, proof: Uint8Array): boolean {
  if (proof.length !== 32 || !hasFixedLengths(fields)) return false
  return timingSafeEqual(joinProof(secret, fields), proof)
}
