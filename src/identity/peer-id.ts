// Text forms of a public key: the libp2p peer id (for addresses and display) and four words that two people compare aloud.

import { createHash } from 'node:crypto'
import { wordlist } from '@scure/bip39/wordlists/english.js'
import { concatBytes, copyBytes, equalBytes, fromHex } from '../base/bytes.ts'
import { encodeBase58, tryDecodeBase58 } from './base58.ts'

/** Identity multihash of the protobuf {type: Ed25519, data: 32 bytes}. */
const PREFIX = fromHex('002408011220')
const KEY_BYTES = 32
const FINGERPRINT_DOMAIN = Buffer.from('pmesh fingerprint words 1\0', 'latin1')

function keyBytes(publicKey: Uint8Array | string): Uint8Array {
  return typeof publicKey === 'string' ? fromHex(publicKey) : publicKey
}

/** `12D3KooW…` of a 32-byte Ed25519 public key or its hex. */
export function peerIdOf(publicKey: Uint8Array | string): string {
  return encodeBase58(concatBytes([PREFIX, keyBytes(publicKey)]))
}

/** The 32-byte public key of a peer id; null for anything else. Whether the key is sound: `checkPublicKey`. */
export function tryParsePeerId(text: string): Uint8Array | null {
  const bytes = tryDecodeBase58(text)
  if (bytes === null || bytes.length !== PREFIX.length + KEY_BYTES) return null
  return equalBytes(bytes.subarray(0, PREFIX.length), PREFIX) ? copyBytes(bytes.subarray(PREFIX.length)) : null
}

/** For a table's column: `12D3KooWQ4…f7Zp`. Not an identifier. */
export function shortPeerId(publicKey: Uint8Array | string): string {
  const peerId = peerIdOf(publicKey)
  return `${peerId.slice(0, 10)}…${peerId.slice(-4)}`
}

/** Four words from 44 bits of a hash of the key, joined by hyphens: for comparing by eye or ear, not an identifier. */
export function fingerprintWords(publicKey: Uint8Array | string): string {
  const digest = createHash('sha256').update(FINGERPRINT_DOMAIN).update(keyBytes(publicKey)).digest()
  const bits = digest.readUIntBE(0, 6)
  const words: string[] = []
  for (let index = 0; index < 4; index++) words.push(wordlist[Math.floor(bits / 2 ** (37 - 11 * index)) % 2048] ?? '')
  return words.join('-')
}
