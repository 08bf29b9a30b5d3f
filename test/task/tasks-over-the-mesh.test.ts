import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LIMITS } from '../../src/base/limits.ts'
import type { AgentRunner } from '../../src/pipeline/run-contract.ts'
import { runEvent } from '../../src/pipeline/run-events.ts'
import { readTaskEvents } from '../../src/task/task-events.ts'
import { foldTask } from '../../src/task/task-fold.ts'
import { verify } from '../log/log-kit.ts'
import { gate, TaskMesh, turns } from './task-kit.ts'

/** Its tool reaches outside: a task from elsewhere needs a yes. */
const OUTSIDE = { tool: { tier: 'external' } } as const

test('TASK-1 a task for another member is claimed, run there once and read everywhere', async (t) => {
  const mesh = await TaskMesh.open({ alice: {}, bob: {}, carol: {} })
  t.after(() => mesh.close())
  const { id } = await mesh.node('alice').submit('hello', { on: 'bob' })
  for (const name of ['alice', 'bob', 'carol']) await mesh.reads(name, id, 'done')
  assert.deepEqual(mesh.effectsOf('hello'), ['bob'])
  const detail = await mesh.node('carol').engine.task(id)
  assert.equal(detail.executor?.name, 'bob')
  assert.equal(detail.answer, 'done')
  for (const name of ['alice', 'bob'])
    assert.equal((await verify(mesh.node('carol').log, mesh.node(name).key)).fault, null)
})

test('TASK-1 a task for any member is given to one of those that ask at once, and only to it', async (t) => {
  const mesh = await TaskMesh.open({ alice: { offers: false }, bob: {}, carol: {}, dave: {} })
  t.after(() => mesh.close())
  const tasks = []
  for (let index = 0; index < 12; index++) tasks.push((await mesh.node('alice').submit(`job ${index}`)).id)
  for (const id of tasks) await mesh.reads('alice', id, 'done')
  assert.equal(mesh.effects.length, 12)
  assert.equal(new Set(mesh.effects.map(({ text }) => text)).size, 12)
  for (const id of tasks)
    assert.equal((await mesh.node('alice').types(id)).filter((type) => type === 'task-assigned').length, 1)
})

test('TASK-1 only the member that a task is for gets it; observers and strangers never get one', async (t) => {
  const mesh = await TaskMesh.open({ alice: { offers: false }, bob: {}, carol: {}, oscar: { role: 'observer' } })
  t.after(() => mesh.close())
  const alice = mesh.node('alice')
  const { engine, clock } = alice
  await turns()
  mesh.cut('alice', 'bob')
  mesh.cut('alice', 'carol')
  const { id } = await alice.submit('for bob', { on: 'bob' })
  const free = await alice.submit('for any')
  const claim = { task: id, nonce: '00'.repeat(16), sentMs: clock.now() }
  const forbidden = { error: 'MEMBER_FORBIDDEN' }
  assert.deepEqual(await engine.request(mesh.node('carol').id, 'task/claim', claim), forbidden)
  assert.deepEqual(await engine.request(mesh.node('oscar').id, 'task/claim', { ...claim, task: free.id }), forbidden)
  assert.deepEqual(await engine.request('ab'.repeat(32), 'task/claim', { ...claim, task: free.id }), forbidden)
  const { id: bob } = mesh.node('bob')
  assert.deepEqual(await engine.request(bob, 'task/claim', { task: 'x' }), { error: 'RPC_PARAMS_INVALID' })
  assert.deepEqual(await engine.request(bob, 'task/nothing', {}), { error: 'RPC_METHOD_UNKNOWN' })
  await mesh.heal('alice', 'bob')
  await mesh.reads('alice', id, 'done')
  await mesh.reads('alice', free.id, 'done')
  assert.deepEqual(
    mesh.effects.map(({ node }) => node),
    ['bob', 'bob']
  )
})

