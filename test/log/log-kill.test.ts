// kill −9 while a process appends. 50 rounds in CI; `npm run kill-loop -- --rounds 1000` for more.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runKillLoop } from '../../simulations/kill-loop.ts'

test('CHAIN-10 a process that is killed while it appends loses nothing that it acknowledged and says nothing twice', async () => {
  const rounds = process.env['CI'] === undefined ? 8 : 50
  const summary = await runKillLoop({ rounds, seed: 42 })
  assert.deepEqual(summary.faults, [])
  assert.equal(summary.rounds, rounds)
  assert.ok(summary.acknowledged > rounds * 20, `only ${summary.acknowledged} acknowledged`)
})
