// Hello, and the talks at the door, to bytes and back (PROTOCOL §5, §6). Limits before and after decoding; decoding never throws, and what it
// gives shares no memory with the bytes. Signatures, certificates and proofs are checked by whoever asked.

import { create, type DescMessage, fromBinary, type MessageShape, toBinary } from '@bufbuild/protobuf'
import { concatBytes, copyBytes } from '../../base/bytes.ts'
import { ERRORS, type ErrorCode } from '../../base/errors.ts'
import { LIMITS } from '../../base/limits.ts'
import { CERTIFICATE_BYTES } from '../../identity/certificate.ts'
import { TAGS } from '../../identity/tags.ts'
import { INSTANCE_BYTES } from '../../log/beacon.ts'
import { countFields } from './field-count.ts'
import {
  AdmissionSchema,
  AdmitAnswerSchema,
  AdmitRequestSchema,
  HelloSchema,
  JoinAnswerSchema,
  JoinChallengeSchema,
  JoinProofSchema,
  JoinRequestSchema,
  type Admission as WireAdmission,
  type JoinAnswer as WireAnswer
} from './gen/peer_pb.js'

export interface Hello {
  /** 32 bytes. */
  readonly mesh: Uint8Array
  /** 175 bytes each, the founder's first; empty for the founder. */
  readonly certificates: readonly Uint8Array[]
  /** Preimage of the mesh id. */
  readonly preimage: Uint8Array
  /** 16 bytes. */
  readonly instance: Uint8Array
  readonly timeMs: number
  readonly name: string
  readonly version: string
  readonly mainAddresses: readonly string[]
  readonly doorAddresses: readonly string[]
  /** 64 bytes over `helloText`. */
  readonly signature: Uint8Array
  /** An encoded NamedFounder; empty for none. */
  readonly namedFounder: Uint8Array
}

export interface JoinRequest {
  /** 16 bytes. */
  readonly invite: Uint8Array
  /** 32 bytes. */
  readonly joinerNonce: Uint8Array
}

export interface JoinChallenge {
  readonly mesh: Uint8Array
  /** 32 bytes. */
  readonly inviterNonce: Uint8Array
}

export interface JoinProof {
  /** 32 bytes. */
  readonly proof: Uint8Array
  readonly name: string
  readonly version: string
  readonly mainAddresses: readonly string[]
  readonly doorAddresses: readonly string[]
}

export interface Admission {
  readonly preimage: Uint8Array
  readonly certificates: readonly Uint8Array[]
  /** 32 bytes. */
  readonly meshSecret: Uint8Array
  readonly mainAddresses: readonly string[]
  /** An encoded NamedFounder; empty for none. */
  readonly namedFounder: Uint8Array
}

/** Answer of both talks: let in, or a code of the error table. */
export type DoorAnswer = { readonly admission: Admission } | { readonly refusal: ErrorCode }

export interface AdmitRequest {
  readonly preimage: Uint8Array
  readonly certificates: readonly Uint8Array[]
  readonly mainAddresses: readonly string[]
  readonly doorAddresses: readonly string[]
  /** An encoded NamedFounder; empty for none. */
  readonly namedFounder: Uint8Array
}

const MESSAGE_BYTES_MAX = 16 * 1024
const HELLO_BYTES_MAX = 4 * 1024
const FIELDS_MAX = 64
const TEXT_BYTES_MAX = 256
const ADDRESS_BYTES_MAX = 256
const PREIMAGE_BYTES_MAX = 256
const INVITE_BYTES_MAX = 32

/** What a hello's signature covers: it binds the connection's two keys, so that a hello shown to one peer is worth nothing to another. */
export function helloText(
  mesh: Uint8Array,
  sender: Uint8Array,
  receiver: Uint8Array,
  instance: Uint8Array,
  timeMs: number
): Uint8Array {
  const time = Buffer.alloc(8)
  time.writeBigUInt64BE(BigInt(timeMs))
  return concatBytes([TAGS.hello, mesh, sender, receiver, instance, time])
}

