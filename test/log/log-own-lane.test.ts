// Local appends: group commit, limits, back-pressure, roles, failures of the store, the clock.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LIMITS } from '../../src/base/limits.ts'
import { isMeshError } from '../../src/base/mesh-error.ts'
import { RIGHTS } from '../../src/identity/certificate.ts'
import type { EventDraft } from '../../src/log/append-builder.ts'
import { encodeControl } from '../../src/log/control-records.ts'
import type { EventLog } from '../../src/log/event-log.ts'
import { queryPage } from '../../src/log/event-query.ts'
import type { EventStore } from '../../src/log/event-store.ts'
import { loggedEvents } from '../../src/log/logged-event.ts'
import { chainKeyOf } from '../../src/log/statement.ts'
import { MemoryStore } from '../../src/store/memory-store.ts'
import {
  admit,
  build,
  certificateFor,
  founded,
  founding,
  kinds,
  note,
  OPENED,
  openLog,
  pull,
  testMesh,
  tipOf,
  until,
  VirtualClock,
  verify
} from './log-kit.ts'

const mesh = testMesh()
const aliceKey = chainKeyOf(mesh.alice.publicKey, 0, 1)
const hasCode = (code: string) => (error: unknown) => isMeshError(error) && error.code === code

/** A store in memory whose writes wait for `release` while the gate is shut. */
class GatedStore extends MemoryStore {
  #gate: PromiseWithResolvers<void> | null = null
  writes = 0

  shut(): void {
    this.#gate = Promise.withResolvers()
  }

  release(): void {
    this.#gate?.resolve()
    this.#gate = null
  }

