// Who is a member, with which rank, role and rights, cut where, and which branches count: a pure function of the set of control records (PROTOCOL §3–5).
// Members are settled in the order of their ranks. Only a higher rank acts on a lower one, so when a member's turn comes, everything that
// can touch it is known: no mutual removal, no dependence on the order of arrival. Time gives no authority.

import { compareBytes, equalBytes, fromHex, toHex } from '../base/bytes.ts'
import { LIMITS } from '../base/limits.ts'
import {
  type Certificate,
  certificateId,
  certificateSignatureValid,
  encodeCertificate,
  hasRight,
  ROLES,
  type Role
} from '../identity/certificate.ts'
import { checkGrant, FOUNDER_GRANT, type Grant } from '../identity/certificate-path.ts'
import { checkPublicKey } from '../identity/ed25519.ts'
import type { MeshPreimage } from '../identity/mesh-id.ts'
import { refoundingValid } from '../identity/refounding.ts'
import type { ControlBody, ControlRecord, Cut, EventPlace } from './control-records.ts'
import { compareRecords, type EpochView, epochOpeningHolds, foldEpochs, type SettledRecord } from './epoch-fold.ts'
import { type ChainKey, chainKeyOf, type PublicKeyHex } from './statement.ts'

export interface MemberState {
  readonly key: PublicKeyHex
  readonly rank: number
  readonly role: Role
  readonly rights: number
  /** Null for a founder. */
  readonly certificate: Certificate | null
  readonly admission: EventPlace | null
  /** Id of the invite that was redeemed, if any. */
  readonly invite: string | null
  readonly removal: { readonly by: PublicKeyHex; readonly cuts: ReadonlyMap<ChainKey, Cut> } | null
  readonly changes: readonly GrantChange[]
}

interface GrantChange {
  readonly from: { readonly chain: number; readonly epoch: number; readonly seq: number }
  readonly role: Role
  readonly rights: number
  readonly version: number
}

export interface MeshView extends EpochView {
  readonly members: ReadonlyMap<PublicKeyHex, MemberState>
  readonly founder: PublicKeyHex
}

/** True when the first place is at or before the second inside one author. */
function atOrBefore(
  a: { chain: number; epoch: number; seq: number },
  b: { chain: number; epoch: number; seq: number }
): boolean {
  return a.chain === b.chain && (a.epoch < b.epoch || (a.epoch === b.epoch && a.seq <= b.seq))
}

/** Role and rights that hold for an event at `place`; null when the author is unknown or the place is behind its cut. */
export function grantAt(view: MeshView, place: EventPlace): Grant | null {
  const member = view.members.get(place.author)
  if (member === undefined || !insideCut(member, place)) return null
  return grantOfMember(member, place)
}

function grantOfMember(member: MemberState, place: EventPlace): Grant {
  let best: GrantChange | null = null
  for (const change of member.changes) {
    if (!atOrBefore(change.from, place)) continue
    if (best === null || change.version > best.version) best = change
    else if (change.version === best.version && lesserChange(change, best)) best = change
  }
  const { rank } = member
  return best === null
    ? { rank, role: member.role, rights: member.rights }
    : { rank, role: best.role, rights: best.rights }
}

/** Of two changes with one version: fewer rights, then the lower role. */
function lesserChange(a: GrantChange, b: GrantChange): boolean {
  return a.rights === b.rights ? ROLES[a.role] < ROLES[b.role] : fewerRights(a, b)
}

function fewerRights(a: { rights: number }, b: { rights: number }): boolean {
  const count = (bits: number): number => {
    let left = bits >>> 0
    let ones = 0
    for (; left !== 0; left = (left & (left - 1)) >>> 0) ones++
    return ones
  }
  const difference = count(a.rights) - count(b.rights)
  return difference < 0 || (difference === 0 && a.rights < b.rights)
}

