// What the gate of a running node believes: hellos at the main host, proofs of an invite at the door.

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { type TestContext, test } from 'node:test'
import { fromHex } from '../../src/base/bytes.ts'
import { systemClock, systemRandom } from '../../src/base/clock.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { defaultRights, encodeCertificate, issueCertificate } from '../../src/identity/certificate.ts'
import { generateSigningKey, type SigningKey } from '../../src/identity/ed25519.ts'
import { type Invite, inviteId, parseInvite } from '../../src/identity/invite.ts'
import { JOIN_NONCE_BYTES, joinProof } from '../../src/identity/join-proof.ts'
import { encodeMeshPreimage } from '../../src/identity/mesh-id.ts'
import { makeInstance } from '../../src/log/beacon.ts'
import { createMeshNetwork } from '../../src/network/mesh-network.ts'
import type { NetworkHandlers } from '../../src/network/network-contract.ts'
import {
  encodeHello,
  encodeJoinProof,
  encodeJoinRequest,
  helloText,
  tryDecodeJoinAnswer,
  tryDecodeJoinChallenge
} from '../../src/network/wire/peer-codec.ts'
import { makeInvite, startFounder, type TestNode } from './node-kit.ts'

function certificateOf(ada: TestNode, subject: SigningKey) {
  const rights = defaultRights('member')
  const fields = { subject: subject.publicKey, rank: 10, role: 'member', rights, expiryMs: 0 } as const
  return issueCertificate(ada.identity.key, { mesh: ada.node.log.mesh, ...fields })
}

test('MEMBER-1 a hello of another mesh, for another node, by another key, or of a removed or unknown one is refused', async (t) => {
  const ada = await startFounder(t, 'ada')
  const { log, gate, init } = ada.node
  const bob = generateSigningKey()
  const certificate = certificateOf(ada, bob)
  const instance = makeInstance(Date.now(), randomBytes(8))
  const hello = (signer: SigningKey, mesh = log.mesh, to = ada.identity.key.publicKey, path = [certificate]) => {
    const timeMs = Date.now()
    return encodeHello({
      mesh,
      certificates: path.map(encodeCertificate),
      preimage: encodeMeshPreimage(init.mesh.preimage),
      namedFounder: new Uint8Array(0),
      instance,
      timeMs,
      name: 'bob',
      version: '0',
      mainAddresses: [],
      doorAddresses: [],
      signature: signer.sign(helloText(mesh, bob.publicKey, to, instance, timeMs))
    })
  }
  const bobs = bob.publicKeyHex
  assert.equal(gate.checkHello(bobs, hello(bob)), true)
  assert.equal(gate.checkHello(bobs, hello(bob, randomBytes(32))), false, 'another mesh')
  assert.equal(gate.checkHello(bobs, hello(generateSigningKey())), false, 'another key')
  assert.equal(gate.checkHello(bobs, hello(bob, log.mesh, generateSigningKey().publicKey)), false, 'for another node')
  assert.equal(gate.checkHello(bobs, hello(bob, log.mesh, ada.identity.key.publicKey, [])), false, 'unknown')
  assert.equal(gate.checkHello(bobs, randomBytes(200)), false)

  await log.appendRecord({ type: 'member-admitted', certificate, invite: null })
  assert.equal(gate.checkHello(bobs, hello(bob, log.mesh, ada.identity.key.publicKey, [])), true, 'the log knows it')
  await log.appendRecord({ type: 'member-removed', subject: bobs, cuts: [] })
  assert.equal(gate.checkHello(bobs, hello(bob)), false, 'removed')
})

type Prove = (invite: Invite, fields: Parameters<typeof joinProof>[1]) => Uint8Array

/** Talks to the inviter's door as a joiner does, with a proof of the test's. */
async function askWith(t: TestContext, invite: Invite, joiner: SigningKey, prove: Prove): Promise<string> {
  const off = { listen: [], door: [], bootstrap: [], topic: 'none', mdns: false, mdnsServiceTag: '', websocket: false }
  const none = { relayServer: false, relayClient: false, holePunching: false, membersMax: 1, test: true }
  const handlers: NetworkHandlers = {
    hello: () => new Uint8Array(1),
    checkHello: () => false,
    peerUp: () => undefined,
    peerDown: () => undefined,
    message: () => undefined,
    writable: () => undefined,
    gossip: () => 'ignore',
    request: () => Promise.reject(new Error('none')),
    door: () => Promise.resolve(),
    discovered: () => undefined
  }
  const deps = { clock: systemClock, random: systemRandom, logger: silentLogger }
  const network = createMeshNetwork({ seed: joiner.seed, ...off, ...none }, handlers, deps)
  t.after(() => network.stop())
  const joinerNonce = randomBytes(JOIN_NONCE_BYTES)
  const inviter = Buffer.from(invite.inviter).toString('hex')
  const answer = await network.doorCall('join', invite.doors, inviter, async (exchange) => {
    exchange.send(encodeJoinRequest({ invite: fromHex(inviteId(invite.secret)), joinerNonce }))
    const challenge = tryDecodeJoinChallenge(await exchange.receive())
    assert.ok(challenge)
    const { mesh, inviterNonce } = challenge
    const fields = { mesh, inviter: invite.inviter, joiner: joiner.publicKey, inviterNonce, joinerNonce }
    const proof = prove(invite, fields)
    exchange.send(encodeJoinProof({ proof, name: '', version: '0', mainAddresses: [], doorAddresses: [] }))
    return tryDecodeJoinAnswer(await exchange.receive())
  })
  assert.ok(answer)
  return 'refusal' in answer ? answer.refusal : 'admitted'
}

test('MEMBER-2 who knows the id of an invite and not its secret is not admitted, nor with a proof made for somebody else', async (t) => {
  const ada = await startFounder(t, 'ada')
  const invite = parseInvite((await makeInvite(ada, 'member')).line)
  const eve = generateSigningKey()
  const bob = generateSigningKey()
  const wrong: Prove[] = [
    () => randomBytes(32),
    (_, fields) => joinProof(new Uint8Array(16), fields),
    ({ secret }, fields) => joinProof(secret, { ...fields, joiner: bob.publicKey }),
    ({ secret }, fields) => joinProof(secret, { ...fields, inviterNonce: new Uint8Array(JOIN_NONCE_BYTES) })
  ]
  for (const prove of wrong) assert.equal(await askWith(t, invite, eve, prove), 'INVITE_UNKNOWN')
  assert.equal(ada.node.invites.list()[0]?.state, 'open')
  assert.deepEqual([...ada.node.log.view.members.keys()], [ada.identity.key.publicKeyHex])

  assert.equal(await askWith(t, invite, bob, ({ secret }, fields) => joinProof(secret, fields)), 'admitted')
  assert.equal(ada.node.invites.list()[0]?.state, 'used')
  assert.ok(ada.node.log.view.members.has(bob.publicKeyHex))
})
