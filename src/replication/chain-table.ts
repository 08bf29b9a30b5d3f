// What the machine remembers per chain key, and the digest over all of them (PROTOCOL §6 "Sync").

import { compareBytes, concatBytes, equalBytes, utf8 } from '../base/bytes.ts'
import type { ChainState } from '../log/chain-state.ts'
import { sha256 } from '../log/hash.ts'
import { type ChainKey, type Head, type PublicKeyHex, parseChainKey } from '../log/statement.ts'
import type { PeerHandle, Place } from './contract.ts'

export const PREFIX_BYTES = 16

export interface ChainRecord {
  readonly key: ChainKey
  readonly author: PublicKeyHex
  readonly chain: number
  readonly epoch: number
  state: ChainState | null
  /** Part of the digest; null when the state changed since. */
  leaf: Uint8Array | null
  /** Peers whose last frontier shows something that is not here. */
  readonly sources: Set<PeerHandle>
  /** Until when a peer is not asked for this chain again. */
  readonly avoided: Map<PeerHandle, number>
  /** The one fetch of this chain, by its id; 0 for none. */
  fetchId: number
  /** A fork search is under way. */
  searching: boolean
  retryAtMs: number
  failures: number
  /** Links (hex) of wanted heads that were found to be stored inside a line. */
  readonly heldWanted: Set<string>
  /** A local look whether a wanted head is stored is under way. */
  looking: boolean
  /** Nothing more is fetched until the state or the members change. */
  stopped: 'cut' | 'stranger' | null
}

export class ChainTable {
  readonly #records = new Map<ChainKey, ChainRecord>()
  #sorted: ChainRecord[] | null = null
  #digest: Uint8Array | null = null

  get(key: ChainKey): ChainRecord | undefined {
    return this.#records.get(key)
  }

  all(): Iterable<ChainRecord> {
    return this.#records.values()
  }

  /** In the order of their keys. */
  sorted(): readonly ChainRecord[] {
    this.#sorted ??= [...this.#records.values()].sort((a, b) => (a.key < b.key ? -1 : 1))
    return this.#sorted
  }

  ensure(key: ChainKey): ChainRecord {
    const known = this.#records.get(key)
    if (known !== undefined) return known
    const record: ChainRecord = {
      key,
      ...parseChainKey(key),
      state: null,
      leaf: null,
      sources: new Set(),
      avoided: new Map(),
      fetchId: 0,
      searching: false,
      retryAtMs: 0,
      failures: 0,
      heldWanted: new Set(),
      looking: false,
      stopped: null
    }
    this.#records.set(key, record)
    this.#sorted = null
    return record
  }

  /** Takes a new state; the record as it was before is gone. */
  update(state: ChainState): ChainRecord {
    const record = this.ensure(state.key)
    record.state = state
    record.leaf = null
    this.#digest = null
    return record
  }

  /** Equal on two nodes that hold the same lines, cuts and highest heads and know of the same forks. */
  digest(): Uint8Array {
    if (this.#digest !== null) return this.#digest
    const leaves: Uint8Array[] = []
    for (const record of this.sorted()) {
      if (record.state === null) continue
      record.leaf ??= leafOf(record.state)
      leaves.push(record.leaf)
    }
    this.#digest = sha256(concatBytes(leaves))
    return this.#digest
  }
}

const MARKS = { tip: utf8('t'), fork: utf8('f'), cut: utf8('c'), witness: utf8('w') }

function leafOf(state: ChainState): Uint8Array {
  const parts: Uint8Array[] = [utf8(`${state.key}\0`)]
  const links = state.tips.map((tip) => tip.link).sort(compareBytes)
  for (const link of links) parts.push(MARKS.tip, link)
  if (state.fork !== null) parts.push(MARKS.fork)
  if (state.cut !== null) parts.push(MARKS.cut, utf8(String(state.cut.seq)), state.cut.id)
  const known = knownHead(state)
  if (known !== null && state.cut === null) parts.push(MARKS.witness, known.link)
  return sha256(concatBytes(parts))
}

/** Highest head that is known: witnessed or stored. */
export function knownHead(state: ChainState | null): Head | null {
  if (state === null) return null
  const tip = state.tips[0] ?? null
  if (state.witness === null) return tip
  return tip !== null && tip.lastSeq >= state.witness.lastSeq ? tip : state.witness
}

export function storedSeq(record: ChainRecord | undefined): number {
  return record?.state?.tips[0]?.lastSeq ?? 0
}

/** True when one of two links is a beginning of the other. */
export function sameLink(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length === b.length) return equalBytes(a, b)
  const length = Math.min(a.length, b.length)
  return length >= PREFIX_BYTES && equalBytes(a.subarray(0, length), b.subarray(0, length))
}

export function placeOf(head: Head): Place {
  return { seq: head.lastSeq, link: head.link }
}

export function prefixOf(head: Head): Place {
  return { seq: head.lastSeq, link: head.link.subarray(0, PREFIX_BYTES) }
}

export function hasTip(state: ChainState | null, place: Place): boolean {
  return state?.tips.some((tip) => tip.lastSeq === place.seq && sameLink(tip.link, place.link)) ?? false
}

/** With a fork, or once a later epoch is open, only lines that lead to wanted heads are fetched (PROTOCOL §4). */
export function restricted(state: ChainState | null): boolean {
  return state !== null && (state.fork !== null || state.closed)
}

/** Wanted heads that no line here is known to hold, lowest first. */
export function wantedMissing(record: ChainRecord): readonly Head[] {
  const { state } = record
  if (state === null) return []
  const missing = state.wanted.filter(
    (head) => !hasTip(state, placeOf(head)) && !record.heldWanted.has(linkName(head.link))
  )
  return missing.sort((a, b) => a.lastSeq - b.lastSeq)
}

export function linkName(link: Uint8Array): string {
  return Buffer.from(link.buffer, link.byteOffset, link.byteLength).toString('latin1')
}
