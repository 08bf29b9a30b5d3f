// One commit in the making: rows, records and operations that become visible together once they are durable. Never shared between commits.

import { fromHex, toHex } from '../base/bytes.ts'
import type { MeshPreimage } from '../identity/mesh-id.ts'
import type { AppendBlocks, AppendRow } from './append-codec.ts'
import {
  appendOperations,
  controlOperations,
  controlsOf,
  rowStamp,
  type StoredControl,
  suffixOf
} from './append-rows.ts'
import {
  type ChainRow,
  chainRowKey,
  countedLinks,
  emptyRow,
  encodeChainRow,
  type ForkState,
  forkTips,
  higherHead,
  vouchedHeads
} from './chain-row.ts'
import { commitMarkKey, encodeCommitMark } from './commit-mark.ts'
import type { ControlRecord } from './control-records.ts'
import type { StoreOperation } from './event-store.ts'
import type { ChainRepair } from './log-repair.ts'
import { foldMesh, type MeshView } from './mesh-fold.ts'
import { type ChainKey, chainKeyOf, encodeForkProof, encodeHead, type Head } from './statement.ts'
import { chainSuffix, prefixed, RANGES } from './store-keys.ts'

/** What is durable, as one commit leaves it. */
export interface LogState {
  readonly mesh: Uint8Array
  readonly preimage: MeshPreimage
  readonly rows: ReadonlyMap<ChainKey, ChainRow>
  readonly records: readonly StoredControl[]
  readonly view: MeshView
  readonly commitNumber: number
}

export interface StoredAppend {
  readonly head: Head
  readonly blocks: AppendBlocks
  /** Written by this node, not received. */
  readonly own: boolean
}

type Rows = { get(key: ChainKey): ChainRow | undefined }

/** Tells, of what is known so far, whether a record of a forked chain key stands on a line that counts. */
export function countsIn(
  rows: Rows
): (known: Pick<MeshView, 'members' | 'wanted'>) => (record: ControlRecord) => boolean {
  return (known) => {
    const counted = new Map<ChainKey, ReadonlySet<string>>()
    return (record) => counts(rows, known, counted, record)
  }
}

function counts(
  rows: Rows,
  known: Pick<MeshView, 'members' | 'wanted'>,
  counted: Map<ChainKey, ReadonlySet<string>>,
  record: ControlRecord
): boolean {
  const { author, chain, epoch, seq } = record.place
  const row = rows.get(chainKeyOf(author, chain, epoch))
  const fork = row?.fork ?? null
  if (row === undefined || fork === null || seq < fork.forkSeq) return true
  let links = counted.get(row.key)
  if (links === undefined) {
    links = countedLinks(fork, vouchedHeads(known, row, fork))
    counted.set(row.key, links)
  }
  return links.has((record as StoredControl).link)
}

export class Batch {
  readonly #base: LogState
  readonly #operations: StoreOperation[] = []
  readonly #rows = new Map<ChainKey, ChainRow>()
  #records: StoredControl[] | null = null
  #refold = false
  #view: MeshView
  readonly stored: StoredAppend[] = []
  /** Bytes of blocks put so far. */
  bytes = 0

  constructor(base: LogState) {
    this.#base = base
    this.#view = base.view
  }

