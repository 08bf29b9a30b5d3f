// Opens the log: reads one row per chain key, the control records, witnesses and forks, and scans the commit marks that the write-ahead log
// may still have held. Costs O(authors), never O(events). A gap in the marks is the middle that LevelDB dropped: the chains that later
// batches touched are reset to their last whole append (PROTOCOL §4).

import { asBuffer, equalBytes, toHex, utf8 } from '../base/bytes.ts'
import type { Logger } from '../base/logger.ts'
import { MeshError } from '../base/mesh-error.ts'
import { type MeshPreimage, meshIdOf } from '../identity/mesh-id.ts'
import { AppendReader } from './append-reader.ts'
import { removeOperations, type StoredControl, suffixOf, tryDecodeControlRow } from './append-rows.ts'
import { countsIn, type LogState } from './batch.ts'
import {
  type BranchAppend,
  CHAIN_RANGE,
  chainKeyFromSuffix,
  chainRowKey,
  type ChainRow,
  emptyRow,
  encodeChainRow,
  higherHead,
  tryDecodeChainRow
} from './chain-row.ts'
import { type CommitMark, commitMarkNumber, tryDecodeCommitMark } from './commit-mark.ts'
import type { EventStore, StoreOperation } from './event-store.ts'
import { foldMesh } from './mesh-fold.ts'
import { type ChainKey, encodeHead, type Head, tryDecodeForkProof, tryDecodeHead } from './statement.ts'
import { prefixed, RANGES, rangeOf, u64 } from './store-keys.ts'

/** Bytes of batches that LevelDB may hold in its write-ahead logs: three write buffers. */
const WAL_BYTES_MAX = 3 * 16 * 1024 * 1024
const MESH_KEY = prefixed(RANGES.meta, utf8('mesh'))
const CHECKED_KEY = prefixed(RANGES.local, utf8('commits-checked'))

export interface OpenedLog {
  readonly state: LogState
  /** Chain keys that lost events to a damaged store and were reset. */
  readonly damaged: readonly ChainKey[]
}

export async function openLogState(store: EventStore, preimage: MeshPreimage, logger: Logger): Promise<OpenedLog> {
  const mesh = meshIdOf(preimage)
  await claimStore(store, mesh)
  const rows = await loadRows(store)
  const gap = await findGap(store)
  const reader = new AppendReader(store, mesh)
  const touched = new Set(gap.touched)
  for (const [key, { tips }] of rows) if (tips[0] !== undefined && !(await reader.has(suffixOf(tips[0])))) touched.add(key)
  const damaged: ChainKey[] = []
  if (touched.size > 0) {
    const records = await loadRecords(store)
    for (const key of touched) {
      const row = rows.get(key)
      if (row === undefined) continue
      const reset = await resetChain(store, reader, row, records)
      if (reset === null) continue
      rows.set(key, reset)
      damaged.push(key)
      logger.warn('the store lost events; the chain was reset to its last whole append', { key, lastSeq: reset.tips[0]?.lastSeq ?? 0 })
    }
    await store.write([{ type: 'put', key: CHECKED_KEY, value: u64(gap.last) }], { sync: true })
  }
  await loadForks(store, mesh, rows)
  const records = await loadRecords(store)
  const view = foldMesh(mesh, preimage, records, countsIn(rows))
  return { state: { mesh, preimage, rows, records, view, commitNumber: gap.last }, damaged }
}

async function claimStore(store: EventStore, mesh: Uint8Array): Promise<void> {
  const owner = await store.get(MESH_KEY)
  if (owner === null) await store.write([{ type: 'put', key: MESH_KEY, value: mesh }], { sync: true })
  else if (!equalBytes(owner, mesh)) throw new MeshError('STORE_FOREIGN', 'the store belongs to another mesh', { details: { mesh: toHex(owner) } })
}

async function loadRows(store: EventStore): Promise<Map<ChainKey, ChainRow>> {
  const rows = new Map<ChainKey, ChainRow>()
  for await (const [rowKey, value] of store.entries(rangeOf(Uint8Array.of(CHAIN_RANGE)))) {
    const key = chainKeyFromSuffix(asBuffer(rowKey).subarray(1))
    const row = tryDecodeChainRow(key, value)
    if (row === null) throw new MeshError('STORE_DAMAGED', `the row of chain ${key} does not decode`)
    rows.set(key, row)
  }
  for await (const [rowKey, value] of store.entries(rangeOf(Uint8Array.of(RANGES.witness)))) {
    const key = chainKeyFromSuffix(asBuffer(rowKey).subarray(1))
    const witness = tryDecodeHead(value)
    if (witness !== null) rows.set(key, { ...(rows.get(key) ?? emptyRow(key)), witness })
  }
  return rows
}

