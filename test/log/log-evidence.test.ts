// What the log proves about chains: truncation, emptiness, equivocation, epochs.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { queryPage } from '../../src/log/event-query.ts'
import { stateHash } from '../../src/log/state-hash.ts'
import {
  chainKeyOf,
  encodeHead,
  type ForkProof,
  type Head,
  headSealValid,
  tryForkProof
} from '../../src/log/statement.ts'
import { verifyLog } from '../../src/log/verify-log.ts'
import { MemoryStore } from '../../src/store/memory-store.ts'
import {
  admit,
  bobWith,
  build,
  founded,
  framesOf,
  kinds,
  note,
  noteTexts,
  OPENED,
  openLog,
  pull,
  testMesh,
  tipOf,
  verify
} from './log-kit.ts'

const mesh = testMesh()
const bobKey = chainKeyOf(mesh.bob.publicKey, 0, 1)
/** Two first appends that Bob seals for one place, with an append behind each. */
function fork(): {
  x1: ReturnType<typeof build>
  x2: ReturnType<typeof build>
  y1: ReturnType<typeof build>
  y2: ReturnType<typeof build>
  proof: ForkProof
} {
  const root = build(mesh, mesh.bob, [OPENED])
  const x1 = build(mesh, mesh.bob, [note('x1')], { after: root.head, salt: 1 })
  const y1 = build(mesh, mesh.bob, [note('y1')], { after: root.head, salt: 2 })
  const x2 = build(mesh, mesh.bob, [note('x2')], { after: x1.head, salt: 1 })
  const y2 = build(mesh, mesh.bob, [note('y2')], { after: y1.head, salt: 2 })
  return { x1, x2, y1, y2, proof: tryForkProof(x1.head, y1.head) as ForkProof }
}
const rootFrame = (): Buffer => build(mesh, mesh.bob, [OPENED]).frame

test('CHAIN-3 a truncated tail is contradicted by a witnessed head, also after reopening, and heals', async () => {
  const alice = await founded(mesh)
  const bob = await bobWith(mesh, alice, 3)
  const store = new MemoryStore()
  const carol = await openLog(mesh, mesh.carol, { store })
  await pull(alice, carol)
  for (const frame of (await framesOf(bob, bobKey)).slice(0, 2)) await carol.ingest(frame, 'sync')
  assert.equal((await verify(carol, mesh.bob)).fault, null)
  const head = tipOf(bob, bobKey)
  assert.deepEqual(await carol.recordHeads([head, { ...head, seal: Buffer.alloc(64) }]), [true, false])
  assert.equal((await verify(carol, mesh.bob)).fault?.code, 'LOG_TRUNCATED')
  assert.equal(carol.chains.get(bobKey)?.witness?.lastSeq, 4)
  const older = (await framesOf(bob, bobKey))[2] as Buffer
  await carol.recordHeads([(carol.check(older).appends[0] as { head: Head }).head])
  assert.equal(carol.chains.get(bobKey)?.witness?.lastSeq, 4, 'a lower head never lowers the witness')
  await carol.close()
  await store.reopen()
  const again = await openLog(mesh, mesh.carol, { store })
  assert.equal((await verify(again, mesh.bob)).fault?.code, 'LOG_TRUNCATED')
  assert.equal(again.chains.get(bobKey)?.witness?.lastSeq, 4)
  await pull(bob, again)
  const report = await verify(again, mesh.bob)
  assert.equal(report.fault, null)
  assert.equal(report.events, 4)
})

test('CHAIN-3 heads of strangers, of another mesh and with a broken seal raise no witness', async () => {
  const alice = await founded(mesh)
  const stranger = build(mesh, mesh.dave, [OPENED]).head
  const foreign = build({ ...mesh, id: Buffer.alloc(32, 1) }, mesh.bob, [OPENED]).head
  assert.deepEqual(await alice.recordHeads([stranger, foreign]), [false, false])
  assert.equal(alice.chains.has(stranger.key), false)
  assert.equal(alice.chains.get(bobKey)?.witness ?? null, null)
})

