// What other nodes send costs this one a bounded amount, and what they show is looked at once it can be.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LIMITS } from '../../src/base/limits.ts'
import { makeInstance, signBeacon } from '../../src/log/beacon.ts'
import { sealStatement } from '../../src/log/statement.ts'
import { Bench, find, keyOf, lineOf, sent } from './bench-machine.ts'

const alice = keyOf('alice')
const bob = keyOf('bob')

test('CHAIN-3 a fresh member takes the sealed heads from the first frontier that it is shown, before any event', () => {
  const bench = new Bench()
  bench.start([alice, bob])
  bench.up('bob', bob)
  const tip = lineOf(alice, 5)[4]!
  const claims = [{ key: tip.key, tips: [], head: tip, forked: false }]
  const effects = bench.message('bob', { kind: 'frontier', round: 1, last: true, claims })
  assert.deepEqual(
    find(effects, 'witness')?.heads.map(({ lastSeq }) => lastSeq),
    [5]
  )
})

test('SYNC-3 gossip of those who are no members is neither stored nor parked', () => {
  const bench = new Bench()
  bench.start([bob])
  bench.up('bob', bob)
  for (const head of lineOf(alice, 3)) {
    const effects = bench.step({ kind: 'gossip', peer: 'bob', head, frame: new Uint8Array(100) })
    assert.equal(find(effects, 'ingest'), undefined)
  }
  assert.equal(bench.machine.sizes().parkedBytes, 0)
})

test('SYNC-3 parked gossip is bounded over all authors together', () => {
  const perAuthor = 3
  const size = Math.floor(LIMITS.parkedBytesPerAuthorMax / perAuthor) - 1024
  const authors = Array.from({ length: 24 }, (_, index) => keyOf(`author ${index}`))
  const bench = new Bench()
  bench.start([...authors, bob])
  bench.up('bob', bob)
  const frame = new Uint8Array(size)
  for (const key of authors)
    for (const head of lineOf(key, 1 + perAuthor).slice(1)) bench.step({ kind: 'gossip', peer: 'bob', head, frame })
  const { parkedBytes } = bench.machine.sizes()
  assert.ok(authors.length * perAuthor * size > LIMITS.parkedBytesMax)
  assert.ok(parkedBytes <= LIMITS.parkedBytesMax && parkedBytes > LIMITS.parkedBytesMax / 2, `${parkedBytes}`)
})

test('SYNC-3 a peer whose messages exceed its budget is at fault and in the end disconnected; one within it is not', () => {
  const bench = new Bench()
  bench.start([alice, bob])
  bench.up('alice', alice)
  bench.up('bob', bob)
  const digest = { kind: 'digest', digest: new Uint8Array(32), asks: false } as const
  const flood = Array.from({ length: LIMITS.peerMessagesBurst }, () => bench.message('bob', digest)).flat()
  assert.equal(find(flood, 'penalise')?.fault, 'flood')
  assert.equal(find(flood, 'disconnect')?.peer, 'bob')
  assert.equal(sent(bench.message('bob', digest), 'frontier').length, 0)
  for (let second = 0; second < 20; second++) {
    const effects = [...bench.message('alice', digest), ...bench.later(1000)]
    assert.equal(find(effects, 'penalise'), undefined)
  }
})

test('SYNC-3 a beacon of another mesh says nothing of a chain here and costs its sender', () => {
  const bench = new Bench()
  bench.start([alice, bob])
  bench.up('bob', bob)
  const tip = lineOf(alice, 1)[0]!
  const instance = makeInstance(1, new Uint8Array(8))
  for (const [mesh, fault] of [
    [tip.mesh, undefined],
    [new Uint8Array(32).fill(1), 'beacon-invalid']
  ] as const) {
    const head = sealStatement({ ...tip, mesh }, alice)
    const bytes = signBeacon({ head, timeMs: 1, instance }, alice)
    assert.equal(find(bench.message('bob', { kind: 'beacon', bytes }), 'penalise')?.fault, fault)
  }
})
