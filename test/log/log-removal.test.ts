// What becomes of a removed author's events: behind the cut they go to quarantine, and come back when a more senior removal cuts later.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { EventLog } from '../../src/log/event-log.ts'
import { queryPage } from '../../src/log/event-query.ts'
import { keysBehindCut } from '../../src/log/removed-chain.ts'
import { stateHash } from '../../src/log/state-hash.ts'
import { chainKeyOf, type ForkProof, type Head, tryForkProof } from '../../src/log/statement.ts'
import { RANGES, rangeOf } from '../../src/log/store-keys.ts'
import { MemoryStore, type MemoryStoreImage } from '../../src/store/memory-store.ts'
import {
  admit,
  build,
  founded,
  framesOf,
  kinds,
  note,
  OPENED,
  openLog,
  pull,
  remove,
  testMesh,
  tipOf,
  until,
  verify
} from './log-kit.ts'

const mesh = testMesh()
const bobKey = chainKeyOf(mesh.bob.publicKey, 0, 1)
const bob = mesh.bob.publicKeyHex

/** Bob's chain: seq 1 opens it, then appends of the given sizes. */
function chainOf(sizes: readonly number[]): { head: Head; frame: Buffer }[] {
  const built = [build(mesh, mesh.bob, [OPENED])]
  sizes.forEach((size, index) => {
    const drafts = Array.from({ length: size }, (_, event) => note(`${index}.${event}`))
    built.push(build(mesh, mesh.bob, drafts, { after: built.at(-1)?.head ?? null }))
  })
  return built
}

async function texts(log: EventLog): Promise<string[]> {
  const { events } = await queryPage(log, { author: bob, type: 'app-note' }, 1000)
  return events
    .map(({ payload }) => (JSON.parse(Buffer.from(payload ?? []).toString()) as { text: string }).text)
    .sort()
}

async function quarantinedCount(log: EventLog): Promise<number> {
  let count = 0
  for await (const _ of log.store.entries(rangeOf(Uint8Array.of(RANGES.quarantine)))) count++
  return count
}

const settled = (log: EventLog): Promise<void> => until('the quarantine', () => keysBehindCut(log.state).length === 0)

test('MEMBER-3 events behind the cut are quarantined, not served, not found, and refused when they come again', async () => {
  const alice = await founded(mesh)
  const appends = chainOf([1, 2, 1])
  for (const { frame } of appends) await alice.ingest(frame, 'sync')
  const last = appends.at(-1) as { head: Head; frame: Buffer }
  await remove(alice, bob, new Map([[bobKey, appends[2]?.head ?? null]]))
  assert.equal(
    await alice.readRange(bobKey, null, { seq: 5, link: last.head.link }, 1e6),
    'unknown',
    'not even before it is moved'
  )
  await settled(alice)
  assert.deepEqual(await texts(alice), ['0.0', '1.0', '1.1'])
  assert.equal(await quarantinedCount(alice), 1)
  assert.equal(tipOf(alice, bobKey).lastSeq, 4)
  assert.equal(alice.chains.get(bobKey)?.cut?.seq, 4)
  assert.deepEqual(kinds(await alice.ingest(last.frame, 'gossip')), ['cut'])
  const served = await alice.readRange(bobKey, null, { seq: 4, link: (appends[2] as { head: Head }).head.link }, 1e6)
  assert.ok(typeof served !== 'string' && served.last.seq === 4)
  assert.equal((await framesOf(alice, bobKey)).length, 3)
  const report = await verify(alice, mesh.bob)
  assert.deepEqual([report.fault, report.events], [null, 4], 'what is valid stays verifiable')
  assert.equal((await queryPage(alice, { type: 'app-note', newestFirst: true }, 10)).events.length, 3)
})

test('MEMBER-3 a cut inside an append takes effect at its beginning, also behind a long append', async () => {
  const alice = await founded(mesh)
  const appends = chainOf([700, 700, 3])
  for (const { frame } of appends) await alice.ingest(frame, 'sync')
  const cut = { ...(appends[2] as { head: Head }).head, lastSeq: 1300 }
  await remove(alice, bob, new Map([[bobKey, cut]]))
  await settled(alice)
  assert.equal(tipOf(alice, bobKey).lastSeq, 701)
  assert.equal(await quarantinedCount(alice), 2)
  assert.equal((await verify(alice, mesh.bob)).fault, null)
})

