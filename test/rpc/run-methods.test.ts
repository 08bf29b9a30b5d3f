import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { MeshError } from '../../src/base/mesh-error.ts'
import type { TaskUpdate } from '../../src/node/run-api.ts'
import { findMethod } from '../../src/rpc/methods.ts'
import { RpcClient } from '../../src/rpc/rpc-client.ts'
import { createFakeNode, LAPTOP } from './fake-node-api.ts'
import { fakeStage, fakeTask } from './fake-run-api.ts'
import { LineSocket, serve, until, untilStill } from './socket-harness.ts'

const code = (expected: string) => (error: unknown) => error instanceof MeshError && error.code === expected
const TASK = '7'.repeat(32)

async function connected(context: TestContext) {
  const api = createFakeNode()
  const { path } = await serve(context, api)
  const client = await RpcClient.connect(path)
  context.after(() => client.close())
  return { api, client, path }
}

test('a task’s stream gives what is known, then what comes, and ends with the task', async (context) => {
  const { api, client } = await connected(context)
  api.run.tasks.push(fakeTask(TASK, {}, LAPTOP))
  api.run.push(TASK, { kind: 'stage', stage: fakeStage({}) })
  const seen: TaskUpdate['kind'][] = []
  for await (const { update } of client.stream('task/subscribe', { task: TASK })) {
    seen.push(update.kind)
    if (update.kind === 'stage')
      api.run.push(TASK, { kind: 'text', text: 'a' }, { kind: 'end', task: fakeTask(TASK, {}, LAPTOP), answer: '' })
  }
  assert.deepEqual(seen, ['stage', 'text', 'end'])
  await assert.rejects(Array.fromAsync(client.stream('task/subscribe', { task: '8'.repeat(32) })), code('TASK_UNKNOWN'))
})

test('requests are told as they open and change; leaving the stream ends it in the node', async (context) => {
  const { api, client } = await connected(context)
  let following = 0
  const follow = api.approvalFollow
  api.approvalFollow = async function* (signal) {
    following++
    yield* follow(signal)
    following--
  }
  const { id } = api.run.ask()
  const seen: string[] = []
  for await (const { approval } of client.stream('approval/subscribe', {})) {
    seen.push(approval.state)
    if (seen.length === 1) await client.call('approval/vote', { approval: id, vote: 'deny', digest: 'cc'.repeat(32) })
    else break
  }
  assert.deepEqual(seen, ['open', 'denied'])
  await until(() => following === 0)
})

test('streams of every kind share one limit, wait for a slow reader, and are named by their own notifications', async (context) => {
  const { api, path } = await connected(context)
  api.run.tasks.push(fakeTask(TASK, {}, LAPTOP))
  const line = await LineSocket.open(context, path)
  const ask = (method: string, params = {}) => line.ask({ jsonrpc: '2.0', id: 1, method, params })
  for (let index = 0; index < 8; index++) {
    assert.ok((await ask('task/subscribe', { task: TASK })).result.subscription)
    assert.ok((await ask('approval/subscribe')).result.subscription)
  }
  assert.equal((await ask('log/subscribe')).error.data.code, 'RPC_OVERLOADED')
  const [first] = line.answers
  assert.equal((await ask('log/unsubscribe', { subscription: first.result.subscription })).result.ended, true)
  const before = line.answers.length
  api.run.ask()
  await until(() => line.answers.length === before + 8)
  const { method, params } = line.answers.at(-1)
  assert.deepEqual(
    [method, params.approval.tool, typeof params.subscription],
    ['approval/update', 'file.write', 'string']
  )
  api.run.push(TASK, { kind: 'end', task: fakeTask(TASK, {}, LAPTOP), answer: '' })
  await until(() => line.answers.filter((answer) => answer.method === 'task/ended').length === 7)
})

test('a task that floods waits for its reader: the node’s backlog stays bounded', async (context) => {
  const { api, client } = await connected(context)
  let pulled = 0
  const text = 'x'.repeat(10_000)
  api.taskFollow = async function* () {
    for (; pulled < 5_000; pulled++) yield { kind: 'text', text }
  }
  const updates = client.stream('task/subscribe', { task: TASK })
  await updates.next()
  await untilStill(() => pulled)
  assert.ok(pulled < 4_000, `the node read ${pulled} updates ahead of a reader that took one`)
  await updates.return()
})

