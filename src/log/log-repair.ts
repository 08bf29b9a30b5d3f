// Makes a chain key whole again after the store lost or damaged a part of it: keeps its longest whole beginning, branches included, and takes
// the rest out, so that peers give it again. What was lost stays as witness: it is signed.

import { equalBytes, isZero, toHex, tryParseHex } from '../base/bytes.ts'
import { isMeshError } from '../base/mesh-error.ts'
import type { AppendBlocks, AppendRow } from './append-codec.ts'
import { type AppendReader, headOfEntry, isDamage, seqRange } from './append-reader.ts'
import {
  controlOperations,
  controlsOf,
  indexEntries,
  removeOperations,
  rowStamp,
  type StoredControl,
  suffixOf
} from './append-rows.ts'
import {
  type BranchAppend,
  type ChainRow,
  chainKeyFromSuffix,
  type ForkState,
  forkTips,
  higherHead
} from './chain-row.ts'
import type { EventStore, KeyRange, StoreEntry, StoreOperation } from './event-store.ts'
import type { ChainKey, Head } from './statement.ts'
import { afterPrefix, CHAIN_SUFFIX_BYTES, prefixed, RANGES, rangeOf } from './store-keys.ts'

/** Entries that can be read, in key order; `damaged` hears of the others: their key, or null when the store cannot tell and gives no more. */
export async function* readableEntries(
  store: EventStore,
  range: KeyRange,
  damaged: (key: Uint8Array | null) => void
): AsyncGenerator<StoreEntry> {
  let { from } = range
  let to = range.to
  for (;;) {
    let bad: Uint8Array | null = null
    try {
      for await (const entry of store.entries({ from, to })) {
        yield entry
        from = Buffer.concat([entry[0], Uint8Array.of(0)])
      }
    } catch (error) {
      if (!isDamage(error)) throw error
      bad = damagedKey(error)
      const inside = bad !== null && Buffer.compare(bad, from) >= 0 && Buffer.compare(bad, to) < 0
      damaged(inside ? bad : null)
      if (!inside) return
    }
    if (bad !== null) {
      to = bad
    } else {
      if (equalBytes(to, range.to)) return
      from = Buffer.concat([to, Uint8Array.of(0)])
      to = range.to
    }
  }
}

function damagedKey(error: unknown): Uint8Array | null {
  const key = isMeshError(error) ? error.details['key'] : undefined
  return typeof key === 'string' ? tryParseHex(key) : null
}

const LOG_RANGES = Object.values(RANGES).filter((range) => range !== RANGES.meta && range !== RANGES.local)

/** Reads the whole log and deletes what cannot be read, by the store's own means where a key is not enough. */
export async function dropUnreadable(store: EventStore, salvaged = false): Promise<void> {
  const deletes: StoreOperation[] = []
  let nameless = 0
  for (const range of LOG_RANGES) {
    const damaged = (key: Uint8Array | null): void => {
      if (key === null) nameless++
      else deletes.push({ type: 'del', key })
    }
    for await (const _entry of readableEntries(store, rangeOf(Uint8Array.of(range)), damaged));
  }
  if (deletes.length > 0) await store.write(deletes, { sync: true })
  if (nameless === 0 || salvaged || store.salvage === undefined) return
  await store.salvage()
  await dropUnreadable(store, true)
}

/** Every chain key that has appends, read from the appends themselves. */
export async function storedChains(store: EventStore): Promise<ChainKey[]> {
  const keys: ChainKey[] = []
  let from: Uint8Array = Uint8Array.of(RANGES.append)
  for (;;) {
    let next: Uint8Array | null = null
    const to = Uint8Array.of(RANGES.append + 1)
    for await (const [key] of readableEntries(store, { from, to }, (bad) => (next ??= bad))) {
      next ??= key
      break
    }
    const found = next as Uint8Array | null
    if (found === null) return keys
    const prefix = Buffer.from(found.subarray(0, 1 + CHAIN_SUFFIX_BYTES))
    keys.push(chainKeyFromSuffix(prefix.subarray(1)))
    from = afterPrefix(prefix)
  }
}

export interface ChainRepair {
  readonly row: ChainRow
  /** Deletes what is not whole and writes the control rows of what is; the chain row is the caller's. */
  readonly operations: readonly StoreOperation[]
  /** Control records of the appends that stay; null when they were not read. */
  readonly records: readonly StoredControl[] | null
  /** False when all was there and only rows were made anew. */
  readonly lost: boolean
  /** Links (hex) of the appends that were taken out. */
  readonly removed: ReadonlySet<string>
}

