// A second implementation of format 1, slow and obvious, written from docs/protocol.md. It imports nothing of src/: bytes are strings of
// hex, joining is `+`, and nothing is fast. The golden vectors come from it and the fuzz tests compare the product with it.

import { createHash, createHmac, createPrivateKey, createPublicKey, sign } from 'node:crypto'

/** Bytes as lower-case hex. */
export type Hex = string

export const text = (value: string): Hex => Buffer.from(value, 'utf8').toString('hex')
export const zeros = (bytes: number): Hex => '00'.repeat(bytes)
const integer = (bytes: number) => (value: number | bigint): Hex => BigInt(value).toString(16).padStart(bytes * 2, '0')
export const u8 = integer(1)
export const u16 = integer(2)
export const u32 = integer(4)
export const u64 = integer(8)
export const lengthOf = (bytes: Hex): number => bytes.length / 2
export const sha256 = (bytes: Hex): Hex => createHash('sha256').update(Buffer.from(bytes, 'hex')).digest('hex')
export const tag = (name: string): Hex => text(`pmesh/${name}/1\0`)

function privateKey(seed: Hex) {
  return createPrivateKey({ key: Buffer.from(`302e020100300506032b657004220420${seed}`, 'hex'), format: 'der', type: 'pkcs8' })
}

export function publicKey(seed: Hex): Hex {
  return createPublicKey(privateKey(seed)).export({ format: 'der', type: 'spki' }).subarray(-32).toString('hex')
}

export function ed25519(seed: Hex, message: Hex): Hex {
  return sign(null, Buffer.from(message, 'hex'), privateKey(seed)).toString('hex')
}

export interface Place {
  readonly author: Hex
  readonly chain: number
  readonly epoch: number
  readonly seq: number
}

export interface ReferenceEvent {
  readonly flags: number
  readonly encoding: number
  readonly type: string
  readonly scope: Hex
  readonly timeMs: number
  readonly timeCounter: number
  readonly salt: Hex
  readonly payload: Hex
  /** Place of the erasure: salt and payload are left out of the blocks. */
  readonly erased?: Place
}

export interface ReferenceAppend {
  readonly mesh: Hex
  /** Secret of the author's key. */
  readonly seed: Hex
  readonly chain: number
  readonly epoch: number
  readonly firstSeq: number
  readonly prev: Hex
  readonly events: readonly ReferenceEvent[]
}

export function commitment(salt: Hex, payload: Hex): Hex {
  return sha256(tag('payload') + salt + payload)
}

export function eventHeader(append: ReferenceAppend, index: number, prev: Hex): Hex {
  const event = append.events[index] as ReferenceEvent
  const time = (BigInt(event.timeMs) << 16n) + BigInt(event.timeCounter)
  return [
    u8(1),
    u8(event.flags),
    u8(event.encoding),
    append.mesh,
    publicKey(append.seed),
    u32(append.chain),
    u32(append.epoch),
    u64(append.firstSeq + index),
    prev,
    u64(time),
    event.scope,
    u32(lengthOf(event.payload)),
    commitment(event.salt, event.payload),
    u8(lengthOf(text(event.type))),
    text(event.type)
  ].join('')
}

export const eventId = (header: Hex): Hex => sha256(tag('event') + header)

export function computeAppend(append: ReferenceAppend) {
  const headers: Hex[] = []
  const ids: Hex[] = []
  let prev = append.prev
  append.events.forEach((_, index) => {
    const header = eventHeader(append, index, prev)
    prev = eventId(header)
    headers.push(header)
    ids.push(prev)
  })
  const count = append.events.length
  const author = publicKey(append.seed)
  const statement =
    append.mesh + author + u32(append.chain) + u32(append.epoch) + u64(append.firstSeq) + u32(count) + append.prev + prev
  const seal = ed25519(append.seed, tag('seal') + statement)
  const head = statement + seal
  const link = sha256(tag('link') + head)
  return { author, headers, ids, statement, seal, link, head, ...blocks(append, seal) }
}

/** Header block and payload block, and both in a frame. */
function blocks(append: ReferenceAppend, seal: Hex): { headerBlock: Hex; bodyBlock: Hex; frame: Hex } {
  const types = [...new Set(append.events.map((event) => event.type))]
  const scopes = [...new Set(append.events.map((event) => event.scope))].filter((scope) => scope !== zeros(16))
  const rows = append.events.map((event) =>
    [
      u8(event.flags),
      u8(event.encoding),
      u8(event.erased === undefined ? 0 : 1),
      u16(types.indexOf(event.type)),
      u16(scopes.indexOf(event.scope) + 1),
      u32(lengthOf(event.payload)),
      u64((BigInt(event.timeMs) << 16n) + BigInt(event.timeCounter))
    ].join('')
  )
  const absent = append.events.map(({ erased, salt, payload }) =>
    erased === undefined ? '' : commitment(salt, payload) + erased.author + u32(erased.chain) + u32(erased.epoch) + u64(erased.seq)
  )
  const headerBlock = [
    u8(1),
    publicKey(append.seed),
    u32(append.chain),
    u32(append.epoch),
    u64(append.firstSeq),
    u16(append.events.length),
    append.prev,
    seal,
    u16(types.length),
    ...types.map((type) => u8(type.length) + text(type)),
    u16(scopes.length),
    ...scopes,
    ...rows,
    ...absent
  ].join('')
  const bodyBlock = append.events.map(({ erased, salt, payload }) => (erased === undefined ? salt + payload : '')).join('')
  return { headerBlock, bodyBlock, frame: u32(lengthOf(headerBlock)) + u32(lengthOf(bodyBlock)) + headerBlock + bodyBlock }
}