test('params of the run’s methods are strict and limited; nothing reaches the node that does not fit', async (context) => {
  const { api, client } = await connected(context)
  const submit = { kind: 'tool', name: 'calc', input: '{}', expiresInMs: 60_000 }
  const register = { name: 'mine', kind: 'script', code: 'YQ==', parameters: {} }
  const vote = { approval: 'ab'.repeat(32), vote: 'approve', digest: 'ab'.repeat(32) }
  for (const [method, params, place] of [
    ['task/submit', { ...submit, kind: 'shell' }, '/kind'],
    ['task/submit', { ...submit, name: '' }, '/name'],
    ['task/submit', { ...submit, input: 'é'.repeat(131_073) }, '/input'],
    ['task/submit', { ...submit, expiresInMs: 31 * 86_400_000 }, '/expiresInMs'],
    ['task/submit', { ...submit, expiresInMs: 1.5 }, '/expiresInMs'],
    ['task/submit', { ...submit, conversation: 'x' }, '/conversation'],
    ['task/submit', { ...submit, principal: 'owner' }, '/principal'],
    ['task/list', { state: 'lost' }, '/state'],
    ['task/list', { limit: 1001 }, '/limit'],
    ['task/show', { task: TASK.slice(1) }, '/task'],
    ['task/show', { task: `${TASK}\n` }, '/task'],
    ['approval/vote', { ...vote, vote: 'maybe' }, '/vote'],
    ['approval/vote', { ...vote, digest: undefined }, '/digest'],
    ['approval/vote', { ...vote, digest: vote.digest.toUpperCase() }, '/digest'],
    ['tool/register', { ...register, code: '*' }, '/code'],
    ['tool/register', { ...register, kind: 'command' }, '/kind'],
    ['tool/register', { ...register, permissions: Array.from({ length: 33 }, () => 'x') }, '/permissions'],
    ['policy/explain', { tool: 'calc', input: '{}', taint: ['moon'] }, '/taint/0'],
    ['run/replay', { run: `${TASK}.0` }, '/run']
  ] as const) {
    await assert.rejects(client.callByName(method, params), (error) => {
      assert.ok(code('RPC_PARAMS_INVALID')(error), method)
      assert.equal((error as MeshError).details.place, place, method)
      return true
    })
  }
  assert.deepEqual(api.calls, [])
  assert.equal((await client.call('run/replay', { run: `${TASK}.2` })).run, `${TASK}.2`)
  assert.equal((await client.call('task/submit', submit as never)).name, 'calc')
})

test('answers of the run fit their schemas, and what does not is not sent', async (context) => {
  const { api, client } = await connected(context)
  const task = await client.call('task/submit', { kind: 'tool', name: 'calc', input: '{}' })
  assert.equal((await client.call('task/show', { task: task.id })).runs[0], `${task.id}.1`)
  assert.equal((await client.call('tool/list', {})).items.length, 3)
  assert.equal((await client.call('policy/show', {})).rules.length, 2)
  assert.equal((await client.call('agent/test', { name: 'default' })).text, 'pong')
  const { id } = api.run.ask()
  assert.equal((await client.call('approval/show', { approval: id })).digest, 'cc'.repeat(32))
  api.agents = async () =>
    [{ name: 'a', provider: 'b', model: 'c', tools: [], hasKey: true, key: 'sk-canary' }] as never
  assert.equal(JSON.stringify(await client.call('agent/list', {})).includes('canary'), false)
  for await (const item of client.stream('approval/subscribe', {})) {
    assert.equal(Object.hasOwn(item.approval, 'arguments'), false)
    break
  }
  api.approvalFollow = async function* () {
    yield { id: 7 } as never
  }
  await assert.rejects(Array.fromAsync(client.stream('approval/subscribe', {})), code('INTERNAL'))
  api.policy = async () => ({ rules: 'all' }) as never
  await assert.rejects(client.call('policy/show', {}), code('INTERNAL'))
  assert.equal(findMethod('approval/vote')?.scope, 'approve')
})

test('a task whose calls hold more than an answer can carry shows their beginnings', async (context) => {
  const { api, client } = await connected(context)
  const text = JSON.stringify({ text: 'x'.repeat(200_000) })
  const call = {
    tool: 'calc',
    tier: null,
    arguments: text,
    workspace: '',
    stages: [],
    status: 'done',
    output: text,
    outputBytes: text.length,
    truncated: false,
    exitCode: null,
    changes: [],
    request: null,
    votes: []
  }
  const callRecords = Array.from({ length: 64 }, (_, index) => ({ ...call, call: index + 1 }))
  api.run.tasks.push(
    fakeTask(TASK, { callRecords }, LAPTOP),
    fakeTask('8'.repeat(32), { callRecords: [{ ...call, call: 1 }] }, LAPTOP)
  )
  const cut = await client.call('task/show', { task: TASK })
  assert.deepEqual(
    [cut.callRecords.length, cut.callRecords[63]?.output.length, cut.callRecords[63]?.truncated],
    [64, 2_001, true]
  )
  assert.equal((await client.call('task/show', { task: '8'.repeat(32) })).callRecords[0]?.output, text)
})
