import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LIMITS } from '../../src/base/limits.ts'
import { makeInstance } from '../../src/log/beacon.ts'
import { tryForkProof } from '../../src/log/statement.ts'
import { Bench, find, keyOf, lineOf, OWN, stateOf } from './bench-machine.ts'

const alice = keyOf('alice')
const bob = keyOf('bob')
const line = lineOf(alice, 30)
const _tip = line[29]!

test('SYNC-6 a mesh of one writes at once when its marker fits, and after 5 s when it does not', () => {
  const fits = new Bench()
  assert.equal(find(fits.start([]), 'state')?.state.phase, 'ready')
  const unfit = new Bench()
  assert.equal(find(unfit.start([], { markerFits: false }), 'state')?.state.phase, 'recovering')
  assert.equal(find(unfit.later(LIMITS.recoveryAloneMs), 'state')?.state.phase, 'ready')
})

test('SYNC-6 without a peer a node with a fitting marker goes on after 5 s, another waits until a person says so', () => {
  const fits = new Bench()
  fits.start([alice])
  assert.equal(find(fits.later(LIMITS.recoveryAloneMs), 'state')?.state.phase, 'ready')
  const own = lineOf(OWN, 3)
  const unfit = new Bench()
  unfit.start([alice], { markerFits: false, chains: [stateOf(OWN, [own[1]!])], markerHead: own[2]! })
  assert.equal(find(unfit.later(600_000), 'state'), undefined)
  const effects = unfit.step({ kind: 'override' })
  const record = find(effects, 'append-record')?.record
  assert.ok(record?.type === 'epoch-opened')
  assert.equal(record.missing?.lastSeq, 3)
  assert.equal(record.kept?.lastSeq, 2)
  assert.equal(find(effects, 'state')?.state.phase, 'ready')
})

test('SYNC-6 a node with peers writes only when all of them have answered and the highest sealed own head is held', () => {
  const own = lineOf(OWN, 8)
  const bench = new Bench()
  bench.start([alice, bob], { chains: [stateOf(OWN, [own[2]!])] })
  bench.up('alice', alice)
  bench.up('bob', bob)
  const shown = bench.shows('alice', own[7]!)
  assert.equal(find(shown, 'state')?.state.phase ?? 'recovering', 'recovering')
  bench.step({ kind: 'chain', state: stateOf(OWN, [own[2]!], { witness: own[7]! }) })
  bench.message('bob', { kind: 'frontier', round: 1, last: true, claims: [] })
  assert.equal(bench.machine.status().state.waitsFor, 'own-log')
  const held = bench.step({ kind: 'chain', state: stateOf(OWN, [own[7]!]) })
  assert.equal(find(held, 'state')?.state.phase, 'ready')
})

test('SYNC-6 after 60 s without progress a new epoch names the head that nobody serves', () => {
  const own = lineOf(OWN, 8)
  const bench = new Bench()
  bench.start([alice], { chains: [stateOf(OWN, [own[2]!], { witness: own[7]! })] })
  bench.up('alice', alice)
  bench.message('alice', { kind: 'frontier', round: 1, last: true, claims: [] })
  assert.equal(find(bench.later(LIMITS.recoveryStallMs - 2000), 'append-record'), undefined)
  const effects = bench.later(2000)
  const at = effects.findIndex((effect) => effect.kind === 'append-record')
  const record = find(effects, 'append-record')?.record
  assert.ok(record?.type === 'epoch-opened' && record.missing?.lastSeq === 8 && record.epoch === 2)
  assert.ok(at >= 0 && at < effects.findIndex((effect) => effect.kind === 'state' && effect.state.phase === 'ready'))
})

test('CHAIN-13 a proven fork of the own chain opens the next epoch, once, with the other branches', () => {
  const common = lineOf(OWN, 3)
  const left = lineOf(OWN, 2, 'left', common[2]!)
  const right = lineOf(OWN, 1, 'right', common[2]!)
  const fork = tryForkProof(left[0]!, right[0]!)
  const bench = new Bench()
  bench.start([], { chains: [stateOf(OWN, [left[1]!])] })
  bench.step({ kind: 'chain', state: stateOf(OWN, [left[1]!, right[0]!], { fork }) })
  const record = find(bench.later(1), 'append-record')?.record
  assert.ok(record?.type === 'epoch-opened')
  assert.equal(record.epoch, 2)
  assert.deepEqual([record.kept?.lastSeq, record.branches.map((head) => head.lastSeq)], [5, [4]])
  assert.equal(find(bench.later(1000), 'append-record'), undefined)
})

test('CHAIN-13 of two live copies the later started stops writing after the second sign of life, and a claim takes it back', () => {
  const bench = new Bench(2_000_000_000_000)
  bench.start([alice], { chains: [stateOf(OWN, lineOf(OWN, 1))] })
  bench.later(LIMITS.recoveryAloneMs)
  const [head] = lineOf(OWN, 1)
  const earlier = makeInstance(1_999_999_000_000, new Uint8Array(8))
  const beacon = { head: head!, instance: earlier, timeMs: 2_000_000_010_000 }
  assert.equal(find(bench.step({ kind: 'beacon', beacon }), 'state'), undefined)
  assert.equal(find(bench.step({ kind: 'beacon', beacon }), 'state'), undefined)
  const second = bench.step({ kind: 'beacon', beacon: { ...beacon, timeMs: 2_000_000_015_000 } })
  assert.equal(find(second, 'state')?.state.phase, 'in-use-twice')
  const claimed = bench.step({ kind: 'claim', timeMs: 2_000_000_020_000 })
  assert.ok(find(claimed, 'announce-claim'))
  assert.equal(find(claimed, 'state')?.state.phase, 'recovering')
  assert.equal(
    find(bench.step({ kind: 'claimed', instance: earlier, timeMs: 2_000_000_030_000 }), 'state')?.state.phase,
    'in-use-twice'
  )
})

test('CHAIN-13 the earlier started copy goes on, and beacons from before this start say nothing', () => {
  const bench = new Bench(1_000_000_000_000)
  bench.start([alice])
  bench.later(LIMITS.recoveryAloneMs)
  const [head] = lineOf(OWN, 1)
  const later = makeInstance(1_000_000_005_000, new Uint8Array(8))
  for (const timeMs of [1_000_000_006_000, 1_000_000_012_000]) {
    assert.equal(
      find(bench.step({ kind: 'beacon', beacon: { head: head!, instance: later, timeMs } }), 'state'),
      undefined
    )
  }
  const old = makeInstance(900_000_000_000, new Uint8Array(8))
  for (const timeMs of [900_000_001_000, 900_000_009_000]) {
    assert.equal(
      find(bench.step({ kind: 'beacon', beacon: { head: head!, instance: old, timeMs } }), 'state'),
      undefined
    )
  }
})
