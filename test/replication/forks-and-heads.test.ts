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
  bench.start([], {
    chains: [stateOf(alice, [tip])],
    members: [{ key: OWN.publicKeyHex, removed: false, admits: true }]
  })
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
  const wanted = bench.step({
    kind: 'chain',
    state: stateOf(alice, [line[19]!], { fork, wanted: [line[19]!, right[24]!], witness: right[24]! })
  })
  const [fetch] = sent(wanted, 'fetch')
  assert.equal(fetch?.tip.seq, 30)
})

test('CHAIN-3 a head above what is stored raises the witness, and the chain reads behind', () => {
  const bench = new Bench()
  bench.start([alice, bob], { chains: [stateOf(alice, [line[9]!])] })
  bench.up('bob', bob)
  const effects = bench.step({
    kind: 'beacon',
    beacon: { head: tip, timeMs: 1, instance: makeInstance(1, new Uint8Array(8)) }
  })
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
  const members = [OWN, alice, bob, carol].map((key) => ({
    key: key.publicKeyHex,
    removed: key === bob,
    admits: key === OWN
  }))
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
