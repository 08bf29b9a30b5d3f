// Reading: pages by time, type, scope and author, and events in the order of their arrival.

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { prng } from '../../simulations/prng.ts'
import { toHex } from '../../src/base/bytes.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { isMeshError } from '../../src/base/mesh-error.ts'
import { type Arrival, arrivals, cursorOfNow } from '../../src/log/arrivals.ts'
import type { EventLog } from '../../src/log/event-log.ts'
import { type EventPosition, type EventQuery, queryEvents, queryPage } from '../../src/log/event-query.ts'
import { compareEvents, type LoggedEvent, loggedEvents } from '../../src/log/logged-event.ts'
import { verifyLog } from '../../src/log/verify-log.ts'
import { MemoryStore } from '../../src/store/memory-store.ts'
import { openLevelStore } from '../../src/store/open-level-store.ts'
import {
  type Built,
  build,
  founded,
  note,
  OPENED,
  openLog,
  pull,
  remove,
  testMesh,
  tipOf,
  until,
  VirtualClock
} from './log-kit.ts'

const mesh = testMesh()
const hasCode = (code: string) => (error: unknown) => isMeshError(error) && error.code === code
const placeOf = ({ author, chain, epoch, seq }: LoggedEvent): string => `${author.slice(0, 6)} ${chain}/${epoch}/${seq}`

/** All events that count, straight from the appends, in display order. */
async function expected(log: EventLog, query: EventQuery): Promise<string[]> {
  const events: LoggedEvent[] = []
  for await (const { head, blocks } of log.reader.all(null))
    events.push(...loggedEvents(log.mesh, log.view, head, blocks))
  const scope = query.scope === undefined ? null : toHex(query.scope)
  const { author, type, fromMs = 0, toMs = Number.POSITIVE_INFINITY } = query
  const matching = events.filter(
    (event) =>
      (author === undefined || event.author === author) &&
      (type === undefined || event.type === type) &&
      (scope === null || toHex(event.scope) === scope) &&
      event.stamp.ms >= fromMs &&
      event.stamp.ms <= toMs
  )
  matching.sort(compareEvents)
  return (query.newestFirst === true ? matching.reverse() : matching).map(placeOf)
}

/** A log of three authors whose clocks wander: times fall inside appends, across appends and across authors. */
async function wandering(seed: number): Promise<{ log: EventLog; startMs: number }> {
  const random = prng(seed, 'wandering')
  const clock = new VirtualClock()
  const startMs = clock.ms
  const log = await founded(mesh, { clock })
  const chains: Record<'bob' | 'carol', Built | null> = { bob: null, carol: null }
  for (let round = 0; round < 40; round++) {
    clock.ms += random.below(300)
    const scope = Buffer.alloc(16, 1 + random.below(3))
    const drafts = Array.from({ length: 1 + random.below(6) }, (_, index) =>
      random.chance(0.3) ? { ...note(`${index}`, scope), type: 'app-other' } : note(`${index}`, scope)
    )
    if (random.chance(0.3)) {
      await log.append(drafts)
      continue
    }
    const who = random.pick(['bob', 'carol'] as const)
    let ms = clock.ms - random.below(2000)
    const before = chains[who]
    const built: Built = buildWandering(mesh[who], drafts, before, () => {
      ms += random.below(400) - 150
      return { ms, counter: random.below(3) }
    })
    await log.ingest(built.frame, 'sync')
    chains[who] = built
  }
  return { log, startMs }
}

function buildWandering(
  key: (typeof mesh)['bob'],
  drafts: Parameters<typeof build>[2],
  before: Built | null,
  stamp: () => { ms: number; counter: number }
): Built {
  return build(mesh, key, drafts, { after: before?.head ?? null, stamps: stamp })
}

test('queries give every matching event once, in order, whatever the clocks did', async () => {
  for (const seed of [1, 2, 3]) {
    const { log, startMs } = await wandering(seed)
    const queries: EventQuery[] = [
      {},
      { type: 'app-note' },
      { type: 'app-other' },
      { scope: Buffer.alloc(16, 2) },
      { scope: Buffer.alloc(16, 2), type: 'app-other' },
      { author: mesh.bob.publicKeyHex },
      { author: mesh.bob.publicKeyHex, type: 'app-note', fromMs: startMs + 1000, toMs: startMs + 3000 },
      { fromMs: startMs + 1500, toMs: startMs + 1600 },
      { type: 'app-nothing' }
    ]
    for (const base of queries) {
      for (const query of [base, { ...base, newestFirst: true }]) {
        const found: string[] = []
        for await (const event of queryEvents(log, query)) found.push(placeOf(event))
        assert.deepEqual(found, await expected(log, query), JSON.stringify(query))
        for (const limit of [1, 7])
          assert.deepEqual(await allPages(log, query, limit), found, `${JSON.stringify(query)} by ${limit}`)
      }
    }
  }
})

