// What every EventStore promises; run for LevelDB and for the memory store.

import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { isMeshError } from '../../src/base/mesh-error.ts'
import type { EventStore, KeyRange, StoreOperation } from '../../src/log/event-store.ts'

export interface StoreUnderTest {
  readonly store: EventStore
  /** Ends the test: closes what is open, removes files. */
  end(): Promise<void>
}

const key = (...bytes: number[]): Buffer => Buffer.from(bytes)
const put = (name: Uint8Array, value: Uint8Array | string): StoreOperation => ({
  type: 'put',
  key: name,
  value: Buffer.from(value)
})
const del = (name: Uint8Array): StoreOperation => ({ type: 'del', key: name })
const synced = { sync: true }

export async function keysIn(store: EventStore, range: KeyRange): Promise<string[]> {
  const keys: string[] = []
  for await (const [name] of store.entries(range)) keys.push(Buffer.from(name).toString('hex'))
  return keys
}

export function eventStoreContract(name: string, open: () => Promise<StoreUnderTest>): void {
  describe(`${name} keeps the contract of EventStore`, () => {
    let under: StoreUnderTest
    let store: EventStore
    beforeEach(async () => {
      under = await open()
      store = under.store
    })
    afterEach(() => under.end())

    test('what was written is read back, what was not is null', async () => {
      await store.write([put(key(2, 1), 'a'), put(key(2, 2), '')], synced)
      assert.deepEqual(Buffer.from((await store.get(key(2, 1))) ?? []), Buffer.from('a'))
      assert.equal((await store.get(key(2, 2)))?.length, 0)
      assert.equal(await store.get(key(2, 3)), null)
      const many = await store.getMany([key(2, 3), key(2, 1)])
      assert.deepEqual(
        many.map((value) => value && Buffer.from(value).toString()),
        [null, 'a']
      )
      assert.deepEqual(await store.getMany([]), [])
    })

    test('the caller may use its bytes again, on both sides', async () => {
      const value = Buffer.from('first')
      const name = key(2, 1)
      const written = store.write([{ type: 'put', key: name, value }], synced)
      value.fill(0)
      name.fill(0)
      await written
      const read = await store.get(key(2, 1))
      assert.equal(Buffer.from(read ?? []).toString(), 'first')
      read?.fill(0)
      assert.equal(Buffer.from((await store.get(key(2, 1))) ?? []).toString(), 'first')
    })

    test('entries come in the order of the bytes, 0x00 and 0xff included, within a half-open range', async () => {
      const names = [
        [2],
        [2, 0],
        [2, 0, 0],
        [2, 1],
        [2, 0x7f],
        [2, 0x80],
        [2, 0xff],
        [2, 0xff, 0],
        [2, 0xff, 0xff],
        [3]
      ]
      await store.write(
        names.toReversed().map((bytes) => put(key(...bytes), 'x')),
        synced
      )
      const hex = names.map((bytes) => key(...bytes).toString('hex'))
      assert.deepEqual(await keysIn(store, { from: key(2), to: key(4) }), hex)
      assert.deepEqual(await keysIn(store, { from: key(2), to: key(3) }), hex.slice(0, -1))
      assert.deepEqual(await keysIn(store, { from: key(2, 0x7f), to: key(2, 0xff) }), hex.slice(4, 6))
      assert.deepEqual(
        await keysIn(store, { from: key(2, 0xff), to: key(3), reverse: true }),
        hex.slice(6, 9).toReversed()
      )
      assert.deepEqual(await keysIn(store, { from: key(3), to: key(3) }), [])
      assert.deepEqual(await keysIn(store, { from: key(4), to: key(3) }), [])
    })

    test('a limit counts entries from the side where reading begins', async () => {
      await store.write(
        [1, 2, 3, 4].map((byte) => put(key(2, byte), 'x')),
        synced
      )
      assert.deepEqual(await keysIn(store, { from: key(2), to: key(3), limit: 2 }), ['0201', '0202'])
      assert.deepEqual(await keysIn(store, { from: key(2), to: key(3), limit: 1, reverse: true }), ['0204'])
      assert.deepEqual(await keysIn(store, { from: key(2), to: key(3), limit: 0 }), [])
    })

    test('reading sees the store as of the call, whatever is written meanwhile', async () => {
      await store.write(
        [1, 2, 3].map((byte) => put(key(2, byte), 'old')),
        synced
      )
      const reading = store.entries({ from: key(2), to: key(3) })
      await store.write([del(key(2, 1)), put(key(2, 2), 'new'), put(key(2, 4), 'new')], synced)
      const seen: string[] = []
      for await (const [name, value] of reading) seen.push(`${name[1]} ${Buffer.from(value).toString()}`)
      assert.deepEqual(seen, ['1 old', '2 old', '3 old'])
      assert.deepEqual(await keysIn(store, { from: key(2), to: key(3) }), ['0202', '0203', '0204'])
    })

    test('a reader that stops early leaves the store usable', async () => {
      await store.write(
        [1, 2, 3].map((byte) => put(key(2, byte), 'x')),
        synced
      )
      for await (const _ of store.entries({ from: key(2), to: key(3) })) break
      await store.compact({ from: key(2), to: key(3) })
      assert.equal((await keysIn(store, { from: key(2), to: key(3) })).length, 3)
    })

    test('pages hold whole entries, in order, about as many bytes as asked for', async () => {
      const value = Buffer.alloc(1000, 7)
      await store.write(
        Array.from({ length: 500 }, (_, index) => put(key(2, index >> 8, index & 255), value)),
        synced
      )
      let [count, pages] = [0, 0]
      for await (const page of store.pages({ from: key(2), to: key(3) }, 20_000)) {
        assert.ok(page.length > 0 && page.length <= 22, `${page.length} entries in a page`)
        for (const [name] of page) assert.equal(Buffer.from(name).readUInt16BE(1), count++)
        pages++
      }
      assert.equal(count, 500)
      assert.ok(pages >= 23)
    })

    test('a batch applies in its order: the last word on a key counts', async () => {
      await store.write([put(key(2, 1), 'a'), del(key(2, 1)), put(key(2, 2), 'b'), put(key(2, 2), 'c')], synced)
      assert.equal(await store.get(key(2, 1)), null)
      assert.equal(Buffer.from((await store.get(key(2, 2))) ?? []).toString(), 'c')
      await store.write([], synced)
    })

    test('batches of concurrent writers are whole: no reader sees half of one', async () => {
      const writers = Array.from({ length: 20 }, (_, round) =>
        store.write(
          [1, 2, 3].map((byte) => put(key(2, byte), String(round))),
          { sync: false }
        )
      )
      for (let look = 0; look < 10; look++) {
        const seen = new Set<string>()
        for await (const [, value] of store.entries({ from: key(2), to: key(3) }))
          seen.add(Buffer.from(value).toString())
        assert.ok(seen.size <= 1, `mixed rounds: ${[...seen]}`)
      }
      await Promise.all(writers)
      assert.equal(Buffer.from((await store.get(key(2, 1))) ?? []).toString(), '19')
    })

    test('large values stay whole', async () => {
      const large = Buffer.alloc(3 * 1024 * 1024, 'pmesh')
      await store.write([put(key(2, 1), large), put(key(2, 2), large.subarray(1))], synced)
      assert.ok(large.equals((await store.get(key(2, 1))) ?? Buffer.alloc(0)))
      const lengths: number[] = []
      for await (const [, value] of store.entries({ from: key(2), to: key(3) })) lengths.push(value.length)
      assert.deepEqual(lengths, [large.length, large.length - 1])
    })

    test('what was synced is there after reopening', async () => {
      await store.write([put(key(2, 1), 'a'), put(key(2, 2), 'b')], synced)
      await store.reopen()
      await store.write([del(key(2, 2))], synced)
      await store.reopen()
      assert.deepEqual(await keysIn(store, { from: key(2), to: key(3) }), ['0201'])
    })

    test('compaction changes nothing that can be read', async () => {
      await store.write(
        Array.from({ length: 50 }, (_, byte) => put(key(2, byte), `v${byte}`)),
        synced
      )
      await store.write(
        [put(key(1, 0xff, 0xff), 'before'), put(key(3), 'after'), del(key(2, 10)), put(key(2, 11), 'new')],
        synced
      )
      const before = await keysIn(store, { from: key(1), to: key(4) })
      await store.compact({ from: key(2), to: key(3) })
      await store.compact({ from: key(2, 11), to: key(2, 11, 0) })
      assert.deepEqual(await keysIn(store, { from: key(1), to: key(4) }), before)
      assert.equal(Buffer.from((await store.get(key(2, 11))) ?? []).toString(), 'new')
    })

    test('bytes on disk are told roughly', async () => {
      const value = Buffer.from(Array.from({ length: 100_000 }, (_, index) => (index * 7919) % 251))
      await store.write(
        Array.from({ length: 20 }, (_, byte) => put(key(2, byte), value)),
        synced
      )
      await store.compact({ from: key(2), to: key(3) })
      assert.ok((await store.approximateBytes({ from: key(2), to: key(3) })) > 10_000)
      assert.equal(await store.approximateBytes({ from: key(5), to: key(6) }), 0)
    })

    test('a closed store refuses everything with STORE_FAILED and opens again', async () => {
      await store.write([put(key(2, 1), 'a')], synced)
      await store.close()
      const failed = (error: unknown) => isMeshError(error) && error.code === 'STORE_FAILED'
      await assert.rejects(store.get(key(2, 1)), failed)
      await assert.rejects(store.getMany([key(2, 1)]), failed)
      await assert.rejects(store.write([put(key(2, 1), 'b')], synced), failed)
      await assert.rejects(store.compact({ from: key(2), to: key(3) }), failed)
      await assert.rejects(keysIn(store, { from: key(2), to: key(3) }), failed)
      await store.close()
      await store.reopen()
      assert.equal(Buffer.from((await store.get(key(2, 1))) ?? []).toString(), 'a')
    })
  })
}
