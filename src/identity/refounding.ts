// `founder-named` (PROTOCOL §5): the recovery key names a new founder. It validates itself, whoever carries it.

import { concatBytes } from '../base/bytes.ts'
import { MeshError } from '../base/mesh-error.ts'
import { type SigningKey, verifySignature } from './ed25519.ts'
import { TAGS } from './tags.ts'

export interface Refounding {
  /** 32-byte mesh id. */
  readonly mesh: Uint8Array
  /** 32-byte public key of the new founder. */
  readonly founder: Uint8Array
  /** The highest wins; a tie goes to the smaller bytes. */
  readonly counter: number
  /** Where the old founder's chains end; opaque here. */
  readonly cuts: Uint8Array
}

function encodeSigned(refounding: Refounding): Buffer {
  const { mesh, founder, counter, cuts } = refounding
  if (mesh.length !== 32 || founder.length !== 32)
    throw new MeshError('INTERNAL', 'refounding with a field of another length')
  const number = Buffer.alloc(4)
  number.writeUInt32BE(counter)
  return concatBytes([TAGS.refound, mesh, founder, number, cuts])
}

/** 64-byte signature with the recovery key. */
export function signRefounding(recovery: SigningKey, refounding: Refounding): Uint8Array {
  return recovery.sign(encodeSigned(refounding))
}

/** Whether the mesh's recovery key signed exactly this. Never throws. */
export function refoundingValid(recovery: Uint8Array, refounding: Refounding, signature: Uint8Array): boolean {
  const { mesh, founder, counter } = refounding
  if (mesh.length !== 32 || founder.length !== 32 || !Number.isInteger(counter) || counter < 0 || counter > 0xffffffff)
    return false
  return verifySignature(recovery, encodeSigned(refounding), signature)
}

/** A refounding with the recovery key's signature: what travels with certificate paths that begin at the new founder. */
export interface NamedFounder extends Refounding {
  /** 64 bytes. */
  readonly signature: Uint8Array
}

const KEY_BYTES = 32
const CUTS_AT = KEY_BYTES + 4 + 64
/** Room for the cuts of some thirty chain keys. */
const NAMED_FOUNDER_BYTES_MAX = 2048

/** founder 32 ‖ counter u32 ‖ signature 64 ‖ cuts; null when the cuts are too many to travel. */
export function encodeNamedFounder(named: NamedFounder): Buffer | null {
  const counter = Buffer.alloc(4)
  counter.writeUInt32BE(named.counter)
  const bytes = concatBytes([named.founder, counter, named.signature, named.cuts])
  return bytes.length <= NAMED_FOUNDER_BYTES_MAX ? bytes : null
}

/** Decodes and checks the signature of the mesh's recovery key; null when anything does not hold. */
export function tryDecodeNamedFounder(
  mesh: Uint8Array,
  recovery: Uint8Array | null,
  bytes: Uint8Array
): NamedFounder | null {
  if (recovery === null || bytes.length < CUTS_AT || bytes.length > NAMED_FOUNDER_BYTES_MAX) return null
  const copy = Buffer.from(bytes)
  const named: NamedFounder = {
    mesh,
    founder: copy.subarray(0, KEY_BYTES),
    counter: copy.readUInt32BE(KEY_BYTES),
    signature: copy.subarray(KEY_BYTES + 4, CUTS_AT),
    cuts: copy.subarray(CUTS_AT)
  }
  return refoundingValid(recovery, named, named.signature) ? named : null
}
