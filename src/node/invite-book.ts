// The invites of this node. Only the inviter's key redeems one; what the store keeps is the nonce that the secret is derived from.
// That an invite is used is said by the log: `member-admitted` names it and is on the disk before the joiner hears of it (PROTOCOL §5).

import { asBuffer, fromHex, toHex, utf8 } from '../base/bytes.ts'
import type { Clock, Random } from '../base/clock.ts'
import type { ErrorCode } from '../base/errors.ts'
import { LIMITS } from '../base/limits.ts'
import { MeshError } from '../base/mesh-error.ts'
import { type Certificate, defaultRights, hasRight, issueCertificate, type Role } from '../identity/certificate.ts'
import { checkPublicKey, type SigningKey } from '../identity/ed25519.ts'
import { encodeInvite, INVITE_NONCE_BYTES, inviteId, inviteSecret } from '../identity/invite.ts'
import { peerIdOf } from '../identity/peer-id.ts'
import type { EventLog } from '../log/event-log.ts'
import { grantAt, type MemberState } from '../log/mesh-fold.ts'
import { localKey, rangeOf } from '../log/store-keys.ts'
import type { InviteRecord } from './node-api.ts'

interface StoredInvite {
  readonly id: string
  readonly nonce: string
  readonly role: Role
  readonly name: string
  readonly createdMs: number
  readonly expiryMs: number
  readonly revoked: boolean
}

const PREFIX = 'invite/'
const RANK_MAX = 0xffff
/** Every admin near the founder stands above the members, whoever admitted them; a path of eight fits below RANK_MAX. */
const RANK_STEPS: Readonly<Record<Role, number>> = { admin: 1, member: 0x1000, observer: 0x1000 }

export class InviteBook {
  readonly #log: EventLog
  readonly #key: SigningKey
  readonly #clock: Clock
  readonly #random: Random
  readonly #invites = new Map<string, StoredInvite>()
  /** Redemptions run one after another: an invite admits one. */
  #redeeming: Promise<unknown> = Promise.resolve()

  private constructor(log: EventLog, key: SigningKey, clock: Clock, random: Random) {
    this.#log = log
    this.#key = key
    this.#clock = clock
    this.#random = random
  }

  static async open(log: EventLog, key: SigningKey, clock: Clock, random: Random): Promise<InviteBook> {
    const book = new InviteBook(log, key, clock, random)
    for await (const [, value] of log.store.entries(rangeOf(localKey(PREFIX)))) {
      const invite = JSON.parse(asBuffer(value).toString('utf8')) as StoredInvite
      book.#invites.set(invite.id, invite)
    }
    return book
  }