/** False for events behind the cut of a removed author; everything of an unlisted chain key is behind it. */
export function insideCut(member: MemberState, place: EventPlace): boolean {
  if (member.removal === null) return true
  const cut = member.removal.cuts.get(chainKeyOf(place.author, place.chain, place.epoch))
  return cut !== undefined && place.seq <= cut.seq
}

interface Candidate {
  readonly key: PublicKeyHex
  readonly rank: number
  readonly role: Role
  readonly rights: number
  readonly certificate: Certificate | null
  readonly admission: EventPlace | null
  readonly invite: string | null
  readonly order: Uint8Array
}

interface Removal {
  readonly rank: number
  readonly by: PublicKeyHex
  readonly cuts: ReadonlyMap<ChainKey, Cut>
}

class MeshFold {
  readonly #mesh: Uint8Array
  readonly #byAuthor = new Map<PublicKeyHex, ControlRecord[]>()
  readonly #candidates = new Map<PublicKeyHex, Candidate>()
  readonly #removals = new Map<PublicKeyHex, Removal[]>()
  readonly #changes = new Map<PublicKeyHex, (GrantChange & { readonly rank: number })[]>()
  readonly members = new Map<PublicKeyHex, MemberState>()
  readonly #settled: SettledRecord[] = []

  constructor(mesh: Uint8Array, records: readonly ControlRecord[]) {
    this.#mesh = mesh
    for (const record of [...records].sort(compareRecords)) {
      const list = this.#byAuthor.get(record.place.author)
      if (list === undefined) this.#byAuthor.set(record.place.author, [record])
      else list.push(record)
    }
  }

