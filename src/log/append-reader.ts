// Reads stored appends: single places, ranges along a line, and heads at given sequence numbers. Reads only; knows nothing of commits.

import { asBuffer, compareBytes, equalBytes, fromHex, toHex } from '../base/bytes.ts'
import { LIMITS } from '../base/limits.ts'
import { isMeshError, MeshError } from '../base/mesh-error.ts'
import { type AppendBlocks, decodeBlocks, frameAppend, framedBytes } from './append-codec.ts'
import { type ChainRow, chainKeyFromSuffix, countedLinks } from './chain-row.ts'
import type { EventStore, KeyRange, StoreEntry } from './event-store.ts'
import { type ChainKey, completeHead, type Head, headSealValid } from './statement.ts'
import { chainSuffix, prefixed, RANGES, readU64, u64 } from './store-keys.ts'

const PAGE_BYTES = 256 * 1024
const HEADER_VALUE_AT = 32

export interface StoredBlocks {
  readonly head: Head
  readonly blocks: AppendBlocks
}

/** The end of an append: its last sequence number and 16…32 bytes of its link. */
export interface LinePlace {
  readonly seq: number
  readonly link: Uint8Array
}

/** One frame of whole appends along a line. */
export interface RangeFrame {
  readonly bytes: Buffer
  /** End of the last append in `bytes`; the place asked for when there is nothing behind it. */
  readonly last: LinePlace
  /** True when the line goes on behind this frame. */
  readonly more: boolean
}

/** Head of a stored append from its key and value, without its payloads. */
export function headOfEntry(mesh: Uint8Array, key: Uint8Array, value: Uint8Array): Head {
  const bytes = asBuffer(value)
  const suffix = asBuffer(key).subarray(1)
  const header = bytes.subarray(HEADER_VALUE_AT)
  return completeHead(
    {
      mesh,
      author: suffix.subarray(0, 32),
      chain: suffix.readUInt32BE(32),
      epoch: suffix.readUInt32BE(36),
      firstSeq: readU64(suffix, 40),
      count: header.readUInt16BE(49),
      prev: header.subarray(51, 83),
      lastId: bytes.subarray(0, HEADER_VALUE_AT)
    },
    header.subarray(83, 147)
  )
}

export function decodeStored(
  mesh: Uint8Array,
  key: Uint8Array,
  value: Uint8Array,
  payload: Uint8Array | null
): StoredBlocks {
  const blocks =
    payload === null ? 'layout' : decodeBlocks(asBuffer(value).subarray(HEADER_VALUE_AT), asBuffer(payload))
  if (typeof blocks === 'string')
    throw new MeshError('STORE_DAMAGED', `an append in the store does not decode: ${toHex(key.subarray(1))}`)
  return { head: headOfEntry(mesh, key, value), blocks }
}

export function isDamage(error: unknown): boolean {
  return isMeshError(error) && error.code === 'STORE_DAMAGED'
}

/** Damage, with the chain key that it hits: what `EventLog.noteDamage` wants to know. */
function damageOf(chain: ChainKey, cause: unknown): MeshError {
  return new MeshError('STORE_DAMAGED', `a part of chain ${chain} cannot be read from the store`, {
    details: { chain },
    cause
  })
}

export class AppendReader {
  readonly #store: EventStore
  readonly #mesh: Uint8Array

  constructor(store: EventStore, mesh: Uint8Array) {
    this.#store = store
    this.#mesh = mesh
  }

  get mesh(): Uint8Array {
    return this.#mesh
  }

