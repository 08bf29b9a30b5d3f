import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LIMITS } from '../../src/base/limits.ts'
import { Bench, find, keyOf, lineOf, sent, stateOf } from './bench-machine.ts'

const alice = keyOf('alice')
const bob = keyOf('bob')
const line = lineOf(alice, 30)
const tip = line[29]!

test('SYNC-1 a node that shows more is asked for what is missing, and only behind the own tip', () => {
  const bench = new Bench()
  bench.start([alice, bob], { chains: [stateOf(alice, [line[9]!])] })
  bench.up('bob', bob)
  const [fetch] = sent(bench.shows('bob', tip), 'fetch')
  assert.equal(fetch?.after?.seq, 10)
  assert.equal(fetch?.tip.seq, 30)
})

test('SYNC-1 frontiers are exchanged on every connection at fixed times, without gossip and without writes', () => {
  const bench = new Bench()
  bench.start([alice, bob])
  assert.equal(sent(bench.up('alice', alice), 'digest').length, 1)
  assert.equal(sent(bench.up('bob', bob), 'digest').length, 1)
  const effects = bench.later(2 * LIMITS.frontierIntervalMs)
  assert.equal(sent(effects, 'digest', 'alice').length, 1)
  assert.equal(sent(effects, 'digest', 'bob').length, 1)
})

test('SYNC-1 a gossiped append that follows is stored; one that comes too early is parked until the gap closes', () => {
  const bench = new Bench()
  bench.start([alice, bob], { chains: [stateOf(alice, [line[0]!])] })
  bench.up('bob', bob)
  const frame = new Uint8Array(100)
  assert.ok(find(bench.step({ kind: 'gossip', peer: 'bob', head: line[1]!, frame }), 'ingest'))
  assert.equal(find(bench.step({ kind: 'gossip', peer: 'bob', head: line[3]!, frame }), 'ingest'), undefined)
  const closed = bench.step({ kind: 'chain', state: stateOf(alice, [line[2]!]) })
  assert.ok(find(closed, 'ingest'))
  assert.equal(bench.machine.sizes().parkedBytes, 0)
})

test('SYNC-3 parked gossip is bounded per author and in all, whatever comes', () => {
  const bench = new Bench()
  bench.start([alice, bob])
  bench.up('bob', bob)
  for (const head of lineOf(alice, 200).slice(1))
    bench.step({ kind: 'gossip', peer: 'bob', head, frame: new Uint8Array(32 * 1024) })
  assert.ok(bench.machine.sizes().parkedBytes <= LIMITS.parkedBytesPerAuthorMax)
  assert.ok(bench.machine.sizes().parkedBytes > LIMITS.parkedBytesPerAuthorMax / 2)
})

test('SYNC-3 a peer that sends what nobody asked for is penalised and in the end disconnected', () => {
  const bench = new Bench()
  bench.start([alice, bob])
  bench.up('bob', bob)
  const effects = Array.from({ length: LIMITS.peerFaultsMax }, () =>
    bench.message('bob', { kind: 'frame', id: 99, bytes: new Uint8Array(10) })
  ).flat()
  assert.equal(find(effects, 'ingest'), undefined)
  assert.equal(find(effects, 'penalise')?.fault, 'frame-unasked')
  assert.equal(find(effects, 'disconnect')?.reason, 'misbehaving')
})

test('SYNC-3 a flood of every message keeps the machine small', () => {
  const bench = new Bench()
  bench.start([alice, bob], { chains: [stateOf(alice, [tip])] })
  bench.up('bob', bob)
  const place = { seq: 30, link: tip.link }
  for (let round = 1; round < 3000; round++) {
    bench.message('bob', { kind: 'fetch', id: round, key: tip.key, after: null, tip: place })
    bench.message('bob', { kind: 'probe', id: round, key: tip.key, tip: place, seqs: [1, 2, 3] })
    bench.message('bob', { kind: 'credit', bytes: 1 })
    bench.message('bob', { kind: 'digest', digest: new Uint8Array(32), asks: false })
    bench.message('bob', {
      kind: 'frontier',
      round,
      last: false,
      claims: [{ key: tip.key, tips: [{ seq: 31, link: new Uint8Array(16) }], head: null, forked: false }]
    })
  }
  const sizes = bench.machine.sizes()
  assert.ok(sizes.serves <= 2 * LIMITS.servesPerPeerMax + 1, JSON.stringify(sizes))
  assert.ok(sizes.tickets < 64, JSON.stringify(sizes))
  assert.ok(sizes.claims <= 1)
})

test('SYNC-4 the giving side sends no more frame bytes than were granted, and goes on when more are', () => {
  const bench = new Bench()
  bench.start([alice, bob], { chains: [stateOf(alice, [tip])] })
  bench.up('bob', bob)
  let effects = bench.message('bob', {
    kind: 'fetch',
    id: 1,
    key: tip.key,
    after: null,
    tip: { seq: 30, link: tip.link }
  })
  let given = 0
  for (let read = find(effects, 'read-range'); read !== undefined; read = find(effects, 'read-range')) {
    const result = { bytes: new Uint8Array(LIMITS.frameBytesMax), last: { seq: 1 + given, link: tip.link }, more: true }
    effects = bench.step({ kind: 'range', ticket: read.ticket, result })
    given += sent(effects, 'frame').length
    assert.ok(given <= LIMITS.framesOpenMax)
  }
  assert.equal(given, LIMITS.framesOpenMax)
  assert.ok(find(bench.message('bob', { kind: 'credit', bytes: LIMITS.frameBytesMax }), 'read-range'))
})

