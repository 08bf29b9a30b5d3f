import assert from 'node:assert/strict'
import { afterEach, test } from 'node:test'
import { toHex, utf8 } from '../../src/base/bytes.ts'
import { LIMITS } from '../../src/base/limits.ts'
import { signingKeyFromSeed } from '../../src/identity/ed25519.ts'
import { isDeniedPeerAddress } from '../../src/network/peer-address-guard.ts'
import { Redial } from '../../src/network/redial.ts'
import {
  connectedPair,
  gossips,
  keyOf,
  type Member,
  startMember,
  stopAll,
  stopMember,
  until
} from './network-fixture.ts'
import { frame, GOSSIP_PROTOCOL, namesByKey, rawLinkOn, SYNC, startRogue, stopRogues } from './rogue-node.ts'

afterEach(async () => {
  await stopRogues()
  await stopAll()
})

test('SYNC-2 twelve members on one address find each other by their address books, each link comes up once, and gossip reaches all', async () => {
  const names = Array.from({ length: 12 }, (_, index) => `n${index}`)
  const admitted = await Promise.all(names.map(keyOf))
  const members: Member[] = []
  for (const name of names) members.push(await startMember({ name, admitted }))
  for (const member of members) {
    for (const peer of members) member.network.setMember(peer.key, peer.main())
  }
  await until(() => members.every((member) => gossips(member, 11)), 'a full mesh')
  assert.equal(await members[0]?.network.publish(utf8('to all')), 11)
  await until(() => members.slice(1).every(({ gossip }) => gossip.length === 1), 'gossip')
  for (const member of members) {
    assert.deepEqual([...member.ups].sort(), admitted.filter((key) => key !== member.key).sort())
    assert.deepEqual(member.downs, [])
    assert.ok(
      member.network.peers().every(({ score }) => score >= 0),
      'neighbours on one address are no offence'
    )
  }
})

test('SYNC-2 both sides dialling at once makes one link, and messages pass both ways', async () => {
  const admitted = [await keyOf('n1'), await keyOf('n2')]
  for (let round = 0; round < 5; round++) {
    const a = await startMember({ name: 'n1', admitted })
    const b = await startMember({ name: 'n2', admitted })
    await Promise.all([a.network.connect(b.main()), b.network.connect(a.main())])
    await until(() => a.ups.length === 1 && b.ups.length === 1, 'up')
    a.network.send(b.key, utf8('from a'))
    b.network.send(a.key, utf8('from b'))
    await until(() => a.messages.length === 1 && b.messages.length === 1, 'both ways')
    assert.deepEqual([a.ups, b.ups, a.downs, b.downs], [[b.key], [a.key], [], []])
    await Promise.all([stopMember(a), stopMember(b)])
  }
})

test('SYNC-2 the side with the smaller key closes spare connections without disturbing the link', async () => {
  const [name = '', rogueName = ''] = await namesByKey('n1', 'n2')
  const member = await startMember({ name, admitted: [await keyOf(name), await keyOf(rogueName)] })
  const rogue = await startRogue(rogueName)
  await rogue.node.handle(SYNC, (stream) => {
    const link = rawLinkOn(stream)
    link.send(frame(utf8('hello')))
    link.send(frame(new Uint8Array(0)))
  })
  const connections = [await rogue.dial(member.main()[0] ?? ''), await rogue.dial(member.main()[0] ?? '')]
  await until(() => member.ups.length === 1, 'up')
  await until(() => connections.filter(({ status }) => status === 'open').length === 1, 'one is left')
  assert.deepEqual([member.ups.length, member.downs.length], [1, 0])
  assert.equal(member.network.send(rogue.key, utf8('still')), true)
})

test('SYNC-2 a peer that restarts on the same port is dialled again', async () => {
  const { a, b } = await connectedPair({ name: 'n1' }, { name: 'n2' })
  const [address = ''] = a.main()
  b.network.setMember(a.key, [address])
  const admitted = [a.key, b.key]
  await stopMember(a)
  await until(() => b.downs.length === 1, 'down')
  await until(() => b.network.diagnose(a.key).attempts >= 2, 'dials fail')
  assert.ok(b.network.diagnose(a.key).lastDialError)
  const again = await startMember({ name: 'n1', admitted, options: { listen: [address.replace(/\/p2p\/.*/, '')] } })
  await until(() => b.ups.length === 2 && again.ups.length === 1, 'up again')
  await until(() => gossips(b, 1) && gossips(again, 1), 'gossip again')
  await again.network.publish(utf8('back'))
  await until(() => b.gossip.some(({ text }) => text === 'back'), 'gossip passes')
})

