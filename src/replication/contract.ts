// What the replication machine takes and gives (PROTOCOL §4, §6): plain data, no promises. The shell (libp2p and the event log, or the
// simulator) turns effects into work and answers with inputs; effects of one step are done in their order.
// Frames are opaque here: whole appends as the log encodes them, aliasing the caller's memory and never changed.

import type { Random } from '../base/clock.ts'
import type { Beacon, Instance } from '../log/beacon.ts'
import type { ChainState, IngestOutcome } from '../log/chain-state.ts'
import type { ChainKey, ForkProof, Head, PublicKeyHex } from '../log/statement.ts'

/** Names one authenticated sync stream. Two live copies of one key have two handles. */
export type PeerHandle = string

/** A place on a line: the last sequence number of an append and its link. `link` has 16…32 bytes: a prefix is enough to name it. */
export interface Place {
  readonly seq: number
  readonly link: Uint8Array
}

/** One chain key of a frontier: what the sender has stored, durably, and the highest head that it knows. */
export interface ChainClaim {
  readonly key: ChainKey
  /** Ends of the stored lines, highest first; links are 16-byte prefixes. */
  readonly tips: readonly Place[]
  /** Highest known head, stored or not. A tip above it is ignored. */
  readonly head: Head | null
  /** The sender holds a fork proof of this chain key. */
  readonly forked: boolean
}

export type EndReason =
  /** Everything up to the asked tip was sent. */
  | 'done'
  /** The sender's line does not contain the place to start after. */
  | 'diverged'
  /** The asked tip is not stored here. */
  | 'unknown'
  /** Too many requests of this peer. */
  | 'busy'
  /** The sender cannot go on with this one. */
  | 'stopped'

/** Everything that travels on a sync stream. */
export type SyncMessage =
  /** `asks`: answered at once, equal or not. */
  | { readonly kind: 'digest'; readonly digest: Uint8Array; readonly asks: boolean }
  | {
      readonly kind: 'frontier'
      readonly round: number
      readonly last: boolean
      readonly claims: readonly ChainClaim[]
    }
  | {
      readonly kind: 'fetch'
      readonly id: number
      readonly key: ChainKey
      readonly after: Place | null
      readonly tip: Place
    }
  | { readonly kind: 'cancel'; readonly id: number }
  | { readonly kind: 'credit'; readonly bytes: number }
  | { readonly kind: 'frame'; readonly id: number; readonly bytes: Uint8Array }
  | { readonly kind: 'end'; readonly id: number; readonly reason: EndReason }
  | {
      readonly kind: 'probe'
      readonly id: number
      readonly key: ChainKey
      readonly tip: Place
      readonly seqs: readonly number[]
    }
  | { readonly kind: 'points'; readonly id: number; readonly heads: readonly Head[] }
  | { readonly kind: 'proofs'; readonly proofs: readonly ForkProof[] }
  | { readonly kind: 'beacon'; readonly bytes: Uint8Array }

export interface MemberView {
  readonly key: PublicKeyHex
  readonly removed: boolean
  /** Founder and admins: their chains are fetched first. */
  readonly admits: boolean
}

export interface MembersView {
  /** Everybody ever admitted, as far as the log here knows; the founder always. */
  readonly members: readonly MemberView[]
  /** This node's own `member-admitted` and its path are stored, or it is the founder. */
  readonly selfAdmitted: boolean
  /** This node may append nothing but its presence: it witnesses no branches. */
  readonly observer: boolean
}

export interface RangeResult {
  /** Whole appends, at most `bytesMax` unless the first alone is larger. */
  readonly bytes: Uint8Array
  /** The last append in `bytes`. */
  readonly last: Place
  /** The line goes on behind it. */
  readonly more: boolean
}

export type Input =
  | ({
      readonly kind: 'start'
      readonly chains: readonly ChainState[]
      readonly markerFits: boolean
      readonly markerHead: Head | null
    } & MembersView)
  /** A chain state changed; durable already. Comes before the answer (`ingested`, `witnessed`) of what changed it. */
  | { readonly kind: 'chain'; readonly state: ChainState }
  | ({ readonly kind: 'members' } & MembersView)
  /** An own append is durable. `bytes`: the frame of the whole append when it is small enough to be gossiped. */
  | { readonly kind: 'appended'; readonly head: Head; readonly bytes: Uint8Array | null }
  /** A sync stream is open both ways and both hellos are checked. `instance`, `timeMs`: from the peer's hello. */
  | {
      readonly kind: 'peer-up'
      readonly peer: PeerHandle
      readonly key: PublicKeyHex
      readonly instance: Instance
      readonly timeMs: number
    }
  | { readonly kind: 'peer-down'; readonly peer: PeerHandle }
  | { readonly kind: 'message'; readonly peer: PeerHandle; readonly message: SyncMessage }
  /** The send queue of a peer is full (false) or has room again (true). */
  | { readonly kind: 'writable'; readonly peer: PeerHandle; readonly writable: boolean }
  /** Gossip whose layout, hashes and seal hold. `frame` is null when only the head of a large append was published. */
  | { readonly kind: 'gossip'; readonly peer: PeerHandle; readonly head: Head; readonly frame: Uint8Array | null }
  /** A beacon with both signatures checked. */
  | { readonly kind: 'beacon'; readonly beacon: Beacon }
  /** Somebody who holds our key claimed it for another running instance; signature checked. */
  | { readonly kind: 'claimed'; readonly instance: Instance; readonly timeMs: number }
  | { readonly kind: 'ingested'; readonly ticket: number; readonly outcomes: readonly IngestOutcome[] }
  /** Answer to `witness` and `fork`, one truth value per head or proof; empty when the store failed. `false` is the sender's fault. */
  | { readonly kind: 'witnessed'; readonly ticket: number; readonly valid: readonly boolean[] }
  | {
      readonly kind: 'range'
      readonly ticket: number
      readonly result: RangeResult | 'diverged' | 'unknown' | 'failed'
    }
  /** Answer to `read-points`: the append that holds each sequence number on that line; null where there is none. Empty when the tip is not stored. */
  | { readonly kind: 'points'; readonly ticket: number; readonly heads: readonly (Head | null)[] }
  | { readonly kind: 'timer'; readonly id: TimerId }
  /** A person ends recovery by name. */
  | { readonly kind: 'override' }
  /** A person makes this instance the writer; `timeMs` is the wall clock that the signed claim carries. */
  | { readonly kind: 'claim'; readonly timeMs: number }

