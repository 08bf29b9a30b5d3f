import assert from 'node:assert/strict'
import net from 'node:net'
import { afterEach, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { utf8 } from '../../src/base/bytes.ts'
import type { ErrorCode } from '../../src/base/errors.ts'
import { isMeshError } from '../../src/base/mesh-error.ts'
import { peerIdOf } from '../../src/identity/peer-id.ts'
import { withoutPeerId } from '../../src/network/addresses.ts'
import { connectedPair, gossips, keyOf, LOOPBACK, startMember, stopAll, TOPIC, until } from './network-fixture.ts'
import { GOSSIP_PROTOCOL, gossipFrame, namesByKey, openRawLink, SYNC, startRogue, stopRogues } from './rogue-node.ts'

const SECRETS = [TOPIC, 'secret gossip', 'secret message', 'secret hello']
const PROTOCOLS = [GOSSIP_PROTOCOL, '/floodsub/1.0.0', SYNC, '/pmesh/rpc/1', '/ipfs/id/1.0.0', '/ipfs/ping/1.0.0']

afterEach(async () => {
  await stopRogues()
  await stopAll()
})

const fails = (code: ErrorCode) => (error: unknown) => isMeshError(error) && error.code === code

test('MEMBER-1 a stranger with a full gossipsub gets no byte after Noise from main and no topic from the door; a member gets both', async () => {
  const [opener = '', ...others] = await namesByKey('m1', 'm2', 'm3')
  const [first = '', second = ''] = others
  const admitted = await Promise.all([opener, first, second].map(keyOf))
  const settings = {
    admitted,
    options: { door: [LOOPBACK] },
    handlers: { hello: () => utf8('secret hello'), door: async () => {} }
  }
  const { a, b } = await connectedPair({ name: first, ...settings }, { name: second, ...settings })
  const stranger = await startRogue('stranger')
  const member = await startRogue(opener)
  const memberLink = await openRawLink(await member.dial(a.main()[0] ?? ''))
  await until(() => gossips(a, 2) && gossips(b, 1), 'gossip with the members')

  const main = a.main()[0] ?? ''
  const door = a.network.addresses().door[0] ?? ''
  const talk = async (): Promise<void> => {
    a.network.send(b.key, utf8('secret message'))
    a.network.send(member.key, utf8('secret message'))
    await a.network.publish(utf8(`secret gossip ${Math.random()}`))
  }
  for (const address of [main, withoutPeerId(main)]) {
    const connection = await stranger.dial(address).catch(() => null)
    for (const protocol of PROTOCOLS) await connection?.newStream(protocol).catch(() => null)
    await talk()
  }
  await until(() => b.gossip.length >= 2 && b.messages.length >= 2, 'the members hear')
  await until(() => SECRETS.every((secret) => member.heard().includes(secret)), 'the member hears all')
  assert.ok(memberLink.messages.some((message) => message.includes('secret message')))
  assert.equal(stranger.heard().length, 0, 'main sent something after Noise')

  const connection = await stranger.dial(door)
  for (const protocol of PROTOCOLS) {
    await assert.rejects(connection.newStream(protocol), `${protocol} at the door`)
  }
  await talk()
  await until(() => b.gossip.length >= 3, 'another gossip')
  assert.ok(stranger.heard().length > 0, 'the door answers')
  for (const secret of SECRETS) assert.ok(!stranger.heard().includes(secret), secret)
  await assert.rejects(a.network.connect([stranger.address()]), fails('PEER_NOT_ADMITTED'))
  await assert.rejects(a.network.connect([withoutPeerId(stranger.address())]), fails('PEER_NOT_ADMITTED'))
  for (const secret of SECRETS) assert.ok(!stranger.heard().includes(secret), secret)
})

test('MEMBER-1 an admitted key whose hello is refused gets no gossip, no message and no topic', async () => {
  const [opener = '', name = ''] = await namesByKey('m1', 'm2')
  const admitted = [await keyOf(opener), await keyOf(name)]
  const member = await startMember({ name, admitted, handlers: { checkHello: () => false } })
  const rogue = await startRogue(opener)
  const connection = await rogue.dial(member.main()[0] ?? '')
  await openRawLink(connection).catch(() => null)
  await member.network.publish(utf8('secret gossip'))
  await until(() => connection.status !== 'open', 'the refused one is cut')
  assert.deepEqual(member.ups, [])
  assert.equal(member.network.send(rogue.key, utf8('secret message')), false)
  for (const secret of SECRETS) assert.ok(!rogue.heard().includes(secret), secret)
})

test('MEMBER-1 nothing is delivered before both hellos are accepted', async () => {
  const [opener = '', name = ''] = await namesByKey('m1', 'm2')
  const admitted = [await keyOf(opener), await keyOf(name)]
  let release: (accepted: boolean) => void = () => {}
  const judged = new Promise<boolean>((resolve) => {
    release = resolve
  })
  const a = await startMember({ name, admitted, handlers: { checkHello: () => judged } })
  const b = await startMember({ name: opener, admitted })
  const connecting = b.network.connect(a.main())
  await until(() => a.network.diagnose(b.key).admitted && !a.network.diagnose(b.key).connected, 'waiting')
  assert.equal(b.network.send(a.key, utf8('early')), false)
  await assert.rejects(b.network.request(a.key, utf8('early')), fails('PEER_UNREACHABLE'))
  assert.deepEqual([a.ups, b.ups], [[], []])
  release(true)
  assert.equal(await connecting, a.key)
  await until(() => a.ups.length === 1 && b.ups.length === 1, 'up')
  assert.deepEqual(a.messages, [])
})

test('MEMBER-1 gossip waits for the verdict on the hello', async () => {
  const [opener = '', name = ''] = await namesByKey('m1', 'm2')
  const admitted = [await keyOf(opener), await keyOf(name)]
  let release: (accepted: boolean) => void = () => {}
  const judged = new Promise<boolean>((resolve) => {
    release = resolve
  })
  const member = await startMember({ name, admitted, handlers: { checkHello: () => judged } })
  const rogue = await startRogue(opener)
  const connection = await rogue.dial(member.main()[0] ?? '')
  await until(() => connection.streams.some(({ protocol }) => protocol === GOSSIP_PROTOCOL), 'its router’s own stream')
  const gossip = await connection.newStream(GOSSIP_PROTOCOL)
  gossip.send(gossipFrame(utf8('early gossip')))
  const linking = openRawLink(connection)
  for (let round = 0; round < 10; round++) {
    await member.network.publish(utf8(`secret gossip ${round}`))
    await connection.newStream('/ipfs/ping/1.0.0').then((stream) => stream.abort(new Error('one round trip')))
  }
  assert.ok(!rogue.heard().includes('secret gossip'))
  assert.ok(!rogue.heard().includes(TOPIC))
  assert.deepEqual(member.gossip, [])
  release(true)
  await linking
  await until(() => member.gossip.some(({ text }) => text === 'early gossip'), 'held gossip is read')
  await until(() => rogue.heard().includes(TOPIC), 'the topic is told')
})

test('MEMBER-1 a node that does not know us refuses, and the dialler is told', async () => {
  const keys = [await keyOf('m1'), await keyOf('m2')]
  const a = await startMember({ name: 'm1', admitted: [] })
  const b = await startMember({ name: 'm2', admitted: keys })
  await assert.rejects(b.network.connect(a.main()), fails('PEER_NOT_ADMITTED'))
  await until(() => b.refusals.includes(a.key), 'refused')
  assert.deepEqual([a.ups, b.ups], [[], []])
})

test('MEMBER-3 a key that is no longer admitted is cut at once, and stays out', async () => {
  const { a, b } = await connectedPair({ name: 'm1' }, { name: 'm2' })
  a.network.setAdmitted(new Set([a.key]))
  assert.deepEqual(a.network.peers(), [])
  assert.equal(a.network.send(b.key, utf8('late')), false)
  await until(() => b.downs.length === 1, 'the other side sees it')
  await assert.rejects(b.network.connect(a.main()), fails('PEER_NOT_ADMITTED'))
  assert.deepEqual(a.downs, [b.key])
})

test('MEMBER-6 a wrong peer id in the multiaddr is refused, on main and at the door', async () => {
  const admitted = await Promise.all(['m1', 'm2', 'm3'].map(keyOf))
  const a = await startMember({ name: 'm1', admitted, options: { door: [LOOPBACK] } })
  const b = await startMember({ name: 'm2', admitted })
  const wrong = `${withoutPeerId(a.main()[0] ?? '')}/p2p/${peerIdOf(admitted[2] ?? '')}`
  await assert.rejects(b.network.connect([wrong]), fails('PEER_ID_MISMATCH'))
  await assert.rejects(b.network.connect(['/ip4/127.0.0.1/udp/1/quic-v1']), fails('PEER_ADDRESS_INVALID'))
  const talk = async (): Promise<void> => {}
  const doors = a.network.addresses().door
  await assert.rejects(b.network.doorCall('join', doors, admitted[2] ?? '', talk), fails('PEER_ID_MISMATCH'))
  const bare = doors.map(withoutPeerId)
  await assert.rejects(b.network.doorCall('join', bare, admitted[2] ?? '', talk), fails('PEER_ID_MISMATCH'))
  assert.deepEqual([a.ups, b.ups], [[], []])
  assert.equal(await b.network.connect(a.main()), a.key)
})

test('MEMBER-7 without the pre-shared key nobody reaches Noise, on main and at the door', async () => {
  const admitted = await Promise.all(['m1', 'm2', 'm3'].map(keyOf))
  const psk = new Uint8Array(32).fill(1)
  const a = await startMember({ name: 'm1', admitted, options: { psk, door: [LOOPBACK] } })
  const b = await startMember({ name: 'm2', admitted, options: { psk } })
  const c = await startMember({ name: 'm3', admitted, options: { psk: new Uint8Array(32).fill(2) } })
  const open = await startMember({ name: 'm4' })
  assert.equal(await b.network.connect(a.main()), a.key)
  await assert.rejects(c.network.connect(a.main(), AbortSignal.timeout(1_500)))
  const spoken = async (address: string): Promise<string> => (await answerToMultistream(address)).toString('latin1')
  assert.match(await spoken(open.main()[0] ?? ''), /multistream.*noise/s)
  for (const address of [a.main()[0] ?? '', a.network.addresses().door[0] ?? '']) {
    assert.doesNotMatch(await spoken(address), /multistream|noise/)
  }
  assert.deepEqual(c.ups, [])
})

/** What a raw socket hears when it asks for Noise. */
async function answerToMultistream(address: string): Promise<Buffer> {
  const port = Number(/\/tcp\/(\d+)/.exec(address)?.[1])
  const socket = net.connect(port, '127.0.0.1')
  const heard: Buffer[] = []
  socket.on('data', (data) => heard.push(data)).on('error', () => {})
  const line = (text: string): Buffer => Buffer.concat([Buffer.from([text.length + 1]), Buffer.from(`${text}\n`)])
  socket.write(Buffer.concat([line('/multistream/1.0.0'), line('/noise')]))
  const closed = new Promise((resolve) => socket.once('close', resolve))
  await Promise.race([closed, pause(300)])
  socket.destroy()
  return Buffer.concat(heard)
}
