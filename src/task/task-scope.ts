// The scope of a task (PROTOCOL §1): its owner's key and a nonce make it, so that nobody else can be its submitter.

import { createHash } from 'node:crypto'
import { fromHex } from '../base/bytes.ts'
import { TAGS } from '../identity/tags.ts'
import type { PublicKeyHex } from '../log/statement.ts'

/** First 16 bytes of SHA-256(scope tag ‖ owner key ‖ nonce); `nonce` is 32 hex characters. */
export function taskScope(owner: PublicKeyHex, nonce: string): Buffer {
  return createHash('sha256').update(TAGS.scope).update(fromHex(owner)).update(fromHex(nonce)).digest().subarray(0, 16)
}
