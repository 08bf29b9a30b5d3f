// Events of several authors and of several chains of one author, stored in turns: each chain is verified by itself.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Head } from '../../src/log/statement.ts'
import { build, founded, kinds, note, OPENED, testMesh, verify } from './log-kit.ts'

const mesh = testMesh()
const ROUNDS = 4

test('CHAIN-6 chains of one author and of others verify in whatever turns they were stored; what is wrong with one is told of its author alone', async () => {
  const log = await founded(mesh)
  const before = (await verify(log, mesh.alice)).events
  const tips = new Map<string, Head>()
  for (let round = 0; round <= ROUNDS; round++) {
    for (const key of [mesh.bob, mesh.carol]) {
      for (const chain of [0, 1]) {
        const name = `${key.publicKeyHex} ${chain}`
        const drafts = round === 0 ? [OPENED] : [note(`${name} ${round}`), note('more')]
        const built = build(mesh, key, drafts, { chain, after: tips.get(name) ?? null })
        assert.deepEqual(kinds(await log.ingest(built.frame, 'sync')), ['stored'])
        tips.set(name, built.head)
      }
    }
    await log.append([note(`alice ${round}`)])
  }

  for (const key of [mesh.bob, mesh.carol]) {
    const { fault, sealsValid, chains, events } = await verify(log, key)
    assert.deepEqual(
      { fault, sealsValid, chains, events },
      { fault: null, sealsValid: true, chains: 2, events: 2 * (1 + 2 * ROUNDS) }
    )
  }
  assert.deepEqual((await verify(log, mesh.alice)).events, before + ROUNDS + 1)

  const unseen = build(mesh, mesh.bob, [note('cut off')], {
    chain: 1,
    after: tips.get(`${mesh.bob.publicKeyHex} 1`) ?? null
  })
  assert.deepEqual(await log.recordHeads([unseen.head]), [true])
  assert.equal((await verify(log, mesh.bob)).fault?.code, 'LOG_TRUNCATED')
  for (const key of [mesh.alice, mesh.carol]) assert.equal((await verify(log, key)).fault, null)
})
