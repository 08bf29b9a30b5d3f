// EventStore on LevelDB. One process at a time; every value carries a check of its own (value-check.ts).
// Knows key ranges only as bytes. After a failed write nothing is written until `reopen`: LevelDB's log may end in half a record.

import { renameSync, rmSync } from 'node:fs'
import { setTimeout as wait } from 'node:timers/promises'
import { Level } from 'level'
import { toHex } from '../base/bytes.ts'
import { LIMITS } from '../base/limits.ts'
import { MeshError } from '../base/mesh-error.ts'
import type { EventStore, KeyRange, StoreEntry, StoreOperation } from '../log/event-store.ts'
import { readError, storeError } from './store-errors.ts'
import { tryWithoutCheck, withCheck } from './value-check.ts'

/** What LevelDB itself adds to `level`'s common interface. */
interface NativeCalls {
  compactRange(start: Uint8Array, end: Uint8Array): Promise<void>
  approximateSize(start: Uint8Array, end: Uint8Array): Promise<number>
}

type Database = Level<Uint8Array, Uint8Array> & NativeCalls

interface Reader {
  nextv(size: number): Promise<[Uint8Array, Uint8Array][]>
  close(): Promise<void>
}

const PAGE_BYTES = 64 * 1024
const PAGE_ENTRIES_MAX = 1000
const LEVEL_OPTIONS = {
  keyEncoding: 'buffer',
  valueEncoding: 'buffer',
  compression: true,
  writeBufferSize: LIMITS.storeWriteBufferBytes,
  cacheSize: LIMITS.storeCacheBytes
} as const

/** A key behind every real key that begins with its own bytes: no real key has so many 0xff. */
const FILL = Buffer.alloc(72, 0xff)
const NO_BYTES = Buffer.alloc(0)

export class LevelStore implements EventStore {
  readonly #database: Database
  readonly #folder: string
  readonly #readers = new Set<Promise<void>>()
  #compacting: Promise<unknown> = Promise.resolve()
  #failed: MeshError | null = null
  #written = false

  private constructor(database: Database, folder: string) {
    this.#database = database
    this.#folder = folder
  }

  /** Opens LevelDB in a folder that was inspected; `create` makes a new store. STORE_LOCKED, STORE_DAMAGED, STORE_FULL, STORE_FAILED. */
  static async open(folder: string, create: boolean): Promise<LevelStore> {
    const database = new Level(folder, { ...LEVEL_OPTIONS, createIfMissing: create }) as unknown as Database
    const store = new LevelStore(database, folder)
    await store.#do('cannot open the store', () => database.open({ createIfMissing: create }))
    return store
  }

  async get(key: Uint8Array): Promise<Uint8Array | null> {
    const stored = await this.#reading(() => this.#database.get(key))
    return this.#checked(key, stored)
  }