/** Both heads, the one with the smaller link first. */
export function forkProof(a: { head: Hex; link: Hex }, b: { head: Hex; link: Hex }): Hex {
  return a.link < b.link ? a.head + b.head : b.head + a.head
}

export function beacon(seed: Hex, head: Hex, timeMs: number, instance: Hex): Hex {
  const bytes = head + u64(timeMs) + instance
  return bytes + ed25519(seed, tag('head') + bytes)
}

export interface Preimage {
  readonly founder: Hex
  readonly recovery: Hex | null
  readonly nonce: Hex
  readonly name: string
}

export function meshPreimage({ founder, recovery, nonce, name }: Preimage): Hex {
  return founder + (recovery ?? zeros(32)) + nonce + text(name)
}

export const meshId = (preimage: Preimage): Hex => sha256(tag('mesh') + meshPreimage(preimage))

export const scopeId = (owner: Hex, nonce: Hex): Hex => sha256(tag('scope') + owner + nonce).slice(0, 32)

export interface ReferenceCertificate {
  readonly mesh: Hex
  readonly subject: Hex
  /** Secret of the issuer's key. */
  readonly issuerSeed: Hex
  readonly rank: number
  /** 0 observer, 1 member, 2 admin. */
  readonly role: number
  readonly rights: number
  readonly expiryMs: number
}

export function certificate(input: ReferenceCertificate): Hex {
  const { mesh, subject, issuerSeed, rank, role, rights, expiryMs } = input
  const signed = mesh + subject + publicKey(issuerSeed) + u16(rank) + u8(role) + u32(rights) + u64(expiryMs)
  return signed + ed25519(issuerSeed, tag('certificate') + signed)
}

export interface ReferenceCut {
  readonly chain: number
  readonly epoch: number
  readonly seq: number
  readonly id: Hex
}

export function refounding(recoverySeed: Hex, mesh: Hex, founder: Hex, counter: number, cuts: readonly ReferenceCut[]): Hex {
  const bytes = cuts.map((cut) => u32(cut.chain) + u32(cut.epoch) + u64(cut.seq) + cut.id).join('')
  return ed25519(recoverySeed, tag('refound') + mesh + founder + u32(counter) + bytes)
}

export function joinProof(secret: Hex, mesh: Hex, inviter: Hex, joiner: Hex, inviterNonce: Hex, joinerNonce: Hex): Hex {
  const message = tag('join') + mesh + inviter + joiner + inviterNonce + joinerNonce
  return createHmac('sha256', Buffer.from(secret, 'hex')).update(Buffer.from(message, 'hex')).digest('hex')
}

/** The lines of an export, each with its end of line. `appends` are in the order of (author, chain, epoch, firstSeq, link). */
export function exportLines(
  preimage: Preimage,
  appends: readonly ReferenceAppend[],
  forks: readonly Hex[],
  witnesses: readonly Hex[]
): string[] {
  const line = (value: unknown): string => `${JSON.stringify(value)}\n`
  const chainLines = appends.map((append) => line({ append: exportedAppend(append) }))
  const forkLines = forks.map((fork) => line({ fork }))
  const events = appends.reduce((sum, append) => sum + append.events.length, 0)
  const end = { events, digest: sha256(text(chainLines.join(''))) }
  return [
    line({ format: 'pmesh-export/1', mesh: meshId(preimage), preimage }),
    ...chainLines,
    ...forkLines,
    ...witnesses.map((witness) => line({ witness })),
    line({ end })
  ]
}

function exportedAppend(append: ReferenceAppend): object {
  const { author, headers, ids, seal } = computeAppend(append)
  const { chain, epoch, firstSeq, prev } = append
  const events = append.events.map((event, index) => {
    const header = headers[index]
    if (event.erased !== undefined) return { header, erased: event.erased }
    const bytes = Buffer.from(event.payload, 'hex')
    const readable = Buffer.from(bytes.toString('utf8'), 'utf8').equals(bytes)
    return { header, salt: event.salt, ...(readable ? { text: bytes.toString('utf8') } : { payload: event.payload }) }
  })
  return { author, chain, epoch, firstSeq, count: events.length, prev, lastId: ids.at(-1), seal, events }
}
