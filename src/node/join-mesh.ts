// Entering a mesh by an invite: the joiner checks the key (Noise) and the mesh before it proves the secret, and the answer before it
// believes it. Works without a running node; a running one uses `requestAdmission` and changes its mesh itself.

import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { equalBytes, fromHex, toHex } from '../base/bytes.ts'
import { systemClock, systemRandom } from '../base/clock.ts'
import { type Logger, silentLogger } from '../base/logger.ts'
import { MeshError } from '../base/mesh-error.ts'
import { loadConfig, setConfigValue } from '../config/config-file.ts'
import { type HomePaths, prepareHome } from '../config/paths.ts'
import { VERSION } from '../config/version.ts'
import { type Certificate, tryDecodeCertificate } from '../identity/certificate.ts'
import { checkCertificatePath } from '../identity/certificate-path.ts'
import type { SigningKey } from '../identity/ed25519.ts'
import { type Identity, openOrCreateIdentity } from '../identity/identity-store.ts'
import { type Invite, inviteId, parseInvite } from '../identity/invite.ts'
import { JOIN_NONCE_BYTES, joinProof } from '../identity/join-proof.ts'
import { loadMeshFile, type MeshFile, meshFile, replaceMesh, saveMeshFile } from '../identity/mesh-file.ts'
import { type MeshPreimage, meshIdOf, tryDecodeMeshPreimage } from '../identity/mesh-id.ts'
import { fingerprintWords, peerIdOf } from '../identity/peer-id.ts'
import { EventLog } from '../log/event-log.ts'
import { createMeshNetwork } from '../network/mesh-network.ts'
import type { NetworkHandlers } from '../network/network-contract.ts'
import {
  type DoorAnswer,
  encodeJoinProof,
  encodeJoinRequest,
  tryDecodeJoinAnswer,
  tryDecodeJoinChallenge
} from '../network/wire/peer-codec.ts'
import { openLevelStore } from '../store/open-level-store.ts'

export interface JoinResult {
  readonly mesh: string
  readonly inviter: { readonly peerId: string; readonly name: string; readonly fingerprint: string }
  readonly fingerprint: string
}

export interface JoinOptions {
  readonly home: HomePaths
  readonly line: string
  readonly name: string | null
  readonly signal: AbortSignal
  readonly onStep: (step: string) => void
  readonly passphrase?: string
}

/** A door call needs a network, and nothing of what comes in by it. */
const DEAF: NetworkHandlers = {
  hello: () => new Uint8Array(1),
  checkHello: () => false,
  peerUp: () => undefined,
  peerDown: () => undefined,
  message: () => undefined,
  writable: () => undefined,
  gossip: () => 'ignore',
  request: () => Promise.reject(new MeshError('PEER_NOT_ADMITTED', 'this node is joining')),
  door: () => Promise.resolve(),
  discovered: () => undefined
}

/**
 * Asks the inviter to admit `key`. INVITE_EXPIRED, INVITE_FOREIGN_MESH, MESH_UNREACHABLE, PEER_ID_MISMATCH, and what the inviter refuses with.
 */
export async function requestAdmission(
  invite: Invite,
  key: SigningKey,
  name: string,
  signal: AbortSignal,
  logger: Logger
): Promise<MeshFile> {
  if (invite.expiryMs <= systemClock.now()) throw new MeshError('INVITE_EXPIRED', 'the invite has expired')
  const network = createMeshNetwork(
    {
      seed: key.seed,
      listen: [],
      door: [],
      bootstrap: [],
      topic: 'none',
      mdns: false,
      mdnsServiceTag: '',
      websocket: true,
      relayServer: false,
      relayClient: false,
      holePunching: false,
      membersMax: 1,
      ...(invite.psk === undefined ? {} : { psk: invite.psk })
    },
    DEAF,
    { clock: systemClock, random: systemRandom, logger }
  )
  try {
    const joinerNonce = systemRandom.bytes(JOIN_NONCE_BYTES)
    const answer = await network.doorCall(
      'join',
      invite.doors,
      toHex(invite.inviter),
      async (exchange) => {
        exchange.send(encodeJoinRequest({ invite: fromHex(inviteId(invite.secret)), joinerNonce }))
        const challenge = tryDecodeJoinChallenge(await exchange.receive())
        if (challenge === null || !equalBytes(challenge.mesh, invite.mesh)) throw foreignMesh()
        const fields = {
          mesh: invite.mesh,
          inviter: invite.inviter,
          joiner: key.publicKey,
          inviterNonce: challenge.inviterNonce,
          joinerNonce
        }
        const proof = joinProof(invite.secret, fields)
        exchange.send(encodeJoinProof({ proof, name, version: VERSION, mainAddresses: [], doorAddresses: [] }))
        return tryDecodeJoinAnswer(await exchange.receive())
      },
      signal
    )
    return admittedMesh(invite, key, answer)
  } finally {
    await network.stop()
  }
}

