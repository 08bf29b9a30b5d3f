// Gossip of appends (PROTOCOL §6): a hint that is fast, never the truth. What follows a stored append is stored; what comes too early is
// parked, oldest out, and the gap is fetched when it does not close by itself.

import { LIMITS } from '../base/limits.ts'
import type { IngestOutcome } from '../log/chain-state.ts'
import type { ChainKey, Head, PublicKeyHex } from '../log/statement.ts'
import { linkName, sameLink, storedSeq } from './chain-table.ts'
import type { PeerHandle } from './contract.ts'
import type { Core, PeerRecord } from './core.ts'

interface Parked {
  readonly head: Head
  readonly frame: Uint8Array
  readonly author: PublicKeyHex
  readonly peer: PeerHandle
  readonly name: string
  readonly atMs: number
}

export interface GossipHooks {
  /** A peer may have an append that is not here. */
  hint(peer: PeerRecord, head: Head): void
  touch(): void
  /** An append of the own key that does not follow what is stored here. */
  ownHeadShown(head: Head): void
  ownAhead(): void
}

/** Appends handed to the log and not answered yet, over all chains. */
const INGESTING_MAX = 256
/** Cost of an entry beside its bytes. */
const ENTRY_BYTES = 512
const PARKED_MS_MAX = 120_000

export class Gossip {
  readonly #core: Core
  readonly #hooks: GossipHooks
  /** By the link that they follow. Insertion order is age. */
  readonly #parked = new Map<string, Parked>()
  readonly #bytesByAuthor = new Map<PublicKeyHex, number>()
  /** Per chain key the last append that is on its way into the log. */
  readonly #entering = new Map<ChainKey, Head>()
  readonly #gaps = new Map<ChainKey, number>()
  #ingesting = 0
  #bytes = 0

  constructor(core: Core, hooks: GossipHooks) {
    this.#core = core
    this.#hooks = hooks
  }

  get parkedBytes(): number {
    return this.#bytes
  }

  get parkedCount(): number {
    return this.#parked.size
  }

  receive(peer: PeerRecord | undefined, handle: PeerHandle, head: Head, frame: Uint8Array | null): void {
    const record = this.#core.chains.get(head.key)
    const author = head.key.slice(0, head.key.indexOf('/'))
    if (!this.#core.members.has(author) || record?.state?.upgradeNeeded === true) return
    const tips = record?.state?.tips ?? []
    if (tips.some((tip) => sameLink(tip.link, head.link))) return
    const follows = head.firstSeq === 1 ? tips.length === 0 : tips.some((tip) => sameLink(tip.link, head.prev))
    const entering = this.#entering.get(head.key)
    const next = entering !== undefined && sameLink(entering.link, head.prev)
    const older = head.firstSeq <= storedSeq(record)
    if (frame !== null && (follows || next || older) && this.#ingesting < INGESTING_MAX)
      return this.#ingest(handle, head, frame)
    if (frame !== null)
      this.#park({ head, frame, author, peer: handle, name: linkName(head.prev), atMs: this.#core.nowMs })
    if (peer !== undefined) this.#hooks.hint(peer, head)
    if (head.lastSeq > storedSeq(record)) this.#gap(head.key, frame === null)
  }

  /** A chain changed: what was parked behind it follows now. */
  chainChanged(key: ChainKey): void {
    const tips = this.#core.chains.get(key)?.state?.tips ?? []
    for (const tip of tips) {
      const entry = this.#parked.get(linkName(tip.link))
      if (entry === undefined || this.#ingesting >= INGESTING_MAX) continue
      this.#unpark(entry)
      this.#ingest(entry.peer, entry.head, entry.frame)
    }
  }

  tick(): void {
    for (const [key, atMs] of this.#gaps) {
      if (atMs > this.#core.nowMs) this.#core.wake('gap', atMs)
      else this.#gaps.delete(key)
    }
    this.#hooks.touch()
  }

  /** Whether fetching this chain should wait a moment for gossip to close the gap. */
  waits(key: ChainKey): boolean {
    return (this.#gaps.get(key) ?? 0) > this.#core.nowMs
  }

  /** Drops what nothing led to for a long time. */
  expire(): void {
    const before = this.#core.nowMs - PARKED_MS_MAX
    for (const entry of this.#parked.values()) {
      if (entry.atMs > before) return
      this.#unpark(entry)
    }
  }

  #gap(key: ChainKey, large: boolean): void {
    if (large) {
      this.#gaps.delete(key)
      return this.#hooks.touch()
    }
    if (this.#gaps.has(key)) return
    const atMs = this.#core.nowMs + LIMITS.gossipGapMs
    this.#gaps.set(key, atMs)
    this.#core.wake('gap', atMs)
  }

  #ingest(peer: PeerHandle, head: Head, frame: Uint8Array): void {
    this.#ingesting++
    this.#entering.set(head.key, head)
    const ticket = this.#core.ticket({ ingested: (outcomes) => this.#ingested(head, peer, outcomes) })
    this.#core.emit({ kind: 'ingest', ticket, peer, bytes: frame })
  }

  #ingested(head: Head, handle: PeerHandle, outcomes: readonly IngestOutcome[]): void {
    this.#ingesting--
    if (this.#entering.get(head.key) === head) this.#entering.delete(head.key)
    const peer = this.#core.peers.get(handle)
    for (const outcome of outcomes) {
      if (outcome.kind === 'own') this.#hooks.ownAhead()
      if (outcome.kind === 'invalid' && peer !== undefined) this.#core.fault(peer, 'frame-invalid')
      if (outcome.kind === 'gap' && peer !== undefined) this.#hooks.hint(peer, head)
    }
    this.chainChanged(head.key)
    this.#hooks.touch()
  }

  #park(entry: Parked): void {
    if (this.#parked.has(entry.name)) return
    const size = entry.frame.length + ENTRY_BYTES
    if (size > LIMITS.parkedBytesPerAuthorMax) return
    while ((this.#bytesByAuthor.get(entry.author) ?? 0) + size > LIMITS.parkedBytesPerAuthorMax)
      this.#dropOldest(entry.author)
    while (this.#bytes + size > LIMITS.parkedBytesMax) this.#dropOldest(null)
    this.#parked.set(entry.name, entry)
    this.#bytes += size
    this.#bytesByAuthor.set(entry.author, (this.#bytesByAuthor.get(entry.author) ?? 0) + size)
  }

  #dropOldest(author: PublicKeyHex | null): void {
    for (const entry of this.#parked.values()) {
      if (author !== null && entry.author !== author) continue
      return this.#unpark(entry)
    }
  }

  #unpark(entry: Parked): void {
    const size = entry.frame.length + ENTRY_BYTES
    this.#parked.delete(entry.name)
    this.#bytes -= size
    const left = (this.#bytesByAuthor.get(entry.author) ?? 0) - size
    if (left > 0) this.#bytesByAuthor.set(entry.author, left)
    else this.#bytesByAuthor.delete(entry.author)
  }
}
