import assert from 'node:assert/strict'
import { afterEach, test } from 'node:test'
import { utf8 } from '../../src/base/bytes.ts'
import { LIMITS } from '../../src/base/limits.ts'
import type { NetworkHandlers } from '../../src/network/network-contract.ts'
import { gossips, keyOf, type Member, startMember, stopAll, until } from './network-fixture.ts'
import {
  frame,
  GOSSIP_PROTOCOL,
  gossipFrame,
  namesByKey,
  openRawLink,
  type RawLink,
  type Rogue,
  SYNC,
  startRogue,
  stopRogues,
  varint
} from './rogue-node.ts'

afterEach(async () => {
  await stopRogues()
  await stopAll()
})

interface Scene {
  readonly member: Member
  readonly other: Member
  readonly rogue: Rogue
}

/** Two members that are connected, and a rogue with an admitted key smaller than theirs. */
async function scene(handlers: Partial<NetworkHandlers> = {}): Promise<Scene> {
  const names = await namesByKey('h1', 'h2', 'h3')
  const [rogueName = '', name = '', otherName = ''] = names
  const admitted = await Promise.all(names.map(keyOf))
  const member = await startMember({ name, admitted, handlers })
  const other = await startMember({ name: otherName, admitted })
  await other.network.connect(member.main())
  await until(() => gossips(member, 1) && gossips(other, 1), 'the members gossip')
  return { member, other, rogue: await startRogue(rogueName) }
}

async function linkOf({ member, rogue }: Scene): Promise<RawLink> {
  const link = await openRawLink(await rogue.dial(member.main()[0] ?? ''))
  await until(() => member.network.diagnose(rogue.key).connected, 'the rogue is up')
  return link
}

async function staysUp({ member, other }: Scene): Promise<void> {
  const before = other.messages.length
  assert.equal(member.network.send(other.key, utf8('still here')), true)
  await until(() => other.messages.length === before + 1, 'the member still works')
  assert.deepEqual(other.downs, [])
}

const GARBAGE: [string, (rogue: Rogue, link: RawLink) => Uint8Array | Promise<Uint8Array>][] = [
  ['a length over the limit', () => Buffer.from([0xff, 0xff, 0xff, 0xff])],
  ['one byte over the limit', () => frame(new Uint8Array(LIMITS.messageBytesMax + 1))],
  ['random bytes', () => Buffer.from('GET / HTTP/1.1\r\nHost: pmesh\r\n\r\n')],
  ['a second acceptance', () => frame(new Uint8Array(0))]
]

for (const [what, bytes] of GARBAGE) {
  test(`SYNC-3 ${what} on the sync stream: the peer is cut, its score falls, nothing is delivered, the node stays up`, async () => {
    const set = await scene()
    const link = await linkOf(set)
    link.send(frame(utf8('fine')))
    await until(() => set.member.messages.length === 1, 'a correct message passes')
    const before = set.member.network.diagnose(set.rogue.key).penalty
    link.send(await bytes(set.rogue, link))
    await until(() => set.member.downs.includes(set.rogue.key), 'cut')
    assert.equal(set.member.messages.length, 1)
    assert.ok(set.member.network.diagnose(set.rogue.key).penalty > before)
    await staysUp(set)
  })
}

test('SYNC-3 messages before the hello, hellos too long, and silence are cut', async () => {
  const set = await scene()
  const first = [frame(new Uint8Array(0)), frame(new Uint8Array(4097))]
  for (const bytes of first) {
    const connection = await set.rogue.dial(set.member.main()[0] ?? '')
    const stream = await connection.newStream(SYNC)
    stream.send(bytes)
    await until(() => connection.status !== 'open', 'cut')
  }
  const silent = await set.rogue.dial(set.member.main()[0] ?? '')
  await until(() => silent.status !== 'open', 'the silent one is cut', 7_000)
  assert.ok(set.member.network.diagnose(set.rogue.key).penalty >= 35)
  assert.equal(set.member.ups.includes(set.rogue.key), false)
  await staysUp(set)
})

test('SYNC-3 a repeated offender is kept out for a while', async () => {
  const set = await scene()
  for (let round = 0; round < 5; round++) {
    const link = await linkOf(set)
    link.send(Buffer.from([0xff, 0xff, 0xff, 0xff]))
    await until(() => !set.member.network.diagnose(set.rogue.key).connected, 'cut')
  }
  assert.equal(set.member.network.diagnose(set.rogue.key).barred, true)
  const ups = set.member.ups.length
  const connection = await set.rogue.dial(set.member.main()[0] ?? '').catch(() => null)
  if (connection !== null) {
    await openRawLink(connection).catch(() => null)
    await until(() => connection.status !== 'open', 'refused', 1_000)
  }
  assert.equal(set.member.ups.length, ups)
})