  async bySuffix(suffix: Uint8Array): Promise<StoredBlocks | null> {
    const key = prefixed(RANGES.append, suffix)
    try {
      const [value, payload] = await this.#store.getMany([key, prefixed(RANGES.payload, suffix)])
      return value === null || value === undefined ? null : decodeStored(this.#mesh, key, value, payload ?? null)
    } catch (error) {
      throw isDamage(error) ? damageOf(chainKeyFromSuffix(asBuffer(suffix)), error) : error
    }
  }

  async has(suffix: Uint8Array): Promise<boolean> {
    return (await this.#store.get(prefixed(RANGES.append, suffix))) !== null
  }

  /** Heads of the stored appends that begin exactly at `firstSeq`. */
  async headsAt(row: ChainRow, firstSeq: number): Promise<Head[]> {
    const heads: Head[] = []
    for await (const [key, value] of this.#store.entries(seqRange(row, firstSeq, firstSeq + 1)))
      heads.push(headOfEntry(this.#mesh, key, value))
    return heads
  }

  /** Heads of all stored appends from `firstSeq` on, in key order. */
  async *headsFrom(row: ChainRow, firstSeq: number): AsyncGenerator<Head> {
    for await (const [key, value] of this.#store.entries(seqRange(row, firstSeq, null)))
      yield headOfEntry(this.#mesh, key, value)
  }

  /**
   * The heads of the appends that hold the given sequence numbers, on the line that ends at `tip`; null where the line has none.
   */
  async points(row: ChainRow, tip: Head, seqs: readonly number[]): Promise<(Head | null)[]> {
    const onLine = lineFilter(row, tip)
    return Promise.all(
      seqs.map(async (seq) => {
        if (seq < 1 || seq > tip.lastSeq) return null
        const range = { ...seqRange(row, Math.max(1, seq - LIMITS.appendEventsMax), seq + 1), reverse: true }
        for await (const [key, value] of this.#store.entries(range)) {
          const head = headOfEntry(this.#mesh, key, value)
          if (head.lastSeq < seq && row.fork === null) return null
          if (head.lastSeq >= seq && onLine(head)) return head
        }
        return null
      })
    )
  }

  /** Heads of the stored appends whose last event has this sequence number, branches included. */
  async ending(row: ChainRow, seq: number): Promise<Head[]> {
    const heads: Head[] = []
    const range = seqRange(row, Math.max(1, seq - LIMITS.appendEventsMax), seq + 1)
    for await (const [key, value] of this.#store.entries(range)) {
      const head = headOfEntry(this.#mesh, key, value)
      if (head.lastSeq === seq) heads.push(head)
    }
    return heads
  }

  /**
   * Whole appends behind `after` along the line that ends at `tip`, up to `bytesMax` framed bytes, at least one. Ends at an append whose own
   * seal holds (PROTOCOL §1 "servers extend the frame to the next good one"). `diverged` when the line does not contain `after`.
   */
  async range(row: ChainRow, tip: Head, after: LinePlace | null, bytesMax: number): Promise<RangeFrame | 'diverged'> {
    const afterSeq = after?.seq ?? 0
    if (afterSeq > tip.lastSeq) return 'diverged'
    if (after !== null && afterSeq === tip.lastSeq) {
      return startsWith(tip.link, after.link) ? { bytes: Buffer.alloc(0), last: after, more: false } : 'diverged'
    }
    const onLine = lineFilter(row, tip)
    const parts: { frame: Buffer; head: Head }[] = []
    let bytes = 0
    for await (const stored of this.#scan(seqRange(row, afterSeq + 1, tip.lastSeq + 1))) {
      if (!onLine(stored.head)) continue
      const gap = parts.length > 0 && stored.head.firstSeq !== (parts.at(-1) as { head: Head }).head.lastSeq + 1
      if (gap) throw damageOf(row.key, null)
      const size = framedBytes(stored.header, stored.body)
      const before = parts.at(-1)
      if (
        before !== undefined &&
        bytes + size > bytesMax &&
        (bytes + size > LIMITS.frameBytesExtended || headSealValid(before.head))
      )
        break
      parts.push({ frame: frameAppend(stored.header, stored.body), head: stored.head })
      bytes += size
      if (stored.head.lastSeq >= tip.lastSeq) break
    }
    const first = parts[0]?.head
    const last = parts.at(-1)?.head
    const joined = first?.firstSeq === afterSeq + 1 && (after === null || startsWith(first.prev, after.link))
    if (first === undefined || last === undefined || !joined) return 'diverged'
    const frames = parts.map((part) => part.frame)
    return {
      bytes: Buffer.concat(frames, bytes),
      last: { seq: last.lastSeq, link: last.link },
      more: last.lastSeq < tip.lastSeq
    }
  }

  /** Every stored append in key order (author, chain, epoch, firstSeq, link), or those of one author. Bounded memory. */
  async *all(author: Uint8Array | null): AsyncGenerator<StoredBlocks> {
    const prefix = (range: number): Buffer => prefixed(range, author ?? new Uint8Array(0))
    const from = prefix(RANGES.append)
    const to = author === null ? Uint8Array.of(RANGES.append + 1) : Buffer.concat([from, Buffer.alloc(32, 0xff)])
    for await (const stored of this.#scan({ from, to })) {
      yield decodeStored(this.#mesh, stored.key, stored.value, stored.body)
    }
  }

  /** Walks the append and the payload range side by side. */
  async *#scan(
    range: KeyRange
  ): AsyncGenerator<{ key: Uint8Array; value: Uint8Array; header: Buffer; body: Buffer; head: Head }> {
    const payloadRange = { from: withRange(range.from, RANGES.payload), to: withRange(range.to, RANGES.payload) }
    const payloads = flatten(this.#store.pages(payloadRange, PAGE_BYTES))
    try {
      for await (const page of this.#store.pages(range, PAGE_BYTES / 8)) {
        for (const [key, value] of page) {
          let next = await payloads.next()
          while (next.done !== true && compareBytes(next.value[0].subarray(1), key.subarray(1)) < 0)
            next = await payloads.next()
          const payload = next.done === true ? null : next.value
          if (payload === null || !equalBytes(payload[0].subarray(1), key.subarray(1))) {
            throw new MeshError('STORE_DAMAGED', `the payloads of an append are missing: ${toHex(key.subarray(1))}`)
          }
          const header = asBuffer(value).subarray(HEADER_VALUE_AT)
          yield { key, value, header, body: asBuffer(payload[1]), head: headOfEntry(this.#mesh, key, value) }
        }
      }
    } finally {
      await payloads.return(undefined)
    }
  }
}

function startsWith(link: Uint8Array, prefix: Uint8Array): boolean {
  return equalBytes(link.subarray(0, prefix.length), prefix)
}

async function* flatten(pages: AsyncIterable<readonly StoreEntry[]>): AsyncGenerator<StoreEntry> {
  for await (const page of pages) yield* page
}

function withRange(key: Uint8Array, range: number): Buffer {
  const copy = Buffer.from(key)
  copy[0] = copy[0] === RANGES.append ? range : range + 1
  return copy
}

/** Keys of the appends of a chain key from one sequence number up to another, exclusive. */
export function seqRange(row: ChainRow, fromSeq: number, toSeq: number | null): KeyRange {
  const prefix = prefixed(RANGES.append, chainSuffix(fromHex(row.author), row.chain, row.epoch))
  const from = Buffer.concat([prefix, u64(fromSeq)])
  const to = toSeq === null ? Buffer.concat([prefix, Buffer.alloc(16, 0xff)]) : Buffer.concat([prefix, u64(toSeq)])
  return { from, to }
}

/** Which stored appends stand on the line that ends at `tip`: all of an unforked chain. */
function lineFilter(row: ChainRow, tip: Head): (head: Head) => boolean {
  const { fork } = row
  if (fork === null) return () => true
  const links = countedLinks(fork, [tip])
  return (head) => head.firstSeq < fork.forkSeq || links.has(toHex(head.link))
}
