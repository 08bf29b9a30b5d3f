// EventStore in memory: the twin of LevelStore for the simulator and for tests, with the faults of a real disk at its handles.
// Writes lie in a log since the last flush; a crash keeps the synced beginning of the log, damage takes batches out of its middle.

import { copyBytes } from '../base/bytes.ts'
import { LIMITS } from '../base/limits.ts'
import { MeshError } from '../base/mesh-error.ts'
import type { EventStore, KeyRange, StoreEntry, StoreOperation } from '../log/event-store.ts'
import { entriesBetween, type MapSnapshot, SortedMap, textOf } from './sorted-map.ts'

interface LoggedBatch {
  readonly operations: readonly StoreOperation[]
  readonly bytes: number
  synced: boolean
}

/** Everything that was on the disk at one moment: for the simulation of restored backups. */
export interface MemoryStoreImage {
  readonly flushed: MapSnapshot
  readonly log: readonly LoggedBatch[]
  readonly damaged: ReadonlySet<string>
}

export interface WriteFault {
  readonly code: 'STORE_FULL' | 'STORE_FAILED'
  /** True when the batch is there after the next reopening all the same: the disk took it and could not say so. */
  readonly applied: boolean
}

const ENTRY_PAGE_BYTES = 64 * 1024

export class MemoryStore implements EventStore {
  readonly #map = new SortedMap()
  #flushed: MapSnapshot = { chunks: [] }
  #log: LoggedBatch[] = []
  #logBytes = 0
  readonly #damaged = new Set<string>()
  readonly #faults: WriteFault[] = []
  #state: 'open' | 'closed' | 'failed' = 'open'
  #failure: MeshError | null = null
  #syncs = 0

  /** Synced batches so far. */
  get syncs(): number {
    return this.#syncs
  }

  async get(key: Uint8Array): Promise<Uint8Array | null> {
    this.#assertReadable()
    return this.#read(key)
  }

