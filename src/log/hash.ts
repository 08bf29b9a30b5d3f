// SHA-256 in one call. Concatenate first: most of the cost of a small hash is the call.

import { hash } from 'node:crypto'

export function sha256(bytes: Uint8Array): Buffer {
  return hash('sha256', bytes, 'buffer')
}
