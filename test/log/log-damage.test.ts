// Damage to the store: what LevelDB drops from its write-ahead log, flipped bits, lost rows. Chains go back to what is whole and heal.

import assert from 'node:assert/strict'
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { prng } from '../../simulations/prng.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { isMeshError } from '../../src/base/mesh-error.ts'
import { appendOperations } from '../../src/log/append-rows.ts'
import type { EventLog } from '../../src/log/event-log.ts'
import type { EventStore } from '../../src/log/event-store.ts'
import { stateHash } from '../../src/log/state-hash.ts'
import { chainKeyOf, type ForkProof, tryForkProof } from '../../src/log/statement.ts'
import { RANGES, rangeOf } from '../../src/log/store-keys.ts'
import { MemoryStore } from '../../src/store/memory-store.ts'
import { openLevelStore } from '../../src/store/open-level-store.ts'
import { build, founded, framesOf, note, OPENED, openLog, pull, testMesh, tipOf, until, verify } from './log-kit.ts'

const mesh = testMesh()
const aliceKey = chainKeyOf(mesh.alice.publicKey, 0, 1)
const bobKey = chainKeyOf(mesh.bob.publicKey, 0, 1)
const isDamaged = (error: unknown): boolean => isMeshError(error) && error.code === 'STORE_DAMAGED'
const folder = mkdtempSync(join(tmpdir(), 'pmesh-damage-'))
after(() => rmSync(folder, { recursive: true, force: true }))

const levelStore = (name: string): Promise<EventStore> =>
  openLevelStore({
    folder: join(folder, name, 'store'),
    backups: join(folder, name, 'backups'),
    expectedMesh: mesh.id,
    logger: silentLogger
  })

/** Alice's and Bob's logs after a talk, in step. */
async function talk(store: EventStore, rounds: number): Promise<{ alice: EventLog; bob: EventLog }> {
  const alice = await founded(mesh)
  const bob = await openLog(mesh, mesh.bob, { store })
  await pull(alice, bob)
  await bob.append([OPENED])
  for (let round = 0; round < rounds; round++) {
    await alice.append([note(`alice ${round} ${'a'.repeat(400)}`)])
    await bob.append([note(`bob ${round} ${'b'.repeat(400)}`)])
    const frame = (await alice.readRange(aliceKey, null, placeOf(alice), 1e6)) as { bytes: Buffer }
    await bob.ingest(frame.bytes, 'sync')
  }
  await pull(bob, alice)
  return { alice, bob }
}

function placeOf(log: EventLog) {
  const tip = tipOf(log, aliceKey)
  return { seq: tip.lastSeq, link: tip.link }
}

/** The damaged log is open, whole, says so when it lost something, and is made good by the other. */
async function assertHeals(damaged: EventLog, good: EventLog): Promise<void> {
  for (const key of [mesh.alice, mesh.bob]) {
    const report = await verify(damaged, key)
    assert.ok(
      report.fault === null || report.fault.code === 'LOG_TRUNCATED' || report.fault.code === 'LOG_UNKNOWN',
      JSON.stringify(report.fault)
    )
  }
  damaged.setWriteMode('held')
  await pull(good, damaged)
  for (const key of [mesh.alice, mesh.bob]) assert.equal((await verify(damaged, key)).fault, null)
  assert.equal(await stateHash(damaged), await stateHash(good))
}

test('CHAIN-15 whichever batch the write-ahead log drops, opening finds it, chains are whole, the own one is reported, and all heals', async () => {
  const store = new MemoryStore()
  const { alice } = await talk(store, 6)
  const image = store.snapshot()
  const batches = image.log.length
  for (let drop = 1; drop < batches; drop++) {
    const broken = new MemoryStore()
    broken.restore(image)
    assert.ok(broken.dropBatch(drop))
    await broken.reopen()
    const bob = await openLog(mesh, mesh.bob, { store: broken, held: true })
    const dropsMeshMark = drop === batches - 1
    if (!dropsMeshMark) assert.ok(bob.damaged.includes(bobKey), `batch ${drop} from the end`)
    await assertHeals(bob, alice)
    await bob.close()
    await broken.reopen()
    const again = await openLog(mesh, mesh.bob, { store: broken, held: true })
    assert.deepEqual(again.damaged, [], 'what was found once is not found again')
    assert.equal(await stateHash(again), await stateHash(alice))
  }
})

