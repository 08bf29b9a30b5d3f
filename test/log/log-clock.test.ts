// The hybrid clock of own and remote events.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { EventLog } from '../../src/log/event-log.ts'
import { queryPage } from '../../src/log/event-query.ts'
import { HybridClock } from '../../src/log/hybrid-clock.ts'
import { MemoryStore } from '../../src/store/memory-store.ts'
import { build, founded, kinds, note, OPENED, openLog, pull, testMesh, VirtualClock, verify } from './log-kit.ts'

const mesh = testMesh()

test('CHAIN-14 own stamps only grow while the clock stands still, goes back a little or overflows its counter', async () => {
  const clock = new VirtualClock()
  const hybrid = new HybridClock(clock)
  let last = hybrid.stamp()
  for (let index = 0; index < 70_000; index++) {
    if (index === 1000) clock.ms -= 30_000
    const stamp = hybrid.stamp()
    assert.ok(stamp.ms > last.ms || (stamp.ms === last.ms && stamp.counter === last.counter + 1))
    last = stamp
  }
  assert.deepEqual(
    last,
    { ms: 1_700_000_000_001, counter: 70_000 - 65_536 },
    'the counter carries into the milliseconds'
  )
  assert.equal(hybrid.stepBack(), null)
})

test('CHAIN-14 a clock that was set back by more than a minute appends clock-stepped and goes on at the machine’s time, once', async () => {
  const store = new MemoryStore()
  const clock = new VirtualClock()
  const log = await founded(mesh, { store, clock })
  const stepMs = 3_600_000
  clock.ms -= stepMs
  await log.append([note('after the step')])
  await log.append([note('and on')])
  const all = async (from: EventLog) =>
    (await queryPage(from, { author: mesh.alice.publicKeyHex }, 100)).events.filter(
      ({ type }) => type === 'clock-stepped' || type === 'app-note'
    )
  const events = await all(log)
  assert.deepEqual(
    events.map(({ type }) => type),
    ['clock-stepped', 'app-note', 'app-note']
  )
  assert.ok(events.every(({ stamp }) => stamp.ms === clock.ms))
  const body = JSON.parse(Buffer.from(events[0]?.payload ?? []).toString()) as { from: string; to: string }
  assert.equal(body.to, `${clock.ms}.0`)
  assert.ok(body.from.startsWith(`${clock.ms + stepMs}.`))
  await log.close()
  await store.reopen()
  const again = await openLog(mesh, mesh.alice, { store, clock })
  await again.append([note('after the restart')])
  assert.equal(
    (await all(again)).filter(({ type }) => type === 'clock-stepped').length,
    1,
    'the step is not repeated at the next start'
  )
  assert.equal((await verify(again, mesh.alice)).fault, null)
})

test('CHAIN-14 an event far in the future is stored and flagged, and drags no other clock along; one a little ahead is followed', async () => {
  const clock = new VirtualClock()
  const alice = await founded(mesh, { clock })
  const root = build(mesh, mesh.bob, [OPENED], { stamp: { ms: clock.ms + 86_400_000, counter: 0 } })
  assert.deepEqual(kinds(await alice.ingest(root.frame, 'sync')), ['stored'])
  assert.equal(alice.farFuture.get(mesh.bob.publicKeyHex), 86_400_000)
  const stampOf = async (text: string) => {
    await alice.append([note(text)])
    return (await queryPage(alice, { type: 'app-note', author: mesh.alice.publicKeyHex, newestFirst: true }, 1))
      .events[0]?.stamp
  }
  assert.equal((await stampOf('now'))?.ms, clock.ms)
  const ahead = build(mesh, mesh.carol, [OPENED], { stamp: { ms: clock.ms + 30_000, counter: 7 } })
  await alice.ingest(ahead.frame, 'sync')
  assert.deepEqual(await stampOf('causal'), { ms: clock.ms + 30_000, counter: 8 })
  const sane = build(mesh, mesh.bob, [note('sane')], { after: root.head, stamp: { ms: clock.ms, counter: 0 } })
  await alice.ingest(sane.frame, 'sync')
  assert.equal(alice.farFuture.has(mesh.bob.publicKeyHex), false, 'the flag is momentary')
  clock.ms += 200_000
  assert.equal((await stampOf('later'))?.ms, clock.ms)
})

test('CHAIN-14 what was refused moves no clock', async () => {
  const clock = new VirtualClock()
  const alice = await founded(mesh, { clock })
  await alice.ingest(build(mesh, mesh.dave, [OPENED], { stamp: { ms: clock.ms + 50_000, counter: 0 } }).frame, 'sync')
  await alice.append([note('now')])
  const { events } = await queryPage(alice, { type: 'app-note' }, 1)
  assert.equal(events[0]?.stamp.ms, clock.ms)
})

test('CHAIN-14 own events that come back from others set the own clock', async () => {
  const clock = new VirtualClock()
  const alice = await founded(mesh, { clock })
  const own = build(mesh, mesh.bob, [OPENED], { stamp: { ms: clock.ms + 40_000, counter: 3 } })
  const bob = await openLog(mesh, mesh.bob, { clock, held: true })
  await pull(alice, bob)
  await bob.ingest(own.frame, 'sync')
  clock.ms -= 30_000
  bob.setWriteMode('open')
  await bob.append([note('next')])
  const { events } = await queryPage(bob, { author: mesh.bob.publicKeyHex }, 10)
  const stamps = events.map(({ type, stamp }) => `${type} ${stamp.ms - clock.ms}`)
  assert.deepEqual(stamps, ['clock-stepped 0', 'app-note 0', 'chain-opened 70000'])
})