interface WholePart {
  readonly heads: Head[]
  readonly behind: Head[]
  readonly records: StoredControl[]
  readonly operations: StoreOperation[]
  last: AppendBlocks | null
  unreadable: number
}

/** `links` looks at heads alone; `blocks` reads every block and makes the control rows anew; `index` makes the index anew as well. */
export type RepairDepth = 'links' | 'blocks' | 'index'

/** What is left of a chain key when only whole lines count; null when nothing is missing. */
export async function repairChain(
  store: EventStore,
  reader: AppendReader,
  row: ChainRow,
  depth: RepairDepth
): Promise<ChainRepair | null> {
  const thorough = depth !== 'links'
  const part = await wholePart(store, reader, row, depth)
  const tip = row.tips[0]
  const common = part.heads.findLast((head) => row.fork === null || head.firstSeq < row.fork.forkSeq) ?? null
  const fork = row.fork === null ? null : forkOf(row.fork, part.heads)
  const tips = fork !== null ? forkTips(fork, common) : common === null ? [] : [common]
  const same =
    part.behind.length === 0 &&
    tips.length === row.tips.length &&
    tips.every((head, index) => equalBytes(head.link, (row.tips[index] as Head).link))
  const lost = !same || part.unreadable > 0
  if (!lost && part.operations.length === 0) return null
  const operations = [...part.operations]
  for (const head of part.behind) operations.push(...(await removeHead(reader, head)))
  const events = part.heads.reduce((sum, head) => sum + head.count, 0)
  const lastStamp = part.last === null ? row.lastStamp : rowStamp(part.last.rows.at(-1) as AppendRow)
  const witness = higherHead(row.witness, tip ?? null)
  const removed = new Set(part.behind.map((head) => toHex(head.link)))
  return {
    row: { ...row, tips, events, lastStamp, fork, witness },
    operations,
    records: thorough ? part.records : null,
    lost,
    removed
  }
}

async function wholePart(
  store: EventStore,
  reader: AppendReader,
  row: ChainRow,
  depth: RepairDepth
): Promise<WholePart> {
  const thorough = depth !== 'links'
  const part: WholePart = { heads: [], behind: [], records: [], operations: [], last: null, unreadable: 0 }
  const ends = new Map<string, number>()
  const drop = (key: Uint8Array | null): void => {
    part.unreadable++
    if (key !== null)
      part.operations.push({ type: 'del', key }, { type: 'del', key: prefixed(RANGES.payload, key.subarray(1)) })
  }
  for await (const [key, value] of readableEntries(store, seqRange(row, 1, null), drop)) {
    const head = headOfEntry(reader.mesh, key, value)
    const joined =
      head.firstSeq === 1 ? row.epoch > 1 || isZero(head.prev) : ends.get(toHex(head.prev)) === head.firstSeq - 1
    const blocks = joined && thorough ? await readableBlocks(reader, head) : null
    if (!joined || (thorough && blocks === null)) {
      part.behind.push(head)
      continue
    }
    if (row.fork === null || head.lastSeq < row.fork.forkSeq - 1) ends.clear()
    ends.set(toHex(head.link), head.lastSeq)
    part.heads.push(head)
    if (blocks === null) continue
    const records = controlsOf(reader.mesh, head, blocks)
    part.records.push(...records)
    part.operations.push(...controlOperations(head, records))
    part.last = blocks
    if (depth === 'index')
      await store.write(
        indexEntries(blocks, suffixOf(head)).map(({ key: at, value: slice }) => ({
          type: 'put',
          key: at,
          value: slice
        })),
        { sync: false }
      )
  }
  return part
}

function forkOf(fork: ForkState, heads: readonly Head[]): ForkState {
  const appends = new Map<string, BranchAppend>()
  for (const head of heads)
    if (head.firstSeq >= fork.forkSeq) appends.set(toHex(head.link), { head, prev: toHex(head.prev) })
  return { ...fork, appends }
}

async function readableBlocks(reader: AppendReader, head: Head): Promise<AppendBlocks | null> {
  try {
    return (await reader.bySuffix(suffixOf(head)))?.blocks ?? null
  } catch (error) {
    if (isDamage(error)) return null
    throw error
  }
}

async function removeHead(reader: AppendReader, head: Head): Promise<StoreOperation[]> {
  const suffix = suffixOf(head)
  const blocks = await readableBlocks(reader, head)
  if (blocks !== null) return removeOperations(head, blocks, controlsOf(reader.mesh, head, blocks))
  return [prefixed(RANGES.append, suffix), prefixed(RANGES.payload, suffix)].map((key) => ({ type: 'del', key }))
}
