// What a simulated node needs of a log: the work behind the effects of the replication machine. Two implementations: the production
// EventLog on a store in memory, and a small model that is easy to believe.

import type { Clock, Random } from '../src/base/clock.ts'
import type { MeshPreimage } from '../src/identity/mesh-id.ts'
import type { Instance } from '../src/log/beacon.ts'
import type { ChainState, IngestOutcome } from '../src/log/chain-state.ts'
import type { ChainKey, ForkProof, Head, PublicKeyHex } from '../src/log/statement.ts'
import type { MembersView, OwnRecord, Place, RangeResult } from '../src/replication/contract.ts'

/** What callers of a simulated node append. */
export type SimRecord =
  | { readonly type: 'app-note'; readonly text: string }
  | { readonly type: 'member-admitted'; readonly subject: PublicKeyHex; readonly admin: boolean }
  | { readonly type: 'member-removed'; readonly subject: PublicKeyHex }
  | OwnRecord

export interface Appended {
  readonly head: Head
  readonly frame: Uint8Array
}

export interface SimLog {
  states(): readonly ChainState[]
  members(): MembersView
  /** Own appends are taken from others too: the node does not write. */
  setRecovering(recovering: boolean): void
  /** Null: not now, a new epoch must be opened first, or the record has no effect any more. */
  append(records: readonly SimRecord[]): Promise<Appended | null>
  ingest(frame: Uint8Array): Promise<readonly IngestOutcome[]>
  witness(heads: readonly Head[]): Promise<readonly boolean[]>
  recordFork(proof: ForkProof): Promise<boolean>
  readRange(
    key: ChainKey,
    after: Place | null,
    tip: Place,
    bytesMax: number
  ): Promise<RangeResult | 'diverged' | 'unknown' | 'failed'>
  readPoints(key: ChainKey, tip: Place, seqs: readonly number[]): Promise<readonly (Head | null)[]>
  /** Chain states that changed since the last call. */
  takeChanges(): readonly ChainState[]
  /** Whether membership changed since the last call. */
  takeMembersChange(): boolean
  /** Head of a whole append, checked as gossip is: layout, hashes, seal. */
  tryHeadOf(frame: Uint8Array): Head | null
  /** Whether this append is stored. */
  holds(head: Head): boolean | Promise<boolean>
  /** Time stamp of the newest event of an author, ms; null where the log keeps none. */
  lastStampMs(author: PublicKeyHex): number | null
  /** One hash over everything that counts here. */
  stateHash(): string
  /** What is on the disk now, to be opened again later. */
  snapshot(): unknown
}

export interface SimLogOptions {
  readonly preimage: MeshPreimage
  readonly mesh: Uint8Array
  readonly founder: PublicKeyHex
  readonly seed: Uint8Array
  readonly observer: boolean
}

export interface SimLogPorts {
  readonly clock: Clock
  readonly random: Random
  readonly instance: () => Instance
}

export interface SimLogKind {
  /** The disk with one of its newest writes gone; null where that cannot be told. */
  damaged(snapshot: unknown, fromNewest: number): unknown
  open(options: SimLogOptions, snapshot: unknown, ports: SimLogPorts): Promise<SimLog>
}
