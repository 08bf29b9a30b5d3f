// People, places and a way to tell what they write, for the tests of the membership fold.

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { toHex } from '../../src/base/bytes.ts'
import { defaultRights, issueCertificate, type Role } from '../../src/identity/certificate.ts'
import { type SigningKey, signingKeyFromSeed } from '../../src/identity/ed25519.ts'
import { type MeshPreimage, meshIdOf } from '../../src/identity/mesh-id.ts'
import { signRefounding } from '../../src/identity/refounding.ts'
import {
  type ControlBody,
  type ControlRecord,
  type Cut,
  encodeControl,
  encodeCuts,
  tryParseControl
} from '../../src/log/control-records.ts'
import { foldMesh, grantAt, type MeshView } from '../../src/log/mesh-fold.ts'

export const named = (name: string): Buffer => createHash('sha256').update(`fold ${name}`).digest()
export const person = (name: string): SigningKey => signingKeyFromSeed(named(name))
export const [alice, bob, carol, dave, erin, frank] = ['alice', 'bob', 'carol', 'dave', 'erin', 'frank'].map(
  person
) as [SigningKey, SigningKey, SigningKey, SigningKey, SigningKey, SigningKey]
export const recovery = person('recovery')
export const PREIMAGE: MeshPreimage = {
  founder: alice.publicKey,
  recovery: recovery.publicKey,
  nonce: named('nonce').subarray(0, 16),
  name: 'fold'
}
export const MESH = meshIdOf(PREIMAGE)

export type Place = { chain?: number; epoch?: number; seq?: number }

/** Counts places per author, so that a story can be told without numbers. */
export class Story {
  readonly records: ControlRecord[] = []
  readonly #seqs = new Map<string, number>()

  /** What `author` writes, at its next place unless one is given; round-trips through its payload as it would through the log. */
  write(author: SigningKey, body: ControlBody, place: Place & { firstPrev?: Uint8Array } = {}): this {
    const key = author.publicKeyHex
    const seq = place.seq ?? (this.#seqs.get(key) ?? 1) + 1
    this.#seqs.set(key, seq)
    const parsed = tryParseControl(body.type, encodeControl(body))
    assert.ok(parsed, `the log would not understand this ${body.type}`)
    const at = { author: key, chain: place.chain ?? 0, epoch: place.epoch ?? 1, seq }
    const id = named(`${JSON.stringify(at)} ${encodeControl(body)}`)
    this.records.push({ place: at, id, firstPrev: place.firstPrev ?? null, body: parsed })
    return this
  }

  admit(
    issuer: SigningKey,
    subject: SigningKey,
    rank: number,
    role: Role = 'member',
    rights = defaultRights(role),
    place: Place = {}
  ): this {
    const fields = { mesh: MESH, subject: subject.publicKey, rank, role, rights, expiryMs: 0 }
    return this.write(
      issuer,
      { type: 'member-admitted', certificate: issueCertificate(issuer, fields), invite: null },
      place
    )
  }

  remove(remover: SigningKey, subject: SigningKey, cuts: readonly Cut[] = [cut(100)], place: Place = {}): this {
    return this.write(remover, { type: 'member-removed', subject: subject.publicKeyHex, cuts }, place)
  }

  change(
    changer: SigningKey,
    subject: SigningKey,
    fromSeq: number,
    version: number,
    role: Role,
    rights = defaultRights(role)
  ): this {
    const from = { chain: 0, epoch: 1, seq: fromSeq }
    return this.write(changer, { type: 'member-changed', subject: subject.publicKeyHex, from, role, rights, version })
  }

  refound(
    carrier: SigningKey,
    founder: SigningKey,
    counter: number,
    cuts: readonly Cut[] = [cut(100)],
    signer = recovery
  ): this {
    const cutsBytes = encodeCuts(cuts)
    const signature = signRefounding(signer, { mesh: MESH, founder: founder.publicKey, counter, cuts: cutsBytes })
    return this.write(carrier, {
      type: 'founder-named',
      founder: founder.publicKeyHex,
      counter,
      cuts,
      cutsBytes,
      signature
    })
  }

  fold(): MeshView {
    return foldMesh(MESH, PREIMAGE, this.records)
  }
}

export const cut = (seq: number, place: Place = {}): Cut => ({
  chain: place.chain ?? 0,
  epoch: place.epoch ?? 1,
  seq,
  id: named(`cut ${seq}`)
})
export const member = (view: MeshView, who: SigningKey) => view.members.get(who.publicKeyHex)
export const at = (who: SigningKey, seq: number, place: Place = {}) => ({
  author: who.publicKeyHex,
  chain: place.chain ?? 0,
  epoch: place.epoch ?? 1,
  seq
})
export const present = (view: MeshView, who: SigningKey): boolean =>
  member(view, who) !== undefined && member(view, who)?.removal === null
export const valid = (view: MeshView, who: SigningKey, seq: number, place: Place = {}): boolean =>
  grantAt(view, at(who, seq, place)) !== null

function* permutations<Item>(items: readonly Item[]): Generator<Item[]> {
  if (items.length <= 1) return yield [...items]
  for (const [index, item] of items.entries()) {
    for (const rest of permutations([...items.slice(0, index), ...items.slice(index + 1)])) yield [item, ...rest]
  }
}

/** The view as text in which nothing depends on the order of a Map. */
export function stateOf(view: MeshView): string {
  const sorted = (map: ReadonlyMap<string, unknown>): unknown[] => [...map].sort(([a], [b]) => (a < b ? -1 : 1))
  return JSON.stringify(view, (_, value: unknown) => {
    if (value instanceof Map) return sorted(value)
    if (value instanceof Set) return [...value].sort()
    return value instanceof Uint8Array ? toHex(value) : value
  })
}

export function assertOneStateInEveryOrder(story: Story): MeshView {
  const view = story.fold()
  const expected = stateOf(view)
  for (const records of permutations(story.records)) assert.equal(stateOf(foldMesh(MESH, PREIMAGE, records)), expected)
  return view
}