test('SYNC-4 credit comes back only when a frame was stored, and more than the window ends the connection', () => {
  const bench = new Bench()
  bench.start([alice, bob])
  bench.up('bob', bob)
  const [fetch] = sent(bench.shows('bob', tip), 'fetch')
  const frame = { kind: 'frame' as const, id: fetch!.id, bytes: new Uint8Array(LIMITS.frameBytesMax) }
  const first = bench.message('bob', frame)
  assert.equal(sent(first, 'credit').length, 0)
  const stored = bench.step({
    kind: 'ingested',
    ticket: find(first, 'ingest')!.ticket,
    outcomes: [{ kind: 'stored', key: tip.key, head: line[0]! }]
  })
  assert.equal(sent(stored, 'credit')[0]?.bytes, LIMITS.frameBytesMax)
  const flood = Array.from({ length: LIMITS.framesOpenMax + 1 }, () => bench.message('bob', frame)).flat()
  assert.equal(find(flood, 'disconnect')?.reason, 'misbehaving')
})

test('SYNC-4 a long transfer is never taken for a flood: credits of whole frames cost nothing', () => {
  const bench = new Bench()
  bench.start([alice, bob], { chains: [stateOf(alice, [tip])] })
  bench.up('bob', bob)
  let effects = bench.message('bob', {
    kind: 'fetch',
    id: 1,
    key: tip.key,
    after: null,
    tip: { seq: 30, link: tip.link }
  })
  for (let frame = 0; frame < 5000; frame++) {
    const read = find(effects, 'read-range')
    assert.ok(read, `frame ${frame}`)
    const result = { bytes: new Uint8Array(LIMITS.frameBytesMax), last: { seq: 1, link: tip.link }, more: true }
    const given = bench.step({ kind: 'range', ticket: read.ticket, result })
    effects = [...given, ...bench.message('bob', { kind: 'credit', bytes: LIMITS.frameBytesMax })]
    assert.equal(find(effects, 'penalise'), undefined)
  }
})

test('SYNC-4 nothing large is sent to a peer whose queue is full', () => {
  const bench = new Bench()
  bench.start([alice, bob], { chains: [stateOf(alice, [tip])] })
  bench.up('bob', bob)
  bench.step({ kind: 'writable', peer: 'bob', writable: false })
  assert.deepEqual(
    bench
      .message('bob', { kind: 'digest', digest: new Uint8Array(32), asks: false })
      .filter(({ kind }) => kind === 'send'),
    []
  )
  assert.equal(
    find(
      bench.message('bob', { kind: 'fetch', id: 1, key: tip.key, after: null, tip: { seq: 30, link: tip.link } }),
      'read-range'
    ),
    undefined
  )
  const resumed = bench.step({ kind: 'writable', peer: 'bob', writable: true })
  assert.equal(sent(resumed, 'frontier').length, 1)
  assert.ok(find(resumed, 'read-range'))
})

test('SYNC-5 a fetch that breaks off goes on behind the last whole append that was stored', () => {
  const bench = new Bench()
  bench.start([alice, bob])
  bench.up('bob', bob)
  bench.shows('bob', tip)
  bench.step({ kind: 'chain', state: stateOf(alice, [line[11]!], { witness: tip }) })
  bench.step({ kind: 'peer-down', peer: 'bob' })
  bench.up('bob', bob)
  const [fetch] = sent(bench.shows('bob', tip), 'fetch')
  assert.equal(fetch?.after?.seq, 12)
})

test('SYNC-7 a fetch without progress goes to another peer, and the first is blamed', () => {
  const bench = new Bench()
  const carol = keyOf('carol')
  bench.start([alice, bob, carol])
  bench.up('bob', bob)
  bench.up('carol', carol)
  bench.shows('bob', tip)
  bench.shows('carol', tip)
  const effects = bench.later(LIMITS.fetchStallMs)
  assert.equal(sent(effects, 'cancel', 'bob').length, 1)
  assert.equal(find(effects, 'penalise')?.fault, 'claim-not-served')
  assert.equal(sent(effects, 'fetch', 'carol').length, 1)
})

test('SYNC-7 a frame that does not hold goes to the sender’s account and another peer is asked', () => {
  const bench = new Bench()
  const carol = keyOf('carol')
  bench.start([alice, bob, carol])
  bench.up('bob', bob)
  bench.up('carol', carol)
  const [fetch] = sent(bench.shows('bob', tip), 'fetch')
  bench.shows('carol', tip)
  const frame = bench.message('bob', { kind: 'frame', id: fetch!.id, bytes: new Uint8Array(10) })
  const effects = bench.step({
    kind: 'ingested',
    ticket: find(frame, 'ingest')!.ticket,
    outcomes: [{ kind: 'invalid', key: null, code: 'LOG_SEAL_INVALID' }]
  })
  assert.equal(find(effects, 'penalise')?.fault, 'frame-invalid')
  assert.equal(sent(effects, 'fetch', 'carol').length, 1)
})

test('SYNC-7 a claim above what is known is believed only after its sealed head was checked', () => {
  const bench = new Bench()
  bench.start([alice, bob])
  bench.up('bob', bob)
  const claims = [{ key: tip.key, tips: [{ seq: 30, link: tip.link.subarray(0, 16) }], head: tip, forked: false }]
  const effects = bench.message('bob', { kind: 'frontier', round: 1, last: true, claims })
  assert.equal(sent(effects, 'fetch').length, 0)
  const refused = bench.step({ kind: 'witnessed', ticket: find(effects, 'witness')!.ticket, valid: [false] })
  assert.equal(sent(refused, 'fetch').length, 0)
  assert.equal(find(refused, 'penalise')?.fault, 'head-invalid')
  const bare = bench.message('bob', { kind: 'frontier', round: 2, last: true, claims: [{ ...claims[0]!, head: null }] })
  assert.equal(sent(bare, 'fetch').length, 0)
})