test('TASK-1 a lost answer to a claim costs nothing: the assignment in the log is taken up', async (t) => {
  const mesh = await TaskMesh.open({ alice: {}, bob: {} })
  t.after(() => mesh.close())
  mesh.lostAnswers.add('task/claim')
  const { id } = await mesh.node('alice').submit('hello', { on: 'bob' })
  await mesh.reads('bob', id, 'done')
  assert.deepEqual(mesh.effectsOf('hello'), ['bob'])
})

test('TASK-1 an executor that crashes inside an effect reads unknown; nobody runs it again until a person says so', async (t) => {
  const mesh = await TaskMesh.open({ alice: { approves: true }, bob: OUTSIDE, carol: {} })
  t.after(() => mesh.close())
  const bob = mesh.node('bob')
  const held = gate()
  bob.whileRunning = held.hold
  const { id } = await mesh.node('alice').submit('hello', { on: 'bob' })
  await mesh.until('the effect', () => mesh.effects.length === 1)
  await turns()
  bob.kill()
  held.open()
  await mesh.reads('alice', id, 'unknown')
  await mesh.pass(3_600_000)
  assert.equal(mesh.effects.length, 1)
  bob.whileRunning = async () => undefined
  mesh.cut('alice', 'bob')
  await bob.restart()
  await mesh.reads('carol', id, 'unknown')
  assert.ok((await bob.types(id)).includes('call-recorded'))
  await mesh.heal('alice', 'bob')
  await mesh.pass(600_000)
  assert.equal(mesh.effects.length, 1, 'nothing ran again by itself')
  await mesh.node('alice').engine.taskRetry(id)
  await mesh.reads('carol', id, 'done')
  assert.equal((await mesh.node('carol').engine.task(id)).attempt, 2)
  assert.deepEqual(mesh.effectsOf('hello'), ['bob', 'bob'])
})

test('TASK-1 an effect up to internal that a crash broke off is run again without a person', async (t) => {
  const mesh = await TaskMesh.open({ alice: {}, bob: {} })
  t.after(() => mesh.close())
  const bob = mesh.node('bob')
  const held = gate()
  bob.whileRunning = held.hold
  const { id } = await mesh.node('alice').submit('hello', { on: 'bob' })
  await mesh.until('the effect', () => mesh.effects.length === 1)
  await turns()
  bob.kill()
  held.open()
  bob.whileRunning = async () => undefined
  await bob.restart()
  await mesh.reads('alice', id, 'done')
  assert.deepEqual(mesh.effectsOf('hello'), ['bob', 'bob'])
  assert.equal((await mesh.node('alice').engine.task(id)).attempt, 2)
})

test('TASK-1 an agent whose call a crash broke off is not asked how to go on: the run reads unknown', async (t) => {
  let asked = 0
  const agent: AgentRunner = async (run) => {
    asked++
    for (const call of [1, 2])
      await run.call({ call, tool: 'probe', argumentText: `{"text":"call ${call}"}`, purpose: 'the test' })
    return { outcome: 'done', reason: 'ok', answer: '', inputTokens: 0, outputTokens: 0, costMicros: 0 }
  }
  const mesh = await TaskMesh.open({ alice: { agents: agent, tool: { tier: 'external' } } })
  t.after(() => mesh.close())
  const alice = mesh.node('alice')
  const held = gate()
  alice.whileRunning = held.hold
  const { id } = await alice.submit('', { kind: 'agent', name: 'helper', input: 'go', on: 'alice' })
  await mesh.until('the effect', () => mesh.effects.length === 1)
  await turns()
  alice.kill()
  held.open()
  await alice.restart()
  await mesh.reads('alice', id, 'unknown')
  await mesh.pass(60_000)
  assert.equal(asked, 1)
  assert.deepEqual(
    mesh.effects.map(({ text }) => text),
    ['call 1']
  )
})

