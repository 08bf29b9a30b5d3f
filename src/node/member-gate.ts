// Who may talk to this node: hellos on the main host, certificates and invites at the door. The log decides who is a member; a certificate path
// opens the door early for a member that the log here does not show yet (PROTOCOL §5).

import { equalBytes, fromHex, toHex } from '../base/bytes.ts'
import type { Clock, Random } from '../base/clock.ts'
import type { ErrorCode } from '../base/errors.ts'
import { LIMITS } from '../base/limits.ts'
import type { Logger } from '../base/logger.ts'
import { MeshError, messageOf } from '../base/mesh-error.ts'
import { type Certificate, encodeCertificate, tryDecodeCertificate } from '../identity/certificate.ts'
import { checkCertificatePath } from '../identity/certificate-path.ts'
import { type SigningKey, verifySignature } from '../identity/ed25519.ts'
import { JOIN_NONCE_BYTES, joinProofValid } from '../identity/join-proof.ts'
import type { MeshFile } from '../identity/mesh-file.ts'
import { encodeMeshPreimage } from '../identity/mesh-id.ts'
import { encodeNamedFounder } from '../identity/refounding.ts'
import type { Instance } from '../log/beacon.ts'
import type { EventLog } from '../log/event-log.ts'
import type { PublicKeyHex } from '../log/statement.ts'
import type { DoorExchange, DoorProtocol, MeshNetwork } from '../network/network-contract.ts'
import {
  type Admission,
  encodeAdmitAnswer,
  encodeAdmitRequest,
  encodeHello,
  encodeJoinAnswer,
  encodeJoinChallenge,
  helloText,
  tryDecodeAdmitAnswer,
  tryDecodeAdmitRequest,
  tryDecodeHello,
  tryDecodeJoinProof,
  tryDecodeJoinRequest
} from '../network/wire/peer-codec.ts'
import type { InviteBook } from './invite-book.ts'
import type { MemberDirectory } from './member-directory.ts'

export interface AdmissionOptions {
  readonly log: EventLog
  readonly key: SigningKey
  readonly mesh: MeshFile
  readonly instance: Instance
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly invites: InviteBook
  readonly directory: MemberDirectory
  readonly network: () => MeshNetwork
}

/** A key that its certificates let in before the log here shows it. */
const GRANT_MS = 600_000
const ADMIT_PAUSE_MS = 20_000
const HELLO_SKEW_MS_MAX = 86_400_000

export interface PeerHello {
  readonly instance: Uint8Array
  readonly timeMs: number
  readonly version: string
}

export class MemberGate {
  readonly #options: AdmissionOptions
  readonly #granted = new Map<PublicKeyHex, number>()
  readonly #hellos = new Map<PublicKeyHex, PeerHello>()
  readonly #asking = new Map<PublicKeyHex, number>()
  readonly #refusals = new Map<PublicKeyHex, ErrorCode>()

  constructor(options: AdmissionOptions) {
    this.#options = options
  }

  /** Members that do not let this node in, and the code they gave. */
  get refusals(): ReadonlyMap<PublicKeyHex, ErrorCode> {
    return this.#refusals
  }

  helloOf(peer: PublicKeyHex): PeerHello | null {
    return this.#hellos.get(peer) ?? null
  }

  /**
   * Keys that the main host talks to: members that are not removed, those whose certificates lead to this node (a joiner's log is empty:
   * its inviter is known by the path alone), and keys let in by their certificates for a while.
   */
  admitted(): Set<PublicKeyHex> {
    const { log, clock, mesh } = this.#options
    const keys = new Set<PublicKeyHex>()
    for (const member of log.view.members.values()) if (member.removal === null) keys.add(member.key)
    for (const { issuer } of mesh.path) {
      const key = toHex(issuer)
      if (!log.view.members.has(key)) keys.add(key)
    }
    for (const [key, untilMs] of this.#granted) {
      if (untilMs < clock.now() || log.view.members.has(key)) this.#granted.delete(key)
      else keys.add(key)
    }
    return keys
  }

  hello(peer: PublicKeyHex): Uint8Array {
    const { log, key, mesh, instance, clock, directory } = this.#options
    const { name, version, main, door } = directory.own.record
    const timeMs = clock.now()
    return encodeHello({
      mesh: log.mesh,
      certificates: this.#path().map(encodeCertificate),
      preimage: encodeMeshPreimage(mesh.preimage),
      namedFounder: this.#namedFounder(),
      instance,
      timeMs,
      name,
      version,
      mainAddresses: main,
      doorAddresses: door,
      signature: key.sign(helloText(log.mesh, key.publicKey, fromHex(peer), instance, timeMs))
    })
  }

