import assert from 'node:assert/strict'
import { once } from 'node:events'
import { chmodSync, mkdirSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { z } from 'zod'
import { MeshError } from '../../src/base/mesh-error.ts'
import type { LogEntry } from '../../src/node/node-api.ts'
import { describeMethods, METHODS, type Method } from '../../src/rpc/methods.ts'
import { RpcClient } from '../../src/rpc/rpc-client.ts'
import { createFakeNode, type FakeNode } from './fake-node-api.ts'
import { LineSocket, serve, temporaryHome, until, untilStill } from './socket-harness.ts'

const code = (expected: string) => (error: unknown) => error instanceof MeshError && error.code === expected

async function connected(context: TestContext, api: FakeNode = createFakeNode()) {
  const served = await serve(context, api)
  const client = await RpcClient.connect(served.path)
  context.after(() => client.close())
  return { ...served, api, client }
}

const append = (api: FakeNode, count: number, type = 'app-note') =>
  api.append(Array.from({ length: count }, () => ({ type, json: '{}' })))

async function take(entries: AsyncIterable<LogEntry>, count: number): Promise<LogEntry[]> {
  const taken: LogEntry[] = []
  for await (const entry of entries) {
    taken.push(entry)
    if (taken.length === count) break
  }
  return taken
}

const seqs = (entries: readonly LogEntry[]) => entries.map(({ event }) => event.seq)
const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => from + index)

test('RPC-4 a subscription from now on sees what is appended after it, and nothing before', async (context) => {
  const { client, api } = await connected(context)
  await append(api, 5)
  const entries = client.subscribe(
    {},
    { onOpen: () => void client.call('event/append', { items: [{ type: 'app-x', json: '{}' }] }) }
  )
  assert.deepEqual(seqs(await take(entries, 1)), [6])
})

test('RPC-4 a subscription resumed from its cursor, over a new connection and while events arrive, has no gap and no duplicate', async (context) => {
  const { client, api, path } = await connected(context)
  await append(api, 50)
  const first = await take(client.subscribe({ cursor: '0' }), 30)
  client.close()
  await append(api, 20)
  using again = await RpcClient.connect(path)
  const cursor = first.at(-1)?.cursor ?? ''
  const rest = take(again.subscribe({ cursor }, { onOpen: () => void append(api, 30) }), 70)
  assert.deepEqual([...seqs(first), ...seqs(await rest)], range(1, 100))
})

test('RPC-4 a consumer that is slow gets every event once, and the node’s backlog stays bounded', async (context) => {
  const api = createFakeNode()
  const { path } = await serve(context, api)
  const json = JSON.stringify({ text: 'x'.repeat(2_000) })
  for (let index = 0; index < 20; index++)
    await api.append(Array.from({ length: 500 }, () => ({ type: 'app-note', json })))
  let pulled = 0
  const follow = api.follow
  api.follow = async function* (query, signal) {
    for await (const entry of follow(query, signal)) {
      pulled++
      yield entry
    }
  }
  using client = await RpcClient.connect(path)
  const entries = client.subscribe({ cursor: '0' })[Symbol.asyncIterator]()
  assert.equal((await entries.next()).value?.event.seq, 1)
  await untilStill(() => pulled)
  assert.ok(pulled < 9_000, `the node read ${pulled} events ahead of a reader that took one`)
  for (let seq = 2; seq <= 10_000; seq++) assert.equal((await entries.next()).value?.event.seq, seq)
  await entries.return(undefined)
})

test('RPC-4 a subscription filters by type, ends by abort, and unsubscribing ends the stream in the node', async (context) => {
  let following = 0
  const api = createFakeNode()
  const follow = api.follow
  api.follow = async function* (query, signal) {
    following++
    yield* follow(query, signal)
    following--
  }
  const { client } = await connected(context, api)
  await append(api, 3, 'app-other')
  await append(api, 2)
  const abort = new AbortController()
  const seen: number[] = []
  for await (const { event } of client.subscribe({ cursor: '0', type: 'app-note' }, { signal: abort.signal })) {
    seen.push(event.seq)
    if (seen.length === 2) abort.abort()
  }
  assert.deepEqual(seen, [4, 5])
  await until(() => following === 0)
})

test('RPC-4 the 17th subscription of a client is refused, and accepted after one has ended', async (context) => {
  const { path } = await serve(context, createFakeNode())
  const line = await LineSocket.open(context, path)
  const subscribe = { jsonrpc: '2.0', id: 1, method: 'log/subscribe' }
  const opened = []
  for (let index = 0; index < 16; index++) opened.push((await line.ask(subscribe)).result.subscription)
  assert.equal((await line.ask(subscribe)).error.data.code, 'RPC_OVERLOADED')
  const unsubscribe = { jsonrpc: '2.0', id: 2, method: 'log/unsubscribe', params: { subscription: opened[0] } }
  assert.equal((await line.ask(unsubscribe)).result.ended, true)
  assert.equal((await line.ask(unsubscribe)).result.ended, false)
  assert.ok((await line.ask(subscribe)).result.subscription)
})

test('RPC-4 a failed stream ends with its code', async (context) => {
  const api = createFakeNode({
    // biome-ignore lint/correctness/useYield: a stream that fails at once
    follow: async function* () {
      throw new MeshError('EVENT_UNKNOWN', 'cannot follow: the cursor is of another log')
    }
  })
  const { client } = await connected(context, api)
  await assert.rejects(take(client.subscribe({ cursor: 'x' }), 1), code('EVENT_UNKNOWN'))
})

