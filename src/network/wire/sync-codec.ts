// Sync messages to bytes and back. Limits hold before decoding (bytes, numbers of fields) and after (counts, lengths, ranges); decoding
// never throws. The bytes of a frame alias the message that they came in.

import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf'
import { fromHex, toHex } from '../../base/bytes.ts'
import { LIMITS } from '../../base/limits.ts'
import { BEACON_BYTES } from '../../log/beacon.ts'
import {
  type ChainKey,
  chainKeyOf,
  encodeForkProof,
  encodeHead,
  type ForkProof,
  HEAD_BYTES,
  type Head,
  parseChainKey,
  SEQ_MAX,
  tryDecodeHead,
  tryForkProof
} from '../../log/statement.ts'
import type { ChainClaim, EndReason, Place, SyncMessage } from '../../replication/contract.ts'
import { countFields } from './field-count.ts'
import {
  type ChainName,
  type Claim,
  SyncMessageSchema,
  EndReason as WireEnd,
  type SyncMessage as WireMessage,
  type Place as WirePlace
} from './gen/sync_pb.js'

const LINK_BYTES_MIN = 16
const LINK_BYTES_MAX = 32
const KEY_BYTES = 32
const FRONTIER_FIELD = 2
const CLAIMS_FIELD = 3
/** Fields of one claim: its name, head, mark and tips. */
const CLAIM_FIELDS_MAX = LIMITS.tipsPerClaimMax + 8
const BODY_FIELDS_MAX = LIMITS.claimsPerMessageMax + 8

const END_TO_WIRE: Readonly<Record<EndReason, WireEnd>> = {
  done: WireEnd.DONE,
  diverged: WireEnd.DIVERGED,
  unknown: WireEnd.UNKNOWN,
  busy: WireEnd.BUSY,
  stopped: WireEnd.STOPPED
}
const END_FROM_WIRE = new Map(Object.entries(END_TO_WIRE).map(([reason, wire]) => [wire, reason as EndReason]))

const FRAME_TAG = 0x32
const ID_TAG = 0x08
const BYTES_TAG = 0x12

/** The same bytes as the generated code makes, with one copy of the frame instead of two. */
function encodeFrame(id: number, frame: Uint8Array): Uint8Array {
  const head = Buffer.allocUnsafe(16)
  let at = 0
  if (id !== 0) {
    head[at++] = ID_TAG
    at = writeVarint(head, id, at)
  }
  head[at++] = BYTES_TAG
  at = writeVarint(head, frame.length, at)
  const length = at + frame.length
  const message = Buffer.allocUnsafe(6 + length)
  message[0] = FRAME_TAG
  const start = writeVarint(message, length, 1)
  message.set(head.subarray(0, at), start)
  message.set(frame, start + at)
  return message.subarray(0, start + length)
}

function writeVarint(bytes: Buffer, value: number, from: number): number {
  let at = from
  let left = value
  for (; left >= 0x80; left = Math.floor(left / 128)) bytes[at++] = (left % 128) + 128
  bytes[at++] = left
  return at
}

type Body = NonNullable<MessageInitShape<typeof SyncMessageSchema>['body']>

export function encodeSyncMessage(message: SyncMessage): Uint8Array {
  if (message.kind === 'frame') return encodeFrame(message.id, message.bytes)
  return toBinary(SyncMessageSchema, create(SyncMessageSchema, { body: bodyOf(message) }))
}

function bodyOf(message: SyncMessage): Body {
  switch (message.kind) {
    case 'digest':
      return { case: 'digest', value: { digest: message.digest, asks: message.asks } }
    case 'frontier': {
      const { round, last, claims } = message
      return { case: 'frontier', value: { round, last, claims: claims.map(wireClaim) } }
    }
    case 'fetch': {
      const { id, key, after, tip } = message
      return {
        case: 'fetch',
        value: { id, name: wireName(key), tip: wirePlace(tip), ...(after === null ? {} : { after: wirePlace(after) }) }
      }
    }
    case 'cancel':
      return { case: 'cancel', value: { id: message.id } }
    case 'credit':
      return { case: 'credit', value: { bytes: message.bytes } }
    case 'frame':
      return { case: 'frame', value: { id: message.id, bytes: message.bytes } }
    case 'end':
      return { case: 'end', value: { id: message.id, reason: END_TO_WIRE[message.reason] } }
    case 'probe': {
      const { id, key, tip, seqs } = message
      return { case: 'probe', value: { id, name: wireName(key), tip: wirePlace(tip), seqs: seqs.map(BigInt) } }
    }
    case 'points':
      return { case: 'points', value: { id: message.id, heads: message.heads.map(encodeHead) } }
    case 'proofs':
      return { case: 'proofs', value: { proofs: message.proofs.map(encodeForkProof) } }
    case 'beacon':
      return { case: 'beacon', value: { beacon: message.bytes } }
  }
}

function wireName(key: ChainKey): { author: Uint8Array; chain: number; epoch: number } {
  const { author, chain, epoch } = parseChainKey(key)
  return { author: fromHex(author), chain, epoch }
}

function wirePlace(place: Place): { seq: bigint; link: Uint8Array } {
  return { seq: BigInt(place.seq), link: place.link }
}

function wireClaim(claim: ChainClaim) {
  const head = claim.head === null ? new Uint8Array(0) : encodeHead(claim.head)
  return { name: wireName(claim.key), tips: claim.tips.map(wirePlace), head, forked: claim.forked }
}

