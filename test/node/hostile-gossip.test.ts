// What a member may gossip or send that no correct node would: the verdict, and that nothing of it enters the log.

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { type TestContext, test } from 'node:test'
import { defaultRights, issueCertificate } from '../../src/identity/certificate.ts'
import { generateSigningKey, type SigningKey } from '../../src/identity/ed25519.ts'
import { buildAppend, prepareEvent } from '../../src/log/append-builder.ts'
import { frameAppend } from '../../src/log/append-codec.ts'
import { makeInstance, signBeacon } from '../../src/log/beacon.ts'
import { encodeHead, type Head } from '../../src/log/statement.ts'
import { encodeGossip, type GossipKind } from '../../src/network/wire/gossip-codec.ts'
import { encodeSyncMessage } from '../../src/network/wire/sync-codec.ts'
import { faultsOf, startFounder, type TestNode, until } from './node-kit.ts'

const CLAIM_BYTES = 120

interface Sealed {
  readonly head: Head
  readonly frame: Buffer
}

/** A node with one more member, who is not there: the test speaks for it. */
async function withMember(t: TestContext): Promise<{ ada: TestNode; bob: SigningKey }> {
  const ada = await startFounder(t, 'ada')
  const bob = generateSigningKey()
  const { log, shell } = ada.node
  const certificate = issueCertificate(ada.identity.key, {
    mesh: log.mesh,
    subject: bob.publicKey,
    rank: 10,
    role: 'member',
    rights: defaultRights('member'),
    expiryMs: 0
  })
  await log.appendRecord({ type: 'member-admitted', certificate, invite: null })
  await until('the member is known', () => log.view.members.has(bob.publicKeyHex) && shell.state !== null)
  return { ada, bob }
}

function firstAppend(mesh: Uint8Array, key: SigningKey): Sealed {
  const place = { author: key.publicKey, chain: 0, epoch: 1, firstSeq: 1, prev: new Uint8Array(32) }
  const stamp = () => ({ ms: Date.now(), counter: 0 })
  const random = { bytes: (length: number) => randomBytes(length), fraction: () => 0 }
  const event = prepareEvent({ type: 'chain-opened', payload: Buffer.from('{}') })
  const { head, blocks } = buildAppend(mesh, key, place, [event], stamp, random)
  return { head, frame: frameAppend(blocks.header, blocks.body) }
}

function flipped(bytes: Uint8Array, at = bytes.length - 1): Buffer {
  const copy = Buffer.from(bytes)
  copy[at] = (copy[at] ?? 0) ^ 1
  return copy
}

test('SYNC-3 gossip that is malformed, unsigned, of another mesh or of nobody’s is not forwarded and enters no log; the same inside the rules does', async (t) => {
  const { ada, bob } = await withMember(t)
  const { log, shell } = ada.node
  const stranger = generateSigningKey()
  const good = firstAppend(log.mesh, bob)
  const foreign = firstAppend(randomBytes(32), bob)
  const nobodys = firstAppend(log.mesh, stranger)
  const instance = makeInstance(Date.now(), randomBytes(8))
  const beacon = signBeacon({ head: good.head, timeMs: Date.now(), instance }, bob)
  const before = [...log.chains.keys()]
  const hear = (kind: GossipKind, bytes: Uint8Array) => shell.gossip(bob.publicKeyHex, encodeGossip({ kind, bytes }))

  for (const [what, kind, bytes, verdict] of [
    ['an append with a changed byte', 'append', flipped(good.frame), 'reject'],
    ['an append with a changed seal', 'append', flipped(good.frame, 8 + 100), 'reject'],
    ['an append that is cut off', 'append', good.frame.subarray(0, -1), 'reject'],
    ['two appends in one', 'append', Buffer.concat([good.frame, good.frame]), 'reject'],
    ['an append of another mesh', 'append', foreign.frame, 'reject'],
    ['an append of nobody', 'append', nobodys.frame, 'ignore'],
    ['a head with a changed seal', 'head', flipped(encodeHead(good.head)), 'reject'],
    ['a head of another mesh', 'head', encodeHead(foreign.head), 'reject'],
    ['a head of nobody', 'head', encodeHead(nobodys.head), 'ignore'],
    ['a beacon with a changed signature', 'beacon', flipped(beacon), 'reject'],
    [
      'a beacon of another mesh',
      'beacon',
      signBeacon({ head: foreign.head, timeMs: Date.now(), instance }, bob),
      'reject'
    ],
    [
      'a claim that nobody signed',
      'claim',
      Buffer.concat([Buffer.alloc(24), bob.publicKey, Buffer.alloc(64)]),
      'reject'
    ]
  ] as const) {
    assert.equal(hear(kind, bytes), verdict, what)
  }
  assert.equal(shell.gossip(bob.publicKeyHex, Buffer.concat([Buffer.of(9), Buffer.alloc(CLAIM_BYTES)])), 'reject')
  assert.equal(shell.gossip(bob.publicKeyHex, new Uint8Array(0)), 'reject')
  await ada.api.append([{ type: 'app-note', json: '{"text":"ada goes on"}' }])
  assert.deepEqual([...log.chains.keys()], before)

  assert.equal(hear('beacon', beacon), 'accept')
  assert.equal(hear('append', good.frame), 'accept')
  await until('what holds is stored', () => log.chains.get(good.head.key)?.tips[0]?.lastSeq === 1)
  const events = () => [...log.state.rows.values()].reduce((sum, row) => sum + row.events, 0)
  const held = events()
  assert.equal(hear('append', good.frame), 'accept', 'a replay')
  await ada.api.append([{ type: 'app-note', json: '{"text":"behind the replay"}' }])
  assert.equal(events(), held + 1)
  assert.deepEqual(await faultsOf(ada), [])
})

test('SYNC-3 sync messages that do not decode or that nobody asked for cost their sender, and in the end its connection', async (t) => {
  const { ada, bob } = await withMember(t)
  const { shell, network } = ada.node
  const peer = bob.publicKeyHex
  const penalty = () => network.diagnose(peer).penalty
  assert.equal(penalty(), 0)
  shell.message(peer, randomBytes(50))
  const garbage = penalty()
  assert.ok(garbage > 0)
  shell.step({ kind: 'peer-up', peer, key: peer, instance: makeInstance(1, randomBytes(8)), timeMs: 1 })
  shell.message(peer, encodeSyncMessage({ kind: 'frame', id: 7, bytes: randomBytes(100) }))
  assert.ok(penalty() > garbage)
  for (let count = 0; count < 4; count++) shell.message(peer, randomBytes(50))
  assert.equal(network.diagnose(peer).barred, true)
  assert.deepEqual(await faultsOf(ada), ['LOG_UNKNOWN'], 'of the member no event is here')
})
