import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../../src/base/clock.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { peerIdOf } from '../../src/identity/peer-id.ts'
import {
  keyOfAddress,
  parseAddresses,
  tryAddressOf,
  tryKeyOfAddress,
  tryParseAddress,
  usableAddresses,
  withoutPeerId
} from '../../src/network/addresses.ts'
import { Penalties } from '../../src/network/penalties.ts'

const KEY = 'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a'
const OTHER = '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c'
const ID = peerIdOf(KEY)

test('MEMBER-6 addresses of tcp, ws and relays are taken, everything else is not', () => {
  const good = [
    '/ip4/127.0.0.1/tcp/4701',
    `/ip6/::1/tcp/4701/p2p/${ID}`,
    `/dns/node.example/tcp/443/ws/p2p/${ID}`,
    '/dns4/node.example/tcp/1',
    `/ip4/10.0.0.1/tcp/1/p2p/${ID}/p2p-circuit/p2p/${peerIdOf(OTHER)}`
  ]
  const bad = [
    '',
    'localhost:4701',
    '/ip4/127.0.0.1/udp/1/quic-v1',
    '/ip4/300.0.0.1/tcp/1',
    '/dnsaddr/bootstrap.libp2p.io',
    '/unix/tmp/socket',
    '/ip4/127.0.0.1/tcp/1/http',
    `/p2p/${ID}`,
    `/ip4/127.0.0.1/tcp/1/p2p/${ID}/p2p/${ID}`,
    `/dns/${'a'.repeat(600)}/tcp/1`
  ]
  for (const text of good) assert.notEqual(tryParseAddress(text), null, text)
  for (const text of bad) assert.equal(tryParseAddress(text), null, text)
  assert.throws(() => parseAddresses([]))
  assert.throws(() => parseAddresses(Array.from({ length: 9 }, () => good[0] ?? '')))
})

test('MEMBER-6 the key at the end of an address is read, added and never replaced', () => {
  const bare = parseAddresses(['/ip4/127.0.0.1/tcp/1'])[0]
  assert.ok(bare)
  assert.equal(keyOfAddress(bare), null)
  const named = tryAddressOf(bare, KEY)
  assert.equal(named?.toString(), `/ip4/127.0.0.1/tcp/1/p2p/${ID}`)
  assert.equal(tryKeyOfAddress(named?.toString() ?? ''), KEY)
  assert.equal(named === null ? null : tryAddressOf(named, OTHER), null)
  assert.equal(withoutPeerId(`/ip4/127.0.0.1/tcp/1/p2p/${ID}`), '/ip4/127.0.0.1/tcp/1')
  const relay = `/ip4/10.0.0.1/tcp/1/p2p/${ID}/p2p-circuit`
  assert.equal(tryKeyOfAddress(relay), null)
  const usable = usableAddresses([`/ip4/1.2.3.4/tcp/1/p2p/${peerIdOf(OTHER)}`, 'rubbish', '/ip4/1.2.3.4/tcp/2'], KEY)
  assert.deepEqual(usable.map(String), [`/ip4/1.2.3.4/tcp/2/p2p/${ID}`])
})

test('SYNC-3 penalties halve every minute; an offender is kept out until they are under half of what barred it', () => {
  let now = 0
  const penalties = new Penalties({ ...systemClock, monotonic: () => now }, silentLogger)
  for (let count = 0; count < 4; count++) penalties.add(KEY, 50, 'test')
  assert.equal(penalties.isBarred(KEY), false)
  penalties.add(KEY, 50, 'test')
  assert.deepEqual([penalties.isBarred(KEY), penalties.isBarred(OTHER)], [true, false])
  assert.equal(penalties.pointsOfPeerId(ID), 250)
  now = 60_000
  assert.equal(penalties.pointsOf(KEY), 125)
  assert.equal(penalties.isBarred(KEY), true)
  now = 120_000
  assert.equal(penalties.isBarred(KEY), false)
})