test('SYNC-3 gossip that does not decode, is too large or carries fields of signed messages is dropped, lowers the score, and is not forwarded', async () => {
  const set = await scene()
  await linkOf(set)
  const { member, other, rogue } = set
  const connection = rogue.node.getConnections()[0]
  assert.ok(connection)
  const stream = await connection.newStream(GOSSIP_PROTOCOL)
  const penalty = (): number => member.network.diagnose(rogue.key).penalty
  const score = (): number => member.network.peers().find(({ peer }) => peer === rogue.key)?.score ?? 0

  stream.send(gossipFrame(utf8('plain')))
  await until(() => other.gossip.some(({ text }) => text === 'plain'), 'a correct message is forwarded')
  assert.equal(penalty(), 0)

  stream.send(Buffer.concat([varint(9), Buffer.from('\x12\x7fgarbage', 'latin1')]))
  await until(() => penalty() >= 19, 'undecodable gossip is noticed')
  stream.send(gossipFrame(utf8('with from'), { from: new Uint8Array(1024 * 1024) }))
  await until(() => penalty() >= 38, 'an envelope is noticed')
  const before = score()
  stream.send(gossipFrame(new Uint8Array(LIMITS.gossipBytesMax + 1)))
  await until(() => score() < before - 10, 'an oversized message is rejected')

  stream.send(gossipFrame(utf8('last')))
  await until(() => other.gossip.some(({ text }) => text === 'last'), 'later gossip still passes')
  assert.deepEqual(
    member.gossip.map(({ text }) => text),
    ['plain', 'last']
  )
  assert.deepEqual(
    other.gossip.map(({ text }) => text),
    ['plain', 'last']
  )
  await staysUp(set)
})

test('SYNC-3 a gossip frame over the limit cuts the peer instead of leaving half of it', async () => {
  const set = await scene()
  await linkOf(set)
  const stream = await set.rogue.node.getConnections()[0]?.newStream(GOSSIP_PROTOCOL)
  stream?.send(varint(5 * 1024 * 1024))
  await until(() => set.member.downs.includes(set.rogue.key), 'cut before the guard looks', 1_500)
  assert.ok(set.member.network.diagnose(set.rogue.key).penalty >= 45)
  await linkOf(set)
  await staysUp(set)
})

test('SYNC-3 verdicts of the gossip handler: ignored and rejected messages are not forwarded, only rejection costs', async () => {
  const set = await scene({
    gossip: (_peer, data) => {
      const text = Buffer.from(data).toString()
      return text === 'ignore' || text === 'reject' ? text : 'accept'
    }
  })
  await linkOf(set)
  const { member, other, rogue } = set
  const stream = await rogue.node.getConnections()[0]?.newStream(GOSSIP_PROTOCOL)
  const score = (): number => member.network.peers().find(({ peer }) => peer === rogue.key)?.score ?? 0
  stream?.send(gossipFrame(utf8('ignore')))
  stream?.send(gossipFrame(utf8('accept')))
  await until(() => other.gossip.length === 1, 'the accepted one')
  assert.ok(score() >= 0)
  stream?.send(gossipFrame(utf8('reject')))
  await until(() => score() < -10, 'the score falls')
  assert.deepEqual(
    other.gossip.map(({ text }) => text),
    ['accept']
  )
})

test('SYNC-4 a slow reader: send tells to wait, the backlog stays bounded, and writable comes when it reads on', async () => {
  const set = await scene()
  const { member, rogue } = set
  const link = await linkOf(set)
  link.stream.pause()
  const message = new Uint8Array(64 * 1024).fill(66)
  const backlog = (): number => member.network.peers().find(({ peer }) => peer === rogue.key)?.sendBacklogBytes ?? 0
  let sent = 0
  await until(() => {
    sent += 1
    return !member.network.send(rogue.key, message)
  }, 'send returns false')
  assert.ok(backlog() > 0 && backlog() <= 2 * 1024 * 1024, `${backlog()} bytes wait`)
  assert.deepEqual(member.writables, [])
  const heard = link.messages.length
  link.stream.resume()
  await until(() => member.writables.includes(rogue.key), 'writable')
  await until(() => link.messages.length === heard + sent, 'nothing is lost')
  assert.equal(member.network.send(rogue.key, message), true)
})

test('SYNC-4 a reader that never reads is given up at 4 MiB', async () => {
  const set = await scene()
  const { member, rogue } = set
  const link = await linkOf(set)
  link.stream.pause()
  const message = new Uint8Array(64 * 1024).fill(66)
  let most = 0
  for (let count = 0; count < 2_000 && member.downs.length === 0; count++) {
    member.network.send(rogue.key, message)
    most = Math.max(most, member.network.peers().find(({ peer }) => peer === rogue.key)?.sendBacklogBytes ?? 0)
    if (count % 64 === 0) await new Promise(setImmediate)
  }
  await until(() => member.downs.includes(rogue.key), 'given up')
  assert.ok(most <= 4 * 1024 * 1024 + message.length, `${most} bytes waited`)
  await staysUp(set)
})