  /** Own certificates from the founder on; none when this node is the founder, by the preimage or by the recovery key. */
  #path(): readonly Certificate[] {
    const { log, mesh } = this.#options
    return log.view.founder === log.self ? [] : mesh.path
  }

  /** The proof that the recovery key named the present founder, as far as it is known; empty for none. */
  #namedFounder(): Uint8Array {
    const { log, mesh } = this.#options
    let counter = 0
    let encoded: Uint8Array | null = mesh.namedFounder ?? null
    for (const { body } of log.state.records) {
      if (body.type !== 'founder-named' || body.founder !== log.view.founder || body.counter <= counter) continue
      counter = body.counter
      const { cutsBytes: cuts, signature } = body
      encoded = encodeNamedFounder({ mesh: log.mesh, founder: fromHex(body.founder), counter, cuts, signature })
    }
    return encoded ?? new Uint8Array(0)
  }

  checkHello(peer: PublicKeyHex, bytes: Uint8Array): boolean {
    const { log, key, clock, logger } = this.#options
    const hello = tryDecodeHello(bytes)
    const sender = fromHex(peer)
    if (hello === null || !equalBytes(hello.mesh, log.mesh)) return false
    if (
      !verifySignature(
        sender,
        helloText(log.mesh, sender, key.publicKey, hello.instance, hello.timeMs),
        hello.signature
      )
    )
      return false
    if (Math.abs(hello.timeMs - clock.now()) > HELLO_SKEW_MS_MAX)
      logger.warn('a member’s clock is more than a day off', { peer })
    if (this.#isTwin(peer, hello.instance)) return false
    const member = log.view.members.get(peer)
    if (
      member === undefined ? !this.#pathHolds(sender, hello.certificates, hello.namedFounder) : member.removal !== null
    )
      return false
    this.#refusals.delete(peer)
    this.#hellos.set(peer, { instance: hello.instance, timeMs: hello.timeMs, version: hello.version })
    return true
  }

  /**
   * One link per key: while it is up, another running copy of the key is not let in. A link that does not answer any more is cut, so that the
   * same node after a crash comes in with its next try.
   */
  #isTwin(peer: PublicKeyHex, instance: Uint8Array): boolean {
    const known = this.#hellos.get(peer)
    const { network, logger } = this.#options
    if (known === undefined || equalBytes(known.instance, instance)) return false
    if (
      !network()
        .peers()
        .some((info) => info.peer === peer)
    )
      return false
    logger.warn('another running node with the key of a linked member was refused', { peer })
    network()
      .ping(peer)
      .catch(() => network().hangUp(peer))
      .catch((error: unknown) => logger.warn('a link could not be cut', { peer, message: messageOf(error) }))
    return true
  }

  #pathHolds(subject: Uint8Array, encoded: readonly Uint8Array[], namedFounder: Uint8Array): boolean {
    const { mesh, clock, log } = this.#options
    const path = encoded.map(tryDecodeCertificate)
    if (path.includes(null)) return false
    const removed = (key: PublicKeyHex): boolean => (log.view.members.get(key)?.removal ?? null) !== null
    return checkCertificatePath({
      preimage: mesh.preimage,
      path: path as Certificate[],
      subject,
      nowMs: clock.now(),
      removed,
      namedFounder
    }).ok
  }

  /** Server side of the door. What a stranger sends is answered with a code or not at all. */
  async door(peer: PublicKeyHex, protocol: DoorProtocol, exchange: DoorExchange): Promise<void> {
    if (protocol === 'join') await this.#serveJoin(peer, exchange)
    else await this.#serveAdmit(peer, exchange)
  }

  async #serveJoin(peer: PublicKeyHex, exchange: DoorExchange): Promise<void> {
    const { log, key, random, invites, logger } = this.#options
    const request = tryDecodeJoinRequest(await exchange.receive())
    if (request === null) return
    const id = toHex(request.invite)
    const secret = invites.secretOf(id)
    const inviterNonce = random.bytes(JOIN_NONCE_BYTES)
    exchange.send(encodeJoinChallenge({ mesh: log.mesh, inviterNonce }))
    const proof = tryDecodeJoinProof(await exchange.receive())
    if (proof === null) return
    const joiner = fromHex(peer)
    const fields = { mesh: log.mesh, inviter: key.publicKey, joiner, inviterNonce, joinerNonce: request.joinerNonce }
    const proven = secret !== null && joinProofValid(secret, fields, proof.proof)
    const outcome = proven ? await this.#redeem(id, joiner) : 'INVITE_UNKNOWN'
    if (typeof outcome === 'string') {
      logger.warn('a join was refused', { peer, code: outcome })
      exchange.send(encodeJoinAnswer({ refusal: outcome }))
      return
    }
    logger.info('a member was admitted', { peer, invite: id })
    this.#options.network().setAdmitted(this.admitted())
    exchange.send(encodeJoinAnswer({ admission: this.#admission(outcome) }))
  }

  async #redeem(id: string, joiner: Uint8Array): Promise<Certificate | ErrorCode> {
    try {
      return await this.#options.invites.redeem(id, joiner)
    } catch (error) {
      this.#options.logger.warn('an invite could not be redeemed', { message: messageOf(error) })
      return error instanceof MeshError ? error.code : 'INTERNAL'
    }
  }

  #admission(certificate: Certificate | null): Admission {
    const { mesh, directory } = this.#options
    const path = certificate === null ? this.#path() : [...this.#path(), certificate]
    return {
      preimage: encodeMeshPreimage(mesh.preimage),
      certificates: path.map(encodeCertificate),
      meshSecret: mesh.meshSecret,
      mainAddresses: directory.own.record.main,
      namedFounder: this.#namedFounder()
    }
  }

  async #serveAdmit(peer: PublicKeyHex, exchange: DoorExchange): Promise<void> {
    const { log, clock, mesh, network } = this.#options
    const request = tryDecodeAdmitRequest(await exchange.receive())
    if (request === null) return
    const sender = fromHex(peer)
    const sameMesh = equalBytes(request.preimage, encodeMeshPreimage(mesh.preimage))
    const member = log.view.members.get(peer)
    const removed = (member?.removal ?? null) !== null
    const holds =
      sameMesh &&
      !removed &&
      (member !== undefined || this.#pathHolds(sender, request.certificates, request.namedFounder))
    if (!holds) {
      exchange.send(encodeAdmitAnswer({ refusal: removed ? 'MEMBER_REMOVED' : 'PEER_NOT_ADMITTED' }))
      return
    }
    // One link per key: who asks at the door while its key is linked is another process, or the same after a crash that is not noticed yet.
    if (
      network()
        .peers()
        .some((info) => info.peer === peer)
    ) {
      exchange.send(encodeAdmitAnswer({ refusal: 'IDENTITY_IN_USE_TWICE' }))
      return
    }
    if (member === undefined && this.#granted.size < LIMITS.connectionsMax)
      this.#granted.set(peer, clock.now() + GRANT_MS)
    network().setAdmitted(this.admitted())
    exchange.send(encodeAdmitAnswer({ admission: this.#admission(null) }))
  }

  /** A main host that does not know this node's key closed the connection: shows it the certificates at its door, then dials again. */
  async showCertificates(peer: PublicKeyHex): Promise<void> {
    const { mesh, clock, network, directory, logger } = this.#options
    const doors = directory.get(peer)?.door ?? []
    const lastMs = this.#asking.get(peer) ?? 0
    if (doors.length === 0 || clock.now() - lastMs < ADMIT_PAUSE_MS) return
    this.#asking.set(peer, clock.now())
    const { main, door } = directory.own.record
    const request = encodeAdmitRequest({
      preimage: encodeMeshPreimage(mesh.preimage),
      certificates: this.#path().map(encodeCertificate),
      namedFounder: this.#namedFounder(),
      mainAddresses: main,
      doorAddresses: door
    })
    try {
      const answer = await network().doorCall('admit', doors, peer, async (exchange) => {
        exchange.send(request)
        return tryDecodeAdmitAnswer(await exchange.receive())
      })
      if (answer !== null && 'admission' in answer) {
        this.#refusals.delete(peer)
        await network().connect(answer.admission.mainAddresses)
      } else {
        const code = answer?.refusal ?? 'PEER_NOT_ADMITTED'
        this.#refusals.set(peer, code)
        logger.warn('a member does not admit this node', { peer, code })
      }
    } catch (error) {
      logger.info('a member’s door could not be reached', { peer, message: messageOf(error) })
    }
  }
}
