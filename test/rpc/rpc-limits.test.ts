import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { test } from 'node:test'
import { LIMITS } from '../../src/base/limits.ts'
import type { LogFields } from '../../src/base/logger.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { MeshError } from '../../src/base/mesh-error.ts'
import { RpcClient } from '../../src/rpc/rpc-client.ts'
import { createFakeNode } from './fake-node-api.ts'
import { LineSocket, serve, until, untilStill } from './socket-harness.ts'

const ping = (id: unknown) => ({ jsonrpc: '2.0', id, method: 'identity/show' })
const code = (expected: string) => (error: unknown) => error instanceof MeshError && error.code === expected

test('RPC-3 a line of the limit is read, a longer one is answered and the connection closed', async (context) => {
  const { path } = await serve(context, createFakeNode())
  const line = await LineSocket.open(context, path)
  const request = JSON.stringify(ping('long'))
  assert.equal((await line.ask(request + ' '.repeat(LIMITS.rpcLineBytesMax - request.length))).id, 'long')
  const other = await LineSocket.open(context, path)
  other.send(ping('before'))
  other.socket.write('x'.repeat(LIMITS.rpcLineBytesMax + 1))
  await until(() => other.ended)
  assert.deepEqual(
    other.answers.map((one) => one.error?.data.code ?? one.id),
    ['before', 'RPC_LINE_TOO_LONG']
  )
  assert.equal((await line.ask(ping('still here'))).id, 'still here')
})

test('RPC-3 no more than 64 requests of one client run at once; others go on and all are answered', async (context) => {
  let running = 0
  let most = 0
  const gate = Promise.withResolvers<void>()
  const api = createFakeNode({
    waitReady: async () => {
      running++
      most = Math.max(most, running)
      await gate.promise
      running--
    }
  })
  const { path } = await serve(context, api)
  const line = await LineSocket.open(context, path)
  for (let id = 0; id < 300; id++) line.send({ jsonrpc: '2.0', id, method: 'node/wait' })
  await until(() => running === LIMITS.rpcInFlightMax)
  const other = await LineSocket.open(context, path)
  assert.equal((await other.ask(ping('other'))).id, 'other')
  gate.resolve()
  await until(() => line.answers.length === 300)
  assert.equal(most, LIMITS.rpcInFlightMax)
  assert.equal(new Set(line.answers.map((one) => one.id)).size, 300)
})

test('RPC-3 above the in-flight limit the socket is not read: the sender feels back-pressure', async (context) => {
  const gate = Promise.withResolvers<void>()
  const { path } = await serve(context, createFakeNode({ waitReady: () => gate.promise }))
  const line = await LineSocket.open(context, path)
  const padded = `${JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'node/wait' })}${' '.repeat(100_000)}`
  for (let sent = 0; sent < 200; sent++) line.send(padded)
  await untilStill(() => line.socket.writableLength)
  const other = await LineSocket.open(context, path)
  assert.equal((await other.ask(ping('other'))).id, 'other')
  assert.ok(line.socket.writableLength > 8_000_000, 'the rest still waits on the sender’s side')
  gate.resolve()
  await until(() => line.answers.length === 200)
})

/** A node whose pages weigh 900 kB. */
function heavyNode() {
  const node = createFakeNode()
  const json = JSON.stringify({ text: 'x'.repeat(60_000) })
  for (let index = 0; index < 15; index++) void node.append([{ type: 'app-heavy', json }])
  return node
}

test('RPC-3 a reader that never reads is cut off, one that reads gets every answer', async (context) => {
  const warnings: LogFields[] = []
  const logger = { ...silentLogger, warn: (_message: string, fields?: LogFields) => void warnings.push(fields ?? {}) }
  const { path, server } = await serve(context, heavyNode(), logger)
  const query = (id: number) => `${JSON.stringify({ jsonrpc: '2.0', id, method: 'log/query', params: { limit: 8 } })}\n`

  const good = await LineSocket.open(context, path)
  for (let id = 0; id < 30; id++) assert.equal((await good.ask(query(id).trim())).result.items.length, 8)

  const slow = connect({ path })
  context.after(() => slow.destroy())
  await once(slow, 'connect')
  slow.pause()
  slow.on('error', () => {})
  for (let id = 0; id < LIMITS.rpcInFlightMax; id++) slow.write(query(id))
  await until(() => server.clients() === 1)
  assert.equal(warnings.length, 1)
  assert.ok(Number(warnings[0]?.backlogBytes) <= LIMITS.rpcBacklogBytesMax)
  assert.equal((await good.ask(ping('good'))).id, 'good')
})

test('RPC-3 a page is cut to what one line may hold and goes on from its cursor', async (context) => {
  const { path } = await serve(context, heavyNode())
  using client = await RpcClient.connect(path)
  const seqs: number[] = []
  let cursor: string | undefined
  let pages = 0
  do {
    const page = await client.call('log/query', { limit: 1000, ...(cursor === undefined ? {} : { cursor }) })
    assert.ok(JSON.stringify(page).length <= LIMITS.rpcLineBytesMax)
    seqs.push(...page.items.map((event) => event.seq))
    cursor = page.next ?? undefined
    pages++
  } while (cursor !== undefined)
  assert.deepEqual(
    seqs,
    Array.from({ length: 15 }, (_, index) => index + 1)
  )
  assert.ok(pages > 1)
})