export type TimerId = 'frontier' | 'fetch' | 'gap' | 'beacon' | 'branches' | 'recovery'

/** What the own log is asked to append (PROTOCOL §4). The log refuses what it already holds. */
export type OwnRecord =
  | { readonly type: 'branch-witnessed'; readonly head: Head }
  /** Opens `epoch` of the own chain: goes before every waiting append. */
  | {
      readonly type: 'epoch-opened'
      readonly chain: number
      readonly epoch: number
      readonly fork: ForkProof | null
      readonly missing: Head | null
      readonly kept: Head | null
      readonly branches: readonly Head[]
    }

export type PeerFault =
  | 'frame-invalid'
  | 'frame-wrong-range'
  | 'frame-unasked'
  | 'credit-exceeded'
  | 'claim-not-served'
  | 'claim-invalid'
  | 'head-invalid'
  | 'points-invalid'
  | 'proof-invalid'
  | 'beacon-invalid'
  | 'flood'

export type Phase = 'recovering' | 'ready' | 'in-use-twice'

/** What an unfinished recovery waits for. */
export type WaitsFor = 'none' | 'peers' | 'answers' | 'own-log' | 'admission' | 'time' | 'claim'

export interface ReplicationState {
  /** Only `ready` may append. In the other two phases the log takes appends of the own key from others. */
  readonly phase: Phase
  readonly waitsFor: WaitsFor
  /** Another member was seen to hold the own head of this start. */
  readonly ownHeadConfirmed: boolean
  /** Highest sealed own head that is known and not held. */
  readonly missing: Head | null
}

export type Effect =
  | { readonly kind: 'send'; readonly peer: PeerHandle; readonly message: SyncMessage }
  /** Gossip a whole append, the head of a larger one, or a beacon. */
  | {
      readonly kind: 'publish'
      readonly what: 'append' | 'head' | 'beacon'
      readonly bytes: Uint8Array
      readonly head: Head
    }
  /** Verify and store a frame in one durable batch, after earlier ones; answer `ingested`. */
  | { readonly kind: 'ingest'; readonly ticket: number; readonly peer: PeerHandle; readonly bytes: Uint8Array }
  /** Read along the line that leads to `tip` (any stored append of it), behind `after` (null: from the start); answer `range`. */
  | {
      readonly kind: 'read-range'
      readonly ticket: number
      readonly key: ChainKey
      readonly after: Place | null
      readonly tip: Place
      readonly bytesMax: number
    }
  | {
      readonly kind: 'read-points'
      readonly ticket: number
      readonly key: ChainKey
      readonly tip: Place
      readonly seqs: readonly number[]
    }
  /** Check seals and raise the witness durably; answer `witnessed`. */
  | { readonly kind: 'witness'; readonly ticket: number; readonly heads: readonly Head[] }
  /** Check both seals and record the proof durably; answer `witnessed`. */
  | { readonly kind: 'fork'; readonly ticket: number; readonly proof: ForkProof }
  | { readonly kind: 'append-record'; readonly record: OwnRecord }
  /** One timer per id; a new time replaces the old one. */
  | { readonly kind: 'timer'; readonly id: TimerId; readonly atMs: number }
  | { readonly kind: 'disconnect'; readonly peer: PeerHandle; readonly reason: 'removed' | 'misbehaving' | 'too-many' }
  | { readonly kind: 'penalise'; readonly peer: PeerHandle; readonly fault: PeerFault }
  | { readonly kind: 'state'; readonly state: ReplicationState }
  /** Sign a claim of the own key for the own instance, gossip it and send it on. */
  | { readonly kind: 'announce-claim'; readonly timeMs: number }

export interface ReplicatorOptions {
  readonly ownKey: PublicKeyHex
  readonly mesh: Uint8Array
  readonly instance: Instance
  /** Seeded in the simulator; for jitter only. */
  readonly random: Random
  /** Signs a beacon over `head`, stamped with the wall clock and the own instance: 300 bytes. */
  readonly signBeacon: (head: Head) => Uint8Array
}

export interface ChainStatus {
  readonly key: ChainKey
  readonly storedSeq: number
  /** Highest sequence number that a signed head proves to exist. */
  readonly knownSeq: number
  readonly state: 'complete' | 'behind' | 'contradicted' | 'forked' | 'unconfirmed'
  /** Time of the author's last beacon, its wall clock; null before the first. */
  readonly beaconMs: number | null
  readonly source: PeerHandle | null
  /** Failed attempts since the last progress. */
  readonly failures: number
}

export interface PeerStatus {
  readonly peer: PeerHandle
  readonly key: PublicKeyHex
  /** Its frontier was equal to ours at the last exchange. */
  readonly inSync: boolean
  readonly answered: boolean
  readonly lastFrontierMs: number | null
  readonly fetches: number
  readonly faults: number
  readonly lastFault: PeerFault | null
}

export interface ReplicationStatus {
  readonly state: ReplicationState
  readonly chains: readonly ChainStatus[]
  readonly peers: readonly PeerStatus[]
  readonly parkedBytes: number
}
