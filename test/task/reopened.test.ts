import assert from 'node:assert/strict'
import { test } from 'node:test'
import { gate, TaskMesh, turns } from './task-kit.ts'

test('TASK-1 a claim that is granted while another task expires is not given away again', async (t) => {
  const mesh = await TaskMesh.open({ alice: { offers: false }, bob: {}, carol: { offers: false }, dave: {} })
  t.after(() => mesh.close())
  const [alice, bob, carol, dave] = ['alice', 'bob', 'carol', 'dave'].map((name) => mesh.node(name))
  assert.ok(alice && bob && carol && dave)
  for (const name of ['alice', 'bob', 'carol']) mesh.cut('dave', name)
  await alice.submit('expires', { on: 'dave', expiresInMs: 60_000 })
  const expiresMs = alice.clock.now() + 60_000
  const held = gate()
  bob.whileRunning = held.hold
  const { id } = await alice.submit('hello', { tierMax: 'internal' })
  await mesh.until('the effect', () => mesh.effects.length === 1)
  await turns()
  bob.kill()
  held.open()
  Object.assign(bob.options, { offers: false })
  await bob.restart()
  await mesh.reads('alice', id, 'interrupted')

  const claim = (node: typeof dave) =>
    alice.engine.request(node.id, 'task/claim', { task: id, nonce: '00'.repeat(16), sentMs: node.clock.now() })
  let claimed: ReturnType<typeof claim> | null = null
  const now = alice.clock.now.bind(alice.clock)
  alice.clock.now = () => {
    if (now() >= expiresMs) claimed ??= claim(dave)
    return now()
  }
  await mesh.until('the claim', () => claimed !== null)
  const granted = await claimed
  assert.ok(granted !== null && 'result' in granted)
  await turns()
  assert.deepEqual(await claim(carol), { error: 'LEASE_LOST' })
  assert.equal((await alice.engine.task(id)).attempt, 2)
})
