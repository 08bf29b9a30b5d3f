import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LIMITS } from '../../src/base/limits.ts'
import type { Head } from '../../src/log/statement.ts'
import type { Effect } from '../../src/replication/contract.ts'
import { Bench, find, keyOf, lineOf, sent } from './bench-machine.ts'

const authors = Array.from({ length: 2 * LIMITS.fetchesPerPeerMax }, (_, index) => keyOf(`author ${index}`))
const heads = authors.map((key) => lineOf(key, 3)[2]!)
const peers = ['bob', 'carol', 'dave'].map((name) => ({ name, key: keyOf(name) }))

/** A whole frontier that shows a line of every author, its heads found good. */
function showsAll(bench: Bench, peer: string): readonly Effect[] {
  const claims = heads.map((head: Head) => ({
    key: head.key,
    tips: [{ seq: head.lastSeq, link: head.link.subarray(0, 16) }],
    head,
    forked: false
  }))
  const effects = bench.message(peer, { kind: 'frontier', round: 1, last: true, claims })
  const ticket = find(effects, 'witness')?.ticket
  assert.ok(ticket !== undefined)
  return [...effects, ...bench.step({ kind: 'witnessed', ticket, valid: heads.map(() => true) })]
}

function joined(): Bench {
  const bench = new Bench()
  bench.start([...authors, ...peers.map(({ key }) => key)])
  for (const { name, key } of peers) bench.up(name, key)
  return bench
}

test('SYNC-7 a new member fetches several chains at once, from several peers, each chain from one', () => {
  const bench = joined()
  const effects = ['bob', 'carol'].flatMap((name) => showsAll(bench, name))
  assert.equal(sent(effects, 'fetch', 'bob').length, LIMITS.fetchesPerPeerMax)
  assert.equal(sent(effects, 'fetch', 'carol').length, LIMITS.fetchesPerPeerMax)
  assert.deepEqual(new Set(sent(effects, 'fetch').map(({ key }) => key)), new Set(heads.map(({ key }) => key)))
})

test('SYNC-7 of many peers one that never serves stops no chain: what it was asked for is asked of the others', () => {
  const bench = joined()
  const effects = peers.flatMap(({ name }) => showsAll(bench, name))
  const silent = sent(effects, 'fetch', 'bob')
  assert.equal(silent.length, LIMITS.fetchesPerPeerMax)
  for (const name of ['carol', 'dave'])
    for (const { id } of sent(effects, 'fetch', name)) bench.message(name, { kind: 'end', id, reason: 'busy' })
  const moved = bench.later(LIMITS.fetchStallMs)
  const asked = new Set(['carol', 'dave'].flatMap((name) => sent(moved, 'fetch', name).map(({ key }) => key)))
  assert.deepEqual(
    silent.filter(({ key }) => !asked.has(key)),
    []
  )
  assert.equal(sent(moved, 'fetch', 'bob').filter(({ key }) => silent.some((fetch) => fetch.key === key)).length, 0)
})