function foreignMesh(): MeshError {
  return new MeshError('INVITE_FOREIGN_MESH', 'the node that answered is not of the invited mesh')
}

function admittedMesh(invite: Invite, key: SigningKey, answer: DoorAnswer | null): MeshFile {
  if (answer === null) throw foreignMesh()
  if ('refusal' in answer) throw new MeshError(answer.refusal, 'the inviter refused the invite')
  const { admission } = answer
  const preimage = tryDecodeMeshPreimage(admission.preimage)
  const path = admission.certificates.map(tryDecodeCertificate)
  if (preimage === null || !equalBytes(meshIdOf(preimage), invite.mesh) || path.includes(null)) throw foreignMesh()
  const verdict = checkCertificatePath({
    preimage,
    path: path as Certificate[],
    subject: key.publicKey,
    nowMs: systemClock.now(),
    namedFounder: admission.namedFounder
  })
  if (!verdict.ok)
    throw new MeshError('INVITE_FOREIGN_MESH', `the certificates of the answer do not hold: ${verdict.reason}`)
  return meshFile({
    preimage,
    path: path as Certificate[],
    meshSecret: admission.meshSecret,
    joinedVia: toHex(invite.inviter),
    bootstrap: admission.mainAddresses,
    ...(admission.namedFounder.length === 0 ? {} : { namedFounder: admission.namedFounder }),
    ...(invite.psk === undefined ? {} : { psk: invite.psk })
  })
}

export function joinResult(invite: Invite, key: SigningKey): JoinResult {
  const inviter = toHex(invite.inviter)
  return {
    mesh: invite.meshName,
    inviter: {
      peerId: peerIdOf(inviter),
      name: peerIdOf(inviter).slice(-6),
      fingerprint: fingerprintWords(invite.inviter)
    },
    fingerprint: fingerprintWords(key.publicKey)
  }
}

/** Joins from a home whose node does not run. MESH_ALREADY_MEMBER when the home's mesh has a history. */
export async function joinMesh(options: JoinOptions): Promise<JoinResult> {
  const { home, signal, onStep } = options
  const invite = parseInvite(options.line)
  prepareHome(home)
  const { seal } = loadConfig(home.config).values.identity
  const unlock = options.passphrase === undefined ? {} : { passphrase: options.passphrase }
  const identity = await openOrCreateIdentity(home, { seal, ...unlock })
  if (identity.created) onStep('made an identity')
  const current = loadMeshFile(home, identity.keyRing.ring)
  if (current !== null) await checkMayLeave(home, identity, current.preimage)
  if (options.name !== null) setConfigValue(home.config, 'node.name', options.name)
  onStep(`asking ${peerIdOf(invite.inviter)} to admit this node`)
  const mesh = await requestAdmission(invite, identity.key, options.name ?? '', signal, silentLogger)
  if (current !== null && equalBytes(current.meshId, mesh.meshId)) saveMeshFile(home, identity.keyRing.ring, mesh)
  else enterMesh(home, identity, current, mesh)
  return joinResult(invite, identity.key)
}

/** Puts the joined mesh in the place of the left one; the left store goes to backups. */
export function enterMesh(home: HomePaths, identity: Identity, left: MeshFile | null, mesh: MeshFile): void {
  if (existsSync(home.store)) {
    mkdirSync(home.backups, { recursive: true, mode: 0o700 })
    renameSync(home.store, join(home.backups, `store-left-${systemClock.now()}`))
  }
  rmSync(home.marker, { force: true })
  if (left === null) saveMeshFile(home, identity.keyRing.ring, mesh)
  else replaceMesh(home, identity.keyRing.ring, left.meshId, mesh)
}

async function checkMayLeave(home: HomePaths, identity: Identity, preimage: MeshPreimage): Promise<void> {
  if (!existsSync(home.store)) return
  const store = await openLevelStore({
    folder: home.store,
    backups: home.backups,
    expectedMesh: meshIdOf(preimage),
    logger: silentLogger
  })
  try {
    const log = await EventLog.open({
      store,
      preimage,
      key: identity.key,
      clock: systemClock,
      random: systemRandom,
      logger: silentLogger,
      pause: () => Promise.resolve()
    })
    assertMayLeave(log)
    await log.close()
  } finally {
    await store.close()
  }
}

/** Only founding events: nothing is lost by leaving. */
export function assertMayLeave(log: EventLog): void {
  const events = [...log.state.rows.values()].reduce((sum, row) => sum + row.events, 0)
  const founding = new Set(['chain-opened', 'mesh-founded'])
  if (events > founding.size || log.view.members.size > 1) {
    throw new MeshError('MESH_ALREADY_MEMBER', 'this home belongs to a mesh with history')
  }
}