test('RPC-3 a half-closed client still gets its answers, a last line without newline too', async (context) => {
  const gate = Promise.withResolvers<void>()
  const { path, server } = await serve(context, createFakeNode({ waitReady: () => gate.promise }))
  const line = await LineSocket.open(context, path)
  line.send({ jsonrpc: '2.0', id: 'slow', method: 'node/wait' })
  line.socket.end(JSON.stringify(ping('last')))
  await until(() => line.answers.length === 1)
  gate.resolve()
  await until(() => line.ended)
  assert.deepEqual(
    line.answers.map((one) => one.id),
    ['last', 'slow']
  )
  await until(() => server.clients() === 0)
})

test('RPC-3 1000 connects at once are all answered and all forgotten', async (context) => {
  const { path, server } = await serve(context, createFakeNode())
  const sockets: Socket[] = []
  context.after(() => {
    for (const socket of sockets) socket.destroy()
  })
  let answered = 0
  for (let index = 0; index < 1000; index++) {
    const socket = connect({ path })
    socket.on('error', () => {})
    socket.once('data', () => answered++)
    socket.write(`${JSON.stringify(ping(index))}\n`)
    sockets.push(socket)
  }
  await until(() => answered === 1000, 10_000)
  assert.equal(server.clients(), 1000)
  for (const socket of sockets) socket.destroy()
  await until(() => server.clients() === 0)
})

test('RPC-3 clients above the limit are told so and the others are served', async (context) => {
  const { path, server } = await serve(context, createFakeNode())
  const sockets = Array.from({ length: LIMITS.rpcClientsMax }, () => connect({ path }).on('error', () => {}))
  context.after(() => {
    for (const socket of sockets) socket.destroy()
  })
  await until(() => server.clients() === LIMITS.rpcClientsMax, 10_000)
  const late = await LineSocket.open(context, path)
  await until(() => late.ended)
  assert.equal(late.answers[0].error.data.code, 'RPC_OVERLOADED')
  sockets.pop()?.destroy()
  await until(() => server.clients() === LIMITS.rpcClientsMax - 1)
  const next = await LineSocket.open(context, path)
  assert.equal((await next.ask(ping(1))).id, 1)
})

test('RPC-3 a client that vanishes aborts what it waited for', async (context) => {
  let aborted = false
  const api = createFakeNode({
    waitReady: (_timeoutMs, signal) =>
      new Promise((_resolve, reject) =>
        signal.addEventListener('abort', () => {
          aborted = true
          reject(signal.reason)
        })
      )
  })
  const { path, server } = await serve(context, api)
  const line = await LineSocket.open(context, path)
  line.send({ jsonrpc: '2.0', id: 1, method: 'node/wait' })
  line.send(ping(2))
  await until(() => line.answers.length === 1)
  line.socket.destroy()
  await until(() => aborted && server.clients() === 0)
})

test('RPC-3 a defect in a handler is INTERNAL without its words or stack, and the server goes on', async (context) => {
  const reported: LogFields[] = []
  const logger = { ...silentLogger, error: (_message: string, fields?: LogFields) => void reported.push(fields ?? {}) }
  const api = createFakeNode({
    heads: () => {
      throw new TypeError('secret-canary at /home/p/file.ts')
    },
    peers: async () => Promise.reject(Object.assign(new Error('secret-canary'), { code: 'EIO' }))
  })
  const { path } = await serve(context, api, logger)
  const line = await LineSocket.open(context, path)
  for (const method of ['log/heads', 'peer/list']) {
    const answer = await line.ask({ jsonrpc: '2.0', id: 1, method })
    assert.deepEqual(
      [answer.error.code, answer.error.message, answer.error.data.code],
      [-32603, 'internal error', 'INTERNAL']
    )
    assert.ok(!JSON.stringify(answer).includes('canary'))
  }
  assert.equal(reported.length, 2)
  assert.equal((await line.ask(ping(2))).id, 2)
})

test('RPC-5 a result that does not fit its schema is INTERNAL and never sent; surplus fields are dropped', async (context) => {
  const api = createFakeNode({
    peerPing: async () => ({ rttMs: 'soon' as unknown as number }),
    identity: async () => ({
      peerId: 'p',
      publicKey: 'k',
      fingerprint: 'f',
      name: 'n',
      sealedBy: 's',
      privateKey: 'secret-canary'
    })
  })
  const { path } = await serve(context, api)
  const line = await LineSocket.open(context, path)
  const bad = await line.ask({ jsonrpc: '2.0', id: 1, method: 'peer/ping', params: { member: 'pi' } })
  assert.equal(bad.error.data.code, 'INTERNAL')
  assert.ok(!JSON.stringify(bad).includes('soon'))
  const good = await line.ask(ping(2))
  assert.deepEqual(Object.keys(good.result), ['peerId', 'publicKey', 'fingerprint', 'name', 'sealedBy'])
})

test('a stopping server answers what is in flight, then closes', async (context) => {
  const api = createFakeNode()
  const { path, server } = await serve(context, api)
  const gate = Promise.withResolvers<void>()
  api.stop = async () => {
    api.stopped = true
    await gate.promise
  }
  const line = await LineSocket.open(context, path)
  line.send({ jsonrpc: '2.0', id: 'stop', method: 'node/stop' })
  await until(() => api.stopped)
  const stopped = server.stop()
  gate.resolve()
  await stopped
  await until(() => line.ended)
  assert.deepEqual(line.answers, [{ jsonrpc: '2.0', id: 'stop', result: {} }])
  await assert.rejects(RpcClient.connect(path), code('NODE_NOT_RUNNING'))
})