test('TASK-1 a local effect up to internal that a crash broke off is run again here, or by another member that may', async (t) => {
  const mesh = await TaskMesh.open({ alice: {}, bob: { offers: false } })
  t.after(() => mesh.close())
  const alice = mesh.node('alice')
  const held = gate()
  alice.whileRunning = held.hold
  const { id } = await alice.submit('hello')
  await mesh.until('the effect', () => mesh.effects.length === 1)
  await turns()
  alice.kill()
  held.open()
  alice.whileRunning = async () => undefined
  await alice.restart()
  await mesh.reads('bob', id, 'done')
  assert.deepEqual(mesh.effectsOf('hello'), ['alice', 'alice'])
})

test('TASK-1 an executor that vanishes with an internal task at most: another member runs it; what the first still does is late', async (t) => {
  const mesh = await TaskMesh.open({ alice: { offers: false }, bob: {}, carol: { offers: false } })
  t.after(() => mesh.close())
  const [alice, bob, carol] = [mesh.node('alice'), mesh.node('bob'), mesh.node('carol')]
  const held = gate()
  bob.whileRunning = held.hold
  const { id } = await alice.submit('hello', { tierMax: 'internal' })
  await mesh.until('the effect', () => mesh.effects.length === 1)
  mesh.cut('bob', 'alice')
  mesh.cut('bob', 'carol')
  Object.assign(carol.options, { offers: true })
  await carol.restart()
  await mesh.reads('alice', id, 'done')
  assert.deepEqual(mesh.effectsOf('hello'), ['bob', 'carol'])
  held.open()
  await turns()
  await mesh.heal('bob', 'alice')
  await mesh.pass(60_000)
  for (const name of ['alice', 'bob', 'carol']) {
    const detail = await mesh.node(name).engine.task(id)
    assert.equal(detail.executor?.name, 'carol', name)
    assert.equal(detail.state, 'done')
    assert.deepEqual(detail.runs, [`${id}.1`, `${id}.2`])
  }
})

test('TASK-1 above internal the task goes on to another only when the executor’s whole chain shows that nothing began', async (t) => {
  const mesh = await TaskMesh.open({ alice: { offers: false }, bob: {}, carol: { offers: false } })
  t.after(() => mesh.close())
  const [alice, bob, carol] = [mesh.node('alice'), mesh.node('bob'), mesh.node('carol')]
  mesh.lostAnswers.add('task/claim')
  mesh.lostAnswers.add('task/renew')
  const { id } = await alice.submit('hello')
  await mesh.reads('bob', id, 'assigned')
  Object.assign(carol.options, { offers: true })
  await carol.restart()
  bob.kill()
  await mesh.pass(LIMITS.leaseMs * 2)
  assert.equal(await alice.state(id), 'unknown', 'nobody can know')
  await bob.open()
  bob.up = true
  mesh.beacon('bob')
  mesh.lostAnswers.clear()
  bob.up = false
  await mesh.reads('alice', id, 'done')
  assert.deepEqual(mesh.effectsOf('hello'), ['carol'])
})

test('TASK-1 a beacon of before the end of the lease proves nothing', async (t) => {
  const mesh = await TaskMesh.open({ alice: { offers: false }, bob: {}, carol: { offers: false } })
  t.after(() => mesh.close())
  const [alice, bob, carol] = [mesh.node('alice'), mesh.node('bob'), mesh.node('carol')]
  mesh.lostAnswers.add('task/claim')
  mesh.lostAnswers.add('task/renew')
  const { id } = await alice.submit('hello')
  await mesh.reads('bob', id, 'assigned')
  mesh.beacon('bob')
  bob.kill()
  Object.assign(carol.options, { offers: true })
  await carol.restart()
  mesh.lostAnswers.clear()
  await mesh.pass(LIMITS.leaseMs * 5)
  assert.equal(await alice.state(id), 'unknown')
  assert.equal(mesh.effects.length, 0)
})