  async getMany(keys: readonly Uint8Array[]): Promise<(Uint8Array | null)[]> {
    const stored = await this.#reading(() => this.#database.getMany([...keys]))
    return stored.map((value, index) => this.#checked(keys[index] as Uint8Array, value))
  }

  entries(range: KeyRange): AsyncIterable<StoreEntry> {
    return flatten(this.pages(range, PAGE_BYTES))
  }

  pages(range: KeyRange, pageBytes: number): AsyncIterable<readonly StoreEntry[]> {
    const options = { gte: range.from, lt: range.to, reverse: range.reverse === true, highWaterMarkBytes: pageBytes }
    try {
      const reader: Reader = this.#database.iterator<Uint8Array, Uint8Array>(options)
      const closed = Promise.withResolvers<void>()
      this.#readers.add(closed.promise)
      return this.#read(reader, range.limit ?? Number.POSITIVE_INFINITY, closed)
    } catch (cause) {
      throw readError(cause, this.#folder)
    }
  }

  async write(operations: readonly StoreOperation[], options: { readonly sync: boolean }): Promise<void> {
    if (this.#failed !== null) {
      const { code, message } = this.#failed
      throw new MeshError(code, `${message}; the store was not reopened since`, {
        details: this.#failed.details,
        cause: this.#failed
      })
    }
    if (operations.length === 0) return
    this.#written = true
    let bytes = 0
    const batch = operations.map((operation) => {
      if (operation.type === 'del') return { type: 'del' as const, key: operation.key }
      bytes += operation.key.length + operation.value.length
      return { type: 'put' as const, key: operation.key, value: withCheck(operation.key, operation.value) }
    })
    try {
      await this.#database.batch(batch, { sync: options.sync })
    } catch (cause) {
      this.#failed = storeError(cause, 'cannot write', this.#folder, bytes)
      throw this.#failed
    }
  }

  async compact(range: KeyRange): Promise<void> {
    const compacted = this.#compacting.then(() => this.#do('cannot compact', () => this.#rewrite(range)))
    this.#compacting = compacted.catch(() => undefined)
    await compacted
  }

  async approximateBytes(range: KeyRange): Promise<number> {
    return await this.#reading(() => this.#database.approximateSize(range.from, range.to))
  }

  async reopen(): Promise<void> {
    await this.#do('cannot close the store', () => this.#database.close())
    await this.#do('cannot open the store', () => this.#database.open({ createIfMissing: false }))
    this.#failed = null
  }

  // LevelDB's own repair aborts the process on keys that are out of order, so what can be read is copied into a new folder.
  async salvage(): Promise<void> {
    const fresh = `${this.#folder}.salvage`
    const old = `${this.#folder}.damaged`
    for (const path of [fresh, old]) rmSync(path, { recursive: true, force: true })
    const copy = new Level(fresh, LEVEL_OPTIONS) as unknown as Database
    await this.#do('cannot salvage the store', async () => {
      await copy.open({ createIfMissing: true })
      await this.#copyReadable(copy)
      await copy.compactRange(FILL, FILL)
      await copy.close()
      await this.#database.close()
    })
    renameSync(this.#folder, old)
    renameSync(fresh, this.#folder)
    rmSync(old, { recursive: true, force: true })
    await this.#do('cannot open the store', () => this.#database.open({ createIfMissing: false }))
    this.#failed = null
  }

  async #copyReadable(copy: Database): Promise<void> {
    const reader = this.#database.iterator<Uint8Array, Uint8Array>({ highWaterMarkBytes: PAGE_BYTES })
    try {
      for (;;) {
        const raw = await reader.nextv(PAGE_ENTRIES_MAX)
        if (raw.length === 0) return
        const whole = raw.filter(([key, stored]) => tryWithoutCheck(key, stored) !== null)
        await copy.batch(
          whole.map(([key, value]) => ({ type: 'put' as const, key, value })),
          { sync: false }
        )
      }
    } catch (error) {
      // The iterator gives all that it can read before it says what it could not.
      if (readError(error, this.#folder).code !== 'STORE_DAMAGED') throw error
    } finally {
      await reader.close()
    }
  }

  async close(): Promise<void> {
    if (this.#database.status === 'open' && this.#failed === null && this.#written) await this.flush()
    await this.#do('cannot close the store', () => this.#database.close())
  }

  /** Moves the write buffer into a table, so that the next open has nothing to replay. */
  async flush(): Promise<void> {
    await this.#do('cannot write', () => this.#database.compactRange(FILL, FILL))
  }

  /** Whether the first entry in LevelDB is one that this program wrote. */
  async firstEntry(): Promise<'none' | 'own' | 'foreign'> {
    const first = await this.#reading(() => this.#database.iterator({ limit: 3 }).all())
    const entry = first.find(([, stored]) => stored.length > 0)
    if (entry === undefined) return 'none'
    return tryWithoutCheck(entry[0], entry[1]) === null ? 'foreign' : 'own'
  }

  // Compaction drops an overwritten value only where two tables meet. A value and its deletion that left the write buffer together lie in
  // one table that plain compaction never rewrites, so a table that spans the range is laid over it: two marks, written after the first
  // passes have brought everything to one level. Readers that began before may see old values, readers that began meanwhile keep old files:
  // both are waited for. The last pass removes the marks and the files that nobody keeps any more.
  async #rewrite(range: KeyRange): Promise<void> {
    const low = keyBefore(range.from)
    const high = range.to.at(-1) === 0 ? Buffer.concat([range.to, FILL]) : keyBefore(range.to)
    await this.#readersClosed()
    await this.#database.compactRange(range.from, range.to)
    await this.#database.compactRange(range.from, range.to)
    await this.#mark('put', low, high)
    await this.#database.compactRange(low, high)
    await this.#readersClosed()
    await this.#mark('del', low, high)
    await this.#database.compactRange(low, high)
  }

  async #mark(type: 'put' | 'del', ...keys: readonly Uint8Array[]): Promise<void> {
    const marks = keys.map((key) => (type === 'put' ? { type, key, value: NO_BYTES } : { type, key }))
    await this.#database.batch(marks, { sync: false })
  }

  async *#read(
    reader: Reader,
    limit: number,
    closed: PromiseWithResolvers<void>
  ): AsyncGenerator<readonly StoreEntry[]> {
    try {
      for (let left = limit; left > 0; ) {
        const raw = await this.#reading(() => reader.nextv(Math.min(PAGE_ENTRIES_MAX, left + 2)))
        if (raw.length === 0) return
        const page = this.#page(raw, left)
        left -= page.length
        if (page.length > 0) yield page
      }
    } finally {
      await reader.close()
      this.#readers.delete(closed.promise)
      closed.resolve()
    }
  }

  #page(raw: readonly [Uint8Array, Uint8Array][], limit: number): StoreEntry[] {
    const page: StoreEntry[] = []
    for (const [key, stored] of raw) {
      const value = this.#checked(key, stored)
      if (value === null) continue
      page.push([key, value])
      if (page.length === limit) break
    }
    return page
  }