function tryParse<Schema extends DescMessage>(
  schema: Schema,
  bytes: Uint8Array,
  bytesMax: number
): MessageShape<Schema> | null {
  if (bytes.length > bytesMax || !fieldsWithin(bytes)) return null
  try {
    return fromBinary(schema, bytes, { readUnknownFields: false })
  } catch {
    // protobuf-es has no other way to say "malformed"
    return null
  }
}

/** Texts and certificates are fields of their own; an admission's lie one message deeper. */
function fieldsWithin(bytes: Uint8Array): boolean {
  return countFields(bytes, 0, bytes.length, FIELDS_MAX) !== null
}

function textsHold(texts: readonly string[]): boolean {
  return texts.every((text) => Buffer.byteLength(text) <= TEXT_BYTES_MAX && !/\p{Cc}/u.test(text))
}

function addressesHold(...lists: readonly (readonly string[])[]): boolean {
  return lists.every(
    (list) =>
      list.length <= LIMITS.addressesPerMemberMax &&
      list.every((text) => text.length <= ADDRESS_BYTES_MAX) &&
      textsHold(list)
  )
}

function pathHolds(certificates: readonly Uint8Array[], preimage: Uint8Array): boolean {
  if (certificates.length > LIMITS.certificatePathMax || preimage.length > PREIMAGE_BYTES_MAX) return false
  return certificates.every((certificate) => certificate.length === CERTIFICATE_BYTES)
}

export function encodeHello(hello: Hello): Uint8Array {
  return toBinary(
    HelloSchema,
    create(HelloSchema, {
      ...hello,
      timeMs: BigInt(hello.timeMs),
      certificates: [...hello.certificates],
      mainAddresses: [...hello.mainAddresses],
      doorAddresses: [...hello.doorAddresses]
    })
  )
}

export function tryDecodeHello(bytes: Uint8Array): Hello | null {
  const wire = tryParse(HelloSchema, bytes, HELLO_BYTES_MAX)
  if (
    wire === null ||
    wire.mesh.length !== 32 ||
    wire.instance.length !== INSTANCE_BYTES ||
    wire.signature.length !== 64
  )
    return null
  if (wire.timeMs > BigInt(Number.MAX_SAFE_INTEGER) || !pathHolds(wire.certificates, wire.preimage)) return null
  if (!textsHold([wire.name, wire.version]) || !addressesHold(wire.mainAddresses, wire.doorAddresses)) return null
  return {
    mesh: copyBytes(wire.mesh),
    certificates: wire.certificates.map(copyBytes),
    preimage: copyBytes(wire.preimage),
    instance: copyBytes(wire.instance),
    timeMs: Number(wire.timeMs),
    name: wire.name,
    version: wire.version,
    mainAddresses: wire.mainAddresses,
    doorAddresses: wire.doorAddresses,
    signature: copyBytes(wire.signature),
    namedFounder: copyBytes(wire.namedFounder)
  }
}

export function encodeJoinRequest(request: JoinRequest): Uint8Array {
  return toBinary(JoinRequestSchema, create(JoinRequestSchema, request))
}

export function tryDecodeJoinRequest(bytes: Uint8Array): JoinRequest | null {
  const wire = tryParse(JoinRequestSchema, bytes, MESSAGE_BYTES_MAX)
  if (
    wire === null ||
    wire.invite.length < 1 ||
    wire.invite.length > INVITE_BYTES_MAX ||
    wire.joinerNonce.length !== 32
  )
    return null
  return { invite: copyBytes(wire.invite), joinerNonce: copyBytes(wire.joinerNonce) }
}

export function encodeJoinChallenge(challenge: JoinChallenge): Uint8Array {
  return toBinary(JoinChallengeSchema, create(JoinChallengeSchema, challenge))
}

export function tryDecodeJoinChallenge(bytes: Uint8Array): JoinChallenge | null {
  const wire = tryParse(JoinChallengeSchema, bytes, MESSAGE_BYTES_MAX)
  if (wire === null || wire.mesh.length !== 32 || wire.inviterNonce.length !== 32) return null
  return { mesh: copyBytes(wire.mesh), inviterNonce: copyBytes(wire.inviterNonce) }
}

