// One set of events, any order of arrival, one state.

import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import fc from 'fast-check'
import { toHex } from '../../src/base/bytes.ts'
import type { EventDraft } from '../../src/log/append-builder.ts'
import { type ControlBody, encodeControl } from '../../src/log/control-records.ts'
import type { EventLog } from '../../src/log/event-log.ts'
import { keysBehindCut } from '../../src/log/removed-chain.ts'
import { stateHash, stateLines } from '../../src/log/state-hash.ts'
import { type ForkProof, type Head, tryForkProof } from '../../src/log/statement.ts'
import { MemoryStore } from '../../src/store/memory-store.ts'
import {
  type Built,
  build,
  certificateFor,
  countNews,
  founding,
  note,
  OPENED,
  openLog,
  testMesh,
  until,
  verify
} from './log-kit.ts'

const mesh = testMesh()
const erin = mesh.recovery
const record = (body: ControlBody): EventDraft => ({ type: body.type, payload: encodeControl(body) })
const cutAt = (head: Head) => ({ chain: head.chain, epoch: head.epoch, seq: head.lastSeq, id: head.lastId })

interface Story {
  readonly frames: readonly Buffer[]
  readonly proofs: readonly ForkProof[]
}

/** A line of appends of one author, each behind the one before. */
function line(
  key: typeof mesh.bob,
  salt: number,
  after: Head | null,
  ...appends: readonly (readonly EventDraft[])[]
): Built[] {
  const built: Built[] = []
  for (const drafts of appends) built.push(build(mesh, key, drafts, { after: built.at(-1)?.head ?? after, salt }))
  return built
}

const last = (built: readonly Built[]): Head => (built.at(-1) as Built).head
const admitted = (
  issuer: typeof mesh.bob,
  subject: typeof mesh.bob,
  role: 'member' | 'admin',
  rank: number
): EventDraft =>
  record({ type: 'member-admitted', certificate: certificateFor(mesh, issuer, subject, { role, rank }), invite: null })

/**
 * Alice founds; Bob forks, both branches are vouched for, and goes on in epoch 2; Dave, an admin, admits Erin, removes Carol low, and falls to
 * Alice, who cuts Dave's chain behind the admission but before the removal; Carol forked too, and only one branch is witnessed.
 */
function story(): Story {
  const bobRoot = line(mesh.bob, 0, null, [OPENED], [note('before the fork')])
  const bobX = line(mesh.bob, 1, last(bobRoot), [note('x1'), note('x2')], [note('x3')])
  const bobY = line(mesh.bob, 2, last(bobRoot), [note('y1')], [note('y2')])
  const bobProof = tryForkProof((bobX[0] as Built).head, (bobY[0] as Built).head) as ForkProof
  const kept = last(bobX)
  const opening = record({
    type: 'epoch-opened',
    fork: bobProof,
    missing: null,
    kept,
    branches: [last(bobY)],
    instance: Buffer.alloc(16)
  })
  const bobNext = build(mesh, mesh.bob, [opening], { epoch: 2, after: kept })
  const bobEpoch2 = [bobNext, build(mesh, mesh.bob, [note('epoch 2')], { epoch: 2, after: bobNext.head })]
  const carolRoot = line(mesh.carol, 0, null, [OPENED])
  const carolX = line(mesh.carol, 1, last(carolRoot), [note('carol x')], [note('carol x2')])
  const carolY = line(mesh.carol, 2, last(carolRoot), [note('carol y')])
  const carolProof = tryForkProof((carolX[0] as Built).head, (carolY[0] as Built).head) as ForkProof
  const dave = line(
    mesh.dave,
    0,
    null,
    [OPENED],
    [admitted(mesh.dave, erin, 'member', 20)],
    [record({ type: 'branch-witnessed', head: last(carolX) })],
    [record({ type: 'member-removed', subject: mesh.carol.publicKeyHex, cuts: [cutAt(last(carolRoot))] })]
  )
  const erins = line(erin, 0, null, [OPENED, note('hello')], [note('more')])
  const daveCut = (dave[2] as Built).head
  const alice = line(
    mesh.alice,
    0,
    null,
    founding(mesh),
    [admitted(mesh.alice, mesh.bob, 'member', 10), admitted(mesh.alice, mesh.carol, 'member', 10)],
    [admitted(mesh.alice, mesh.dave, 'admin', 1)],
    [
      record({
        type: 'member-changed',
        subject: mesh.bob.publicKeyHex,
        from: { chain: 0, epoch: 1, seq: 3 },
        role: 'observer',
        rights: 0,
        version: 1
      })
    ],
    [record({ type: 'member-removed', subject: mesh.dave.publicKeyHex, cuts: [cutAt(daveCut)] })]
  )
  const built = [
    ...alice,
    ...bobRoot,
    ...bobX,
    ...bobY,
    ...bobEpoch2,
    ...carolRoot,
    ...carolX,
    ...carolY,
    ...dave,
    ...erins
  ]
  return { frames: built.map(({ frame }) => frame), proofs: [bobProof, carolProof] }
}