  /** An empty stored value is a compaction mark and not there. */
  #checked(key: Uint8Array, stored: Uint8Array | undefined): Uint8Array | null {
    if (stored === undefined || stored.length === 0) return null
    const value = tryWithoutCheck(key, stored)
    if (value === null) {
      throw new MeshError('STORE_DAMAGED', 'cannot read: a value does not match its check', {
        details: { folder: this.#folder, key: toHex(key) }
      })
    }
    return value
  }

  async #readersClosed(): Promise<void> {
    const timer = new AbortController()
    const late = wait(LIMITS.storeReadersWaitMs, true, { signal: timer.signal }).catch(() => false)
    const isLate = await Promise.race([late, Promise.all(this.#readers).then(() => false)])
    timer.abort()
    if (isLate)
      throw new MeshError('STORE_FAILED', 'cannot compact: a reader does not end', {
        details: { folder: this.#folder }
      })
  }

  async #reading<T>(act: () => Promise<T>): Promise<T> {
    try {
      return await act()
    } catch (cause) {
      throw readError(cause, this.#folder)
    }
  }

  async #do<T>(what: string, act: () => Promise<T>): Promise<T> {
    try {
      return await act()
    } catch (cause) {
      throw storeError(cause, what, this.#folder)
    }
  }
}

async function* flatten(pages: AsyncIterable<readonly StoreEntry[]>): AsyncGenerator<StoreEntry> {
  for await (const page of pages) yield* page
}

/** A key in front of `key` and behind every real key before it; keys that end in zeros get a somewhat lower one. */
function keyBefore(key: Uint8Array): Buffer {
  let length = key.length
  while (length > 0 && key[length - 1] === 0) length--
  if (length === 0) return Buffer.alloc(1)
  const prefix = Buffer.from(key.subarray(0, length))
  prefix[length - 1] = (prefix[length - 1] as number) - 1
  return Buffer.concat([prefix, FILL])
}
