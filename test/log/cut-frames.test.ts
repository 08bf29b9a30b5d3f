import assert from 'node:assert/strict'
import { test } from 'node:test'
import { stateHash } from '../../src/log/state-hash.ts'
import { chainKeyOf } from '../../src/log/statement.ts'
import { founded, kinds, note, openLog, testMesh, tipOf, verify } from './log-kit.ts'

const mesh = testMesh()
const aliceKey = chainKeyOf(mesh.alice.publicKey, 0, 1)

test('SYNC-5 a frame that is cut at any byte leaves whole appends, and what is asked for behind them is written once', async () => {
  const alice = await founded(mesh)
  for (let round = 0; round < 3; round++) await alice.append([note(`alice ${round}`)])
  const tip = tipOf(alice, aliceKey)
  const end = { seq: tip.lastSeq, link: tip.link }
  const whole = await alice.readRange(aliceKey, null, end, 1e6)
  assert.ok(typeof whole !== 'string' && !whole.more)
  const appends = alice.check(whole.bytes).appends.length
  const wanted = await stateHash(alice)
  const stops = new Set<number>()
  // A stride that is prime to the sizes of the layout, so that cuts fall everywhere in it.
  const cuts = Array.from({ length: Math.ceil(whole.bytes.length / 13) }, (_, index) => 13 * index)
  for (const cut of [...cuts, whole.bytes.length - 1, whole.bytes.length]) {
    const carol = await openLog(mesh, mesh.carol)
    const first: string[] = kinds(await carol.ingest(whole.bytes.subarray(0, cut), 'sync')).filter(
      (kind) => kind !== 'invalid'
    )
    const held = carol.chains.get(aliceKey)?.tips[0]
    stops.add(held?.lastSeq ?? 0)
    assert.equal(held === undefined ? 'LOG_UNKNOWN' : null, (await verify(carol, mesh.alice)).fault?.code ?? null)
    const after = held === undefined ? null : { seq: held.lastSeq, link: held.link }
    const rest = await alice.readRange(aliceKey, after, end, 1e6)
    assert.ok(typeof rest !== 'string')
    const second = rest.bytes.length === 0 ? [] : kinds(await carol.ingest(rest.bytes, 'sync'))
    assert.deepEqual(
      [...first, ...second],
      Array.from({ length: appends }, () => 'stored'),
      `cut at byte ${cut}`
    )
    assert.deepEqual(new Set(kinds(await carol.ingest(whole.bytes, 'sync'))), new Set(['known']))
    assert.equal((await verify(carol, mesh.alice)).events, tip.lastSeq)
    assert.equal(await stateHash(carol), wanted)
    await carol.close()
  }
  assert.equal(stops.size, appends + 1, 'every append was once the last whole one')
})
