// The digest that votes cover (PROTOCOL §13): everything that decides what a call does and where. The approver's node computes it from what it
// shows, the executor from what it runs; a vote for one call cannot release another.

import { createHash } from 'node:crypto'
import { fromHex, utf8 } from '../base/bytes.ts'
import { MeshError } from '../base/mesh-error.ts'
import { TAGS } from '../identity/tags.ts'

export interface CallIdentity {
  /** 32 bytes. */
  readonly mesh: Uint8Array
  /** Hex key of the member that runs it. */
  readonly executor: string
  /** Epoch of the executor's chain at the request. */
  readonly epoch: number
  /** 32 hex characters: the task's scope. */
  readonly task: string
  readonly attempt: number
  readonly call: number
  readonly tool: string
  /** Hex, 32 bytes. */
  readonly toolHash: string
  readonly workspace: string
  /** Hex, 32 bytes. */
  readonly profile: string
  readonly expiresAtMs: number
  /** Hex, 16 bytes. */
  readonly nonce: string
  readonly argumentBytes: Uint8Array
}

/** Lower-case hex of SHA-256("pmesh/call/1\0" ‖ …), fields of variable length preceded by their u32 length. */
export function callDigest(call: CallIdentity): string {
  const numbers = Buffer.alloc(8)
  numbers.writeUInt32BE(call.attempt, 0)
  numbers.writeUInt32BE(call.call, 4)
  const epoch = Buffer.alloc(4)
  epoch.writeUInt32BE(call.epoch, 0)
  const expiry = Buffer.alloc(8)
  expiry.writeBigUInt64BE(BigInt(call.expiresAtMs), 0)
  const fixed: readonly (readonly [Uint8Array, number])[] = [
    [call.mesh, 32],
    [fromHex(call.executor), 32],
    [fromHex(call.task), 16],
    [fromHex(call.toolHash), 32],
    [fromHex(call.profile), 32],
    [fromHex(call.nonce), 16]
  ]
  if (fixed.some(([bytes, length]) => bytes.length !== length))
    throw new MeshError('INTERNAL', 'a call with a field of another length')
  return createHash('sha256')
    .update(TAGS.call)
    .update(call.mesh)
    .update(fromHex(call.executor))
    .update(epoch)
    .update(fromHex(call.task))
    .update(numbers)
    .update(sized(utf8(call.tool)))
    .update(fromHex(call.toolHash))
    .update(sized(utf8(call.workspace)))
    .update(fromHex(call.profile))
    .update(expiry)
    .update(fromHex(call.nonce))
    .update(sized(call.argumentBytes))
    .digest('hex')
}

function sized(bytes: Uint8Array): Buffer {
  const length = Buffer.alloc(4)
  length.writeUInt32BE(bytes.length, 0)
  return Buffer.concat([length, bytes])
}