  fold(preimage: MeshPreimage, records: readonly ControlRecord[]): MeshView {
    const founder = this.#settleFounders(preimage, records)
    for (;;) {
      const next = this.#nextCandidate()
      if (next === null) break
      this.#settle(next)
    }
    return { members: this.members, founder, ...foldEpochs(this.#mesh, this.#settled) }
  }

  /** The recovery key's `founder-named` with the highest counter names the founder; every founder before is removed at its cuts. */
  #settleFounders(preimage: MeshPreimage, records: readonly ControlRecord[]): PublicKeyHex {
    const named = new Map<number, FounderNamed>()
    for (const { body } of preimage.recovery === null ? [] : records) {
      if (body.type !== 'founder-named') continue
      if (!refoundingProven(this.#mesh, preimage.recovery as Uint8Array, body)) continue
      const other = named.get(body.counter)
      if (other === undefined || compareBytes(refoundingBytes(body), refoundingBytes(other)) < 0)
        named.set(body.counter, body)
    }
    let founder = toHex(preimage.founder)
    for (const counter of [...named.keys()].sort((a, b) => a - b)) {
      const body = named.get(counter) as FounderNamed
      if (body.founder !== founder) {
        this.#candidates.set(founder, founderCandidate(founder))
        this.#addRemoval(founder, { rank: -1, by: body.founder, cuts: cutMap(founder, body.cuts) })
      }
      founder = body.founder
    }
    this.#removals.delete(founder)
    this.#candidates.set(founder, founderCandidate(founder))
    return founder
  }

  #nextCandidate(): Candidate | null {
    let best: Candidate | null = null
    for (const candidate of this.#candidates.values()) {
      if (best === null || candidate.rank < best.rank || (candidate.rank === best.rank && candidate.key < best.key))
        best = candidate
    }
    return best
  }

  #settle(candidate: Candidate): void {
    this.#candidates.delete(candidate.key)
    if (this.members.size >= LIMITS.membersMax) return
    const removals = (this.#removals.get(candidate.key) ?? []).filter((removal) => removal.rank < candidate.rank)
    const changes = (this.#changes.get(candidate.key) ?? []).filter((change) => change.rank < candidate.rank)
    const { key, rank, role, rights, certificate, admission, invite } = candidate
    const member: MemberState = {
      key,
      rank,
      role,
      rights,
      certificate,
      admission,
      invite,
      removal: strongestRemoval(removals),
      changes
    }
    this.members.set(key, member)
    const records = (this.#byAuthor.get(key) ?? []).filter((record) => insideCut(member, record.place))
    const opened = new Set(
      records.filter(epochOpeningHolds).map(({ place }) => chainKeyOf(key, place.chain, place.epoch))
    )
    for (const record of records) {
      const { chain, epoch } = record.place
      if (epoch > 1 && !opened.has(chainKeyOf(key, chain, epoch))) continue
      this.#settled.push({ author: key, grant: grantOfMember(member, record.place), record })
      this.#apply(member, record)
    }
  }

  #apply(member: MemberState, record: ControlRecord): void {
    const { body } = record
    const grant = grantOfMember(member, record.place)
    if (body.type === 'member-admitted') {
      this.#admit(member, grant, record, body)
    } else if (body.type === 'member-removed' && grant.role === 'admin' && hasRight(grant.rights, 'remove')) {
      if (!this.members.has(body.subject)) {
        this.#addRemoval(body.subject, { rank: grant.rank, by: member.key, cuts: cutMap(body.subject, body.cuts) })
      }
    } else if (body.type === 'member-changed' && grant.role === 'admin' && hasRight(grant.rights, 'admit')) {
      if (this.members.has(body.subject) || (body.rights & ~grant.rights) !== 0) return
      const { from, role, rights, version } = body
      const list = this.#changes.get(body.subject) ?? []
      list.push({ from, role, rights, version, rank: grant.rank })
      this.#changes.set(body.subject, list)
    }
  }

  #admit(
    member: MemberState,
    grant: Grant,
    record: ControlRecord,
    body: ControlBody & { type: 'member-admitted' }
  ): void {
    const { certificate } = body
    const key = toHex(certificate.subject)
    if (this.members.has(key) || toHex(certificate.issuer) !== member.key || !equalBytes(certificate.mesh, this.#mesh))
      return
    if (checkGrant(grant, certificate) !== 'ok' || !certificateProven(certificate)) return
    const { rank, role, rights } = certificate
    const order = certificateId(encodeCertificate(certificate))
    const candidate: Candidate = {
      key,
      rank,
      role,
      rights,
      certificate,
      admission: record.place,
      invite: body.invite,
      order
    }
    // Records come in the order of their places: of two with one certificate the earlier stays.
    const other = this.#candidates.get(key)
    if (other === undefined || admittedBefore(candidate, other)) this.#candidates.set(key, candidate)
  }

  #addRemoval(subject: PublicKeyHex, removal: Removal): void {
    const list = this.#removals.get(subject) ?? []
    list.push(removal)
    this.#removals.set(subject, list)
  }
}

function founderCandidate(key: PublicKeyHex): Candidate {
  return { key, ...FOUNDER_GRANT, certificate: null, admission: null, invite: null, order: new Uint8Array(32) }
}

/** Several admissions of one key: smallest rank number, then fewer rights, then the smaller id. */
function admittedBefore(a: Candidate, b: Candidate): boolean {
  if (a.rank !== b.rank) return a.rank < b.rank
  if (a.rights !== b.rights) return fewerRights(a, b)
  return compareBytes(a.order, b.order) < 0
}

function cutMap(author: PublicKeyHex, cuts: readonly Cut[]): Map<ChainKey, Cut> {
  const map = new Map<ChainKey, Cut>()
  for (const cut of cuts) {
    const key = chainKeyOf(author, cut.chain, cut.epoch)
    const other = map.get(key)
    if (other === undefined || lowerCut(cut, other)) map.set(key, cut)
  }
  return map
}

function lowerCut(a: Cut, b: Cut): boolean {
  return a.seq < b.seq || (a.seq === b.seq && compareBytes(a.id, b.id) < 0)
}

/** The most senior remover's cut; of equal ranks the lowest, chain key by chain key, and what one of them leaves out is cut to nothing. */
function strongestRemoval(removals: readonly Removal[]): MemberState['removal'] {
  if (removals.length === 0) return null
  const rank = Math.min(...removals.map((removal) => removal.rank))
  const [first, ...others] = removals
    .filter((removal) => removal.rank === rank)
    .sort((a, b) => (a.by < b.by ? -1 : 1)) as [Removal]
  const cuts = new Map(first.cuts)
  for (const other of others as Removal[]) {
    for (const [key, cut] of cuts) {
      const theirs = other.cuts.get(key)
      if (theirs === undefined) cuts.delete(key)
      else if (lowerCut(theirs, cut)) cuts.set(key, theirs)
    }
  }
  return { by: first.by, cuts }
}

type FounderNamed = ControlBody & { type: 'founder-named' }

/** What a tie of counters is decided by (PROTOCOL §5 "smaller bytes"). */
function refoundingBytes(body: FounderNamed): Buffer {
  return Buffer.concat([fromHex(body.founder), body.cutsBytes])
}

const provenRefoundings = new WeakMap<FounderNamed, { readonly mesh: Uint8Array; readonly valid: boolean }>()

/** The mesh id covers the recovery key: an answer for one mesh stays. */
function refoundingProven(mesh: Uint8Array, recovery: Uint8Array, body: FounderNamed): boolean {
  const known = provenRefoundings.get(body)
  if (known !== undefined && equalBytes(known.mesh, mesh)) return known.valid
  const founder = fromHex(body.founder)
  const signed = refoundingValid(
    recovery,
    { mesh, founder, counter: body.counter, cuts: body.cutsBytes },
    body.signature
  )
  const valid = signed && checkPublicKey(founder) === 'ok'
  provenRefoundings.set(body, { mesh, valid })
  return valid
}

const provenCertificates = new WeakMap<Certificate, boolean>()

function certificateProven(certificate: Certificate): boolean {
  let proven = provenCertificates.get(certificate)
  if (proven === undefined) {
    proven = checkPublicKey(certificate.subject) === 'ok' && certificateSignatureValid(certificate)
    provenCertificates.set(certificate, proven)
  }
  return proven
}

/** Passes of a fold: each may find branches whose records count only in the next. */
const FOLD_PASSES_MAX = 16

type Known = Pick<MeshView, 'members' | 'wanted'>
const EVERY_RECORD = () => (): boolean => true

/**
 * Folds control records into the view of the mesh. `counts` tells, of what the pass before knew, whether a record stands on a line that counts.
 * It begins with what no fork touches, so that a branch cannot call itself wanted and nodes that hold other branches agree; what is wanted
 * once stays wanted, so that it ends.
 */
export function foldMesh(
  mesh: Uint8Array,
  preimage: MeshPreimage,
  records: readonly ControlRecord[],
  counts: (known: Known) => (record: ControlRecord) => boolean = EVERY_RECORD
): MeshView {
  let known: Known = { members: new Map(), wanted: new Map() }
  let before: readonly ControlRecord[] = []
  for (let pass = 1; ; pass++) {
    const counted = records.filter(counts(known))
    const view = new MeshFold(mesh, counted).fold(preimage, counted)
    const more = joinHeads(known.wanted, view.wanted)
    const settled = counted.length === records.length || (more === null && pass > 1 && sameRecords(counted, before))
    if (settled || pass === FOLD_PASSES_MAX) return { ...view, wanted: more ?? known.wanted }
    known = { members: view.members, wanted: more ?? known.wanted }
    before = counted
  }
}

function sameRecords(a: readonly ControlRecord[], b: readonly ControlRecord[]): boolean {
  return a.length === b.length && a.every((record, index) => record === b[index])
}

/** Both together; null when the second adds nothing. */
function joinHeads(a: MeshView['wanted'], b: MeshView['wanted']): MeshView['wanted'] | null {
  const joined = new Map(a)
  let grown = false
  for (const [key, heads] of b) {
    const known = joined.get(key) ?? []
    const news = heads.filter((head) => !known.some((other) => equalBytes(other.link, head.link)))
    if (news.length === 0) continue
    grown = true
    joined.set(
      key,
      [...known, ...news].sort((x, y) => compareBytes(x.link, y.link))
    )
  }
  return grown ? joined : null
}