test('CHAIN-15 the own lane does not write over what the damaged store forgot', async () => {
  const store = new MemoryStore()
  const { alice, bob } = await talk(store, 3)
  const end = tipOf(bob, bobKey).lastSeq
  const image = store.snapshot()
  const broken = new MemoryStore()
  for (let drop = 1; drop < 9; drop++) {
    broken.restore(image)
    broken.dropBatch(drop)
    await broken.reopen()
    const probe = await openLog(mesh, mesh.bob, { store: broken, held: true })
    if (tipOf(probe, bobKey).lastSeq < end) break
  }
  const again = await openLog(mesh, mesh.bob, { store: broken })
  assert.ok(tipOf(again, bobKey).lastSeq < end)
  const waiting = again.append([note('careful')])
  again.setWriteMode('held')
  await pull(alice, again)
  again.setWriteMode('open')
  assert.equal((await waiting)[0]?.seq, end + 1)
  assert.equal(again.ownChain().fork, null)
})

const DAMAGES: readonly [string, number][] = [
  ['an append', RANGES.append],
  ['a payload', RANGES.payload],
  ['a chain row', RANGES.chain],
  ['a control record', RANGES.control],
  ['a witness', RANGES.witness],
  ['a fork proof', RANGES.fork],
  ['a commit mark', RANGES.commit]
]

for (const [what, range] of DAMAGES) {
  test(`CHAIN-15 with ${what} damaged the log opens or heals on the way, and loses nothing that a peer holds`, async () => {
    const store = new MemoryStore()
    const { alice } = await talk(store, 4)
    const { proof, log: bob } = await forked(store, alice)
    await alice.append([note('not at Bob’s yet')])
    await bob.recordHeads([tipOf(alice, aliceKey)])
    await bob.close()
    await store.reopen()
    const keys: Uint8Array[] = []
    for await (const [key] of store.entries(rangeOf(Uint8Array.of(range)))) keys.push(key)
    assert.ok(keys.length > 0)
    const image = store.snapshot()
    for (const key of keys.slice(0, 8)) {
      const broken = new MemoryStore()
      broken.restore(image)
      broken.damage(key)
      await broken.reopen()
      const log = await openLog(mesh, mesh.bob, { store: broken, held: true })
      await log.healDamage(aliceKey)
      await log.healDamage(bobKey)
      await log.healDamage(proof.a.key)
      await log.recordFork(proof)
      await assertHeals(log, alice)
    }
  })
}

/** Carol's chain with two branches, both vouched for by Alice, in both logs. */
async function forked(store: MemoryStore, alice: EventLog): Promise<{ proof: ForkProof; log: EventLog }> {
  await store.reopen()
  const log = await openLog(mesh, mesh.bob, { store, held: true })
  const root = build(mesh, mesh.carol, [OPENED])
  const x = build(mesh, mesh.carol, [note('x')], { after: root.head, salt: 1 })
  const y = build(mesh, mesh.carol, [note('y')], { after: root.head, salt: 2 })
  await alice.appendRecord({ type: 'branch-witnessed', head: x.head })
  await alice.appendRecord({ type: 'branch-witnessed', head: y.head })
  for (const { frame } of [root, x, y]) await alice.ingest(frame, 'sync')
  await pull(alice, log)
  assert.equal(log.chains.get(root.head.key)?.tips.length, 2)
  return { proof: tryForkProof(x.head, y.head) as ForkProof, log }
}

test('CHAIN-15 a read that meets damage sets the chain back by itself, and peers give it again', async () => {
  const store = new MemoryStore()
  const { alice, bob } = await talk(store, 5)
  const third = alice.check((await framesOf(alice, aliceKey))[4] as Buffer).appends[0]
  const operations = appendOperations(
    (third as NonNullable<typeof third>).head,
    (third as NonNullable<typeof third>).blocks
  )
  store.damage((operations[1] as { key: Uint8Array }).key)
  const told: number[] = []
  bob.onCommit(({ chains }) =>
    told.push(...chains.filter(({ key }) => key === aliceKey).map(({ tips }) => tips[0]?.lastSeq ?? 0))
  )
  await assert.rejects(bob.readRange(aliceKey, null, placeOf(alice), 1e6), isDamaged)
  await until('the chain is set back', () => told.length > 0)
  assert.equal(tipOf(bob, aliceKey).lastSeq, ((third as NonNullable<typeof third>).head.firstSeq ?? 0) - 1)
  assert.equal(bob.chains.get(aliceKey)?.witness?.lastSeq, placeOf(alice).seq, 'what was lost stays known')
  await pull(alice, bob)
  assert.equal((await verify(bob, mesh.alice)).fault, null)
  assert.equal(await stateHash(bob), await stateHash(alice))
})

