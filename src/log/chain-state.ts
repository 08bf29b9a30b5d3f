// What the log tells other layers about one chain key: plain data, replaced as a whole whenever it changes.

import type { ChainKey, ForkProof, Head, PublicKeyHex } from './statement.ts'

export interface ChainState {
  readonly key: ChainKey
  readonly author: PublicKeyHex
  readonly chain: number
  readonly epoch: number
  /**
   * Ends of the stored lines, highest lastSeq first (then by link). One unless the chain is forked; several are branches that share a beginning.
   * Empty while only a head is known (nothing stored yet).
   */
  readonly tips: readonly Head[]
  /** Known proof that the author forked this chain key. */
  readonly fork: ForkProof | null
  /**
   * Heads that count although they may not be stored here yet: the kept head and adopted branches of the author's epoch-opened, and branches
   * that a member witnessed. A line that leads to one of them is fetched and stored; with a fork, other lines are kept as heads only.
   */
  readonly wanted: readonly Head[]
  /** A later epoch is open: this one ends at its kept head. */
  readonly closed: boolean
  /** Set when the author was removed: events behind this place are refused; seq 0 cuts everything. */
  readonly cut: { readonly seq: number; readonly id: Uint8Array } | null
  /** Highest head ever verified for this key, even if its events are not here. Never lowered. */
  readonly witness: Head | null
  /** The chain stopped at a format this program does not know. */
  readonly upgradeNeeded: boolean
}

/** Why an offered append was not stored, or what storing it did. */
export type IngestOutcome =
  /** New and durable. */
  | { readonly kind: 'stored'; readonly key: ChainKey; readonly head: Head }
  /** Already here. */
  | { readonly kind: 'known'; readonly key: ChainKey }
  /** Its predecessor is not here. */
  | { readonly kind: 'gap'; readonly key: ChainKey; readonly haveSeq: number }
  /** It contradicts what is stored: the proof is durable; the append itself is stored only if its line is wanted. */
  | { readonly kind: 'fork'; readonly key: ChainKey; readonly proof: ForkProof; readonly stored: boolean }
  /** Its author is not admitted, as far as the log here knows. */
  | { readonly kind: 'stranger'; readonly key: ChainKey }
  /** Behind the cut of its removed author. */
  | { readonly kind: 'cut'; readonly key: ChainKey }
  /** Of our own key while this node does not recover and the line is not wanted. */
  | { readonly kind: 'own'; readonly key: ChainKey }
  /** Layout, hash, link, commitment or seal does not hold, or it is of another mesh: the sender or the author is at fault. */
  | {
      readonly kind: 'invalid'
      readonly key: ChainKey | null
      readonly code:
        | 'LOG_HASH_MISMATCH'
        | 'LOG_PREVIOUS_MISMATCH'
        | 'LOG_SEAL_INVALID'
        | 'LOG_SEQUENCE_GAP'
        | 'EVENT_INVALID'
        | 'STORE_FOREIGN'
    }
  /** Format, flag or encoding unknown here. */
  | { readonly kind: 'format'; readonly key: ChainKey }
  /** The store could not write: try again later. */
  | { readonly kind: 'failed'; readonly key: ChainKey | null }