  list(): InviteRecord[] {
    return [...this.#invites.values()]
      .sort((a, b) => a.createdMs - b.createdMs || (a.id < b.id ? -1 : 1))
      .map((invite) => this.#recordOf(invite))
  }

  /** Makes an invite; the line is given out once. MEMBER_FORBIDDEN, INVITE_INVALID. */
  async create(options: {
    role: Role
    name: string
    expiresInMs: number
    meshName: string
    doors: readonly string[]
    psk?: Uint8Array
  }): Promise<{ invite: InviteRecord; line: string }> {
    this.#issuerGrant(options.role)
    const open = this.list().filter((invite) => invite.state === 'open').length
    if (open >= LIMITS.invitesOpenMax)
      throw new MeshError('INVITE_INVALID', `${open} invites are open; revoke some first`)
    if (options.expiresInMs < 1000 || options.expiresInMs > LIMITS.inviteLifeMsMax) {
      throw new MeshError('INVITE_INVALID', 'an invite lives between a second and 30 days')
    }
    const nonce = this.#random.bytes(INVITE_NONCE_BYTES)
    const secret = inviteSecret(this.#key, nonce)
    const createdMs = this.#clock.now()
    const expiryMs = createdMs + options.expiresInMs
    const { role, name, meshName, doors, psk } = options
    const invite: StoredInvite = {
      id: inviteId(secret),
      nonce: toHex(nonce),
      role,
      name,
      createdMs,
      expiryMs,
      revoked: false
    }
    await this.#save(invite)
    const fields = {
      mesh: this.#log.mesh,
      inviter: this.#key.publicKey,
      secret,
      expiryMs,
      meshName,
      doors: doors.slice(0, 8)
    }
    return { invite: this.#recordOf(invite), line: encodeInvite(psk === undefined ? fields : { ...fields, psk }) }
  }

  async revoke(id: string): Promise<InviteRecord> {
    const matches = [...this.#invites.values()].filter(
      (invite) => invite.id === id || (id.length >= 4 && invite.id.startsWith(id))
    )
    const [invite] = matches
    if (invite === undefined || matches.length > 1)
      throw new MeshError('INVITE_UNKNOWN', `no invite goes by ${JSON.stringify(id)}`, { hint: 'pmesh invite list' })
    const revoked = { ...invite, revoked: true }
    await this.#save(revoked)
    return this.#recordOf(revoked)
  }

  /** The secret of an invite that this node made, whatever its state; null for others. */
  secretOf(id: string): Uint8Array | null {
    const invite = this.#invites.get(id)
    return invite === undefined ? null : inviteSecret(this.#key, fromHex(invite.nonce))
  }

  /**
   * Admits `joiner` by a proven invite; the admission is durable when it resolves. The same joiner gets the same certificate again.
   * A code: refused.
   */
  redeem(id: string, joiner: Uint8Array): Promise<Certificate | ErrorCode> {
    const run = this.#redeeming.then(() => this.#redeem(id, joiner))
    this.#redeeming = run.catch(() => undefined)
    return run
  }

  async #redeem(id: string, joiner: Uint8Array): Promise<Certificate | ErrorCode> {
    const invite = this.#invites.get(id)
    if (invite === undefined) return 'INVITE_UNKNOWN'
    const key = toHex(joiner)
    const known = this.#log.view.members.get(key)
    if (known?.removal) return 'MEMBER_REMOVED'
    if (known?.invite === id && known.certificate !== null) return known.certificate
    const { state } = this.#recordOf(invite)
    if (state === 'used') return 'INVITE_USED'
    if (state === 'revoked') return 'INVITE_REVOKED'
    if (state === 'expired') return 'INVITE_EXPIRED'
    if (checkPublicKey(joiner) !== 'ok') return 'IDENTITY_KEY_REFUSED'
    if (known !== undefined) return known.certificate ?? 'MESH_ALREADY_MEMBER'
    const issuer = this.#issuerGrant(invite.role)
    const certificate = issueCertificate(this.#key, {
      mesh: this.#log.mesh,
      subject: joiner,
      rank: Math.min(issuer.rank + RANK_STEPS[invite.role], RANK_MAX),
      role: invite.role,
      rights: defaultRights(invite.role) & issuer.rights,
      expiryMs: 0
    })
    await this.#log.appendRecord({ type: 'member-admitted', certificate, invite: id })
    return certificate
  }

  #issuerGrant(role: Role): { rank: number; rights: number } {
    const { epoch, tips } = this.#log.ownChain()
    const grant = grantAt(this.#log.view, { author: this.#log.self, chain: 0, epoch, seq: (tips[0]?.lastSeq ?? 0) + 1 })
    if (grant === null || grant.role !== 'admin' || !hasRight(grant.rights, 'admit') || grant.rank >= RANK_MAX) {
      throw new MeshError('MEMBER_FORBIDDEN', `this node may not admit a member with the role ${role}`)
    }
    return grant
  }

  #usedBy(id: string): MemberState | null {
    for (const member of this.#log.view.members.values()) {
      if (member.invite === id && member.admission?.author === this.#log.self) return member
    }
    return null
  }

  #recordOf(invite: StoredInvite): InviteRecord {
    const used = this.#usedBy(invite.id)
    const expired = invite.expiryMs <= this.#clock.now()
    const state = used !== null ? 'used' : invite.revoked ? 'revoked' : expired ? 'expired' : 'open'
    return {
      id: invite.id,
      role: invite.role,
      name: invite.name,
      createdAt: new Date(invite.createdMs).toISOString(),
      expiresAt: new Date(invite.expiryMs).toISOString(),
      state,
      usedBy: used === null ? null : peerIdOf(used.key)
    }
  }

  async #save(invite: StoredInvite): Promise<void> {
    await this.#log.store.write(
      [{ type: 'put', key: localKey(PREFIX + invite.id), value: utf8(JSON.stringify(invite)) }],
      { sync: true }
    )
    this.#invites.set(invite.id, invite)
  }
}