  async getMany(keys: readonly Uint8Array[]): Promise<(Uint8Array | null)[]> {
    this.#assertReadable()
    return keys.map((key) => this.#read(key))
  }

  entries(range: KeyRange): AsyncIterable<StoreEntry> {
    return flatten(this.pages(range, ENTRY_PAGE_BYTES))
  }

  pages(range: KeyRange, pageBytes: number): AsyncIterable<readonly StoreEntry[]> {
    this.#assertReadable()
    return this.#pages(this.#map.snapshot(), range, pageBytes)
  }

  async write(operations: readonly StoreOperation[], options: { readonly sync: boolean }): Promise<void> {
    this.#assertReadable()
    if (this.#failure !== null) {
      const { code, message } = this.#failure
      throw new MeshError(code, `${message}; the store was not reopened since`, { cause: this.#failure })
    }
    if (operations.length === 0) return
    const batch = ownBatch(operations, options.sync)
    const fault = this.#faults.shift()
    if (fault !== undefined) {
      if (fault.applied) this.#append(batch, false)
      this.#state = 'failed'
      this.#failure = new MeshError(fault.code, 'cannot write')
      throw this.#failure
    }
    this.#append(batch, true)
    if (options.sync) this.#sync()
  }

  async compact(_range: KeyRange): Promise<void> {
    this.#assertReadable()
  }

  async approximateBytes(range: KeyRange): Promise<number> {
    this.#assertReadable()
    let bytes = 0
    for (const { key, value } of entriesBetween(this.#map.snapshot(), textOf(range.from), textOf(range.to), false)) {
      bytes += key.length + value.length
    }
    return bytes
  }

  async reopen(): Promise<void> {
    this.#replay(this.#log)
    this.#state = 'open'
    this.#failure = null
  }

  async close(): Promise<void> {
    this.#state = 'closed'
  }

  /** Power failure: batches after the last synced one are lost, save the first `survivors` of them. Usable again after `reopen`. */
  crash(survivors = 0): void {
    const synced = this.#log.findLastIndex((batch) => batch.synced) + 1
    this.#log = this.#log.slice(0, synced + survivors)
    this.#state = 'closed'
  }

  /** The next writes fail, one per fault; after each the store wants to be reopened. */
  failNextWrites(...faults: readonly WriteFault[]): void {
    this.#faults.push(...faults)
  }

  /** Damage in the write-ahead log: takes out one batch, counted from the newest (0). False when the log does not reach so far back. Seen after `reopen`. */
  dropBatch(fromNewest: number): boolean {
    const index = this.#log.length - 1 - fromNewest
    if (index < 0) return false
    this.#log = this.#log.toSpliced(index, 1)
    return true
  }

  /** A flipped bit on the disk: reading the key is STORE_DAMAGED until it is written again. */
  damage(key: Uint8Array): void {
    this.#damaged.add(textOf(key))
  }

  snapshot(): MemoryStoreImage {
    return { flushed: this.#flushed, log: this.#log.map((batch) => ({ ...batch })), damaged: new Set(this.#damaged) }
  }

  /** Puts the disk back to an image; seen after `reopen`. */
  restore(image: MemoryStoreImage): void {
    this.#flushed = image.flushed
    this.#log = image.log.map((batch) => ({ ...batch }))
    this.#logBytes = this.#log.reduce((sum, batch) => sum + batch.bytes, 0)
    this.#damaged.clear()
    for (const text of image.damaged) this.#damaged.add(text)
    this.#state = 'closed'
  }

  #assertReadable(): void {
    if (this.#state === 'closed') throw new MeshError('STORE_FAILED', 'the store is not open')
  }

  #read(key: Uint8Array): Uint8Array | null {
    const text = textOf(key)
    this.#assertWhole(text)
    const entry = this.#map.get(text)
    return entry === null ? null : copyBytes(entry.value)
  }

  #assertWhole(text: string): void {
    if (this.#damaged.has(text)) throw damagedValue(text)
  }

  async *#pages(snapshot: MapSnapshot, range: KeyRange, pageBytes: number): AsyncGenerator<readonly StoreEntry[]> {
    const limit = range.limit ?? Number.POSITIVE_INFINITY
    let page: StoreEntry[] = []
    let [bytes, count] = [0, 0]
    if (limit <= 0) return
    for (const { text, key, value } of entriesBetween(
      snapshot,
      textOf(range.from),
      textOf(range.to),
      range.reverse === true
    )) {
      this.#assertWhole(text)
      page.push([copyBytes(key), copyBytes(value)])
      bytes += value.length
      count++
      if (count === limit) break
      if (bytes < pageBytes) continue
      yield page
      this.#assertReadable()
      page = []
      bytes = 0
    }
    if (page.length > 0) yield page
  }

  #append(batch: LoggedBatch, visible: boolean): void {
    this.#log.push(batch)
    this.#logBytes += batch.bytes
    if (visible) this.#apply(batch)
  }

  #apply({ operations }: LoggedBatch): void {
    for (const operation of operations) {
      const text = textOf(operation.key)
      this.#damaged.delete(text)
      if (operation.type === 'put') this.#map.set({ text, key: operation.key, value: operation.value })
      else this.#map.delete(text)
    }
  }

  #sync(): void {
    this.#syncs++
    if (this.#logBytes < LIMITS.storeWriteBufferBytes) return
    this.#flushed = this.#map.snapshot()
    this.#log = []
    this.#logBytes = 0
  }

  #replay(log: readonly LoggedBatch[]): void {
    this.#map.restore(this.#flushed)
    const damaged = [...this.#damaged]
    for (const batch of log) this.#apply(batch)
    for (const text of damaged) this.#damaged.add(text)
    this.#logBytes = log.reduce((sum, batch) => sum + batch.bytes, 0)
  }
}

function damagedValue(text: string): MeshError {
  const key = Buffer.from(text, 'latin1').toString('hex')
  return new MeshError('STORE_DAMAGED', 'cannot read: a value does not match its check', { details: { key } })
}

function ownBatch(operations: readonly StoreOperation[], synced: boolean): LoggedBatch {
  let bytes = 0
  const own = operations.map((operation): StoreOperation => {
    bytes += operation.key.length + (operation.type === 'put' ? operation.value.length : 0)
    const key = copyBytes(operation.key)
    return operation.type === 'put' ? { type: 'put', key, value: copyBytes(operation.value) } : { type: 'del', key }
  })
  return { operations: own, bytes, synced }
}

async function* flatten(pages: AsyncIterable<readonly StoreEntry[]>): AsyncGenerator<StoreEntry> {
  for await (const page of pages) yield* page
}
