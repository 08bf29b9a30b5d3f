// What was once witnessed stays known, whatever is made anew from the store.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isMeshError } from '../../src/base/mesh-error.ts'
import { appendOperations } from '../../src/log/append-rows.ts'
import { chainKeyOf } from '../../src/log/statement.ts'
import { MemoryStore } from '../../src/store/memory-store.ts'
import { founded, framesOf, note, openLog, pull, testMesh, tipOf, until, verify } from './log-kit.ts'

const mesh = testMesh()
const aliceKey = chainKeyOf(mesh.alice.publicKey, 0, 1)

/** Carol's log with Alice's chain up to an append before the last, one of whose payloads then cannot be read any more. */
async function setBack(witnessed: boolean) {
  const alice = await founded(mesh)
  for (let round = 0; round < 4; round++) await alice.append([note(`alice ${round}`)])
  const store = new MemoryStore()
  const carol = await openLog(mesh, mesh.carol, { store })
  const frames = await framesOf(alice, aliceKey)
  for (const frame of frames.slice(0, 5)) await carol.ingest(frame, 'sync')
  const stored = tipOf(carol, aliceKey)
  const highest = tipOf(alice, aliceKey)
  assert.ok(stored.lastSeq < highest.lastSeq)
  if (witnessed) assert.deepEqual(await carol.recordHeads([highest]), [true])

  const [fourth] = carol.check(frames[3] as Buffer).appends
  assert.ok(fourth)
  store.damage((appendOperations(fourth.head, fourth.blocks)[1] as { key: Uint8Array }).key)
  const place = { seq: stored.lastSeq, link: stored.link }
  const damaged = (error: unknown): boolean => isMeshError(error) && error.code === 'STORE_DAMAGED'
  await assert.rejects(carol.readRange(aliceKey, null, place, 1e6), damaged)
  await until('the chain is set back', () => tipOf(carol, aliceKey).lastSeq < stored.lastSeq)
  return { alice, carol, known: witnessed ? highest : stored }
}

for (const witnessed of [true, false]) {
  test(`CHAIN-3 a chain that is made anew behind damage keeps the highest head that was ${witnessed ? 'witnessed' : 'stored'}, until it is whole again`, async () => {
    const { alice, carol, known } = await setBack(witnessed)
    assert.equal(carol.chains.get(aliceKey)?.witness?.lastSeq, known.lastSeq)
    assert.equal((await verify(carol, mesh.alice)).fault?.code, 'LOG_TRUNCATED')
    await pull(alice, carol)
    assert.equal((await verify(carol, mesh.alice)).fault, null)
  })
}