/** Copies the folder of a store that is open: what a power failure would leave, then changes its newest write-ahead log. */
function crashCopy(name: string, copy: string, change: (bytes: Buffer) => Buffer | null): void {
  cpSync(join(folder, name), join(folder, copy), { recursive: true })
  const store = join(folder, copy, 'store')
  rmSync(join(store, 'LOCK'), { force: true })
  const logs = readdirSync(store)
    .filter((file) => file.endsWith('.log'))
    .sort()
  const path = join(store, logs.at(-1) as string)
  const changed = change(readFileSync(path))
  if (changed === null) rmSync(path)
  else writeFileSync(path, changed)
}

const WAL_DAMAGES: readonly [string, boolean, (bytes: Buffer) => Buffer | null][] = [
  [
    'overwritten in the middle',
    true,
    (bytes) => Buffer.concat([bytes.subarray(0, 70_000), Buffer.alloc(600, 0x5a), bytes.subarray(70_600)])
  ],
  [
    'with one flipped bit',
    true,
    (bytes) =>
      Buffer.concat([bytes.subarray(0, 100_000), Buffer.of((bytes[100_000] as number) ^ 4), bytes.subarray(100_001)])
  ],
  ['without its middle', true, (bytes) => Buffer.concat([bytes.subarray(0, 65_536), bytes.subarray(98_304)])],
  ['cut short', false, (bytes) => bytes.subarray(0, 90_001)],
  ['deleted', false, () => null]
]

test('CHAIN-15 a LevelDB write-ahead log that is damaged is found at open, chains go back to whole appends and heal from a peer', async (t) => {
  const store = await levelStore('live')
  t.after(() => store.close())
  const { alice, bob } = await talk(store, 60)
  const ends = tipOf(bob, bobKey)
  for (const [what, gap, change] of WAL_DAMAGES) {
    const copy = what.replaceAll(' ', '-')
    crashCopy('live', copy, change)
    const broken = await levelStore(copy)
    t.after(() => broken.close())
    const log = await openLog(mesh, mesh.bob, { store: broken, held: true })
    assert.equal(log.damaged.includes(bobKey), gap, what)
    assert.ok((log.ownChain().tips[0]?.lastSeq ?? 0) < ends.lastSeq, what)
    await log.recordHeads([ends, tipOf(alice, aliceKey)])
    if (log.view.members.has(mesh.bob.publicKeyHex))
      assert.equal((await verify(log, mesh.bob)).fault?.code, 'LOG_TRUNCATED', what)
    await assertHeals(log, alice)
    assert.equal(log.ownChain().tips[0]?.lastSeq, ends.lastSeq)
    await log.close()
  }
  await bob.close()
})

test('CHAIN-15 bits that flip in LevelDB’s tables never pass for data: the log opens and heals, or says that the store is damaged', async () => {
  const store = await levelStore('tables')
  const { alice, bob } = await talk(store, 80)
  await bob.close()
  await store.compact({ from: Uint8Array.of(0), to: Uint8Array.of(255) })
  await store.close()
  const random = prng(7, 'flips')
  const outcomes = { healed: 0, refused: 0 }
  for (let round = 0; round < 15; round++) {
    const copy = `flip-${round}`
    cpSync(join(folder, 'tables'), join(folder, copy), { recursive: true })
    const path = join(folder, copy, 'store')
    const tables = readdirSync(path).filter((file) => file.endsWith('.ldb'))
    const file = join(path, random.pick(tables))
    const bytes = readFileSync(file)
    for (let flip = 0; flip < 3; flip++) {
      const at = random.below(bytes.length)
      bytes[at] = (bytes[at] as number) ^ (1 << random.below(8))
    }
    writeFileSync(file, bytes)
    outcomes[await openDamaged(copy, alice)]++
    rmSync(join(folder, copy), { recursive: true, force: true })
  }
  assert.ok(outcomes.healed >= 11, JSON.stringify(outcomes))
})

/** Opens, meets the damage by reading, opens again as a restart would, and heals from Alice. */
async function openDamaged(copy: string, alice: EventLog): Promise<'healed' | 'refused'> {
  let store: EventStore | null = null
  try {
    store = await levelStore(copy)
    for (let start = 0; ; start++) {
      const log = await openLog(mesh, mesh.bob, { store, held: true })
      try {
        await assertHeals(log, alice)
        return 'healed'
      } catch (error) {
        if (start === 2 || !log.noteDamage(error)) throw error
      } finally {
        await log.close()
      }
    }
  } catch (error) {
    if (!isDamaged(error)) throw error
    return 'refused'
  } finally {
    await store?.close()
  }
}
