// Opens the log: reads one row per chain key, the control records, witnesses and forks, and walks the commit marks that the write-ahead log
// may still have held. Costs O(authors), never O(events), unless the store is damaged. A gap in the marks is the middle that LevelDB dropped:
// every chain is then set back to what is whole (PROTOCOL §4). Rows that cannot be read are made anew from the appends.

import { asBuffer, equalBytes, toHex, utf8 } from '../base/bytes.ts'
import { LIMITS } from '../base/limits.ts'
import type { Logger } from '../base/logger.ts'
import { MeshError } from '../base/mesh-error.ts'
import { type MeshPreimage, meshIdOf } from '../identity/mesh-id.ts'
import { AppendReader, headOfEntry, isDamage, seqRange } from './append-reader.ts'
import { type StoredControl, suffixOf, tryDecodeControlRow } from './append-rows.ts'
import { countsIn, type LogState } from './batch.ts'
import {
  type BranchAppend,
  CHAIN_RANGE,
  type ChainRow,
  chainKeyFromSuffix,
  chainRowKey,
  emptyRow,
  encodeChainRow,
  tryDecodeChainRow
} from './chain-row.ts'
import { commitMarkNumber, tryDecodeCommitMark } from './commit-mark.ts'
import type { EventStore, StoreOperation } from './event-store.ts'
import { type ChainRepair, dropUnreadable, readableEntries, repairChain, storedChains } from './log-repair.ts'
import { foldMesh } from './mesh-fold.ts'
import { type ChainKey, encodeHead, tryDecodeForkProof, tryDecodeHead } from './statement.ts'
import { prefixed, RANGES, rangeOf, readU64, u64 } from './store-keys.ts'

/** Bytes of batches that LevelDB may hold in its write-ahead logs: three write buffers. */
const WAL_BYTES_MAX = 3 * LIMITS.storeWriteBufferBytes
const MESH_KEY = prefixed(RANGES.meta, utf8('mesh'))
/** Number of the newest mark at the last repair: gaps before it are dealt with. */
const CHECKED_KEY = prefixed(RANGES.local, utf8('commits-checked'))
/** Set when a read met damage that no single chain accounts for: the next opening reads everything. */
export const DOUBTED_KEY = prefixed(RANGES.local, utf8('store-doubted'))
const REBUILD_HINT =
  'Move the store folder away and start again: a node without a store fetches everything from its peers.'

export interface OpenedLog {
  readonly state: LogState
  /** Chain keys that lost events to a damaged store and were reset. */
  readonly damaged: readonly ChainKey[]
  /** Something is lost, perhaps events of which nothing is left to tell. */
  readonly lossy: boolean
}

export async function openLogState(store: EventStore, preimage: MeshPreimage, logger: Logger): Promise<OpenedLog> {
  const mesh = meshIdOf(preimage)
  await claimStore(store, mesh)
  const reader = new AppendReader(store, mesh)
  let { rows, whole } = await loadRows(store, reader)
  let gap = await findGap(store)
  const lossy =
    !whole ||
    gap.found ||
    (await isDoubted(store)) ||
    (await loadRecords(store)) === null ||
    !(await holdsTips(reader, rows))
  const damaged: ChainKey[] = []
  if (lossy) {
    logger.warn('the store is damaged: all of it is read and every chain set back to what is whole')
    await dropUnreadable(store)
    rows = (await loadRows(store, reader)).rows
    for (const key of new Set([...rows.keys(), ...(await storedChains(store))])) {
      const row = rows.get(key) ?? emptyRow(key)
      const repair = await repairChain(store, reader, row, 'index')
      if (repair === null) continue
      await writeRepair(store, repair)
      rows.set(key, repair.row)
      if (!repair.lost) continue
      damaged.push(key)
      logger.warn('a chain lost events', {
        key,
        lastSeq: repair.row.tips[0]?.lastSeq ?? 0,
        heldSeq: row.tips[0]?.lastSeq ?? 0
      })
    }
    gap = await findGap(store)
    await store.write(
      [
        { type: 'put', key: CHECKED_KEY, value: u64(gap.last) },
        { type: 'del', key: DOUBTED_KEY }
      ],
      { sync: true }
    )
  }
  const records = await loadRecords(store)
  if (records === null)
    throw new MeshError('STORE_DAMAGED', 'records of the membership cannot be read', { hint: REBUILD_HINT })
  const view = foldMesh(mesh, preimage, records, countsIn(rows))
  return { state: { mesh, preimage, rows, records, view, commitNumber: gap.last }, damaged, lossy }
}

async function holdsTips(reader: AppendReader, rows: ReadonlyMap<ChainKey, ChainRow>): Promise<boolean> {
  for (const { tips } of rows.values()) {
    for (const tip of tips) if ((await readable(() => reader.has(suffixOf(tip)))) !== true) return false
  }
  return true
}

/** Null when what is read is damaged. */
async function readable<Result>(read: () => Promise<Result>): Promise<Result | null> {
  try {
    return await read()
  } catch (error) {
    if (isDamage(error)) return null
    throw error
  }
}

