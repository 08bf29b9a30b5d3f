import assert from 'node:assert/strict'
import { afterEach, test } from 'node:test'
import { utf8 } from '../../src/base/bytes.ts'
import { systemClock, systemRandom } from '../../src/base/clock.ts'
import type { ErrorCode } from '../../src/base/errors.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { isMeshError } from '../../src/base/mesh-error.ts'
import { Conversation } from '../../src/network/conversation.ts'
import { Deadline } from '../../src/network/deadline.ts'
import { createMeshNetwork } from '../../src/network/mesh-network.ts'
import type { DoorExchange, MeshNetwork } from '../../src/network/network-contract.ts'
import { RateLimit } from '../../src/network/rate-limit.ts'
import { keyOf, LOOPBACK, type Member, seedOf, startMember, stopAll, TOPIC, until } from './network-fixture.ts'
import { startRogue, stopRogues } from './rogue-node.ts'

const callers: MeshNetwork[] = []

afterEach(async () => {
  await Promise.all(callers.splice(0).map((caller) => caller.stop()))
  await stopRogues()
  await stopAll()
})

const fails = (code: ErrorCode) => (error: unknown) => isMeshError(error) && error.code === code

async function doorKeeper(
  door: (exchange: DoorExchange, peer: string, protocol: string) => Promise<void>
): Promise<Member> {
  return await startMember({
    name: 'keeper',
    options: { door: [LOOPBACK] },
    handlers: { door: (peer, protocol, exchange) => door(exchange, peer, protocol) }
  })
}

/** A network that is never started: it only calls doors. */
function caller(name: string): MeshNetwork {
  const network = createMeshNetwork(
    {
      seed: seedOf(name),
      listen: [],
      door: [],
      bootstrap: [],
      topic: TOPIC,
      mdns: false,
      mdnsServiceTag: '',
      websocket: false,
      relayServer: false,
      relayClient: false,
      holePunching: false,
      membersMax: 8
    },
    {
      hello: () => utf8('hello'),
      checkHello: () => false,
      peerUp: () => {},
      peerDown: () => {},
      message: () => {},
      writable: () => {},
      gossip: () => 'ignore',
      request: async () => new Uint8Array(0),
      door: async () => {},
      discovered: () => {}
    },
    { clock: systemClock, random: systemRandom, logger: silentLogger }
  )
  callers.push(network)
  return network
}

test('MEMBER-2 a stranger talks at the door before its own network runs, and both sides know the other’s key', async () => {
  const seen: string[] = []
  const keeper = await doorKeeper(async (exchange, peer, protocol) => {
    seen.push(`${protocol} ${peer}`)
    exchange.send(await exchange.receive())
    exchange.send(utf8(`${await exchange.receive()}`.length > 0 ? 'welcome' : ''))
  })
  const doors = keeper.network.addresses().door
  const answer = await caller('stranger').doorCall('join', doors, keeper.key, async (exchange) => {
    exchange.send(utf8('nonce'))
    assert.deepEqual(Buffer.from(await exchange.receive()), utf8('nonce'))
    exchange.send(new Uint8Array(16 * 1024))
    return Buffer.from(await exchange.receive()).toString()
  })
  assert.equal(answer, 'welcome')
  assert.deepEqual(seen, [`join ${await keyOf('stranger')}`])
  assert.deepEqual(keeper.ups, [])
})

test('SYNC-3 a door conversation ends at too many or too large messages, and the door stays open', async () => {
  let failed = 0
  const keeper = await doorKeeper(async (exchange) => {
    try {
      while (true) await exchange.receive()
    } catch (error) {
      failed += 1
      throw error
    }
  })
  const address = keeper.network.addresses().door[0] ?? ''
  const stranger = await startRogue('stranger')
  const connection = await stranger.dial(address)
  const header = Buffer.alloc(4)
  const many = await connection.newStream('/pmesh/join/1')
  for (let count = 0; count < 9; count++) many.send(header)
  await until(() => many.status === 'reset', 'the ninth message')
  const large = await connection.newStream('/pmesh/join/1')
  header.writeUInt32BE(16 * 1024 + 1)
  large.send(header)
  await until(() => large.status === 'reset', 'too large')
  assert.equal(failed, 2)
})

test('SYNC-3 one address gets only so many conversations a minute', async () => {
  let served = 0
  const keeper = await doorKeeper(async () => {
    served += 1
  })
  const stranger = await startRogue('stranger')
  const connection = await stranger.dial(keeper.network.addresses().door[0] ?? '')
  for (let count = 0; count < 25; count++) {
    const stream = await connection.newStream('/pmesh/join/1', { maxOutboundStreams: 10 }).catch(() => null)
    await stream?.close().catch(() => {})
    if (stream !== null) await until(() => stream.status !== 'open', 'ended')
  }
  assert.equal(served, 20)
})

test('MEMBER-2 a door that resets, is closed or is not there fails the call within its time', async () => {
  const keeper = await doorKeeper(async () => {
    throw new Error('refused')
  })
  const network = caller('stranger')
  const talk = (exchange: DoorExchange): Promise<Uint8Array> => exchange.receive()
  const doors = keeper.network.addresses().door
  await assert.rejects(network.doorCall('join', doors, keeper.key, talk), fails('PEER_UNREACHABLE'))
  await assert.rejects(network.doorCall('join', keeper.main(), keeper.key, talk), fails('PEER_UNREACHABLE'))
  await assert.rejects(network.doorCall('join', ['/ip4/127.0.0.1/tcp/1'], keeper.key, talk), fails('PEER_UNREACHABLE'))
  await assert.rejects(network.doorCall('join', [], keeper.key, talk), fails('PEER_ADDRESS_INVALID'))
  const own = new Error('the caller changed its mind')
  const signal = AbortSignal.abort(own)
  await assert.rejects(network.doorCall('join', doors, keeper.key, talk, signal), own)
})

test('MEMBER-2 a conversation on a stream that was reset before it was looked at ends at once', async () => {
  const keeper = await doorKeeper(async () => {
    throw new Error('refused')
  })
  const stranger = await startRogue('stranger')
  const connection = await stranger.dial(keeper.network.addresses().door[0] ?? '')
  const stream = await connection.newStream('/pmesh/join/1')
  await until(() => stream.status !== 'open', 'reset')
  const limits = { messageBytesMax: 1024, messagesMax: 1 }
  const conversation = new Conversation(stream, limits, new Deadline(2_000, 'the test'))
  await assert.rejects(conversation.receive(), fails('PEER_UNREACHABLE'))
  conversation.release()
})

test('SYNC-3 the rate limit counts by source, and its table is bounded', () => {
  let now = 0
  const limit = new RateLimit({ count: 2, everyMs: 1_000 }, { now: () => now, monotonic: () => now })
  assert.deepEqual([limit.take('a'), limit.take('a'), limit.take('a'), limit.take('b')], [true, true, false, true])
  now = 1_000
  assert.equal(limit.take('a'), true)
  for (let source = 0; source < 2_000; source++) limit.take(`s${source}`)
  assert.equal(limit.take('new'), false)
  now = 2_500
  assert.equal(limit.take('new'), true)
})
