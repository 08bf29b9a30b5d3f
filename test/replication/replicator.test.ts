import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LIMITS } from '../../src/base/limits.ts'
import { makeInstance } from '../../src/log/beacon.ts'
import { tryForkProof } from '../../src/log/statement.ts'
import { Bench, find, keyOf, lineOf, OWN, sent, stateOf } from './bench-machine.ts'

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
  assert.equal(bench.machine.sizes()['parkedBytes'], 0)
})

test('SYNC-3 parked gossip is bounded per author and in all, whatever comes', () => {
  const bench = new Bench()
  bench.start([alice, bob])
  bench.up('bob', bob)
  for (const head of lineOf(alice, 200).slice(1)) bench.step({ kind: 'gossip', peer: 'bob', head, frame: new Uint8Array(32 * 1024) })
  assert.ok((bench.machine.sizes()['parkedBytes'] ?? 0) <= LIMITS.parkedBytesPerAuthorMax)
  assert.ok((bench.machine.sizes()['parkedBytes'] ?? 0) > LIMITS.parkedBytesPerAuthorMax / 2)
})

test('SYNC-3 a peer that sends what nobody asked for is penalised and in the end disconnected', () => {
  const bench = new Bench()
  bench.start([alice, bob])
  bench.up('bob', bob)
  const effects = Array.from({ length: LIMITS.peerFaultsMax }, () => bench.message('bob', { kind: 'frame', id: 99, bytes: new Uint8Array(10) })).flat()
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
    bench.message('bob', { kind: 'digest', digest: new Uint8Array(32) })
    bench.message('bob', { kind: 'frontier', round, last: false, claims: [{ key: tip.key, tips: [{ seq: 31, link: new Uint8Array(16) }], head: null, forked: false }] })
  }
  const sizes = bench.machine.sizes()
  assert.ok((sizes['serves'] ?? 0) <= 2 * LIMITS.servesPerPeerMax + 1, JSON.stringify(sizes))
  assert.ok((sizes['tickets'] ?? 0) < 64, JSON.stringify(sizes))
  assert.ok((sizes['claims'] ?? 0) <= 1)
})

test('SYNC-4 the giving side sends no more frame bytes than were granted, and goes on when more are', () => {
  const bench = new Bench()
  bench.start([alice, bob], { chains: [stateOf(alice, [tip])] })
  bench.up('bob', bob)
  let effects = bench.message('bob', { kind: 'fetch', id: 1, key: tip.key, after: null, tip: { seq: 30, link: tip.link } })
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
  const stored = bench.step({ kind: 'ingested', ticket: find(first, 'ingest')!.ticket, outcomes: [{ kind: 'stored', key: tip.key, head: line[0]! }] })
  assert.equal(sent(stored, 'credit')[0]?.bytes, LIMITS.frameBytesMax)
  const flood = Array.from({ length: LIMITS.framesOpenMax + 1 }, () => bench.message('bob', frame)).flat()
  assert.equal(find(flood, 'disconnect')?.reason, 'misbehaving')
})

test('SYNC-4 nothing large is sent to a peer whose queue is full', () => {
  const bench = new Bench()
  bench.start([alice, bob], { chains: [stateOf(alice, [tip])] })
  bench.up('bob', bob)
  bench.step({ kind: 'writable', peer: 'bob', writable: false })
  assert.deepEqual(bench.message('bob', { kind: 'digest', digest: new Uint8Array(32) }).filter(({ kind }) => kind === 'send'), [])
  assert.equal(find(bench.message('bob', { kind: 'fetch', id: 1, key: tip.key, after: null, tip: { seq: 30, link: tip.link } }), 'read-range'), undefined)
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
  const effects = bench.step({ kind: 'ingested', ticket: find(frame, 'ingest')!.ticket, outcomes: [{ kind: 'invalid', key: null, code: 'LOG_SEAL_INVALID' }] })
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
  assert.equal(find(bench.message('bob', { kind: 'frontier', round: 1, last: true, claims: [] }), 'state')?.state.waitsFor, 'own-log')
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
  assert.equal(find(bench.step({ kind: 'claimed', instance: earlier, timeMs: 2_000_000_030_000 }), 'state')?.state.phase, 'in-use-twice')
})

test('CHAIN-13 the earlier started copy goes on, and beacons from before this start say nothing', () => {
  const bench = new Bench(1_000_000_000_000)
  bench.start([alice])
  bench.later(LIMITS.recoveryAloneMs)
  const [head] = lineOf(OWN, 1)
  const later = makeInstance(1_000_000_005_000, new Uint8Array(8))
  for (const timeMs of [1_000_000_006_000, 1_000_000_012_000]) {
    assert.equal(find(bench.step({ kind: 'beacon', beacon: { head: head!, instance: later, timeMs } }), 'state'), undefined)
  }
  const old = makeInstance(900_000_000_000, new Uint8Array(8))
  for (const timeMs of [900_000_001_000, 900_000_009_000]) {
    assert.equal(find(bench.step({ kind: 'beacon', beacon: { head: head!, instance: old, timeMs } }), 'state'), undefined)
  }
})

