// Restored backups and lost ends: what the own chain does not write over, and how it goes on in the next epoch.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isMeshError } from '../../src/base/mesh-error.ts'
import { queryPage } from '../../src/log/event-query.ts'
import { stateHash } from '../../src/log/state-hash.ts'
import { chainKeyOf, type ForkProof } from '../../src/log/statement.ts'
import { MemoryStore } from '../../src/store/memory-store.ts'
import {
  bobWith,
  build,
  founded,
  framesOf,
  kinds,
  note,
  noteTexts,
  openLog,
  pull,
  testMesh,
  tipOf,
  until,
  verify
} from './log-kit.ts'

const mesh = testMesh()
const bobKey = chainKeyOf(mesh.bob.publicKey, 0, 1)
const hasCode = (code: string) => (error: unknown) => isMeshError(error) && error.code === code
const INSTANCE = Buffer.alloc(16, 5)

test('CHAIN-13 while this node writes, own events from elsewhere are not taken in; recovering, they are', async () => {
  const alice = await founded(mesh)
  const store = new MemoryStore()
  const bob = await bobWith(mesh, alice, 2, store)
  const backup = store.snapshot()
  await bob.append([note('after the backup')])
  const lost = (await framesOf(bob, bobKey)).at(-1) as Buffer
  const copyStore = new MemoryStore()
  copyStore.restore(backup)
  await copyStore.reopen()
  const copy = await openLog(mesh, mesh.bob, { store: copyStore })
  assert.deepEqual(kinds(await copy.ingest(lost, 'sync')), ['own'])
  copy.setWriteMode('held')
  assert.deepEqual(kinds(await copy.ingest(lost, 'sync')), ['stored'])
  copy.setWriteMode('open')
  const [event] = await copy.append([note('goes on')])
  assert.equal(event?.seq, 5)
  assert.equal(copy.ownChain().fork, null)
})

test('CHAIN-13 a sealed own head beyond the end of the own chain holds appends back until the next epoch is open', async () => {
  const alice = await founded(mesh)
  const store = new MemoryStore()
  const bob = await bobWith(mesh, alice, 2, store)
  const backup = store.snapshot()
  await bob.append([note('lost for ever')])
  const missing = tipOf(bob, bobKey)
  const restored = new MemoryStore()
  restored.restore(backup)
  await restored.reopen()
  const copy = await openLog(mesh, mesh.bob, { store: restored })
  await copy.recordHeads([missing])
  let done = false
  const waiting = copy.append([note('waits')]).then((events) => {
    done = true
    return events
  })
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve))
  assert.equal(done, false)
  const head = await copy.openEpoch({ fork: null, missing, branches: [], instance: INSTANCE })
  assert.equal(head.epoch, 2)
  const [event] = await waiting
  assert.deepEqual([event?.epoch, event?.seq], [2, 2])
  assert.equal(copy.chains.get(bobKey)?.closed, true)
  assert.equal(copy.ownChain().epoch, 2)
  assert.deepEqual(await noteTexts(copy), ['bob 0', 'bob 1', 'waits'])
})

test('CHAIN-13 a restored backup that went on alone: both branches are kept and counted after adoption, and nothing is un-said', async () => {
  const alice = await founded(mesh)
  const store = new MemoryStore()
  const bob = await bobWith(mesh, alice, 2, store)
  const backup = store.snapshot()
  await bob.append([note('first life')])
  await pull(bob, alice)
  const restored = new MemoryStore()
  restored.restore(backup)
  await restored.reopen()
  const copy = await openLog(mesh, mesh.bob, { store: restored })
  await copy.append([note('second life')])
  await copy.append([note('second life goes on')])
  copy.setWriteMode('held')
  await pull(alice, copy)
  const proof = copy.ownChain().fork as ForkProof
  assert.notEqual(proof, null, 'the contradiction is found on contact')
  copy.setWriteMode('open')
  let appended = false
  const waiting = copy.append([note('third life')]).finally(() => {
    appended = true
  })
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve))
  assert.equal(appended, false, 'a forked epoch is not gone on with')
  await copy.openEpoch({ fork: proof, missing: null, branches: [tipOf(bob, bobKey)], instance: INSTANCE })
  assert.deepEqual(
    (await waiting).map(({ epoch, seq }) => [epoch, seq]),
    [[2, 2]]
  )
  await pull(alice, copy)
  await pull(copy, alice)
  await pull(alice, copy)
  const expected = ['bob 0', 'bob 1', 'first life', 'second life', 'second life goes on', 'third life']
  for (const log of [alice, copy]) {
    assert.deepEqual((await noteTexts(log)).sort(), expected)
    assert.equal((await verify(log, mesh.bob)).fault, null)
    assert.equal(log.chains.get(bobKey)?.tips.length, 2)
  }
  assert.equal(await stateHash(alice), await stateHash(copy))
})

test('CHAIN-13 the next epoch is opened once, behind the epoch that the evidence is of', async () => {
  const alice = await founded(mesh)
  const bob = await bobWith(mesh, alice, 1)
  const missing = build(mesh, mesh.bob, [note('of epoch 2')], {
    epoch: 2,
    after: { ...tipOf(bob, bobKey), epoch: 2 }
  }).head
  await bob.recordHeads([missing])
  await assert.rejects(
    bob.openEpoch({ fork: null, missing: tipOf(bob, bobKey), branches: [], instance: INSTANCE }),
    hasCode('EVENT_INVALID')
  )
  const head = await bob.openEpoch({ fork: null, missing, branches: [], instance: INSTANCE })
  assert.equal(head.epoch, 3, 'epoch 2 was begun elsewhere: to begin it again would contradict it')
  await assert.rejects(
    bob.openEpoch({ fork: null, missing, branches: [], instance: INSTANCE }),
    hasCode('EVENT_INVALID')
  )
  await assert.rejects(
    bob.openEpoch({ fork: null, missing: tipOf(alice, alice.ownChain().key), branches: [], instance: INSTANCE }),
    hasCode('EVENT_INVALID')
  )
  const [event] = await bob.append([note('goes on')])
  assert.equal(event?.epoch, 3)
  await until('the epoch is authorised', () => bob.view.opened.has(head.key))
})

test('CHAIN-13 an epoch that no authorised record opens is stored without effect', async () => {
  const alice = await founded(mesh)
  const wild = build(mesh, mesh.bob, [note('wild')], { epoch: 2 })
  assert.deepEqual(kinds(await alice.ingest(wild.frame, 'sync')), ['stored'])
  const { events } = await queryPage(alice, { type: 'app-note' }, 10)
  assert.deepEqual(
    events.map(({ authorised }) => authorised),
    [false]
  )
})
