// What one gossip message holds: a kind and its bytes, in one canonical encoding (PROTOCOL §6). Layout only: hashes, seals and signatures are the
// validator's to check, before anything is forwarded.

import { concatBytes } from '../../base/bytes.ts'
import { LIMITS } from '../../base/limits.ts'
import { BEACON_BYTES, INSTANCE_BYTES } from '../../log/beacon.ts'
import { HEAD_BYTES } from '../../log/statement.ts'

/** instance ‖ time u64 ‖ author key ‖ signature. */
export const CLAIM_BYTES = INSTANCE_BYTES + 8 + 32 + 64

export type GossipKind = 'append' | 'head' | 'beacon' | 'claim'

/** `bytes`: the frame of one whole append, a head (212), a beacon (300) or an identity claim (120). */
export interface GossipMessage {
  readonly kind: GossipKind
  readonly bytes: Uint8Array
}

const KINDS: readonly GossipKind[] = ['append', 'head', 'beacon', 'claim']
const LENGTHS: Readonly<Record<GossipKind, number | null>> = {
  append: null,
  head: HEAD_BYTES,
  beacon: BEACON_BYTES,
  claim: CLAIM_BYTES
}

export function encodeGossip(message: GossipMessage): Uint8Array {
  return concatBytes([Uint8Array.of(KINDS.indexOf(message.kind) + 1), message.bytes])
}

/** The bytes alias the source. */
export function tryDecodeGossip(source: Uint8Array): GossipMessage | null {
  if (source.length < 2 || source.length > LIMITS.gossipBytesMax) return null
  const kind = KINDS[(source[0] as number) - 1]
  if (kind === undefined) return null
  const bytes = source.subarray(1)
  const length = LENGTHS[kind]
  return length === null || length === bytes.length ? { kind, bytes } : null
}
