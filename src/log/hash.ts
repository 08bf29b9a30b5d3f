// SHA-256 in one call. Concatenate first: most of the cost of a small hash is the call.

import { hash } from 'node:crypto'

export function sha256(bytes: Uint8Array): Buffer {
  return hash('sha256', bytes, 'buffer')
}

/** Node takes every encoding here; its type names fewer. */
const LATIN1 = 'latin1' as 'binary'

/** The same as latin1 text: half the cost of a buffer, for hashes that are only written into the next text to be hashed. */
export function sha256Text(bytes: Uint8Array): string {
  return hash('sha256', bytes, LATIN1)
}
