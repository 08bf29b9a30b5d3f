// Opens the next epoch of the own chain (PROTOCOL §4 "Epoch"): the one append that may follow a fork or a loss.

import type { Random } from '../base/clock.ts'
import { LIMITS } from '../base/limits.ts'
import { MeshError } from '../base/mesh-error.ts'
import type { SigningKey } from '../identity/ed25519.ts'
import { buildAppend, prepareEvent } from './append-builder.ts'
import type { Batch } from './batch.ts'
import { type ControlBody, encodeControl } from './control-records.ts'
import type { HybridClock } from './hybrid-clock.ts'
import { ownRow } from './own-lane.ts'
import { chainKeyOf, type ForkProof, type Head } from './statement.ts'

export interface EpochOpening {
  readonly fork: ForkProof | null
  readonly missing: Head | null
  readonly branches: readonly Head[]
  readonly instance: Uint8Array
}

export interface EpochAuthor {
  readonly key: SigningKey
  readonly clock: HybridClock
  readonly random: Random
}

/**
 * Closes the epoch that the fork or the missing head is of, the own current one when neither is named, and begins the next.
 * EVENT_INVALID when that epoch is not an own one, or when the own key has begun the next already.
 */
export function stageEpoch(batch: Batch, author: EpochAuthor, opening: EpochOpening): Head {
  const { key, clock, random } = author
  const before = opening.fork?.a.key ?? opening.missing?.key
  const row = before === undefined ? ownRow(batch, key.publicKeyHex) : batch.row(before)
  const next = batch.row(chainKeyOf(row.author, 0, row.epoch + 1))
  if (row.author !== key.publicKeyHex || row.chain !== 0 || next.tips.length > 0 || next.witness !== null) {
    throw new MeshError('EVENT_INVALID', `epoch ${row.epoch + 1} of chain ${row.key} cannot be opened here`)
  }
  const kept = row.tips[0] ?? null
  const branches = opening.branches.filter((head) => head.key === row.key).slice(0, LIMITS.epochBranchesMax)
  const body: ControlBody = { type: 'epoch-opened', ...opening, branches, kept }
  const place = {
    author: key.publicKey,
    chain: 0,
    epoch: row.epoch + 1,
    firstSeq: 1,
    prev: kept?.link ?? new Uint8Array(32)
  }
  const events = [prepareEvent({ type: body.type, payload: encodeControl(body) })]
  if (opening.missing !== null) batch.witness(opening.missing)
  const { head, blocks } = buildAppend(batch.mesh, key, place, events, () => clock.stamp(), random)
  batch.store(head, blocks, true)
  return head
}
