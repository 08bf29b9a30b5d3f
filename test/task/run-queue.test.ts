import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LIMITS } from '../../src/base/limits.ts'
import { ASK_ALL, gate, TaskMesh, turns } from './task-kit.ts'

test('a task of this node goes from its submission to its result in three appends', async (t) => {
  const mesh = await TaskMesh.open({ alice: {} })
  t.after(() => mesh.close())
  const alice = mesh.node('alice')
  const { id } = await alice.submit('hello', { on: 'alice' })
  await mesh.reads('alice', id, 'done')
  assert.deepEqual(mesh.effectsOf('hello'), ['alice'])
  const detail = await alice.engine.task(id)
  assert.equal(detail.answer, 'done')
  assert.equal(detail.attempt, 1)
  assert.equal(alice.appends, 3, 'submission with assignment, start, result')
})

test('1 000 queued tasks: a few run at once, the rest wait in the log', async (t) => {
  const mesh = await TaskMesh.open({ alice: {} })
  t.after(() => mesh.close())
  const alice = mesh.node('alice')
  const held = gate()
  alice.whileRunning = held.hold
  for (let index = 0; index < 1000; index++) await alice.submit(`job ${index}`, { on: 'alice' })
  await turns()
  assert.equal(alice.engine.book.size, 1000)
  assert.equal(alice.engine.running, LIMITS.runsMax)
  assert.equal(mesh.effects.length, LIMITS.runsMax)
  held.open()
  await mesh.until('some of them', () => mesh.effects.length >= 100)
  assert.equal(new Set(mesh.effects.map(({ text }) => text)).size, mesh.effects.length)
  assert.deepEqual(
    mesh.effects.slice(0, 100).map(({ text }) => text),
    Array.from({ length: 100 }, (_, index) => `job ${index}`)
  )
  const { items, next } = await alice.engine.tasks({ limit: 10, state: 'submitted' })
  assert.deepEqual([items.length, next], [0, null], 'what waits is assigned already')
  const page = await alice.engine.tasks({ limit: 10 })
  assert.equal((await alice.engine.tasks({ limit: 990, cursor: page.next ?? '' })).items.length, 990)
})

test('runs that wait for a person take no place of those that work, and work only so many at once when all are answered', async (t) => {
  const mesh = await TaskMesh.open({ alice: { policy: ASK_ALL } })
  t.after(() => mesh.close())
  const alice = mesh.node('alice')
  let now = 0
  let most = 0
  const held = gate()
  alice.whileRunning = async () => {
    most = Math.max(most, ++now)
    await held.hold()
    now--
  }
  for (let index = 0; index < 3 * LIMITS.runsMax; index++) await alice.submit(`job ${index}`, { on: 'alice' })
  await mesh.until('all requests', async () => (await alice.engine.approvals(false)).length === 3 * LIMITS.runsMax)
  for (const { id } of await alice.engine.approvals(false))
    await alice.engine.approvalVote(id, 'approve', (await alice.engine.approval(id)).digest)
  await mesh.until('the first', () => now === LIMITS.runsMax)
  await turns()
  assert.equal(most, LIMITS.runsMax)
  held.open()
  await mesh.until('all', () => mesh.effects.length === 3 * LIMITS.runsMax && alice.engine.book.size === 0)
  assert.equal(most, LIMITS.runsMax)
})

test('a member’s many tasks do not keep the own one waiting: places go to who has the fewest', async (t) => {
  const mesh = await TaskMesh.open({ alice: {}, bob: {} })
  t.after(() => mesh.close())
  const [alice, bob] = [mesh.node('alice'), mesh.node('bob')]
  const releases: (() => void)[] = []
  alice.whileRunning = () => new Promise((resolve) => releases.push(resolve))
  for (let index = 0; index < 3 * LIMITS.runsMax; index++) await bob.submit(`flood ${index}`, { on: 'alice' })
  await mesh.until('a full node', () => mesh.effects.length === LIMITS.runsMax)
  await alice.submit('own', { on: 'alice' })
  await turns()
  releases.shift()?.()
  await mesh.until('the next', () => mesh.effects.length > LIMITS.runsMax)
  assert.equal(mesh.effects.at(-1)?.text, 'own')
  alice.whileRunning = async () => undefined
  for (const release of releases) release()
  await mesh.until('all', () => mesh.effects.length === 3 * LIMITS.runsMax + 1)
})

test('a node that stops waits a while for a tool that does not end, not for ever; its call reads unknown', async (t) => {
  const mesh = await TaskMesh.open({ alice: { tool: { tier: 'external' } } })
  t.after(() => mesh.close())
  const alice = mesh.node('alice')
  const held = gate()
  alice.whileRunning = held.hold
  const { id } = await alice.submit('hello', { on: 'alice' })
  await mesh.until('the effect', () => mesh.effects.length === 1)
  let stopped = false
  const stopping = alice.engine.stop().then(() => {
    stopped = true
  })
  await mesh.pass(1_000)
  assert.equal(stopped, false)
  await mesh.pass(60_000)
  await stopping
  alice.kill()
  held.open()
  await alice.restart()
  await mesh.reads('alice', id, 'unknown')
  assert.equal(mesh.effects.length, 1)
})

test('a node that stops while a person is waited for asks no second time', async (t) => {
  const mesh = await TaskMesh.open({ alice: { policy: ASK_ALL } })
  t.after(() => mesh.close())
  const alice = mesh.node('alice')
  const { id } = await alice.submit('hello', { on: 'alice' })
  await mesh.reads('alice', id, 'waiting-approval')
  await alice.engine.stop()
  await alice.restart()
  await mesh.pass(5_000)
  const requests = await alice.engine.approvals(true)
  assert.equal(requests.length, 1)
  await alice.engine.approvalVote(
    requests[0]?.id ?? '',
    'approve',
    (await alice.engine.approval(requests[0]?.id ?? '')).digest
  )
  await mesh.reads('alice', id, 'done')
  assert.equal((await alice.engine.task(id)).attempt, 1)
})