test('CHAIN-5 a fork is found by a search over heads and its proof goes to every peer at once', () => {
  const right = lineOf(alice, 25, 'right', line[4]!)
  const theirs = [...line.slice(0, 5), ...right]
  const bench = new Bench()
  const carol = keyOf('carol')
  bench.start([alice, bob, carol], { chains: [stateOf(alice, [line[19]!])] })
  bench.up('bob', bob)
  bench.up('carol', carol)
  const [fetch] = sent(bench.shows('bob', theirs[29]!), 'fetch')
  let effects = bench.message('bob', { kind: 'end', id: fetch!.id, reason: 'diverged' })
  let rounds = 0
  for (let [probe] = sent(effects, 'probe'); probe !== undefined; [probe] = sent(effects, 'probe')) {
    assert.ok(++rounds < 10)
    const at = (heads: typeof line): typeof line => probe!.seqs.map((seq) => heads[seq - 1]!)
    const read = find(effects, 'read-points')!
    const first = bench.step({ kind: 'points', ticket: read.ticket, heads: at(line) })
    effects = [...first, ...bench.message('bob', { kind: 'points', id: probe.id, heads: at(theirs) })]
  }
  const found = find(effects, 'fork')
  assert.equal(found?.proof.a.firstSeq, 6)
  const known = bench.step({ kind: 'chain', state: stateOf(alice, [line[19]!], { fork: found!.proof }) })
  assert.equal(sent(known, 'proofs', 'bob').length, 1)
  assert.equal(sent(known, 'proofs', 'carol').length, 1)
})

test('CHAIN-5 who stores a branch witnesses it once; an observer does not', () => {
  const fork = tryForkProof(line[5]!, lineOf(alice, 1, 'right', line[4]!)[0]!)
  const bench = new Bench()
  bench.start([], { chains: [stateOf(alice, [tip])], members: [{ key: OWN.publicKeyHex, removed: false, admits: true }] })
  bench.step({ kind: 'chain', state: stateOf(alice, [tip], { fork }) })
  const effects = bench.later(5000)
  const record = find(effects, 'append-record')?.record
  assert.ok(record?.type === 'branch-witnessed')
  assert.equal(record.head.lastSeq, 30)
  bench.step({ kind: 'chain', state: stateOf(alice, [tip], { fork, wanted: [tip] }) })
  assert.equal(find(bench.later(60_000), 'append-record'), undefined)
  const observer = new Bench()
  observer.start([], { observer: true })
  observer.step({ kind: 'chain', state: stateOf(alice, [tip], { fork }) })
  assert.equal(find(observer.later(60_000), 'append-record'), undefined)
})

test('CHAIN-5 of a forked chain only the lines that count are fetched', () => {
  const right = lineOf(alice, 25, 'right', line[4]!)
  const fork = tryForkProof(line[5]!, right[0]!)
  const bench = new Bench()
  bench.start([alice, bob], { chains: [stateOf(alice, [line[19]!], { fork, wanted: [line[19]!] })] })
  bench.up('bob', bob)
  assert.equal(sent(bench.shows('bob', right[24]!), 'fetch').length, 0)
  const wanted = bench.step({ kind: 'chain', state: stateOf(alice, [line[19]!], { fork, wanted: [line[19]!, right[24]!], witness: right[24]! }) })
  const [fetch] = sent(wanted, 'fetch')
  assert.equal(fetch?.tip.seq, 30)
})

test('CHAIN-3 a head above what is stored raises the witness, and the chain reads behind', () => {
  const bench = new Bench()
  bench.start([alice, bob], { chains: [stateOf(alice, [line[9]!])] })
  bench.up('bob', bob)
  const effects = bench.step({ kind: 'beacon', beacon: { head: tip, timeMs: 1, instance: makeInstance(1, new Uint8Array(8)) } })
  assert.equal(find(effects, 'witness')?.heads[0]?.lastSeq, 30)
  bench.step({ kind: 'chain', state: stateOf(alice, [line[9]!], { witness: tip }) })
  const [status] = bench.machine.status().chains
  assert.deepEqual([status?.state, status?.storedSeq, status?.knownSeq], ['behind', 10, 30])
})

test('CHAIN-3 an author whose beacons go back contradicts itself', () => {
  const bench = new Bench()
  bench.start([alice], { chains: [stateOf(alice, [tip])] })
  const instance = makeInstance(1, new Uint8Array(8))
  bench.step({ kind: 'beacon', beacon: { head: tip, timeMs: 10, instance } })
  assert.equal(bench.machine.status().chains[0]?.state, 'complete')
  bench.step({ kind: 'beacon', beacon: { head: line[9]!, timeMs: 20, instance } })
  assert.equal(bench.machine.status().chains[0]?.state, 'contradicted')
})

test('MEMBER-3 a removed member is disconnected at once, its fetches end, and others are asked', () => {
  const bench = new Bench()
  const carol = keyOf('carol')
  bench.start([alice, bob, carol])
  bench.up('bob', bob)
  bench.up('carol', carol)
  bench.shows('bob', tip)
  bench.shows('carol', tip)
  const members = [OWN, alice, bob, carol].map((key) => ({ key: key.publicKeyHex, removed: key === bob, admits: key === OWN }))
  const effects = bench.step({ kind: 'members', members, selfAdmitted: true, observer: false })
  assert.deepEqual(find(effects, 'disconnect'), { kind: 'disconnect', peer: 'bob', reason: 'removed' })
  assert.equal(sent(effects, 'fetch', 'carol').length, 1)
  assert.equal(find(bench.up('bob-again', bob), 'disconnect')?.reason, 'removed')
})

test('beacons are told on change at most every 5 s, else every 15 s', () => {
  const own = lineOf(OWN, 3)
  const bench = new Bench()
  bench.start([], { chains: [stateOf(OWN, [own[0]!])] })
  assert.ok(find(bench.later(0), 'publish'))
  bench.step({ kind: 'chain', state: stateOf(OWN, [own[1]!]) })
  assert.equal(find(bench.later(LIMITS.beaconIntervalMsMin - 1), 'publish'), undefined)
  assert.ok(find(bench.later(1), 'publish'))
  assert.equal(find(bench.later(LIMITS.beaconQuietMs - 1), 'publish'), undefined)
  assert.ok(find(bench.later(1), 'publish'))
})
