// Statement, seal, link and head of an append (PROTOCOL §1). A head is the portable claim "my chain has this append":
// two heads at one place that differ are a fork proof. Sizes are fixed; integers are big-endian.

import { compareBytes, copyBytes, equalBytes, toHex } from '../base/bytes.ts'
import { LIMITS } from '../base/limits.ts'
import { type SigningKey, verifySignature } from '../identity/ed25519.ts'
import { TAGS } from '../identity/tags.ts'
import { sha256 } from './hash.ts'

export const STATEMENT_BYTES = 148
export const SEAL_BYTES = 64
export const HEAD_BYTES = STATEMENT_BYTES + SEAL_BYTES
export const SEQ_MAX = Number.MAX_SAFE_INTEGER

/** Lower-case hex of a 32-byte Ed25519 public key. */
export type PublicKeyHex = string

/** `author/chain/epoch`: the unit inside which sequence numbers have no gaps. */
export type ChainKey = string

/** What a seal signs: one append of one chain key. */
export interface Statement {
  readonly mesh: Uint8Array
  readonly author: Uint8Array
  readonly chain: number
  readonly epoch: number
  /** First sequence number, ≥ 1. */
  readonly firstSeq: number
  /** Events in the append, 1…1024. */
  readonly count: number
  /** Link of the append before. */
  readonly prev: Uint8Array
  /** Id of the last event. */
  readonly lastId: Uint8Array
}

/** A statement with its seal and what follows from both. */
export interface Head extends Statement {
  readonly seal: Uint8Array
  /** SHA-256 over tag, statement and seal: the `prev` of the next append. */
  readonly link: Uint8Array
  /** firstSeq + count − 1. */
  readonly lastSeq: number
  readonly key: ChainKey
}

export function chainKeyOf(author: Uint8Array | PublicKeyHex, chain: number, epoch: number): ChainKey {
  return `${typeof author === 'string' ? author : toHex(author)}/${chain}/${epoch}`
}

export function parseChainKey(key: ChainKey): { author: PublicKeyHex; chain: number; epoch: number } {
  const [author = '', chain = '', epoch = ''] = key.split('/')
  return { author, chain: Number(chain), epoch: Number(epoch) }
}

export function encodeStatement(statement: Statement): Buffer {
  const bytes = Buffer.allocUnsafe(STATEMENT_BYTES)
  bytes.set(statement.mesh, 0)
  bytes.set(statement.author, 32)
  bytes.writeUInt32BE(statement.chain, 64)
  bytes.writeUInt32BE(statement.epoch, 68)
  bytes.writeBigUInt64BE(BigInt(statement.firstSeq), 72)
  bytes.writeUInt32BE(statement.count, 80)
  bytes.set(statement.prev, 84)
  bytes.set(statement.lastId, 116)
  return bytes
}

const SEAL_TEXT_BYTES = TAGS.seal.length + STATEMENT_BYTES
const LINK_TEXT_BYTES = TAGS.link.length + HEAD_BYTES

function sealText(statement: Uint8Array): Buffer {
  const text = Buffer.allocUnsafe(SEAL_TEXT_BYTES)
  text.set(TAGS.seal, 0)
  text.set(statement, TAGS.seal.length)
  return text
}

/** Signs a statement and completes it to a head. */
export function sealStatement(statement: Statement, key: SigningKey): Head {
  return completeHead(statement, key.sign(sealText(encodeStatement(statement))))
}

/** Derives link, last sequence number and chain key. Does not check the seal. */
export function completeHead(statement: Statement, seal: Uint8Array): Head {
  const text = Buffer.allocUnsafe(LINK_TEXT_BYTES)
  text.set(TAGS.link, 0)
  text.set(encodeStatement(statement), TAGS.link.length)
  text.set(seal, TAGS.link.length + STATEMENT_BYTES)
  const { mesh, author, chain, epoch, firstSeq, count, prev, lastId } = statement
  const key = chainKeyOf(author, chain, epoch)
  const lastSeq = firstSeq + count - 1
  return { mesh, author, chain, epoch, firstSeq, count, prev, lastId, seal, link: sha256(text), lastSeq, key }
}

/** True when the author's key signed exactly this statement (RFC 8032, cofactorless). */
export function headSealValid(head: Head): boolean {
  return verifySignature(head.author, sealText(encodeStatement(head)), head.seal)
}

/** S ‖ seal, 212 bytes. */
export function encodeHead(head: Head): Buffer {
  return Buffer.concat([encodeStatement(head), head.seal], HEAD_BYTES)
}

/** Layout and ranges only; null when they do not hold. The result owns its bytes. */
export function tryDecodeHead(source: Uint8Array): Head | null {
  if (source.length !== HEAD_BYTES) return null
  const bytes = Buffer.from(copyBytes(source))
  const firstSeq = bytes.readBigUInt64BE(72)
  const count = bytes.readUInt32BE(80)
  const epoch = bytes.readUInt32BE(68)
  if (count < 1 || count > LIMITS.appendEventsMax || epoch < 1) return null
  if (firstSeq < 1n || firstSeq + BigInt(count) - 1n > BigInt(SEQ_MAX)) return null
  return completeHead(
    {
      mesh: bytes.subarray(0, 32),
      author: bytes.subarray(32, 64),
      chain: bytes.readUInt32BE(64),
      epoch,
      firstSeq: Number(firstSeq),
      count,
      prev: bytes.subarray(84, 116),
      lastId: bytes.subarray(116, 148)
    },
    bytes.subarray(STATEMENT_BYTES)
  )
}

export function sameHead(a: Head, b: Head): boolean {
  return equalBytes(a.link, b.link)
}

/** Two heads of one author at one place that say different things (PROTOCOL §1), in the order of their links. */
export interface ForkProof {
  readonly a: Head
  readonly b: Head
}

/** The proof that `first` and `second` make, or null: equal mesh, author, chain, epoch, firstSeq and a different rest. Seals are the caller's. */
export function tryForkProof(first: Head, second: Head): ForkProof | null {
  if (first.key !== second.key || first.firstSeq !== second.firstSeq) return null
  if (!equalBytes(first.mesh, second.mesh) || equalBytes(first.link, second.link)) return null
  return compareBytes(first.link, second.link) < 0 ? { a: first, b: second } : { a: second, b: first }
}

/** 424 bytes: both heads. */
export function encodeForkProof(proof: ForkProof): Buffer {
  return Buffer.concat([encodeHead(proof.a), encodeHead(proof.b)])
}

/** Decodes and checks both seals; null when anything does not hold. */
export function tryDecodeForkProof(bytes: Uint8Array): ForkProof | null {
  if (bytes.length !== 2 * HEAD_BYTES) return null
  const first = tryDecodeHead(bytes.subarray(0, HEAD_BYTES))
  const second = tryDecodeHead(bytes.subarray(HEAD_BYTES))
  if (first === null || second === null) return null
  const proof = tryForkProof(first, second)
  return proof !== null && headSealValid(proof.a) && headSealValid(proof.b) ? proof : null
}
