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
