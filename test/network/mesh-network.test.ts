import assert from 'node:assert/strict'
import { afterEach, test } from 'node:test'
import { utf8 } from '../../src/base/bytes.ts'
import { isMeshError } from '../../src/base/mesh-error.ts'
import { connectedPair, gossips, keyOf, LOOPBACK, startMember, stopAll, until } from './network-fixture.ts'
import { startRogue, stopRogues } from './rogue-node.ts'

afterEach(async () => {
  await stopRogues()
  await stopAll()
})

test('MEMBER-6 members connect over WebSocket when it is on', async () => {
  const options = { websocket: true, listen: [`${LOOPBACK}/ws`] }
  const { a, b } = await connectedPair({ name: 't1', options }, { name: 't2', options })
  assert.match(b.network.peers()[0]?.address ?? '', /\/ws/)
  b.network.send(a.key, utf8('over ws'))
  await until(() => a.messages.length === 1, 'message')
})

test('MEMBER-6 a member behind a relay of the mesh is reached through it', async () => {
  const admitted = await Promise.all(['t1', 't2', 't3'].map(keyOf))
  const relay = await startMember({ name: 't1', admitted, options: { relayServer: true } })
  const listen = [`${relay.main()[0]}/p2p-circuit`]
  const hidden = await startMember({ name: 't2', admitted, options: { listen, relayClient: true } })
  const caller = await startMember({ name: 't3', admitted, options: { listen: [], relayClient: true } })
  await until(() => hidden.main().length > 0, 'the relay holds a place')
  assert.equal(await caller.network.connect(hidden.main()), hidden.key)
  await until(() => hidden.ups.includes(caller.key), 'up')
  assert.equal(caller.network.peers().find(({ peer }) => peer === hidden.key)?.relayed, true)
  caller.network.send(hidden.key, utf8('through the relay'))
  await until(() => hidden.messages.length === 1, 'message')
})

test('INSTALL-1 an address that is taken is told as such, and nothing is left running', async () => {
  const first = await startMember({ name: 't1' })
  const taken = first.main()[0]?.replace(/\/p2p\/.*/, '') ?? ''
  const inUse = (error: unknown): boolean => isMeshError(error) && error.code === 'NETWORK_ADDRESS_IN_USE'
  await assert.rejects(startMember({ name: 't2', options: { listen: [taken] } }), inUse)
  await assert.rejects(startMember({ name: 't3', options: { door: [taken] } }), inUse)
})

test('MEMBER-1 a foreign libp2p with an admitted key can identify and ping us', async () => {
  const rogue = await startRogue('t1')
  const member = await startMember({ name: 't2', admitted: [rogue.key, await keyOf('t2')] })
  const connection = await rogue.dial(member.main()[0] ?? '')
  const protocols = async (): Promise<string[]> => (await rogue.node.peerStore.get(connection.remotePeer)).protocols
  let known: string[] = []
  await until(() => {
    void protocols().then((found) => {
      known = found
    })
    return known.includes('/ipfs/ping/1.0.0')
  }, 'identified')
  assert.ok(known.includes('/pmesh/sync/1'))
})

test('SYNC-1 two members exchange messages, requests, pings and gossip, in order', async () => {
  const { a, b } = await connectedPair({ name: 'a' }, { name: 'b' })
  assert.equal(a.network.send(b.key, utf8('one')), true)
  assert.equal(a.network.send(b.key, utf8('two')), true)
  assert.equal(b.network.send(a.key, new Uint8Array(280 * 1024).fill(65)), true)
  await until(() => b.messages.length === 2 && a.messages.length === 1, 'messages')
  assert.deepEqual(
    b.messages.map((message) => message.text),
    ['one', 'two']
  )
  assert.equal(a.messages[0]?.bytes, 280 * 1024)
  assert.deepEqual(await a.network.request(b.key, new Uint8Array(64 * 1024).fill(7)), new Uint8Array(64 * 1024).fill(7))
  assert.ok((await b.network.ping(a.key)) < 5_000)
  await until(() => gossips(a, 1) && gossips(b, 1), 'gossip streams')
  let sent = 0
  await until(() => {
    sent += 1
    void a.network.publish(utf8(`gossip ${sent}`))
    return b.gossip.length > 0
  }, 'gossip')
  assert.match(b.gossip[0]?.text ?? '', /^gossip /)
  assert.deepEqual(a.ups, [b.key])
  assert.deepEqual(b.ups, [a.key])
})