test('TASK-1 a suspended machine loses its lease by its wall clock: the effect is killed, none begins', async (t) => {
  const mesh = await TaskMesh.open({ alice: { approves: true }, bob: OUTSIDE })
  t.after(() => mesh.close())
  const [alice, bob] = [mesh.node('alice'), mesh.node('bob')]
  let killed = false
  bob.whileRunning = ({ signal }) =>
    new Promise((resolve) => {
      signal.addEventListener('abort', () => {
        killed = true
        resolve()
      })
    })
  const { id } = await alice.submit('hello', { on: 'bob' })
  await mesh.until('the effect', () => mesh.effects.length === 1)
  await turns()
  mesh.cut('alice', 'bob')
  bob.clock.skewMs = LIMITS.leaseMs + 1
  await mesh.until('the end of the effect', () => killed, LIMITS.leaseMs / 2)
  await mesh.heal('alice', 'bob')
  await mesh.reads('alice', id, 'interrupted')
  await mesh.pass(600_000)
  assert.equal(mesh.effects.length, 1)
})

test('TASK-1 an executor without its submitter begins no effect once its lease is over, and begins it when it is renewed', async (t) => {
  const mesh = await TaskMesh.open({ alice: {}, bob: { ...OUTSIDE, policy: '' } })
  t.after(() => mesh.close())
  const [alice, bob] = [mesh.node('alice'), mesh.node('bob')]
  const { id } = await alice.submit('hello', { on: 'bob' })
  await mesh.reads('bob', id, 'waiting-approval')
  mesh.cut('alice', 'bob')
  await mesh.pass(LIMITS.leaseMs + 1)
  const [request] = await bob.engine.approvals(false)
  assert.ok(request)
  const { digest } = await bob.engine.approval(request.id)
  await bob.engine.approvalVote(request.id, 'approve', digest)
  await mesh.pass(10_000)
  assert.equal(mesh.effects.length, 0, 'no lease, no effect')
  await mesh.heal('alice', 'bob')
  await mesh.reads('alice', id, 'done')
  assert.equal(mesh.effects.length, 1)
})

test('TASK-1 a submitter that restarts neither forgets an assignment nor gives the task away early', async (t) => {
  const mesh = await TaskMesh.open({ alice: { offers: false }, bob: {}, carol: {} })
  t.after(() => mesh.close())
  const [alice, bob] = [mesh.node('alice'), mesh.node('bob')]
  const held = gate()
  bob.whileRunning = held.hold
  mesh.cut('alice', 'carol')
  const { id } = await alice.submit('hello')
  await mesh.until('the effect', () => mesh.effects.length === 1)
  await alice.restart()
  await mesh.heal('alice', 'carol')
  await mesh.pass(LIMITS.leaseMs * 3)
  held.open()
  await mesh.reads('alice', id, 'done')
  assert.deepEqual(mesh.effectsOf('hello'), ['bob'])
})

test('TASK-1 a store that was set back consumes no assignment until another member confirmed the own head', async (t) => {
  const mesh = await TaskMesh.open({ alice: {}, bob: {} })
  t.after(() => mesh.close())
  const [alice, bob] = [mesh.node('alice'), mesh.node('bob')]
  mesh.cut('alice', 'bob')
  bob.kill()
  const { id } = await alice.submit('hello', { on: 'bob' })
  bob.confirmed = false
  await bob.restart()
  await mesh.heal('alice', 'bob')
  await mesh.pass(300_000)
  assert.equal(mesh.effects.length, 0)
  const own = await bob.submit('own', { on: 'bob' })
  await mesh.reads('bob', own.id, 'done')
  bob.confirmed = true
  bob.engine.lookAgain()
  await mesh.reads('alice', id, 'done')
})