async function isDoubted(store: EventStore): Promise<boolean> {
  const marks = await readable(() => store.getMany([DOUBTED_KEY, CHECKED_KEY]))
  return marks === null || marks[0] !== null
}

async function writeRepair(store: EventStore, { row, operations }: ChainRepair): Promise<void> {
  const writes: StoreOperation[] = [
    ...operations,
    { type: 'put', key: chainRowKey(RANGES.chain, row), value: encodeChainRow(row) }
  ]
  if (row.witness !== null)
    writes.push({ type: 'put', key: chainRowKey(RANGES.witness, row), value: encodeHead(row.witness) })
  await store.write(writes, { sync: true })
}

async function claimStore(store: EventStore, mesh: Uint8Array): Promise<void> {
  const owner = await store.get(MESH_KEY)
  if (owner === null) await store.write([{ type: 'put', key: MESH_KEY, value: mesh }], { sync: true })
  else if (!equalBytes(owner, mesh))
    throw new MeshError('STORE_FOREIGN', 'the store belongs to another mesh', { details: { mesh: toHex(owner) } })
}

/** Rows that can be read, with their witnesses and forks. */
async function loadRows(
  store: EventStore,
  reader: AppendReader
): Promise<{ rows: Map<ChainKey, ChainRow>; whole: boolean }> {
  const rows = new Map<ChainKey, ChainRow>()
  let whole = true
  const damaged = (): void => {
    whole = false
  }
  const entries = (range: number) => readableEntries(store, rangeOf(Uint8Array.of(range)), damaged)
  for await (const [rowKey, value] of entries(CHAIN_RANGE)) {
    const key = chainKeyFromSuffix(asBuffer(rowKey).subarray(1))
    const row = tryDecodeChainRow(key, value)
    if (row === null) whole = false
    else rows.set(key, row)
  }
  for await (const [rowKey, value] of entries(RANGES.witness)) {
    const key = chainKeyFromSuffix(asBuffer(rowKey).subarray(1))
    const witness = tryDecodeHead(value)
    if (witness === null) whole = false
    else rows.set(key, { ...(rows.get(key) ?? emptyRow(key)), witness })
  }
  for await (const [, value] of entries(RANGES.fork)) {
    const proof = tryDecodeForkProof(value)
    if (proof === null) {
      whole = false
      continue
    }
    const row = rows.get(proof.a.key) ?? emptyRow(proof.a.key)
    const appends = new Map<string, BranchAppend>()
    for await (const [key, entry] of readableEntries(store, seqRange(row, proof.a.firstSeq, null), damaged)) {
      const head = headOfEntry(reader.mesh, key, entry)
      appends.set(toHex(head.link), { head, prev: toHex(head.prev) })
    }
    rows.set(row.key, { ...row, fork: { proof, forkSeq: proof.a.firstSeq, appends } })
  }
  return { rows, whole }
}

/** Null when one of them cannot be read. */
async function loadRecords(store: EventStore): Promise<StoredControl[] | null> {
  const records: StoredControl[] = []
  let whole = true
  const range = rangeOf(Uint8Array.of(RANGES.control))
  for await (const [key, value] of readableEntries(store, range, () => (whole = false))) {
    const record = tryDecodeControlRow(key, value)
    if (record === null) whole = false
    else records.push(record)
  }
  return whole ? records : null
}

interface Gap {
  /** Number of the newest mark, 0 for an empty store. */
  readonly last: number
  /** A batch is missing before the newest mark. */
  readonly found: boolean
}

/** Walks the marks back as far as LevelDB's write-ahead logs may reach: every number has to be there. */
async function findGap(store: EventStore): Promise<Gap> {
  const checked = await checkedNumber(store)
  let last = 0
  let expected: number | null = null
  let bytes = 0
  try {
    for await (const [key, value] of store.entries(rangeOf(Uint8Array.of(RANGES.commit), { reverse: true }))) {
      const number = commitMarkNumber(key)
      if (expected === null) last = number
      const mark = tryDecodeCommitMark(number, value)
      if ((expected !== null && number !== expected) || mark === null) return { last, found: true }
      bytes += mark.bytes
      expected = number - 1
      if (expected <= checked || bytes > WAL_BYTES_MAX) break
    }
  } catch (error) {
    if (!isDamage(error)) throw error
    return { last: await lastReadableMark(store, checked), found: true }
  }
  const reached = expected !== null && (expected <= checked || bytes > WAL_BYTES_MAX)
  return { last: Math.max(last, checked), found: last < checked || (last > checked && !reached) }
}

async function checkedNumber(store: EventStore): Promise<number> {
  const bytes = await readable(() => store.get(CHECKED_KEY))
  return bytes === null ? 0 : readU64(bytes, 0)
}

async function lastReadableMark(store: EventStore, checked: number): Promise<number> {
  let last = checked
  for await (const [key] of readableEntries(store, rangeOf(Uint8Array.of(RANGES.commit)), () => undefined))
    last = Math.max(last, commitMarkNumber(key))
  return last
}
