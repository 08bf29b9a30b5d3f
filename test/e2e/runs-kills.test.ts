// Nodes that are killed while a task is under way, at every boundary that can be told from outside: what was asked for stands, what may have happened
// is said to be unknown, and nothing happens twice.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import type { TaskDetail } from '../../src/rpc/methods.ts'
import { connected, converged, errorOf, MeshKit, type NodeHome, until } from './mesh-kit.ts'
import {
  answer,
  asked,
  codeOf,
  commandLines,
  ended,
  inState,
  NO_COMMANDS,
  rule,
  submit,
  taskEvents,
  timesStarted,
  toldAlike,
  vote,
  writePolicy
} from './task-kit.ts'

const WRITE = { path: 'note.txt', text: 'written under control' }
/** A tool that declares no tier, so an irreversible one, and takes its time. */
const SLOW_MS = 6_000
const SLOW = `function main(input) {
  const end = Date.now() + input.ms
  while (Date.now() < end);
  return 'slept'
}`
const SLOW_SCHEMA = { type: 'object', properties: { ms: { type: 'integer' } }, required: ['ms'] }

describe('tasks of nodes that are killed', () => {
  const kit = new MeshKit({ after })
  let alice: NodeHome
  let bob: NodeHome
  let nodes: NodeHome[]

  before(async () => {
    nodes = await kit.mesh('alice', 'bob')
    ;[alice, bob] = nodes as [NodeHome, NodeHome]
    const code = kit.file('slow.js', SLOW)
    const schema = kit.file('slow.json', JSON.stringify(SLOW_SCHEMA))
    const ran = await bob.cli('tool', 'register', 'slow', '--code', code, '--schema', schema)
    assert.equal(ran.code, 0, ran.stderr)
  })

  test('APPROVE-2 the executor is killed while it waits: the request stands, and the approval that comes later releases the call once', async () => {
    const task = await submit(alice, 'file.write', WRITE, { on: bob })
    const approval = await asked(alice, task)
    await bob.kill()
    await vote(alice, approval, 'approve')
    await bob.start()
    const end = await ended(alice, task)
    assert.deepEqual([end.state, end.attempt, end.callRecords[0]?.request], ['done', 1, approval.id])
    assert.equal((await taskEvents(alice, task, 'approval-requested')).length, 1)
    assert.equal(await timesStarted(alice, task), 1)
    await connected(nodes)
    await toldAlike(nodes, task)
    await converged(nodes)
  })

  const killedWhileItRuns = async (task: string): Promise<TaskDetail> => {
    await until('the effect has begun', async () => (await timesStarted(bob, task)) === 1)
    await bob.kill()
    await bob.start()
    return inState(alice, task, 'unknown', 'interrupted', 'running', 'waiting-approval', 'done')
  }

  test('APPROVE-4 TASK-1 REPLAY-2 the executor is killed while an irreversible effect runs: unknown everywhere, and only a person has it tried again', async () => {
    const task = await submit(alice, 'slow', { ms: SLOW_MS }, { on: bob })
    const first = await answer(alice, task, 'approve')
    assert.equal(first.tier, 'irreversible')
    await killedWhileItRuns(task)
    const told = await inState(alice, task, 'unknown')
    assert.equal(told.attempt, 1)
    const followed = await alice.cli('task', 'follow', task)
    assert.equal(followed.code, 13, followed.stderr)
    await toldAlike(nodes, task)
    assert.equal(await codeOf(vote(alice, first, 'approve')), 'APPROVAL_CLOSED')

    assert.equal((await alice.cli('task', 'retry', task)).code, 2)
    assert.equal(errorOf(await bob.cli('task', 'retry', task, '--yes', '--json')).code, 'TASK_NOT_YOURS')
    const retried = await alice.cli('task', 'retry', task, '--yes')
    assert.equal(retried.code, 0, retried.stderr)
    const again = await asked(alice, task, 2)
    assert.notEqual(again.digest, first.digest)
    assert.equal(await timesStarted(alice, task), 1)
    await vote(alice, again, 'deny')
    assert.equal((await ended(alice, task)).state, 'denied')
    await connected(nodes)
    await converged(nodes)
    assert.equal(await timesStarted(alice, task), 1)
  })

  test('TASK-1 REPLAY-2 SANDBOX-2 the executor is killed while an internal effect runs: nothing of it lives on, and it is tried again by itself', {
    skip: NO_COMMANDS
  }, async () => {
    writePolicy(bob, '[command]', 'allow = ["sleep"]', rule('sleep', 'allow', 'tool = "command"'))
    const seconds = `5.0${process.pid}`
    const task = await submit(alice, 'command', { program: 'sleep', args: [seconds] }, { on: bob })
    await until('the effect has begun', async () => (await timesStarted(bob, task)) === 1)
    await until('the program runs', () => commandLines().some((line) => line.includes(seconds)))
    await bob.kill()
    await until('the program ended with the node', () => !commandLines().some((line) => line.includes(seconds)))
    await bob.start()
    const end = await inState(alice, task, 'done')
    assert.deepEqual([end.attempt, end.runs.length], [2, 2])
    const outcomes = (await taskEvents(alice, task, 'run-finished')).map(({ payload }) => payload.outcome)
    assert.deepEqual(outcomes, ['interrupted', 'done'])
    await connected(nodes)
    await toldAlike(nodes, task)
    writePolicy(bob, '')
  })

  test('TASK-1 the submitter is killed while its task waits: the task is there after its restart, and runs once', async () => {
    const task = await submit(alice, 'file.write', WRITE, { on: bob })
    await asked(alice, task)
    await alice.kill()
    await alice.start()
    await answer(alice, task, 'approve')
    assert.equal((await ended(alice, task)).state, 'done')
    await connected(nodes)
    await converged(nodes)
    assert.equal(await timesStarted(alice, task), 1)
  })

  test('APPROVE-2 APPROVE-4 an approval that came in time, for an executor that comes back too late, releases nothing', async () => {
    writePolicy(bob, '[tiers.internal]', 'expires = "3s"')
    const task = await submit(alice, 'file.write', WRITE, { on: bob })
    const approval = await asked(alice, task)
    await bob.kill()
    await vote(alice, approval, 'approve')
    await until('the request is over', () => Date.now() > Date.parse(approval.expiresAt))
    await bob.start()
    assert.equal((await ended(alice, task)).state, 'expired')
    assert.equal(await timesStarted(alice, task), 0)
    writePolicy(bob, '')
  })

  test('REPLAY-2 TASK-1 APPROVE-4 killed at any moment behind the approval: an irreversible effect begins once, and is done or said to be unknown', async () => {
    for (const delayMs of [0, 20, 60]) {
      const task = await submit(alice, 'slow', { ms: 20 }, { on: bob })
      await answer(alice, task, 'approve')
      await pause(delayMs)
      await bob.kill()
      await bob.start()
      const end = await ended(alice, task)
      assert.ok(['done', 'unknown'].includes(end.state), `${delayMs} ms: ${end.state} ${end.reason}`)
      assert.deepEqual([await timesStarted(alice, task), end.attempt], [1, 1], `${delayMs} ms`)
      assert.equal((await bob.call('run/replay', { run: task })).equal, true)
    }
    await connected(nodes)
    await converged(nodes)
  })
})