test('CHAIN-4 an empty log and an unknown author read unknown, never valid', async () => {
  const empty = await openLog(mesh, mesh.bob)
  const reports = await verifyLog(empty.state, empty.reader, {
    author: null,
    signal: new AbortController().signal,
    progress: () => undefined
  })
  assert.deepEqual(
    reports.map(({ fault }) => fault?.code),
    ['LOG_UNKNOWN']
  )
  const alice = await founded(mesh)
  assert.equal((await verify(alice, mesh.dave)).fault?.code, 'LOG_UNKNOWN')
  assert.equal((await verify(alice, mesh.bob)).fault?.code, 'LOG_UNKNOWN', 'an admitted member without events')
  assert.equal((await verify(alice, mesh.alice)).fault, null)
})

test('CHAIN-5 two appends at one place are kept as a portable proof and the author is flagged wherever it goes', async () => {
  const { x1, x2, y1, y2, proof } = fork()
  const alice = await founded(mesh)
  for (const frame of [rootFrame(), x1.frame, x2.frame]) await alice.ingest(frame, 'sync')
  const [outcome] = await alice.ingest(y1.frame, 'gossip')
  assert.equal(outcome?.kind, 'fork')
  assert.equal(outcome?.kind === 'fork' && outcome.stored, false, 'a branch that nobody wants is evidence only')
  const held = alice.chains.get(bobKey)?.fork as ForkProof
  assert.deepEqual([held.a.link, held.b.link], [proof.a.link, proof.b.link])
  assert.ok(headSealValid(held.a) && headSealValid(held.b))
  const carol = await openLog(mesh, mesh.carol)
  await pull(alice, carol, [mesh.alice.publicKeyHex])
  assert.equal(await carol.recordFork(held), true)
  assert.notEqual(carol.chains.get(bobKey)?.fork, null)
  assert.deepEqual(kinds(await alice.ingest(y2.frame, 'sync')), ['gap'])
  assert.equal(
    await carol.recordFork({ a: held.a, b: { ...held.b, seal: Buffer.alloc(64) } }),
    false,
    'a proof whose seal does not hold'
  )
})

test('CHAIN-5 a head that contradicts what is stored is a fork too', async () => {
  const { x1, y1 } = fork()
  const alice = await founded(mesh)
  for (const frame of [rootFrame(), x1.frame]) await alice.ingest(frame, 'sync')
  await alice.recordHeads([y1.head])
  assert.notEqual(alice.chains.get(bobKey)?.fork ?? null, null)
  assert.deepEqual(await noteTexts(alice), [], 'from the fork on nothing counts until somebody vouches for it')
})

test('CHAIN-5 after reopening the fork, its branches and what counts are the same', async () => {
  const { x1, x2, y1 } = fork()
  const store = new MemoryStore()
  const alice = await founded(mesh, { store })
  for (const frame of [rootFrame(), x1.frame, x2.frame, y1.frame]) await alice.ingest(frame, 'sync')
  await alice.appendRecord({ type: 'branch-witnessed', head: x2.head })
  const before = await stateHash(alice)
  assert.deepEqual(await noteTexts(alice), ['x1', 'x2'])
  await alice.close()
  await store.reopen()
  const again = await openLog(mesh, mesh.alice, { store })
  assert.equal(await stateHash(again), before)
  assert.deepEqual(await noteTexts(again), ['x1', 'x2'])
  assert.notEqual(again.chains.get(bobKey)?.fork ?? null, null)
})