  get view(): MeshView {
    if (this.#refold) {
      this.#refold = false
      const rows = { get: (key: ChainKey) => this.#rows.get(key) ?? this.#base.rows.get(key) }
      this.#view = foldMesh(this.#base.mesh, this.#base.preimage, this.#records ?? this.#base.records, countsIn(rows))
    }
    return this.#view
  }

  get mesh(): Uint8Array {
    return this.#base.mesh
  }

  get preimage(): MeshPreimage {
    return this.#base.preimage
  }

  get empty(): boolean {
    return this.#operations.length === 0 && this.#rows.size === 0
  }

  row(key: ChainKey): ChainRow {
    return this.#rows.get(key) ?? this.#base.rows.get(key) ?? emptyRow(key)
  }

  /** Whether anything is known of a chain key: events, a witnessed head or a fork. */
  knows(key: ChainKey): boolean {
    return this.#rows.has(key) || this.#base.rows.has(key)
  }

  setRow(row: ChainRow): void {
    this.#rows.set(row.key, row)
    if (row.fork !== (this.#base.rows.get(row.key)?.fork ?? null)) this.#refold = true
  }

  add(...operations: readonly StoreOperation[]): void {
    this.#operations.push(...operations)
  }

  /** Stores an append at the end of a line; the caller has checked that it belongs there. */
  store(head: Head, blocks: AppendBlocks, own: boolean): void {
    const row = this.row(head.key)
    const lastStamp = rowStamp(blocks.rows[blocks.count - 1] as AppendRow)
    const fork = row.fork === null || head.firstSeq < row.fork.forkSeq ? row.fork : withAppend(row.fork, head)
    this.#operations.push(...appendOperations(head, blocks))
    this.bytes += blocks.header.length + blocks.body.length
    this.setRow({
      ...row,
      tips: fork === null ? [head] : forkTips(fork, head.firstSeq < fork.forkSeq ? head : (row.tips[0] ?? null)),
      events: row.events + head.count,
      lastStamp,
      fork
    })
    this.stored.push({ head, blocks, own })
    this.#addRecords(head, controlsOf(this.#base.mesh, head, blocks))
  }

  #addRecords(head: Head, records: readonly StoredControl[]): void {
    if (records.length === 0) return
    this.#records = [...(this.#records ?? this.#base.records), ...records]
    this.#operations.push(...controlOperations(head, records))
    this.#refold = true
  }

  /** Takes the records of removed appends out of the fold. */
  dropRecords(gone: (record: StoredControl) => boolean): StoredControl[] {
    const all = this.#records ?? this.#base.records
    const dropped = all.filter(gone)
    if (dropped.length > 0) {
      this.#records = all.filter((record) => !gone(record))
      this.#refold = true
    }
    return dropped
  }

  recordFork(key: ChainKey, fork: ForkState): void {
    const row = this.row(key)
    this.setRow({ ...row, fork, tips: forkTips(fork, row.tips[0] ?? null) })
    const suffix = chainSuffix(fromHex(row.author), row.chain, row.epoch)
    this.add({ type: 'put', key: prefixed(RANGES.fork, suffix), value: encodeForkProof(fork.proof) })
  }

  /** Sets a chain key back to what a repair found whole. */
  repair({ row, operations, removed }: ChainRepair): void {
    for (const operation of operations) this.add(operation)
    this.dropRecords((record) => removed.has(record.link))
    const { witness } = row
    this.setRow({ ...row, witness: this.row(row.key).witness })
    this.#refold = true
    if (witness !== null) this.witness(witness)
  }

  /** Raises the witness; a lower head changes nothing. */
  witness(head: Head): void {
    const row = this.row(head.key)
    const witness = higherHead(row.witness, head)
    if (witness === row.witness || witness === null) return
    this.setRow({ ...row, witness })
    this.add({ type: 'put', key: chainRowKey(RANGES.witness, row), value: encodeHead(witness) })
  }

  /** Everything to write, with its commit mark: numbers without a gap are the proof that no batch was lost. */
  finish(): { operations: StoreOperation[]; state: LogState; changed: readonly ChainKey[]; viewChanged: boolean } {
    const view = this.view
    const operations = this.#operations
    for (const row of this.#rows.values())
      operations.push({ type: 'put', key: chainRowKey(RANGES.chain, row), value: encodeChainRow(row) })
    const commitNumber = this.#base.commitNumber + 1
    const bytes = operations.reduce(
      (sum, operation) => sum + operation.key.length + (operation.type === 'put' ? operation.value.length : 0),
      0
    )
    const mark = { number: commitNumber, bytes, appends: this.stored.map(({ head }) => suffixOf(head)) }
    operations.push({ type: 'put', key: commitMarkKey(commitNumber), value: encodeCommitMark(mark) })
    const rows = new Map(this.#base.rows)
    for (const row of this.#rows.values()) rows.set(row.key, row)
    const state: LogState = { ...this.#base, rows, records: this.#records ?? this.#base.records, view, commitNumber }
    return { operations, state, changed: [...this.#rows.keys()], viewChanged: view !== this.#base.view }
  }
}

function withAppend(fork: ForkState, head: Head): ForkState {
  const appends = new Map(fork.appends)
  appends.set(toHex(head.link), { head, prev: toHex(head.prev) })
  return { ...fork, appends }
}