test('RPC-5 every method has a summary, a scope and schemas; params are strict; the listing shows them all', async (context) => {
  const { client } = await connected(context)
  const scopes = new Set(['read', 'operator', 'admin', 'approve'])
  for (const [name, method] of Object.entries<Method>(METHODS)) {
    assert.match(name, /^[a-z]+\/[a-z]+$/)
    assert.ok(method.summary.length > 0 && scopes.has(method.scope), name)
    assert.ok(method.params instanceof z.ZodType && method.result instanceof z.ZodType, name)
    assert.equal(method.params.safeParse({ 'no such field': 1 }).success, false, `${name} takes unknown params`)
  }
  const listed = await client.call('rpc/methods', {})
  assert.deepEqual(
    listed.items.map((item) => item.name),
    Object.keys(METHODS)
  )
  for (const item of listed.items) assert.equal(item.params.type, 'object', item.name)
  assert.deepEqual(JSON.parse(JSON.stringify(describeMethods())), listed.items)
})

test('RPC-5 a method without schemas or scope does not compile', () => {
  const handler = async () => ({})
  const schema = z.object({})
  const complete: Method = { summary: 'x', params: schema, result: schema, scope: 'read', handler }
  // @ts-expect-error no params
  const withoutParams: Method = { summary: 'x', result: schema, scope: 'read', handler }
  // @ts-expect-error no result
  const withoutResult: Method = { summary: 'x', params: schema, scope: 'read', handler }
  // @ts-expect-error no scope
  const withoutScope: Method = { summary: 'x', params: schema, result: schema, handler }
  assert.ok(complete && withoutParams && withoutResult && withoutScope)
})

test('RPC-5 what changes who is in or stops the node is for admins, what only looks is for readers', () => {
  const of = (scope: string) =>
    Object.entries(METHODS).flatMap(([name, method]) => (method.scope === scope ? [name] : []))
  assert.deepEqual(of('admin').sort(), [
    'founder/name',
    'identity/claim',
    'invite/create',
    'invite/revoke',
    'member/remove',
    'member/role',
    'mesh/join',
    'node/stop',
    'recovery/override',
    'tool/register',
    'tool/remove'
  ])
  assert.deepEqual(of('operator').sort(), [
    'agent/test',
    'event/append',
    'log/export',
    'peer/connect',
    'task/cancel',
    'task/retry',
    'task/submit'
  ])
})

test('SCOPE-1 answering a request is a scope of its own, in no other', () => {
  const approving = Object.entries<Method>(METHODS).filter(([, { scope }]) => scope === 'approve')
  assert.deepEqual(
    approving.map(([name]) => name),
    ['approval/vote']
  )
})

test('calls carry progress, errors with their code, hint and details', async (context) => {
  const { client } = await connected(context)
  const progress: number[] = []
  const report = await client.call('log/verify', {}, { onProgress: ({ done, total }) => progress.push(done, total) })
  assert.equal(report.events, 1204)
  assert.deepEqual(progress, [0, 1204, 1204, 1204])
  await assert.rejects(client.call('member/show', { member: 'nobody' }), (error) => {
    assert.ok(code('MEMBER_UNKNOWN')(error))
    assert.deepEqual((error as MeshError).details, { member: 'nobody' })
    assert.equal((error as MeshError).hint, 'pmesh member list shows the members.')
    return true
  })
})

test('a call that takes too long or is aborted is given up here and cancelled there', async (context) => {
  const aborted: string[] = []
  const api = createFakeNode({
    waitReady: (_timeoutMs, signal) =>
      new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(aborted.push('node')))),
    verify: (_progress, signal) =>
      new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(aborted.push('log'))))
  })
  const { client } = await connected(context, api)
  await assert.rejects(client.call('node/wait', {}, { timeoutMs: 20 }), code('TIMEOUT'))
  const abort = new AbortController()
  const verifying = client.call('log/verify', {}, { signal: abort.signal })
  abort.abort()
  await assert.rejects(verifying, code('CANCELLED'))
  await until(() => aborted.length === 2)
  assert.equal((await client.call('node/status', {})).name, 'laptop')
})

test('a connection that breaks rejects what waits, and what answers in another language is refused', async (context) => {
  const folder = join(temporaryHome(context), 'run')
  mkdirSync(folder)
  chmodSync(folder, 0o700)
  const sockets: Socket[] = []
  const server = createServer((socket) => sockets.push(socket.on('error', () => {})))
  server.listen(join(folder, 'other.sock'))
  await once(server, 'listening')
  context.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const broken = await RpcClient.connect(join(folder, 'other.sock'))
  const waiting = broken.call('node/status', {})
  await until(() => sockets.length === 1)
  sockets[0]?.destroy()
  await assert.rejects(waiting, code('NODE_NOT_RUNNING'))
  await assert.rejects(broken.call('node/status', {}), code('NODE_NOT_RUNNING'))
  const stranger = await RpcClient.connect(join(folder, 'other.sock'))
  const asked = stranger.call('node/status', {})
  await until(() => sockets.length === 2)
  sockets[1]?.write('HTTP/1.1 400 Bad Request\n')
  await assert.rejects(asked, code('RPC_PARSE_ERROR'))
})