test('CHAIN-5 a branch is stored only when it is wanted and counts once witnessed, whatever came first', async () => {
  const { x1, x2, y1, y2 } = fork()
  const hashes = new Set<string>()
  const lines = [
    [x1, x2],
    [y1, y2]
  ] as const
  for (const [first, second] of [lines, [lines[1], lines[0]] as const]) {
    const alice = await founded(mesh)
    const carol = await openLog(mesh, mesh.carol)
    await pull(alice, carol)
    await carol.append([OPENED])
    for (const { frame } of [{ frame: rootFrame() }, ...first]) await alice.ingest(frame, 'sync')
    assert.deepEqual(kinds(await alice.ingest(second[0].frame, 'sync')), ['fork'])
    assert.deepEqual(await noteTexts(alice), [])
    await carol.appendRecord({ type: 'branch-witnessed', head: x2.head })
    await carol.appendRecord({ type: 'branch-witnessed', head: y2.head })
    await pull(carol, alice, [mesh.carol.publicKeyHex])
    for (const { frame } of second) {
      const [outcome] = await alice.ingest(frame, 'sync')
      assert.equal(outcome?.kind === 'fork' && outcome.stored, true)
    }
    assert.deepEqual((await noteTexts(alice)).sort(), ['x1', 'x2', 'y1', 'y2'])
    assert.deepEqual(alice.chains.get(bobKey)?.tips.length, 2)
    assert.equal((await verify(alice, mesh.bob)).fault, null)
    const third = build(mesh, mesh.bob, [note('z1')], { after: build(mesh, mesh.bob, [OPENED]).head, salt: 3 })
    const [outcome] = await alice.ingest(third.frame, 'sync')
    assert.equal(outcome?.kind === 'fork' && outcome.stored, false, 'all that is wanted is here')
    hashes.add(await stateHash(alice))
  }
  assert.equal(hashes.size, 1)
})

test('CHAIN-5 a chain whose fork is known before its events is fetched all the same', async () => {
  const { x1, x2, proof } = fork()
  const alice = await founded(mesh)
  await alice.recordFork(proof)
  await alice.appendRecord({ type: 'branch-witnessed', head: x2.head })
  for (const frame of [rootFrame(), x1.frame, x2.frame]) await alice.ingest(frame, 'sync')
  assert.deepEqual(await noteTexts(alice), ['x1', 'x2'])
  assert.equal(alice.chains.get(bobKey)?.tips[0]?.lastSeq, 3)
})

test('CHAIN-5 an earlier fork takes the place of a later one and what stands between counts no more', async () => {
  const root = build(mesh, mesh.bob, [OPENED])
  const a2 = build(mesh, mesh.bob, [note('a2')], { after: root.head, salt: 1 })
  const a3 = build(mesh, mesh.bob, [note('a3')], { after: a2.head, salt: 1 })
  const b3 = build(mesh, mesh.bob, [note('b3')], { after: a2.head, salt: 2 })
  const b2 = build(mesh, mesh.bob, [note('b2')], { after: root.head, salt: 2 })
  const hashes = new Set<string>()
  for (const order of [
    [root, a2, a3, b3, b2],
    [root, b2, a2, b3, a3],
    [root, a2, b2, a3, b3]
  ]) {
    const alice = await founded(mesh)
    for (const { frame } of order) await alice.ingest(frame, 'sync')
    await alice.recordFork(tryForkProof(a3.head, b3.head) as ForkProof)
    await alice.recordFork(tryForkProof(a2.head, b2.head) as ForkProof)
    assert.equal(alice.chains.get(bobKey)?.fork?.a.firstSeq, 2)
    assert.deepEqual(await noteTexts(alice), [])
    hashes.add(await stateHash(alice))
  }
  assert.equal(hashes.size, 1)
})

test('CHAIN-5 a branch cannot call itself wanted: its own records do not count before somebody outside vouches for it', async () => {
  const alice = await founded(mesh)
  await admit(alice, mesh, mesh.alice, mesh.dave, { role: 'admin' })
  const root = build(mesh, mesh.dave, [OPENED])
  const y1 = build(mesh, mesh.dave, [note('y1')], { after: root.head, salt: 2 })
  const x1 = build(mesh, mesh.dave, [note('x1')], { after: root.head, salt: 1 })
  const vouch = Buffer.from(JSON.stringify({ head: encodeHead(x1.head).toString('hex') }))
  const x2 = build(mesh, mesh.dave, [{ type: 'branch-witnessed', payload: vouch }], { after: x1.head, salt: 1 })
  for (const { frame } of [root, x1, x2, y1]) await alice.ingest(frame, 'sync')
  assert.notEqual(alice.chains.get(x1.head.key)?.fork ?? null, null)
  assert.deepEqual(alice.chains.get(x1.head.key)?.wanted, [])
  assert.deepEqual(await noteTexts(alice), [])
})