test('MEMBER-3 a chain key that the removal does not list is cut to nothing', async () => {
  const alice = await founded(mesh)
  for (const { frame } of chainOf([1, 1])) await alice.ingest(frame, 'sync')
  await alice.ingest(build(mesh, mesh.bob, [OPENED], { chain: 3 }).frame, 'sync')
  const other = chainKeyOf(mesh.bob.publicKey, 3, 1)
  await alice.appendRecord({
    type: 'member-removed',
    subject: bob,
    cuts: [{ chain: 0, epoch: 1, seq: 3, id: tipOf(alice, bobKey).lastId }]
  })
  await settled(alice)
  assert.equal(tipOf(alice, bobKey).lastSeq, 3)
  assert.deepEqual(alice.chains.get(other)?.tips, [])
  assert.equal(alice.chains.get(other)?.cut?.seq, 0)
  assert.deepEqual(kinds(await alice.ingest(build(mesh, mesh.bob, [OPENED], { chain: 4 }).frame, 'sync')), ['cut'])
  assert.deepEqual(kinds(await alice.ingest(build(mesh, mesh.bob, [OPENED], { chain: 3 }).frame, 'sync')), ['cut'])
})

test('MEMBER-5 a more senior removal that cuts later brings quarantined events back, on every node the same', async () => {
  const alice = await founded(mesh)
  await admit(alice, mesh, mesh.alice, mesh.dave, { role: 'admin' })
  const dave = await openLog(mesh, mesh.dave)
  await pull(alice, dave)
  await dave.append([OPENED])
  const appends = chainOf([1, 1, 1, 1])
  for (const { frame } of appends) {
    await dave.ingest(frame, 'sync')
    await alice.ingest(frame, 'sync')
  }
  await remove(dave, bob, new Map([[bobKey, appends[1]?.head ?? null]]))
  await pull(dave, alice)
  await Promise.all([settled(alice), settled(dave)])
  assert.deepEqual(await texts(alice), ['0.0'])
  await remove(alice, bob, new Map([[bobKey, appends[3]?.head ?? null]]))
  await until('the events', async () => (await texts(alice)).length === 3)
  await pull(alice, dave)
  await until('the events at Dave’s', async () => (await texts(dave)).length === 3)
  await until(
    'one append in quarantine',
    async () => (await quarantinedCount(alice)) === 1 && (await quarantinedCount(dave)) === 1
  )
  assert.equal(await stateHash(alice), await stateHash(dave))
  assert.equal((await verify(alice, mesh.bob)).fault, null)
})

test('MEMBER-5 when the remover’s own removal falls behind a cut, its victim’s events come back', async () => {
  const alice = await founded(mesh)
  await admit(alice, mesh, mesh.alice, mesh.dave, { role: 'admin' })
  const dave = await openLog(mesh, mesh.dave)
  await pull(alice, dave)
  await dave.append([OPENED])
  const opened = tipOf(dave, dave.ownChain().key)
  for (const { frame } of chainOf([1, 1])) await dave.ingest(frame, 'sync')
  await remove(dave, bob, new Map([[bobKey, null]]))
  await settled(dave)
  await pull(dave, alice)
  for (const { frame } of chainOf([1, 1])) assert.deepEqual(kinds(await alice.ingest(frame, 'sync')), ['cut'])
  await remove(alice, mesh.dave.publicKeyHex, new Map([[opened.key, opened]]))
  await pull(alice, dave, [mesh.alice.publicKeyHex])
  await until('Bob’s events', async () => (await texts(dave)).length === 2)
  assert.equal(dave.view.members.get(bob)?.removal, null)
  assert.deepEqual(kinds(await alice.ingest(Buffer.concat(chainOf([1, 1]).map(({ frame }) => frame)), 'sync')), [
    'stored',
    'stored',
    'stored'
  ])
  await until('Dave’s quarantine', () => keysBehindCut(dave.state).length === 0)
  assert.equal(await stateHash(alice), await stateHash(dave))
})