export function encodeJoinProof(proof: JoinProof): Uint8Array {
  return toBinary(
    JoinProofSchema,
    create(JoinProofSchema, {
      ...proof,
      mainAddresses: [...proof.mainAddresses],
      doorAddresses: [...proof.doorAddresses]
    })
  )
}

export function tryDecodeJoinProof(bytes: Uint8Array): JoinProof | null {
  const wire = tryParse(JoinProofSchema, bytes, MESSAGE_BYTES_MAX)
  if (wire === null || wire.proof.length !== 32 || !textsHold([wire.name, wire.version])) return null
  if (!addressesHold(wire.mainAddresses, wire.doorAddresses)) return null
  const { name, version, mainAddresses, doorAddresses } = wire
  return { proof: copyBytes(wire.proof), name, version, mainAddresses, doorAddresses }
}

function answerBody(answer: DoorAnswer) {
  if ('refusal' in answer) return { case: 'refusal' as const, value: { code: answer.refusal } }
  const { admission } = answer
  const value = { ...admission, certificates: [...admission.certificates], mainAddresses: [...admission.mainAddresses] }
  return { case: 'admission' as const, value: create(AdmissionSchema, value) }
}

function answerOf(body: WireAnswer['body']): DoorAnswer | null {
  if (body.case === 'refusal') {
    return Object.hasOwn(ERRORS, body.value.code)
      ? { refusal: body.value.code as ErrorCode }
      : { refusal: 'PEER_NOT_ADMITTED' }
  }
  const admission = body.case === 'admission' ? admissionOf(body.value) : null
  return admission === null ? null : { admission }
}

function admissionOf(wire: WireAdmission): Admission | null {
  if (
    !pathHolds(wire.certificates, wire.preimage) ||
    wire.meshSecret.length !== 32 ||
    !addressesHold(wire.mainAddresses)
  )
    return null
  const certificates = wire.certificates.map(copyBytes)
  return {
    preimage: copyBytes(wire.preimage),
    certificates,
    meshSecret: copyBytes(wire.meshSecret),
    mainAddresses: wire.mainAddresses,
    namedFounder: copyBytes(wire.namedFounder)
  }
}

export function encodeJoinAnswer(answer: DoorAnswer): Uint8Array {
  return toBinary(JoinAnswerSchema, create(JoinAnswerSchema, { body: answerBody(answer) }))
}

export function tryDecodeJoinAnswer(bytes: Uint8Array): DoorAnswer | null {
  const wire = tryParse(JoinAnswerSchema, bytes, MESSAGE_BYTES_MAX)
  return wire === null ? null : answerOf(wire.body)
}

export function encodeAdmitRequest(request: AdmitRequest): Uint8Array {
  const { preimage, namedFounder } = request
  const lists = {
    certificates: [...request.certificates],
    mainAddresses: [...request.mainAddresses],
    doorAddresses: [...request.doorAddresses]
  }
  return toBinary(AdmitRequestSchema, create(AdmitRequestSchema, { preimage, namedFounder, ...lists }))
}

export function tryDecodeAdmitRequest(bytes: Uint8Array): AdmitRequest | null {
  const wire = tryParse(AdmitRequestSchema, bytes, MESSAGE_BYTES_MAX)
  if (
    wire === null ||
    !pathHolds(wire.certificates, wire.preimage) ||
    !addressesHold(wire.mainAddresses, wire.doorAddresses)
  )
    return null
  const { mainAddresses, doorAddresses } = wire
  return {
    preimage: copyBytes(wire.preimage),
    certificates: wire.certificates.map(copyBytes),
    mainAddresses,
    doorAddresses,
    namedFounder: copyBytes(wire.namedFounder)
  }
}

export function encodeAdmitAnswer(answer: DoorAnswer): Uint8Array {
  return toBinary(AdmitAnswerSchema, create(AdmitAnswerSchema, { body: answerBody(answer) }))
}

export function tryDecodeAdmitAnswer(bytes: Uint8Array): DoorAnswer | null {
  const wire = tryParse(AdmitAnswerSchema, bytes, MESSAGE_BYTES_MAX)
  return wire === null ? null : answerOf(wire.body)
}
