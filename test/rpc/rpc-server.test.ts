import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { MeshError } from '../../src/base/mesh-error.ts'
import { RpcClient } from '../../src/rpc/rpc-client.ts'
import { createRpcServer } from '../../src/rpc/rpc-server.ts'
import { createFakeNode } from './fake-node-api.ts'
import { LineSocket, serve, temporaryHome, until } from './socket-harness.ts'

const code = (expected: string) => (error: unknown) => error instanceof MeshError && error.code === expected
const ping = (id: unknown) => ({ jsonrpc: '2.0', id, method: 'identity/show' })

/** A socket file whose process was killed. */
function leaveStaleSocket(path: string): void {
  spawnSync(process.execPath, [
    '-e',
    `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`
  ])
  assert.ok(statSync(path).isSocket())
}

test('RPC-1 HARD-2 the socket is 0600 in a 0700 folder whatever the umask', async (context) => {
  const before = process.umask(0)
  context.after(() => process.umask(before))
  const { path } = await serve(context, createFakeNode())
  assert.equal(statSync(path).mode & 0o777, 0o600)
  assert.equal(statSync(join(path, '..')).mode & 0o777, 0o700)
})

test('RPC-1 a folder that others may enter is refused, and accepted after chmod 700', async (context) => {
  const folder = join(temporaryHome(context), 'run')
  mkdirSync(folder)
  chmodSync(folder, 0o755)
  const server = createRpcServer({ api: createFakeNode(), path: join(folder, 'pmesh.sock') })
  context.after(() => server.stop())
  await assert.rejects(server.start(), code('SOCKET_EXPOSED'))
  chmodSync(folder, 0o700)
  await server.start()
})

test('RPC-1 a link in place of the folder is refused', async (context) => {
  const home = temporaryHome(context)
  mkdirSync(join(home, 'elsewhere'), { mode: 0o700 })
  symlinkSync(join(home, 'elsewhere'), join(home, 'run'))
  await assert.rejects(createRpcServer({ api: createFakeNode(), path: join(home, 'run', 'pmesh.sock') }).start(), {
    code: 'SOCKET_EXPOSED',
    message: 'cannot open the socket: its folder is not a folder'
  })
})

test('RPC-1 a folder of another user is refused', { skip: process.getuid?.() !== 0 }, async (context) => {
  const home = temporaryHome(context)
  mkdirSync(join(home, 'run'), { mode: 0o700 })
  spawnSync('chown', ['65534', join(home, 'run')])
  await assert.rejects(
    createRpcServer({ api: createFakeNode(), path: join(home, 'run', 'pmesh.sock') }).start(),
    code('SOCKET_EXPOSED')
  )
})

test('RPC-1 a stale socket is replaced, a live one is not', async (context) => {
  const home = temporaryHome(context)
  const path = join(home, 'run', 'pmesh.sock')
  mkdirSync(join(home, 'run'), { mode: 0o700 })
  leaveStaleSocket(path)
  const first = createRpcServer({ api: createFakeNode(), path })
  context.after(() => first.stop())
  await first.start()
  await assert.rejects(createRpcServer({ api: createFakeNode(), path }).start(), code('NODE_RUNNING'))
  using client = await RpcClient.connect(path)
  assert.equal((await client.call('node/status', {})).name, 'laptop')
})

test('RPC-1 a file that is no socket is left alone', async (context) => {
  const home = temporaryHome(context)
  const path = join(home, 'run', 'pmesh.sock')
  mkdirSync(join(home, 'run'), { mode: 0o700 })
  writeFileSync(path, 'precious')
  await assert.rejects(createRpcServer({ api: createFakeNode(), path }).start(), code('SOCKET_FAILED'))
  assert.equal(statSync(path).size, 8)
})

test('a path that is too long for a socket is refused on both sides', async (context) => {
  const path = join(temporaryHome(context), 'x'.repeat(120))
  await assert.rejects(createRpcServer({ api: createFakeNode(), path }).start(), code('SOCKET_FAILED'))
  await assert.rejects(RpcClient.connect(path), code('SOCKET_FAILED'))
})

test('without a node the client says so, with exit code 10', async (context) => {
  const home = temporaryHome(context)
  const notRunning = (error: unknown) => code('NODE_NOT_RUNNING')(error) && (error as MeshError).exitCode === 10
  await assert.rejects(RpcClient.connect(join(home, 'pmesh.sock')), notRunning)
  leaveStaleSocket(join(home, 'stale.sock'))
  await assert.rejects(RpcClient.connect(join(home, 'stale.sock')), notRunning)
})

async function open(context: TestContext) {
  const api = createFakeNode()
  const served = await serve(context, api)
  return { api, line: await LineSocket.open(context, served.path) }
}

test('RPC-2 ids of every allowed type come back as they were sent', async (context) => {
  const { line } = await open(context)
  for (const id of ['text', '', 0, 7, -1, 1.5, Number.MAX_SAFE_INTEGER, null]) {
    const answer = await line.ask(ping(id))
    assert.equal(answer.id, id)
    assert.equal(answer.jsonrpc, '2.0')
    assert.equal(answer.result.name, 'laptop')
  }
})

test('RPC-2 ids of other types are invalid requests', async (context) => {
  const { line } = await open(context)
  for (const id of [true, {}, [], 2 ** 53]) {
    const answer = await line.ask(ping(id))
    assert.deepEqual([answer.id, answer.error.code, answer.error.data.code], [null, -32600, 'RPC_INVALID_REQUEST'])
  }
})