  override async write(...args: Parameters<EventStore['write']>): Promise<void> {
    this.writes++
    if (this.#gate !== null) await this.#gate.promise
    await super.write(...args)
  }
}

const big = (bytes: number): EventDraft => ({
  type: 'app-big',
  payload: Buffer.from(JSON.stringify({ text: 'x'.repeat(bytes - 11) }))
})

async function ids(log: EventLog): Promise<Map<string, string>> {
  const found = new Map<string, string>()
  for await (const { head, blocks } of log.reader.all(mesh.alice.publicKey)) {
    for (const event of loggedEvents(log.mesh, log.view, head, blocks))
      found.set(`${event.epoch}/${event.seq}`, Buffer.from(event.id).toString('hex'))
  }
  return found
}

test('CHAIN-10 what waits while the disk is busy becomes one commit, and every receipt is the stored id', async () => {
  const store = new GatedStore()
  const log = await founded(mesh, { store })
  store.shut()
  const written = store.writes
  const first = log.append([note('first')])
  await until('the first write', () => store.writes > written)
  const before = store.writes
  const others = Array.from({ length: 200 }, (_, index) => log.append([note(`n${index}`), note(`m${index}`)]))
  store.release()
  const receipts = [await first, ...(await Promise.all(others))].flat()
  assert.equal(store.writes - before, 1, 'one fsync for all that waited')
  const stored = await ids(log)
  assert.equal(new Set(receipts.map(({ seq }) => seq)).size, 401)
  for (const { id, epoch, seq } of receipts)
    assert.equal(stored.get(`${epoch}/${seq}`), Buffer.from(id).toString('hex'))
  for (const pair of await Promise.all(others)) assert.equal((pair[1]?.seq ?? 0) - (pair[0]?.seq ?? 0), 1)
  assert.equal((await verify(log, mesh.alice)).fault, null)
})

test('an append closes at 32 KiB, but no caller’s batch is cut', async () => {
  const store = new GatedStore()
  const log = await founded(mesh, { store })
  store.shut()
  const gate = log.append([note('gate')])
  const small = Array.from({ length: 60 }, () => log.append([big(2000)]))
  const large = log.append(Array.from({ length: 60 }, () => big(3000)))
  store.release()
  await Promise.all([gate, ...small, large])
  const receipt = await large
  const counts: number[] = []
  for await (const { head, blocks } of log.reader.all(mesh.alice.publicKey)) {
    counts.push(head.count)
    const bytes = blocks.rows.reduce((sum, row) => sum + 176 + 'app-big'.length + 16 + row.length, 0)
    if (head.count > 1 && head.lastSeq < (receipt[0]?.seq ?? 0)) assert.ok(bytes <= LIMITS.appendBytesTarget + 1024)
    if (head.firstSeq <= (receipt[0]?.seq ?? 0) && head.lastSeq >= (receipt[0]?.seq ?? 0)) {
      assert.equal(head.count, 60)
      assert.equal(head.lastSeq, receipt.at(-1)?.seq)
    }
  }
  assert.ok(counts.length > 4)
})

test('a batch over 1024 events or 192 KiB is refused whole, one at the limit is taken', async () => {
  const log = await founded(mesh)
  const tiny: EventDraft = { type: 'app-a', payload: Buffer.from('{}') }
  await assert.rejects(log.append(Array.from({ length: 1025 }, () => tiny)), hasCode('EVENT_BATCH_TOO_LARGE'))
  assert.equal((await log.append(Array.from({ length: 800 }, () => tiny))).length, 800)
  await assert.rejects(
    log.append([big(65_000), big(65_000), big(65_000), big(65_000)]),
    hasCode('EVENT_BATCH_TOO_LARGE')
  )
  await assert.rejects(log.append([big(65_600)]), hasCode('EVENT_TOO_LARGE'))
  await assert.rejects(log.append([]), hasCode('EVENT_INVALID'))
  assert.equal((await log.append([big(65_000), big(65_000)])).length, 2)
  assert.equal((await verify(log, mesh.alice)).fault, null)
})

test('callers wait while the queue is full, its size is bounded, and everybody is answered', async () => {
  const store = new GatedStore()
  const log = await founded(mesh, { store })
  store.shut()
  const written = store.writes
  const gate = log.append([note('gate')])
  await until('the write', () => store.writes > written)
  const payload = big(60_000)
  const callers = Array.from({ length: 400 }, () => log.append([payload]))
  const over = Array.from({ length: 20 }, () => log.append([note('late')]))
  store.release()
  await Promise.all([gate, ...callers, ...over])
  assert.equal(log.ownChain().tips[0]?.lastSeq, 4 + 421)
})

test('a caller that waits for room is refused when the node stops, not forgotten', async () => {
  const store = new GatedStore()
  const log = await founded(mesh, { store })
  store.shut()
  const written = store.writes
  const gate = log.append([note('gate')])
  await until('the write', () => store.writes > written)
  const callers = Array.from({ length: 400 }, () => log.append([big(60_000)]))
  const results = Promise.allSettled(callers)
  const closed = log.close()
  store.release()
  await Promise.all([gate, closed])
  const refused = (await results).filter((result) => result.status === 'rejected')
  assert.ok(refused.length > 300, 'only what was on its way to the disk is appended')
  for (const { reason } of refused) assert.ok(hasCode('NODE_STOPPING')(reason))
})

test('more than the callers that may wait are refused with LOG_QUEUE_FULL', async () => {
  const log = await openLog(mesh, mesh.alice, { held: true, store: await foundedStore() })
  const callers = Array.from({ length: LIMITS.appendQueueEventsMax + 65_536 }, () =>
    log.append([note('w')]).catch((error: unknown) => error)
  )
  await assert.rejects(log.append([note('one too many')]), hasCode('LOG_QUEUE_FULL'))
  await log.close()
  for (const error of await Promise.all(callers)) assert.ok(hasCode('NODE_STOPPING')(error))
})

async function foundedStore(): Promise<MemoryStore> {
  const store = new MemoryStore()
  const log = await founded(mesh, { store })
  await log.close()
  await store.reopen()
  return store
}

test('MEMBER-4 an observer appends its presence and nothing else, and what it seals by force has no effect', async () => {
  const alice = await founded(mesh)
  await admit(alice, mesh, mesh.alice, mesh.dave, { role: 'observer' })
  const clock = new VirtualClock()
  const dave = await openLog(mesh, mesh.dave, { clock })
  await pull(alice, dave)
  assert.equal((await dave.append([OPENED])).length, 1)
  for (const draft of [note('no'), { type: 'branch-witnessed', payload: witnessOf(alice) }]) {
    await assert.rejects(dave.append([draft]), hasCode('EVENT_FORBIDDEN'))
    await assert.rejects(dave.append([OPENED, draft]), hasCode('EVENT_FORBIDDEN'))
  }
  const opening = { fork: null, missing: tipOf(dave, dave.ownChain().key), branches: [], instance: Buffer.alloc(16) }
  assert.equal((await dave.openEpoch(opening)).epoch, 2)
  assert.equal(dave.view.opened.size, 1)
  clock.ms -= 120_000
  await dave.append([OPENED])
  const { events } = await queryPage(dave, { author: mesh.dave.publicKeyHex }, 100)
  assert.equal(events.filter(({ type }) => type === 'clock-stepped').length, 1)
  const forced = build(mesh, mesh.dave, [note('forced')], { after: null, chain: 1 })
  assert.deepEqual(kinds(await alice.ingest(forced.frame, 'sync')), ['stored'])
  const page = await queryPage(alice, { type: 'app-note' }, 10)
  assert.deepEqual(
    page.events.map(({ authorised }) => authorised),
    [false]
  )
})

function witnessOf(log: EventLog): Buffer {
  return encodeControl({ type: 'branch-witnessed', head: tipOf(log, aliceKey) })
}

test('MEMBER-4 only admins admit and remove; strangers append nothing; unknown types and records that say nothing are refused', async () => {
  const alice = await founded(mesh)
  const bob = await openLog(mesh, mesh.bob)
  await assert.rejects(bob.append([OPENED]), hasCode('EVENT_FORBIDDEN'))
  await pull(alice, bob)
  await bob.append([OPENED])
  const certificate = certificateFor(mesh, mesh.bob, mesh.dave)
  await assert.rejects(
    bob.appendRecord({ type: 'member-admitted', certificate, invite: null }),
    hasCode('EVENT_FORBIDDEN')
  )
  await assert.rejects(
    bob.appendRecord({ type: 'member-removed', subject: mesh.carol.publicKeyHex, cuts: [] }),
    hasCode('EVENT_FORBIDDEN')
  )
  for (const type of ['task-created', 'app', 'app-', 'App-note', 'app_note', 'x'.repeat(65)]) {
    await assert.rejects(alice.append([{ type, payload: Buffer.from('{}') }]), hasCode('EVENT_TYPE_INVALID'))
  }
  for (const payload of ['[]', '{"a":1,"a":2}', 'no', '']) {
    await assert.rejects(alice.append([{ type: 'app-note', payload: Buffer.from(payload) }]), hasCode('EVENT_INVALID'))
  }
  await assert.rejects(
    alice.append([{ type: 'member-removed', payload: Buffer.from('{"subject":"who"}') }]),
    hasCode('EVENT_INVALID')
  )
  assert.equal(bob.ownChain().tips[0]?.lastSeq, 1)
})

test('MEMBER-4 an admin without a right cannot use it', async () => {
  const alice = await founded(mesh)
  await admit(alice, mesh, mesh.alice, mesh.dave, { role: 'admin', rights: RIGHTS.admit })
  const dave = await openLog(mesh, mesh.dave)
  await pull(alice, dave)
  await dave.append([OPENED])
  const removal = { type: 'member-removed', subject: mesh.bob.publicKeyHex, cuts: [] } as const
  await assert.rejects(dave.appendRecord(removal), hasCode('EVENT_FORBIDDEN'))
  const forced = build(mesh, mesh.dave, [{ type: 'member-removed', payload: encodeControl(removal) }], {
    after: tipOf(dave, dave.ownChain().key)
  })
  await pull(dave, alice)
  assert.deepEqual(kinds(await alice.ingest(forced.frame, 'sync')), ['stored'])
  assert.equal(alice.view.members.get(mesh.bob.publicKeyHex)?.removal, null)
})

test('one caller’s refused batch does not touch the others that wait with it', async () => {
  const alice = await founded(mesh)
  const bob = await openLog(mesh, mesh.bob)
  await pull(alice, bob)
  const results = await Promise.allSettled([
    bob.append([OPENED]),
    bob.appendRecord({ type: 'member-removed', subject: mesh.carol.publicKeyHex, cuts: [] }),
    bob.append([note('fine')])
  ])
  assert.deepEqual(
    results.map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled']
  )
  assert.equal(bob.ownChain().tips[0]?.lastSeq, 2)
})

for (const applied of [false, true]) {
  test(`CHAIN-10 a full disk fails the callers with STORE_FULL and the log goes on by itself (${applied ? 'the batch had reached the disk' : 'nothing was written'})`, async () => {
    const store = new MemoryStore()
    const log = await founded(mesh, { store })
    const told: number[] = []
    log.onCommit(({ chains }) => {
      const own = chains.find(({ key }) => key === aliceKey)
      if (own !== undefined) told.push(own.tips[0]?.lastSeq ?? 0)
    })
    const acknowledged = await log.append([note('safe')])
    store.failNextWrites({ code: 'STORE_FULL', applied })
    const failed = Array.from({ length: 5 }, () => log.append([note('refused')]))
    for (const result of await Promise.allSettled(failed))
      assert.ok(result.status === 'rejected' && hasCode('STORE_FULL')(result.reason))
    await until('the store is open again', () => log.failure === null)
    const tip = (acknowledged[0]?.seq ?? 0) + (applied ? 5 : 0)
    assert.equal(log.chains.get(aliceKey)?.tips[0]?.lastSeq, tip, 'chains show what is on the disk')
    assert.equal(told.at(-1), tip, 'listeners were told')
    const [next] = await log.append([note('goes on')])
    assert.equal(next?.seq, tip + 1)
    const stored = await ids(log)
    for (const { id, seq } of [...acknowledged, next as NonNullable<typeof next>])
      assert.equal(stored.get(`1/${seq}`), Buffer.from(id).toString('hex'))
    assert.equal((await verify(log, mesh.alice)).fault, null)
    await log.close()
    await store.reopen()
    const again = await openLog(mesh, mesh.alice, { store })
    assert.deepEqual(again.damaged, [])
    assert.equal(again.ownChain().tips[0]?.lastSeq, tip + 1)
  })
}

test('while the store cannot be opened again callers are refused at once, and ingest says failed', async () => {
  const store = new MemoryStore()
  let open: () => void = () => undefined
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  let tries = 0
  const reopen = store.reopen.bind(store)
  const log = await founded(mesh, { store, pause: () => opened })
  store.reopen = async () => {
    if (tries++ === 0) throw new Error('still full')
    await reopen()
  }
  store.failNextWrites({ code: 'STORE_FULL', applied: false })
  await assert.rejects(log.append([note('refused')]), hasCode('STORE_FULL'))
  await until('the first attempt', () => tries === 1)
  await assert.rejects(log.append([note('refused too')]), hasCode('STORE_FULL'))
  assert.deepEqual(kinds(await log.ingest(build(mesh, mesh.bob, [OPENED]).frame, 'sync')), ['failed'])
  assert.equal(log.failure, 'STORE_FULL')
  open()
  await until('the log goes on', () => log.failure === null)
  assert.deepEqual(kinds(await log.ingest(build(mesh, mesh.bob, [OPENED]).frame, 'sync')), ['stored'])
})

test('a listener that throws fails nobody’s append', async () => {
  const log = await founded(mesh)
  let heard = 0
  log.onCommit(() => {
    throw new Error('a listener')
  })
  log.onCommit(() => {
    heard++
  })
  assert.equal((await log.append([note('fine')])).length, 1)
  assert.equal(heard, 1)
  assert.equal(log.failure, null)
})

test('the founder’s chain begins with its mesh', async () => {
  const log = await openLog(mesh, mesh.alice)
  const receipts = await log.append(founding(mesh))
  assert.deepEqual(
    receipts.map(({ seq }) => seq),
    [1, 2]
  )
  assert.equal(log.view.founder, mesh.alice.publicKeyHex)
})