test('TASK-1 a cancelled task ends its run, kills the effect and is never run', async (t) => {
  const mesh = await TaskMesh.open({ alice: {}, bob: {} })
  t.after(() => mesh.close())
  const [alice, bob] = [mesh.node('alice'), mesh.node('bob')]
  bob.whileRunning = ({ signal }) => new Promise((resolve) => signal.addEventListener('abort', () => resolve()))
  const { id } = await alice.submit('hello', { on: 'bob' })
  await mesh.until('the effect', () => mesh.effects.length === 1)
  await assert.rejects(bob.engine.taskCancel(id), { code: 'TASK_NOT_YOURS' })
  await assert.rejects(alice.engine.taskRetry(id), { code: 'TASK_CLOSED' })
  await alice.engine.taskCancel(id)
  await mesh.until('the end', async () => (await bob.types(id)).includes('run-finished'), 1_000)
  bob.whileRunning = async () => undefined
  mesh.cut('alice', 'bob')
  const waiting = await alice.submit('later', { on: 'bob' })
  await alice.engine.taskCancel(waiting.id)
  await mesh.heal('alice', 'bob')
  await mesh.pass(120_000)
  assert.equal(await bob.state(waiting.id), 'cancelled')
  assert.deepEqual(mesh.effectsOf('later'), [])
  await assert.rejects(alice.engine.taskCancel(waiting.id), { code: 'TASK_CLOSED' })
})

test('TASK-1 a task that nobody took expires and is never run', async (t) => {
  const mesh = await TaskMesh.open({ alice: {}, bob: {} })
  t.after(() => mesh.close())
  mesh.cut('alice', 'bob')
  const { id } = await mesh.node('alice').submit('hello', { on: 'bob', expiresInMs: 60_000 })
  await mesh.reads('alice', id, 'expired')
  await mesh.heal('alice', 'bob')
  await mesh.pass(120_000)
  assert.equal(mesh.effects.length, 0)
})

test('TASK-2 events of an earlier attempt and of other members change nothing, in any order of arrival', async (t) => {
  const mesh = await TaskMesh.open({ alice: { approves: true }, bob: OUTSIDE, carol: {} })
  t.after(() => mesh.close())
  const [alice, bob, carol] = [mesh.node('alice'), mesh.node('bob'), mesh.node('carol')]
  const held = gate()
  bob.whileRunning = held.hold
  const { id } = await alice.submit('hello', { on: 'bob' })
  await mesh.until('the effect', () => mesh.effects.length === 1)
  await turns()
  bob.kill()
  held.open()
  await mesh.reads('alice', id, 'unknown')
  bob.whileRunning = async () => undefined
  await alice.engine.taskRetry(id)
  const scope = Buffer.from(id, 'hex')
  const submitted = (await readTaskEvents(carol.log, scope)).find(({ type }) => type === 'task-submitted')
  const end = { reason: 'forged', calls: 0, durationMs: 0, inputTokens: 0, outputTokens: 0, costMicros: null }
  await carol.log.append([
    { type: 'task-submitted', payload: submitted?.payload ?? Buffer.from('{}'), scope },
    runEvent('run-finished', { ...end, attempt: 2, outcome: 'failed' }, scope),
    runEvent(
      'task-assigned',
      { attempt: 9, executor: carol.id, leaseMs: 60_000, claim: 'ab'.repeat(16), confirmed: true, after: [] },
      scope
    ),
    runEvent('task-cancelled', { attempt: 9, reason: 'person', after: [] }, scope)
  ])
  await bob.restart()
  await mesh.reads('carol', id, 'done')
  await bob.log.append([runEvent('run-finished', { ...end, attempt: 1, outcome: 'failed' }, scope)])
  await turns()
  const events = await readTaskEvents(carol.log, scope)
  const fold = foldTask(id, events)
  assert.equal(fold?.state, 'done')
  assert.equal(fold?.assigned?.attempt, 2)
  for (let round = 0; round < 20; round++) {
    const shuffled = [...events].sort(() => Math.random() - 0.5)
    assert.deepEqual(foldTask(id, shuffled), fold)
  }
  assert.equal(
    foldTask(
      id,
      events.filter(({ author }) => author !== alice.id)
    ),
    null,
    'no submission, no task'
  )
})