async function loadRecords(store: EventStore): Promise<StoredControl[]> {
  const records: StoredControl[] = []
  for await (const [key, value] of store.entries(rangeOf(Uint8Array.of(RANGES.control)))) {
    const record = tryDecodeControlRow(key, value)
    if (record === null) throw new MeshError('STORE_DAMAGED', `a control record does not decode: ${toHex(key.subarray(1))}`)
    records.push(record)
  }
  return records
}

async function loadForks(store: EventStore, mesh: Uint8Array, rows: Map<ChainKey, ChainRow>): Promise<void> {
  const reader = new AppendReader(store, mesh)
  for await (const [, value] of store.entries(rangeOf(Uint8Array.of(RANGES.fork)))) {
    const proof = tryDecodeForkProof(value)
    if (proof === null) continue
    const row = rows.get(proof.a.key) ?? emptyRow(proof.a.key)
    const appends = new Map<string, BranchAppend>()
    for await (const head of reader.headsFrom(row, proof.a.firstSeq)) appends.set(toHex(head.link), { head, prev: toHex(head.prev) })
    rows.set(row.key, { ...row, fork: { proof, forkSeq: proof.a.firstSeq, appends } })
  }
}

interface Gap {
  /** Number of the newest mark, 0 for an empty store. */
  readonly last: number
  /** Chain keys in marks behind a gap. */
  readonly touched: ReadonlySet<ChainKey>
}

async function findGap(store: EventStore): Promise<Gap> {
  const checkedBytes = await store.get(CHECKED_KEY)
  const checked = checkedBytes === null ? 0 : commitMarkNumber(Buffer.concat([Uint8Array.of(0), checkedBytes]))
  const touched = new Set<ChainKey>()
  let last = 0
  let expected: number | null = null
  let bytes = 0
  let pending: CommitMark[] = []
  for await (const [key, value] of store.entries(rangeOf(Uint8Array.of(RANGES.commit), { reverse: true }))) {
    const number = commitMarkNumber(key)
    if (expected === null) last = number
    const mark = tryDecodeCommitMark(number, value)
    if ((expected !== null && number !== expected) || mark === null) {
      for (const later of pending) for (const suffix of later.appends) touched.add(chainKeyFromSuffix(suffix))
      pending = []
    }
    if (number <= checked || bytes > WAL_BYTES_MAX) break
    if (mark !== null) pending.push(mark)
    bytes += mark?.bytes ?? 0
    expected = number - 1
  }
  if (expected !== null && expected > checked && expected > 0 && bytes <= WAL_BYTES_MAX) {
    for (const later of pending) for (const suffix of later.appends) touched.add(chainKeyFromSuffix(suffix))
  }
  return { last, touched }
}

/** Cuts a chain key to its longest whole beginning; null when nothing is missing. What was lost stays as witness: it is signed. */
async function resetChain(store: EventStore, reader: AppendReader, row: ChainRow, records: readonly StoredControl[]): Promise<ChainRow | null> {
  let whole: Head | null = null
  let events = 0
  const behind: Head[] = []
  for await (const head of reader.headsFrom(row, 1)) {
    const next: boolean = whole === null ? head.firstSeq === 1 : head.firstSeq === whole.lastSeq + 1 && equalBytes(head.prev, whole.link)
    if (behind.length === 0 && next) {
      whole = head
      events += head.count
    } else {
      behind.push(head)
    }
  }
  const tip = row.tips[0]
  if (behind.length === 0 && whole !== null && tip !== undefined && equalBytes(whole.link, tip.link)) return null
  const operations: StoreOperation[] = []
  for (const head of behind) operations.push(...(await removeHead(reader, head, records)))
  const witness = higherHead(row.witness, tip ?? null)
  const reset: ChainRow = { ...row, tips: whole === null ? [] : [whole], events, witness }
  operations.push({ type: 'put', key: chainRowKey(RANGES.chain, reset), value: encodeChainRow(reset) })
  if (witness !== null) operations.push({ type: 'put', key: chainRowKey(RANGES.witness, reset), value: encodeHead(witness) })
  await store.write(operations, { sync: true })
  return reset
}

async function removeHead(reader: AppendReader, head: Head, records: readonly StoredControl[]): Promise<StoreOperation[]> {
  const suffix = suffixOf(head)
  const inside = records.filter((record) => record.link === toHex(head.link))
  const stored = await reader.bySuffix(suffix).catch((cause: unknown) => {
    if (cause instanceof MeshError && cause.code === 'STORE_DAMAGED') return null
    throw cause
  })
  if (stored !== null) return removeOperations(head, stored.blocks, inside)
  return [prefixed(RANGES.append, suffix), prefixed(RANGES.payload, suffix)].map((key) => ({ type: 'del', key }))
}
