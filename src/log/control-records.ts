// Records that decide who is a member, which epochs are open and which branches count. Parsing is strict: what does not parse has no effect.

import { toHex, tryParseHex, utf8 } from '../base/bytes.ts'
import { LIMITS } from '../base/limits.ts'
import { type Certificate, encodeCertificate, ROLES, type Role, tryDecodeCertificate } from '../identity/certificate.ts'
import { isMeshName, type MeshPreimage } from '../identity/mesh-id.ts'
import {
  encodeForkProof,
  encodeHead,
  type ForkProof,
  type Head,
  headSealValid,
  type PublicKeyHex,
  SEQ_MAX,
  tryDecodeForkProof,
  tryDecodeHead
} from './statement.ts'
import { tryParseJsonObject } from './strict-json.ts'

export interface EventPlace {
  readonly author: PublicKeyHex
  readonly chain: number
  readonly epoch: number
  readonly seq: number
}

/** Up to where the events of a removed author stay valid, per chain and epoch. */
export interface Cut {
  readonly chain: number
  readonly epoch: number
  readonly seq: number
  /** Id of the last valid event. */
  readonly id: Uint8Array
}

export type ControlBody =
  | { readonly type: 'mesh-founded'; readonly preimage: MeshPreimage }
  | { readonly type: 'member-admitted'; readonly certificate: Certificate; readonly invite: string | null }
  | { readonly type: 'member-removed'; readonly subject: PublicKeyHex; readonly cuts: readonly Cut[] }
  | {
      readonly type: 'member-changed'
      readonly subject: PublicKeyHex
      readonly from: { readonly chain: number; readonly epoch: number; readonly seq: number }
      readonly role: Role
      readonly rights: number
      readonly version: number
    }
  | {
      readonly type: 'founder-named'
      readonly founder: PublicKeyHex
      readonly counter: number
      readonly cuts: readonly Cut[]
      readonly cutsBytes: Uint8Array
      readonly signature: Uint8Array
    }
  | {
      readonly type: 'epoch-opened'
      readonly fork: ForkProof | null
      readonly missing: Head | null
      readonly kept: Head | null
      readonly branches: readonly Head[]
      readonly instance: Uint8Array
    }
  | { readonly type: 'branch-witnessed'; readonly head: Head }

export interface ControlRecord {
  readonly place: EventPlace
  /** Id of the event. */
  readonly id: Uint8Array
  /** `prev` of the append that holds it, when it is the first event of its chain key; null otherwise. */
  readonly firstPrev: Uint8Array | null
  readonly body: ControlBody
}

type Fields = Readonly<Record<string, unknown>>

function bytesOf(value: unknown, length: number): Uint8Array | null {
  return typeof value === 'string' ? tryParseHex(value, length) : null
}

function keyOf(value: unknown): PublicKeyHex | null {
  const bytes = bytesOf(value, 32)
  return bytes === null ? null : toHex(bytes)
}

function numberOf(value: unknown, min: number, max: number): number | null {
  return typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max ? value : null
}

function headOf(value: unknown): Head | null {
  const bytes = typeof value === 'string' ? tryParseHex(value) : null
  const head = bytes === null ? null : tryDecodeHead(bytes)
  return head !== null && headSealValid(head) ? head : null
}

function fieldsOf(value: unknown): Fields | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : null
}

function placeOf(value: unknown): { chain: number; epoch: number; seq: number } | null {
  const fields = fieldsOf(value)
  if (fields === null) return null
  const chain = numberOf(fields['chain'], 0, 0xffff_ffff)
  const epoch = numberOf(fields['epoch'], 1, 0xffff_ffff)
  const seq = numberOf(fields['seq'], 0, SEQ_MAX)
  return chain === null || epoch === null || seq === null ? null : { chain, epoch, seq }
}

function cutsOf(value: unknown): Cut[] | null {
  if (!Array.isArray(value) || value.length > LIMITS.appendEventsMax) return null
  const cuts: Cut[] = []
  for (const entry of value) {
    const place = placeOf(entry)
    const id = bytesOf(fieldsOf(entry)?.['id'], 32)
    if (place === null || id === null) return null
    cuts.push({ ...place, id })
  }
  return cuts
}

/** chain u32 ‖ epoch u32 ‖ seq u64 ‖ id 32 per cut: what a `founder-named` signature covers. */
export function encodeCuts(cuts: readonly Cut[]): Buffer {
  return Buffer.concat(
    cuts.map((cut) => {
      const bytes = Buffer.alloc(48)
      bytes.writeUInt32BE(cut.chain, 0)
      bytes.writeUInt32BE(cut.epoch, 4)
      bytes.writeBigUInt64BE(BigInt(cut.seq), 8)
      bytes.set(cut.id, 16)
      return bytes
    })
  )
}