/** Null for anything that is not exactly one message within the limits. Seals are not checked. */
export function tryDecodeSyncMessage(bytes: Uint8Array): SyncMessage | null {
  if (bytes.length > LIMITS.messageBytesMax || !fieldsWithin(bytes)) return null
  const message = tryParse(bytes)
  return message === null ? null : messageOf(message.body)
}

function tryParse(bytes: Uint8Array): WireMessage | null {
  try {
    return fromBinary(SyncMessageSchema, bytes, { readUnknownFields: false })
  } catch {
    // protobuf-es has no other way to say "malformed"
    return null
  }
}

function fieldsWithin(bytes: Uint8Array): boolean {
  const claim = (field: number, from: number, to: number): boolean =>
    field !== CLAIMS_FIELD || countFields(bytes, from, to, CLAIM_FIELDS_MAX) !== null
  const body = (field: number, from: number, to: number): boolean =>
    countFields(bytes, from, to, BODY_FIELDS_MAX, field === FRONTIER_FIELD ? claim : undefined) !== null
  return countFields(bytes, 0, bytes.length, 1, body) === 1
}

function messageOf(body: WireMessage['body']): SyncMessage | null {
  switch (body.case) {
    case 'digest':
      return body.value.digest.length === 32
        ? { kind: 'digest', digest: body.value.digest, asks: body.value.asks }
        : null
    case 'frontier': {
      const claims = allOf(body.value.claims, claimOf, LIMITS.claimsPerMessageMax)
      return claims === null ? null : { kind: 'frontier', round: body.value.round, last: body.value.last, claims }
    }
    case 'fetch': {
      const { id, name, after, tip } = body.value
      const key = keyOf(name)
      const start = after === undefined ? null : placeOf(after)
      const end = placeOf(tip)
      if (key === null || end === null || (after !== undefined && start === null)) return null
      return { kind: 'fetch', id, key, after: start, tip: end }
    }
    case 'cancel':
      return { kind: 'cancel', id: body.value.id }
    case 'credit':
      return { kind: 'credit', bytes: body.value.bytes }
    case 'frame':
      return body.value.bytes.length === 0 ? null : { kind: 'frame', id: body.value.id, bytes: body.value.bytes }
    case 'end': {
      const reason = END_FROM_WIRE.get(body.value.reason)
      return reason === undefined ? null : { kind: 'end', id: body.value.id, reason }
    }
    default:
      return otherOf(body)
  }
}

function otherOf(body: WireMessage['body']): SyncMessage | null {
  switch (body.case) {
    case 'probe': {
      const { id, name, tip, seqs } = body.value
      const key = keyOf(name)
      const place = placeOf(tip)
      const numbers = allOf(seqs, seqOf, LIMITS.probePointsMax)
      return key === null || place === null || numbers === null
        ? null
        : { kind: 'probe', id, key, tip: place, seqs: numbers }
    }
    case 'points': {
      const heads = allOf(body.value.heads, tryDecodeHead, LIMITS.probePointsMax)
      return heads === null ? null : { kind: 'points', id: body.value.id, heads }
    }
    case 'proofs': {
      const proofs = allOf(body.value.proofs, proofOf, LIMITS.proofsPerMessageMax)
      return proofs === null ? null : { kind: 'proofs', proofs }
    }
    case 'beacon':
      return body.value.beacon.length === BEACON_BYTES ? { kind: 'beacon', bytes: body.value.beacon } : null
    default:
      return null
  }
}

/** Null when there are too many or one does not hold. */
function allOf<Wire, Item>(items: readonly Wire[], decode: (item: Wire) => Item | null, max: number): Item[] | null {
  if (items.length > max) return null
  const decoded: Item[] = []
  for (const item of items) {
    const one = decode(item)
    if (one === null) return null
    decoded.push(one)
  }
  return decoded
}

function seqOf(seq: bigint): number | null {
  return seq >= 1n && seq <= BigInt(SEQ_MAX) ? Number(seq) : null
}

function keyOf(name: ChainName | undefined): ChainKey | null {
  if (name === undefined || name.author.length !== KEY_BYTES || name.epoch < 1) return null
  return chainKeyOf(toHex(name.author), name.chain, name.epoch)
}

function placeOf(place: WirePlace | undefined): Place | null {
  const seq = place === undefined ? null : seqOf(place.seq)
  if (place === undefined || seq === null || place.link.length < LINK_BYTES_MIN || place.link.length > LINK_BYTES_MAX)
    return null
  return { seq, link: new Uint8Array(place.link) }
}

function claimOf(claim: Claim): ChainClaim | null {
  const key = keyOf(claim.name)
  const tips = allOf(claim.tips, placeOf, LIMITS.tipsPerClaimMax)
  if (key === null || tips === null) return null
  const head = claim.head.length === 0 ? null : tryDecodeHead(claim.head)
  if (claim.head.length !== 0 && (head === null || head.key !== key)) return null
  return { key, tips, head, forked: claim.forked }
}

/** Layout and difference; the receiver of the effect checks the seals. */
function proofOf(bytes: Uint8Array): ForkProof | null {
  if (bytes.length !== 2 * HEAD_BYTES) return null
  const first: Head | null = tryDecodeHead(bytes.subarray(0, HEAD_BYTES))
  const second: Head | null = tryDecodeHead(bytes.subarray(HEAD_BYTES))
  return first === null || second === null ? null : tryForkProof(first, second)
}
