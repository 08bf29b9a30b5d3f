// Between our names of peers (hex of the public key) and libp2p's peer ids.

import { publicKeyFromRaw } from '@libp2p/crypto/keys'
import type { PeerId } from '@libp2p/interface'
import { peerIdFromPublicKey } from '@libp2p/peer-id'
import { fromHex, toHex } from '../base/bytes.ts'
import type { PeerKey } from './network-contract.ts'

/** Null for keys that are not Ed25519: they are never admitted. */
export function tryPeerKeyOf(peerId: PeerId): PeerKey | null {
  return peerId.type === 'Ed25519' ? toHex(peerId.publicKey.raw) : null
}

export function libp2pPeerIdOf(key: PeerKey): PeerId {
  return peerIdFromPublicKey(publicKeyFromRaw(fromHex(key)))
}