const PARSERS: Readonly<Record<ControlBody['type'], (fields: Fields) => ControlBody | null>> = {
  'mesh-founded': (fields) => {
    const founder = bytesOf(fields['founder'], 32)
    const recovery = fields['recovery'] === null ? null : bytesOf(fields['recovery'], 32)
    const nonce = bytesOf(fields['nonce'], 16)
    const name = fields['name']
    if (founder === null || nonce === null || typeof name !== 'string' || !isMeshName(name)) return null
    if (recovery === null && fields['recovery'] !== null) return null
    return { type: 'mesh-founded', preimage: { founder, recovery, nonce, name } }
  },
  'member-admitted': (fields) => {
    const bytes = typeof fields['certificate'] === 'string' ? tryParseHex(fields['certificate']) : null
    const certificate = bytes === null ? null : tryDecodeCertificate(bytes)
    if (certificate !== null && fields['subject'] !== toHex(certificate.subject)) return null
    const invite = fields['invite'] ?? null
    if (certificate === null || (invite !== null && typeof invite !== 'string')) return null
    return { type: 'member-admitted', certificate, invite }
  },
  'member-removed': (fields) => {
    const subject = keyOf(fields['subject'])
    const cuts = cutsOf(fields['cuts'])
    return subject === null || cuts === null ? null : { type: 'member-removed', subject, cuts }
  },
  'member-changed': (fields) => {
    const subject = keyOf(fields['subject'])
    const from = placeOf(fields['from'])
    const role = fields['role']
    const rights = numberOf(fields['rights'], 0, 0xffff_ffff)
    const version = numberOf(fields['version'], 1, SEQ_MAX)
    if (subject === null || from === null || rights === null || version === null) return null
    if (typeof role !== 'string' || !Object.hasOwn(ROLES, role)) return null
    return { type: 'member-changed', subject, from, role: role as Role, rights, version }
  },
  'founder-named': (fields) => {
    const founder = keyOf(fields['founder'])
    const counter = numberOf(fields['counter'], 1, 0xffff_ffff)
    const cuts = cutsOf(fields['cuts'])
    const signature = bytesOf(fields['signature'], 64)
    if (founder === null || counter === null || cuts === null || signature === null) return null
    return { type: 'founder-named', founder, counter, cuts, cutsBytes: encodeCuts(cuts), signature }
  },
  'epoch-opened': (fields) => {
    const instance = bytesOf(fields['instance'], 16)
    const forkBytes = typeof fields['fork'] === 'string' ? tryParseHex(fields['fork']) : null
    const fork = forkBytes === null ? null : tryDecodeForkProof(forkBytes)
    const missing = headOf(fields['missing'])
    const kept = headOf(fields['kept'])
    if (instance === null || (fork === null) === (missing === null)) return null
    if ((fields['kept'] !== null && kept === null) || (fields['fork'] !== null && fork === null)) return null
    if (fields['missing'] !== null && missing === null) return null
    if (!Array.isArray(fields['branches']) || fields['branches'].length > LIMITS.epochBranchesMax) return null
    const branches = fields['branches'].map(headOf)
    if (branches.some((head) => head === null)) return null
    return { type: 'epoch-opened', fork, missing, kept, branches: branches as Head[], instance }
  },
  'branch-witnessed': (fields) => {
    const head = headOf(fields['head'])
    return head === null ? null : { type: 'branch-witnessed', head }
  }
}

/** The record that an event of `type` with this payload makes; null when the payload is not what the type demands. */
export function tryParseControl(type: string, payload: Uint8Array): ControlBody | null {
  if (!Object.hasOwn(PARSERS, type)) return null
  const fields = tryParseJsonObject(payload)
  return fields === null ? null : PARSERS[type as ControlBody['type']](fields)
}

const cutFields = (cuts: readonly Cut[]): object[] =>
  cuts.map(({ chain, epoch, seq, id }) => ({ chain, epoch, seq, id: toHex(id) }))

/** The payload of a record, as JSON text. */
export function encodeControl(body: ControlBody): Buffer {
  return utf8(JSON.stringify(controlFields(body)))
}

function controlFields(body: ControlBody): object {
  switch (body.type) {
    case 'mesh-founded': {
      const { founder, recovery, nonce, name } = body.preimage
      return {
        founder: toHex(founder),
        recovery: recovery === null ? null : toHex(recovery),
        nonce: toHex(nonce),
        name
      }
    }
    case 'member-admitted':
      return {
        subject: toHex(body.certificate.subject),
        certificate: toHex(encodeCertificate(body.certificate)),
        invite: body.invite
      }
    case 'member-removed':
      return { subject: body.subject, cuts: cutFields(body.cuts) }
    case 'member-changed': {
      const { subject, from, role, rights, version } = body
      return { subject, from, role, rights, version }
    }
    case 'founder-named': {
      const { founder, counter, cuts, signature } = body
      return { founder, counter, cuts: cutFields(cuts), signature: toHex(signature) }
    }
    case 'epoch-opened':
      return {
        fork: body.fork === null ? null : toHex(encodeForkProof(body.fork)),
        missing: body.missing === null ? null : toHex(encodeHead(body.missing)),
        kept: body.kept === null ? null : toHex(encodeHead(body.kept)),
        branches: body.branches.map((head) => toHex(encodeHead(head))),
        instance: toHex(body.instance)
      }
    case 'branch-witnessed':
      return { head: toHex(encodeHead(body.head)) }
  }
}