async function allPages(log: EventLog, query: EventQuery, limit: number): Promise<string[]> {
  const found: string[] = []
  let after: EventPosition | null = null
  do {
    const page: { events: LoggedEvent[]; next: EventPosition | null } = await queryPage(
      log,
      after === null ? query : { ...query, after },
      limit
    )
    assert.ok(page.events.length <= limit)
    found.push(...page.events.map(placeOf))
    after = page.next
  } while (after !== null)
  return found
}

test('pages go on without a gap or a duplicate while events are appended', async () => {
  for (const newestFirst of [false, true]) {
    const { log } = await wandering(5)
    const before = await expected(log, { newestFirst })
    const found: string[] = []
    let after: EventPosition | null = null
    do {
      const query: EventQuery = after === null ? { newestFirst } : { newestFirst, after }
      const page: { events: LoggedEvent[]; next: EventPosition | null } = await queryPage(log, query, 9)
      found.push(...page.events.map(placeOf))
      await log.append([note('meanwhile')])
      after = found.length > 2 * before.length ? null : page.next
    } while (after !== null)
    assert.equal(new Set(found).size, found.length, 'no duplicate')
    assert.deepEqual(
      found.filter((place) => before.includes(place)),
      before,
      'no gap'
    )
  }
})

test('queries leave out branches and what stands behind a cut', async () => {
  const log = await founded(mesh)
  const root = build(mesh, mesh.bob, [OPENED])
  const x = build(mesh, mesh.bob, [note('x')], { after: root.head, salt: 1 })
  const y = build(mesh, mesh.bob, [note('y')], { after: root.head, salt: 2 })
  const carols = build(mesh, mesh.carol, [OPENED])
  const more = build(mesh, mesh.carol, [note('more')], { after: carols.head })
  for (const { frame } of [root, x, y, carols, more]) await log.ingest(frame, 'sync')
  await remove(log, mesh.carol.publicKeyHex, new Map([[carols.head.key, carols.head]]))
  assert.deepEqual((await queryPage(log, { type: 'app-note' }, 10)).events, [])
  assert.equal((await queryPage(log, { author: mesh.bob.publicKeyHex }, 10)).events.length, 1)
})

/** Takes `count` arrivals and ends the subscription. */
async function take(log: EventLog, cursor: string | null, count: number): Promise<Arrival[]> {
  const abort = new AbortController()
  const taken: Arrival[] = []
  if (count === 0) return taken
  for await (const arrival of arrivals(log, cursor, abort.signal)) {
    taken.push(arrival)
    if (taken.length === count) break
  }
  return taken
}

test('RPC-4 arrivals resume from every cursor without a gap or a duplicate, also after a restart', async () => {
  const store = new MemoryStore()
  const alice = await founded(mesh, { store })
  const bob = await openLog(mesh, mesh.bob)
  await pull(alice, bob)
  await bob.append([OPENED, note('b1'), note('b2')])
  await Promise.all(Array.from({ length: 9 }, (_, index) => alice.append([note(`a${index}`), note(`a${index}+`)])))
  await pull(bob, alice)
  await alice.append([note('last')])
  const total = 2 + 2 + 3 + 18 + 1
  const all = await take(alice, null, total)
  assert.equal(new Set(all.map(({ event }) => toHex(event.id))).size, total)
  assert.equal(new Set(all.map(({ cursor }) => cursor)).size, total)
  await alice.close()
  await store.reopen()
  const again = await openLog(mesh, mesh.alice, { store })
  for (const [index, { cursor }] of all.entries()) {
    const rest = await take(again, cursor, total - index - 1)
    assert.deepEqual(
      rest.map(({ event }) => toHex(event.id)),
      all.slice(index + 1).map(({ event }) => toHex(event.id))
    )
  }
})

test('RPC-4 arrivals go on live in the order of the commits, from now on when asked, and end with their signal', async () => {
  const log = await founded(mesh)
  const abort = new AbortController()
  const heard: string[] = []
  const listening = (async () => {
    for await (const { event } of arrivals(log, await cursorOfNow(log), abort.signal))
      heard.push(JSON.parse(Buffer.from(event.payload ?? []).toString()).text as string)
  })()
  for (let index = 0; index < 150; index++) await log.append([note(`${index}`)])
  await until('all events', () => heard.length === 150)
  await Promise.all(Array.from({ length: 50 }, (_, index) => log.append([note(`${150 + index}`)])))
  await until('the rest', () => heard.length === 200)
  assert.deepEqual(
    heard,
    Array.from({ length: 200 }, (_, index) => `${index}`)
  )
  abort.abort()
  await listening
})