test('SYNC-2 a gossip stream that was lost is opened again, and a peer that cannot gossip is connected anew', async () => {
  const [name = '', rogueName = ''] = await namesByKey('n1', 'n2')
  const member = await startMember({ name, admitted: [await keyOf(name), await keyOf(rogueName)] })
  const rogue = await startRogue(rogueName)
  await rogue.node.handle(SYNC, (stream) => {
    const link = rawLinkOn(stream)
    link.send(frame(utf8('hello')))
    link.send(frame(new Uint8Array(0)))
  })
  member.network.setMember(rogue.key, [rogue.address()])
  const streams = (wanted: 'inbound' | 'outbound') =>
    rogue.node
      .getConnections()
      .flatMap((connection) => connection.streams)
      .filter(({ protocol, direction }) => protocol === GOSSIP_PROTOCOL && direction === wanted)
  const lost = async (): Promise<void> => {
    await until(
      () => gossips(member, 1) && streams('inbound').length > 0 && streams('outbound').length > 0,
      'both ways'
    )
    streams('inbound')[0]?.abort(new Error('lost'))
    await until(() => !gossips(member, 1), 'lost')
  }
  await lost()
  await until(() => gossips(member, 1), 'gossip again')
  let count = 0
  await until(() => {
    count += 1
    void member.network.publish(utf8(`healed ${count}`))
    return rogue.heard().includes('healed')
  }, 'gossip arrives again')
  assert.deepEqual([member.ups.length, member.downs.length], [1, 0])

  await rogue.node.unhandle(['/meshsub/1.0.0', '/meshsub/1.1.0', GOSSIP_PROTOCOL])
  for (const stream of streams('inbound')) stream.abort(new Error('no more'))
  await until(() => member.downs.length === 1 && member.ups.length === 2, 'a new link')
})

test('SYNC-2 the redial loop backs off to at most a minute, never gives up, and a call by hand resets it', (context) => {
  context.mock.timers.enable({ apis: ['setInterval'] })
  const peer = 'ab'.repeat(32)
  const dialled: number[] = []
  let now = 0
  const redial = loop(
    '00'.repeat(32),
    () => now,
    (key) => {
      assert.equal(key, peer)
      dialled.push(now)
    }
  )
  redial.setMember(peer, ['/ip4/127.0.0.1/tcp/4701'])
  redial.start()
  const run = async (spanMs: number): Promise<void> => {
    for (const end = now + spanMs; now < end; ) {
      now += 200
      context.mock.timers.tick(200)
      await Promise.resolve()
        .then(() => {})
        .then(() => {})
    }
  }
  return run(3_600_000).then(async () => {
    const pauses = dialled.slice(1).map((at, index) => at - (dialled[index] ?? 0))
    assert.ok(dialled.length >= 60 && dialled.length <= 140, `${dialled.length} dials in an hour`)
    assert.ok(Math.max(...pauses) <= LIMITS.redialMsMax + 400)
    const count = dialled.length
    await run(400)
    redial.hurry(peer)
    await run(400)
    assert.ok(dialled.length > count)
    redial.stop()
  })
})

test('SCALE-1 a mesh larger than the connection limit keeps a stable part of it', (context) => {
  context.mock.timers.enable({ apis: ['setInterval'] })
  const keys = Array.from({ length: 300 }, (_, index) => index.toString(16).padStart(4, '0').repeat(16))
  const choose = (order: string[]): string[] => {
    let now = 0
    const connected = new Set<string>()
    const redial = loop(
      'ff'.repeat(32),
      () => now,
      (key) => connected.add(key),
      connected
    )
    for (const key of order) redial.setMember(key, ['/ip4/127.0.0.1/tcp/4701'])
    redial.start()
    for (; now < 10_000; now += 200) context.mock.timers.tick(200)
    redial.stop()
    return [...connected].sort()
  }
  const chosen = choose(keys)
  assert.ok(chosen.length > 0 && chosen.length <= LIMITS.connectionsMax)
  assert.deepEqual(choose([...keys].reverse()), chosen)
})

test('SSRF-4 an address that a member says of itself and that leads to this machine, a cloud’s services or everybody is not dialled', () => {
  const self = '00'.repeat(32)
  const peer = toHex(signingKeyFromSeed(new Uint8Array(32).fill(5)).publicKey)
  const ports = {
    denies: (address: string) => isDeniedPeerAddress(address),
    admits: () => true,
    isConnected: () => false,
    dial: async () => undefined
  }
  const clock = { now: () => 0, monotonic: () => 0 }
  const redial = new Redial(self, ports, {
    clock,
    random: { bytes: (length) => new Uint8Array(length), fraction: () => 0.5 }
  })
  redial.setMember(peer, [
    '/ip4/169.254.169.254/tcp/80',
    '/ip4/127.0.0.1/tcp/22',
    '/ip4/192.168.1.7/tcp/4701',
    '/dns4/localhost/tcp/1'
  ])
  assert.deepEqual(
    redial.addressesOf(peer).map((address) => address.split('/p2p/')[0]),
    ['/ip4/192.168.1.7/tcp/4701']
  )
})

function loop(self: string, now: () => number, onDial: (key: string) => void, connected = new Set<string>()): Redial {
  const ports = {
    denies: () => false,
    admits: () => true,
    isConnected: (peer: string) => connected.has(peer),
    dial: async (peer: string) => {
      onDial(peer)
      throw new Error('no route')
    }
  }
  return new Redial(self, ports, {
    clock: { now, monotonic: now },
    random: { bytes: (length) => new Uint8Array(length), fraction: () => 0.5 }
  })
}