test('CHAIN-6 interleaved authors, scopes and chains all verify', async () => {
  const alice = await founded(mesh)
  const bob = await bobWith(mesh, alice, 0)
  const carol = await openLog(mesh, mesh.carol)
  await pull(alice, carol)
  await carol.append([OPENED])
  for (let round = 0; round < 5; round++) {
    const scope = Buffer.alloc(16, round + 1)
    await alice.append([note(`a${round}`, scope), note('unscoped')])
    await bob.append([note(`b${round}`, scope)])
    await carol.append([note(`c${round}`, scope), note('more', scope), note('unscoped')])
    await pull(alice, bob)
    await pull(bob, carol)
    await pull(carol, alice)
  }
  await pull(alice, bob)
  await pull(bob, carol)
  for (const log of [alice, bob, carol]) {
    for (const key of [mesh.alice, mesh.bob, mesh.carol]) {
      const report = await verify(log, key)
      assert.equal(report.fault, null)
      assert.equal(report.sealsValid, true)
    }
    const { events } = await queryPage(log, { scope: Buffer.alloc(16, 3) }, 100)
    assert.deepEqual(
      events.map(({ author }) => author).sort(),
      [mesh.alice, mesh.bob, mesh.carol, mesh.carol].map((key) => key.publicKeyHex).sort()
    )
  }
  assert.equal(await stateHash(alice), await stateHash(bob))
  assert.equal(await stateHash(alice), await stateHash(carol))
})

test('CHAIN-9 an event at a place that is taken, or with an id that is here, is refused', async () => {
  const alice = await founded(mesh)
  const root = build(mesh, mesh.bob, [OPENED])
  const first = build(mesh, mesh.bob, [note('first')], { after: root.head })
  const second = build(mesh, mesh.bob, [note('second')], { after: root.head, salt: 2 })
  assert.deepEqual(kinds(await alice.ingest(root.frame, 'sync')), ['stored'])
  assert.deepEqual(kinds(await alice.ingest(first.frame, 'sync')), ['stored'])
  assert.deepEqual(kinds(await alice.ingest(first.frame, 'gossip')), ['known'])
  const both = Buffer.concat([first.frame, second.frame])
  assert.deepEqual(kinds(await alice.ingest(both, 'sync')), ['known', 'fork'])
  assert.equal(alice.state.rows.get(bobKey)?.events, 2)
  const [known] = await framesOf(alice, bobKey)
  assert.deepEqual(known, root.frame)
})

test('CHAIN-9 a frame out of order, of a stranger, of another mesh or with a broken seal changes nothing', async () => {
  const alice = await founded(mesh)
  const root = build(mesh, mesh.bob, [OPENED])
  const next = build(mesh, mesh.bob, [note('next')], { after: root.head })
  const before = await stateHash(alice)
  assert.deepEqual(kinds(await alice.ingest(next.frame, 'sync')), ['gap'])
  assert.deepEqual(kinds(await alice.ingest(build(mesh, mesh.dave, [OPENED]).frame, 'sync')), ['stranger'])
  assert.deepEqual(
    kinds(await alice.ingest(build({ ...mesh, id: Buffer.alloc(32, 3) }, mesh.bob, [OPENED]).frame, 'sync')),
    ['invalid']
  )
  const broken = Buffer.from(root.frame)
  broken[8 + 100] = (broken[8 + 100] as number) ^ 1
  assert.deepEqual(kinds(await alice.ingest(broken, 'sync')), ['invalid'])
  assert.deepEqual(kinds(await alice.ingest(Buffer.from('rubbish'), 'sync')), ['invalid'])
  assert.deepEqual(kinds(await alice.ingest(Buffer.alloc(0), 'sync')), ['invalid'])
  assert.equal(await stateHash(alice), before)
})
