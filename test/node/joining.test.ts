// What a joiner shows to a door that is not what the invite says: no proof, no secret, nothing that could be used elsewhere.

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { toHex } from '../../src/base/bytes.ts'
import { systemClock, systemRandom } from '../../src/base/clock.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { isMeshError } from '../../src/base/mesh-error.ts'
import { generateSigningKey, type SigningKey } from '../../src/identity/ed25519.ts'
import { encodeInvite, parseInvite } from '../../src/identity/invite.ts'
import { JOIN_NONCE_BYTES } from '../../src/identity/join-proof.ts'
import { createMeshNetwork } from '../../src/network/mesh-network.ts'
import { encodeJoinChallenge } from '../../src/network/wire/peer-codec.ts'
import { requestAdmission } from '../../src/node/join-mesh.ts'
import { scanBytes } from '../canary.ts'
import { makeInvite, startFounder } from './node-kit.ts'

/** A door that answers with any mesh id and keeps what it is sent. */
async function startDoor(key: SigningKey, mesh: Uint8Array) {
  const received: Uint8Array[] = []
  const network = createMeshNetwork(
    {
      seed: key.seed,
      listen: [],
      door: ['/ip4/127.0.0.1/tcp/0'],
      bootstrap: [],
      topic: 'none',
      mdns: false,
      mdnsServiceTag: '',
      websocket: false,
      relayServer: false,
      relayClient: false,
      holePunching: false,
      membersMax: 1,
      test: true
    },
    {
      hello: () => new Uint8Array(1),
      checkHello: () => false,
      peerUp: () => undefined,
      peerDown: () => undefined,
      message: () => undefined,
      writable: () => undefined,
      gossip: () => 'ignore',
      request: () => Promise.reject(new Error('none')),
      discovered: () => undefined,
      door: async (_peer, _protocol, exchange) => {
        received.push(await exchange.receive())
        exchange.send(encodeJoinChallenge({ mesh, inviterNonce: randomBytes(JOIN_NONCE_BYTES) }))
        received.push(await exchange.receive())
      }
    },
    { clock: systemClock, random: systemRandom, logger: silentLogger }
  )
  await network.start()
  return { network, received }
}

test('MEMBER-2 the joiner sends its proof to no other mesh and to no other key', async (t) => {
  const inviter = generateSigningKey()
  const invited = randomBytes(32)
  const secret = randomBytes(16)
  const joiner = generateSigningKey()
  const lineFor = (doors: readonly string[], key = inviter.publicKey) =>
    parseInvite(
      encodeInvite({ mesh: invited, inviter: key, secret, expiryMs: Date.now() + 60_000, meshName: 'test', doors })
    )
  const ask = (doors: readonly string[], key = inviter.publicKey) =>
    requestAdmission(lineFor(doors, key), joiner, 'joiner', AbortSignal.timeout(20_000), silentLogger)

  const other = await startDoor(inviter, randomBytes(32))
  t.after(() => other.network.stop())
  await assert.rejects(
    ask(other.network.addresses().door),
    (error) => isMeshError(error) && error.code === 'INVITE_FOREIGN_MESH'
  )
  assert.equal(other.received.length, 1, 'it was asked for the mesh, and got no proof')
  assert.deepEqual(scanBytes(Buffer.concat(other.received), [secret]), [])

  const impostor = await startDoor(generateSigningKey(), invited)
  t.after(() => impostor.network.stop())
  const address = (impostor.network.addresses().door[0] ?? '').replace(/\/p2p\/.*/, '')
  await assert.rejects(ask([address]), (error) => isMeshError(error) && error.code === 'PEER_ID_MISMATCH')
  assert.deepEqual(impostor.received, [])

  // The same door with the invited mesh is given a proof: the check is what kept it back.
  const right = await startDoor(inviter, invited)
  t.after(() => right.network.stop())
  await assert.rejects(ask(right.network.addresses().door))
  assert.equal(right.received.length, 2)
  assert.deepEqual(scanBytes(Buffer.concat(right.received), [secret]), [], 'a proof is no secret')
})

test('MEMBER-2 two joiners at one moment: an invite admits exactly one', async (t) => {
  const ada = await startFounder(t, 'ada')
  const { line } = await makeInvite(ada, 'member')
  const joiners = Array.from({ length: 4 }, () => generateSigningKey())
  const outcomes = await Promise.allSettled(
    joiners.map((key) => requestAdmission(parseInvite(line), key, 'x', AbortSignal.timeout(20_000), silentLogger))
  )
  const admitted = joiners.filter((_, index) => outcomes[index]?.status === 'fulfilled')
  assert.equal(admitted.length, 1)
  for (const outcome of outcomes) {
    if (outcome.status === 'rejected') assert.equal(outcome.reason.code, 'INVITE_USED')
  }
  const members = [...ada.node.log.view.members.keys()].sort()
  assert.deepEqual(members, [ada.identity.key.publicKeyHex, ...admitted.map((key) => toHex(key.publicKey))].sort())
})