test('RPC-4 a slow consumer gets everything later, and holds no iterator of the store open meanwhile', async () => {
  let open = 0
  class CountingStore extends MemoryStore {
    override entries(range: Parameters<MemoryStore['entries']>[0]) {
      const inner = super.entries(range)
      return (async function* () {
        open++
        try {
          yield* inner
        } finally {
          open--
        }
      })()
    }
  }
  const log = await founded(mesh, { store: new CountingStore() })
  const iterator = arrivals(log, await cursorOfNow(log), new AbortController().signal)
  const first = iterator.next()
  for (let index = 0; index < 300; index++) await log.append([note(`${index}`)])
  await first
  assert.equal(open, 0)
  for (let index = 1; index < 300; index++) {
    const { value } = (await iterator.next()) as { value: Arrival }
    assert.equal(JSON.parse(Buffer.from(value.event.payload ?? []).toString()).text, `${index}`)
  }
  await iterator.return(undefined)
})

test('RPC-4 arrivals leave out what does not count and what is behind a cut; a cursor of elsewhere is refused', async () => {
  const log = await founded(mesh)
  const start = await cursorOfNow(log)
  const root = build(mesh, mesh.bob, [OPENED])
  const x = build(mesh, mesh.bob, [note('x')], { after: root.head, salt: 1 })
  const y = build(mesh, mesh.bob, [note('y')], { after: root.head, salt: 2 })
  const carols = build(mesh, mesh.carol, [OPENED])
  const more = build(mesh, mesh.carol, [note('more')], { after: carols.head })
  for (const { frame } of [root, x, y, carols, more]) await log.ingest(frame, 'sync')
  await remove(log, mesh.carol.publicKeyHex, new Map([[carols.head.key, carols.head]]))
  await until('the quarantine', () => tipOf(log, carols.head.key).lastSeq === 1)
  const types = (await take(log, start, 3)).map(
    ({ event }) => `${event.author === mesh.alice.publicKeyHex ? 'alice' : 'others'} ${event.type}`
  )
  assert.deepEqual(types, ['others chain-opened', 'others chain-opened', 'alice member-removed'])
  for (const cursor of ['', 'x', '1.2', '99.0.00000001', `${start}0`, '1.0.deadbeef'])
    await assert.rejects(take(log, cursor, 1), hasCode('EVENT_UNKNOWN'))
})

/** `VERIFY_EVENTS=1000000 node --test --test-name-pattern=CHAIN-11 test/log/log-query.test.ts` for the million. */
const VERIFY_EVENTS = Number(process.env['VERIFY_EVENTS'] ?? 100_000)

test('CHAIN-11 many events on the disk verify in bounded memory', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'pmesh-verify-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const places = { folder: join(folder, 'store'), backups: join(folder, 'backups') }
  const store = await openLevelStore({ ...places, expectedMesh: mesh.id, logger: silentLogger })
  t.after(() => store.close())
  const log = await founded(mesh, { store })
  const payload = Buffer.from(JSON.stringify({ text: 'x'.repeat(20) }))
  const drafts = Array.from({ length: 800 }, () => ({ type: 'app-note', payload }))
  for (let events = 0; events < VERIFY_EVENTS; events += drafts.length) await log.append(drafts)
  globalThis.gc?.()
  const before = process.memoryUsage().rss
  let highest = before
  const progress = (): void => {
    highest = Math.max(highest, process.memoryUsage().rss)
  }
  const [report] = await verifyLog(log.state, log.reader, {
    author: mesh.alice.publicKeyHex,
    signal: new AbortController().signal,
    progress
  })
  assert.equal(report?.fault, null)
  assert.ok((report?.events ?? 0) >= VERIFY_EVENTS)
  assert.ok(highest - before < 150 * 1024 * 1024, `grew by ${Math.round((highest - before) / 1e6)} MB`)
})

test('a verification that is aborted ends with the reason of its signal', async () => {
  const log = await founded(mesh)
  const abort = new AbortController()
  const run = verifyLog(log.state, log.reader, {
    author: null,
    signal: abort.signal,
    progress: () => abort.abort(new Error('enough'))
  })
  await assert.rejects(run, /enough/)
})