test('MEMBER-5 whoever was admitted by an event behind the cut is a stranger again, and so are its events', async () => {
  const alice = await founded(mesh)
  await admit(alice, mesh, mesh.alice, mesh.dave, { role: 'admin' })
  const dave = await openLog(mesh, mesh.dave)
  await pull(alice, dave)
  await dave.append([OPENED])
  const opened = tipOf(dave, dave.ownChain().key)
  const erin = mesh.recovery
  await admit(dave, mesh, mesh.dave, erin, { rank: 20 })
  await pull(dave, alice)
  const erins = build(mesh, erin, [OPENED, note('hello')])
  assert.deepEqual(kinds(await alice.ingest(erins.frame, 'sync')), ['stored'])
  await remove(alice, mesh.dave.publicKeyHex, new Map([[opened.key, opened]]))
  await settled(alice)
  assert.equal((await queryPage(alice, { author: erin.publicKeyHex }, 10)).events.length, 0)
  assert.equal(await alice.readRange(erins.head.key, null, { seq: 2, link: erins.head.link }, 1e6), 'unknown')
  assert.deepEqual(kinds(await alice.ingest(erins.frame, 'sync')), ['stranger'])
  await admit(alice, mesh, mesh.alice, erin)
  await until(
    'Erin’s events',
    async () => (await queryPage(alice, { author: erin.publicKeyHex }, 10)).events.length === 2
  )
  const carol = await openLog(mesh, mesh.carol)
  await pull(alice, carol)
  assert.equal(await stateHash(carol), await stateHash(alice))
})

test('MEMBER-5 a stranger cannot open a chain with a founder-named record that the recovery key did not sign', async () => {
  const alice = await founded(mesh)
  const payload = Buffer.from(
    JSON.stringify({ founder: mesh.dave.publicKeyHex, counter: 1, cuts: [], signature: '00'.repeat(64) })
  )
  const forged = build(mesh, mesh.dave, [OPENED, { type: 'founder-named', payload }])
  assert.deepEqual(kinds(await alice.ingest(forged.frame, 'sync')), ['stranger'])
})

test('CHAIN-10 a crash between the steps of a quarantine is made good at the next opening', async () => {
  const store = new MemoryStore()
  const alice = await founded(mesh, { store })
  for (const { frame } of chainOf([1, 1, 1])) await alice.ingest(frame, 'sync')
  const before = store.snapshot()
  await remove(alice, bob, new Map([[bobKey, chainOf([1])[1]?.head ?? null]]))
  await settled(alice)
  const removal = (await framesOf(alice, alice.ownChain().key)).at(-1) as Buffer
  const crashed = new MemoryStore()
  crashed.restore(before)
  await crashed.reopen()
  const half = await openLog(mesh, mesh.alice, { store: crashed, held: true })
  let image: MemoryStoreImage | null = null
  half.onCommit(() => {
    image ??= crashed.snapshot()
  })
  await half.ingest(removal, 'sync')
  await half.close()
  crashed.restore(image as unknown as MemoryStoreImage)
  await crashed.reopen()
  const again = await openLog(mesh, mesh.alice, { store: crashed })
  await settled(again)
  assert.deepEqual(await texts(again), ['0.0'])
  assert.equal(await stateHash(again), await stateHash(alice))
})

test('MEMBER-5 of a forked chain the branch that the cut names counts and no other, whatever came first', async () => {
  const root = build(mesh, mesh.bob, [OPENED])
  const x2 = build(mesh, mesh.bob, [note('x2')], { after: root.head, salt: 1 })
  const x3 = build(mesh, mesh.bob, [note('x3')], { after: x2.head, salt: 1 })
  const y2 = build(mesh, mesh.bob, [note('y2')], { after: root.head, salt: 2 })
  const hashes = new Set<string>()
  for (const order of [
    [root, x2, x3, y2, 'remove'],
    [root, y2, 'remove', x2, x3],
    [root, x2, 'remove', y2, x3],
    ['remove', root, y2, x2]
  ] as const) {
    const alice = await founded(mesh)
    const carol = await openLog(mesh, mesh.carol)
    await pull(alice, carol)
    await carol.append([OPENED])
    await carol.appendRecord({ type: 'branch-witnessed', head: y2.head })
    await pull(carol, alice)
    for (const step of order) {
      if (step === 'remove')
        await remove(alice, bob, new Map([[bobKey, x2.head]]), [{ chain: 0, epoch: 1, seq: 2, id: x2.head.lastId }])
      else await alice.ingest(step.frame, 'sync')
      await settled(alice)
    }
    await alice.recordFork(tryForkProof(x2.head, y2.head) as ForkProof)
    await alice.ingest(x2.frame, 'sync')
    await settled(alice)
    assert.deepEqual(await texts(alice), ['x2'])
    assert.equal((await verify(alice, mesh.bob)).fault, null)
    hashes.add(await stateHash(alice))
  }
  assert.equal(hashes.size, 1)
})