/** Offers frames in the given order, again and again until nothing new is taken: what gossip and sync do together. */
async function deliver(order: readonly (Buffer | ForkProof)[], restartAt: number): Promise<EventLog> {
  const store = new MemoryStore()
  let log = await openLog(mesh, erin, { store, held: true })
  for (let round = 0, news = 1; news > 0; round++) {
    news = 0
    for (const [index, item] of order.entries()) {
      if (Buffer.isBuffer(item)) news += countNews(await log.ingest(item, index % 2 === 0 ? 'gossip' : 'sync'))
      else await log.recordFork(item)
      if (round === 0 && index === restartAt) {
        await log.close()
        store.crash()
        await store.reopen()
        log = await openLog(mesh, erin, { store, held: true })
      }
    }
    const current = log
    await until('the quarantine', () => keysBehindCut(current.state).length === 0)
  }
  return log
}

const told = story()
const items: readonly (Buffer | ForkProof)[] = [...told.frames, ...told.proofs]
let expected: string[] = []

async function lines(log: EventLog): Promise<string[]> {
  const all: string[] = []
  for await (const text of stateLines(log)) all.push(text)
  return all
}

before(async () => {
  expected = await lines(await deliver(items, -1))
})

test('CHAIN-15 any order of arrival folds to one state hash: forks, epochs, removals, quarantine, restarts', async () => {
  const places = items.map((_item, index) => index)
  const orders = fc.shuffledSubarray(places, { minLength: items.length, maxLength: items.length })
  const hash = await stateHash(await deliver(items, -1))
  await fc.assert(
    fc.asyncProperty(orders, fc.integer({ min: -1, max: items.length - 1 }), async (order, restartAt) => {
      const log = await deliver(
        order.map((place) => items[place] as Buffer | ForkProof),
        restartAt
      )
      assert.deepEqual(await lines(log), expected)
      assert.equal(await stateHash(log), hash)
      for (const key of [mesh.alice, mesh.bob, mesh.carol, mesh.dave, erin])
        assert.equal((await verify(log, key)).fault, null)
    }),
    { numRuns: 40, seed: 15 }
  )
})

test('CHAIN-15 the hash tells one counted append less', async () => {
  const log = await deliver(items, -1)
  const whole = await stateHash(log)
  const links = new Set(expected.filter((text) => text.startsWith('append ')).map((text) => text.split(' ')[4]))
  let counted = 0
  for (const frame of told.frames) {
    const [append] = log.check(frame).appends
    if (!links.has(append?.head.link === undefined ? '' : toHex(append.head.link))) continue
    counted++
    const less = items.filter((item) => item !== frame)
    assert.notEqual(await stateHash(await deliver(less, -1)), whole)
  }
  assert.equal(counted, links.size)
})
