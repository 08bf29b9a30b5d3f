import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { isMeshError } from '../../src/base/mesh-error.ts'
import { MemoryStore } from '../../src/store/memory-store.ts'
import { eventStoreContract, keysIn } from '../contract/event-store.ts'

const put = (byte: number, value = 'x') => ({
  type: 'put' as const,
  key: Buffer.from([2, byte]),
  value: Buffer.from(value)
})
const all = { from: Buffer.from([2]), to: Buffer.from([3]) }
const hasCode = (code: string) => (error: unknown) => isMeshError(error) && error.code === code

eventStoreContract('MemoryStore', async () => {
  const store = new MemoryStore()
  return { store, end: () => store.close() }
})

test('CHAIN-10 a crash keeps what was synced and loses what was not, but for the survivors', async () => {
  const store = new MemoryStore()
  await store.write([put(1)], { sync: false })
  await store.write([put(2)], { sync: true })
  for (const byte of [3, 4, 5]) await store.write([put(byte)], { sync: false })
  store.crash(1)
  await assert.rejects(store.get(Buffer.from([2, 1])), hasCode('STORE_FAILED'))
  await store.reopen()
  assert.deepEqual(await keysIn(store, all), ['0201', '0202', '0203'])
})

test('a failed write leaves nothing, or all when the disk took it, and the store wants to be reopened', async () => {
  const store = new MemoryStore()
  store.failNextWrites({ code: 'STORE_FULL', applied: false }, { code: 'STORE_FAILED', applied: true })
  await assert.rejects(store.write([put(1)], { sync: true }), hasCode('STORE_FULL'))
  await assert.rejects(store.write([put(2)], { sync: true }), hasCode('STORE_FULL'))
  assert.deepEqual(await keysIn(store, all), [])
  await store.reopen()
  await assert.rejects(store.write([put(3)], { sync: true }), hasCode('STORE_FAILED'))
  assert.deepEqual(await keysIn(store, all), [])
  await store.reopen()
  assert.deepEqual(await keysIn(store, all), ['0203'])
  await store.write([put(4)], { sync: true })
  assert.deepEqual(await keysIn(store, all), ['0203', '0204'])
})

test('CHAIN-15 a batch that vanished from the middle of the log is gone after reopening, its neighbours are not', async () => {
  const store = new MemoryStore()
  for (const byte of [1, 2, 3]) await store.write([put(byte)], { sync: true })
  assert.equal(store.dropBatch(1), true)
  assert.equal(store.dropBatch(7), false)
  await store.reopen()
  assert.deepEqual(await keysIn(store, all), ['0201', '0203'])
})

test('a flipped bit is STORE_DAMAGED on every way of reading until the value is written again', async () => {
  const store = new MemoryStore()
  await store.write([put(1), put(2)], { sync: true })
  store.damage(Buffer.from([2, 1]))
  await assert.rejects(store.get(Buffer.from([2, 1])), hasCode('STORE_DAMAGED'))
  await assert.rejects(keysIn(store, all), hasCode('STORE_DAMAGED'))
  await store.reopen()
  await assert.rejects(store.getMany([Buffer.from([2, 1])]), hasCode('STORE_DAMAGED'))
  await store.write([put(1, 'healed')], { sync: true })
  assert.equal(Buffer.from((await store.get(Buffer.from([2, 1]))) ?? []).toString(), 'healed')
})

test('CHAIN-13 a restored image is the store as it was, and later writes do not reach into the image', async () => {
  const store = new MemoryStore()
  await store.write([put(1, 'old')], { sync: true })
  const image = store.snapshot()
  await store.write([put(1, 'new'), put(2)], { sync: true })
  for (const round of ['first', 'second']) {
    store.restore(image)
    await store.reopen()
    assert.deepEqual(await keysIn(store, all), ['0201'], round)
    assert.equal(Buffer.from((await store.get(Buffer.from([2, 1]))) ?? []).toString(), 'old')
    await store.write([put(1, round), put(3)], { sync: true })
  }
})

test('the memory store agrees with a plain sorted list, whatever the order of writes, deletes and snapshots', async () => {
  const operation = fc.record({
    remove: fc.boolean(),
    key: fc.uint8Array({ minLength: 1, maxLength: 2 }),
    value: fc.nat(9)
  })
  await fc.assert(
    fc.asyncProperty(fc.array(fc.array(operation, { maxLength: 80 }), { maxLength: 12 }), async (batches) => {
      const store = new MemoryStore()
      const model = new Map<string, number>()
      for (const batch of batches) {
        const before = [...model].sort(([a], [b]) => (a < b ? -1 : 1))
        const reading = store.entries({ from: Buffer.from([0]), to: Buffer.alloc(3, 0xff) })
        await store.write(
          batch.map(({ remove, key, value }) =>
            remove ? { type: 'del', key } : { type: 'put', key, value: Buffer.from([value]) }
          ),
          { sync: true }
        )
        for (const { remove, key, value } of batch) {
          const name = Buffer.from(key).toString('hex')
          if (remove) model.delete(name)
          else model.set(name, value)
        }
        const seen: [string, number | undefined][] = []
        for await (const [key, value] of reading) seen.push([Buffer.from(key).toString('hex'), value[0]])
        assert.deepEqual(seen, before)
      }
    }),
    { numRuns: 60 }
  )
})

test('two hundred thousand entries are written and read in seconds', async () => {
  const store = new MemoryStore()
  const keyOf = (index: number) => {
    const bytes = Buffer.alloc(5, 2)
    bytes.writeUInt32BE((index * 2_654_435_761) % 4_294_967_296, 1)
    return bytes
  }
  for (let start = 0; start < 200_000; start += 1000) {
    const batch = Array.from({ length: 1000 }, (_, index) => ({
      type: 'put' as const,
      key: keyOf(start + index),
      value: keyOf(index)
    }))
    await store.write(batch, { sync: true })
  }
  assert.equal((await keysIn(store, all)).length, 200_000)
})
