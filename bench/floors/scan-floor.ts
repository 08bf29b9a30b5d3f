// Floor of queries: LevelDB alone reads as many entries of as many bytes, in order.

import { payload } from '../payload.ts'
import { numberKey, openRaw, type RawDatabase } from './raw-database.ts'

/** Header and id share of an event beside its payload. */
const HEADER_BYTES = 104
const BATCH = 2000

/** A database of `entries` entries that are each a payload and the bytes of a header. */
export async function fillScanFloor(folder: string, entries: number): Promise<RawDatabase> {
  const database = await openRaw(folder)
  const header = Buffer.alloc(HEADER_BYTES, 1)
  for (let start = 0; start < entries; start += BATCH) {
    const batch = database.batch()
    for (let index = start; index < Math.min(entries, start + BATCH); index++) {
      batch.put(numberKey(index), Buffer.concat([header, payload(index)]))
    }
    await batch.write()
  }
  return database
}

/** Entries per second of one scan of `count` entries from `first`. */
export async function scanFloor(database: RawDatabase, first: number, count: number): Promise<number> {
  const start = performance.now()
  const iterator = database.iterator({
    gte: numberKey(first),
    lt: numberKey(first + count),
    highWaterMarkBytes: 1024 * 1024
  })
  let read = 0
  for (let page = await iterator.nextv(1000); page.length > 0; page = await iterator.nextv(1000)) read += page.length
  await iterator.close()
  if (read !== count) throw new Error(`read ${read} of ${count} entries`)
  return count / ((performance.now() - start) / 1000)
}