test('RPC-2 parse errors, in JSON and in UTF-8, are answered and the connection goes on', async (context) => {
  const { line } = await open(context)
  for (const bad of ['{', '{"jsonrpc": "2.0", "method"', 'nul']) {
    const answer = await line.ask(bad)
    assert.deepEqual([answer.id, answer.error.code, answer.error.data.code], [null, -32700, 'RPC_PARSE_ERROR'])
  }
  const before = line.answers.length
  line.socket.write(Buffer.from([0x22, 0xff, 0x22, 0x0a]))
  await until(() => line.answers.length > before)
  assert.equal(line.answers[before].error.code, -32700)
  assert.equal((await line.ask(ping(1))).id, 1)
})

test('RPC-2 invalid requests are told from bad params and unknown methods', async (context) => {
  const { line } = await open(context)
  const cases: readonly [unknown, number, string, unknown][] = [
    [1, -32600, 'RPC_INVALID_REQUEST', null],
    [{ jsonrpc: '1.0', id: 1, method: 'node/status' }, -32600, 'RPC_INVALID_REQUEST', 1],
    [{ id: 1, method: 'node/status' }, -32600, 'RPC_INVALID_REQUEST', 1],
    [{ jsonrpc: '2.0', id: 1, method: 7 }, -32600, 'RPC_INVALID_REQUEST', 1],
    [{ jsonrpc: '2.0', id: 1, method: 'node/status', params: 'x' }, -32600, 'RPC_INVALID_REQUEST', 1],
    [{ jsonrpc: '2.0', id: 1, method: 'node/status', more: 1 }, -32600, 'RPC_INVALID_REQUEST', 1],
    [{ jsonrpc: '2.0', id: 1, method: 'node/nothing' }, -32601, 'RPC_METHOD_UNKNOWN', 1],
    [{ jsonrpc: '2.0', id: 1, method: 'toString' }, -32601, 'RPC_METHOD_UNKNOWN', 1],
    [{ jsonrpc: '2.0', id: 1, method: '__proto__' }, -32601, 'RPC_METHOD_UNKNOWN', 1],
    [{ jsonrpc: '2.0', id: 1, method: 'node/status', params: [1] }, -32602, 'RPC_PARAMS_INVALID', 1]
  ]
  for (const [request, number, name, id] of cases) {
    const answer = await line.ask(request)
    assert.deepEqual([answer.error.code, answer.error.data.code, answer.id], [number, name, id])
  }
})

test('RPC-2 bad params name their place as a JSON pointer', async (context) => {
  const { line } = await open(context)
  const ask = async (method: string, params: unknown) =>
    (await line.ask({ jsonrpc: '2.0', id: 1, method, params })).error.data.details.place
  assert.equal(
    await ask('event/append', {
      items: [
        { type: 'app-x', json: '{}' },
        { type: 'app-x', json: 1 }
      ]
    }),
    '/items/1/json'
  )
  assert.equal(await ask('member/show', {}), '/member')
  assert.equal(await ask('node/status', { 'a/b~c': 1 }), '/a~1b~0c')
  assert.equal(await ask('event/append', { items: [] }), '/items')
  const allowed = await line.ask({
    jsonrpc: '2.0',
    id: 1,
    method: 'event/append',
    params: { items: [{ type: 'app-x', json: '{}' }] }
  })
  assert.equal(allowed.result.items.length, 1)
})

test('RPC-2 batches are answered in one array without their notifications', async (context) => {
  const { line, api } = await open(context)
  const answer = await line.ask([
    ping('a'),
    { jsonrpc: '2.0', method: 'event/append', params: { items: [{ type: 'app-note', json: '{}' }] } },
    { jsonrpc: '2.0', id: 'b', method: 'no/such' },
    5
  ])
  assert.deepEqual(
    answer.map((one: { id: unknown; error?: { code: number } }) => [one.id, one.error?.code ?? 0]),
    [
      ['a', 0],
      ['b', -32601],
      [null, -32600]
    ]
  )
  assert.equal(api.appends.length, 1)
})

test('RPC-2 an empty batch and one of 101 are invalid, one of 100 is answered', async (context) => {
  const { line, api } = await open(context)
  assert.equal((await line.ask([])).error.data.code, 'RPC_INVALID_REQUEST')
  const note = { jsonrpc: '2.0', id: 1, method: 'event/append', params: { items: [{ type: 'app-x', json: '{}' }] } }
  assert.equal((await line.ask(Array.from({ length: 101 }, () => note))).error.data.code, 'RPC_INVALID_REQUEST')
  assert.equal(api.appends.length, 0)
  assert.equal((await line.ask(Array.from({ length: 100 }, () => note))).length, 100)
})

test('RPC-2 notifications get no answer, not even for errors', async (context) => {
  const { line, api } = await open(context)
  line.send({ jsonrpc: '2.0', method: 'no/such' })
  line.send({ jsonrpc: '2.0', method: 'member/show', params: {} })
  line.send({ jsonrpc: '2.0', method: 'identity/claim' })
  line.send([{ jsonrpc: '2.0', method: 'no/such' }])
  const answer = await line.ask(ping('last'))
  assert.equal(answer.id, 'last')
  assert.deepEqual(api.calls, ['identityClaim'])
})
