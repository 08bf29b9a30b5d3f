import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { fromHex, toHex } from '../../src/base/bytes.ts'
import { ALL_RIGHTS, defaultRights, issueCertificate, RIGHTS, type Role } from '../../src/identity/certificate.ts'
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
import { foldMesh, grantAt, insideCut, type MeshView } from '../../src/log/mesh-fold.ts'
import { chainKeyOf, type Head, sealStatement, tryForkProof } from '../../src/log/statement.ts'

const named = (name: string): Buffer => createHash('sha256').update(`fold ${name}`).digest()
const person = (name: string): SigningKey => signingKeyFromSeed(named(name))
const [alice, bob, carol, dave, erin, frank] = ['alice', 'bob', 'carol', 'dave', 'erin', 'frank'].map(person) as [
  SigningKey,
  SigningKey,
  SigningKey,
  SigningKey,
  SigningKey,
  SigningKey
]
const recovery = person('recovery')
const PREIMAGE: MeshPreimage = { founder: alice.publicKey, recovery: recovery.publicKey, nonce: named('nonce').subarray(0, 16), name: 'fold' }
const MESH = meshIdOf(PREIMAGE)

type Place = { chain?: number; epoch?: number; seq?: number }

/** Counts places per author, so that a story can be told without numbers. */
class Story {
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

  admit(issuer: SigningKey, subject: SigningKey, rank: number, role: Role = 'member', rights = defaultRights(role), place: Place = {}): this {
    const fields = { mesh: MESH, subject: subject.publicKey, rank, role, rights, expiryMs: 0 }
    return this.write(issuer, { type: 'member-admitted', certificate: issueCertificate(issuer, fields), invite: null }, place)
  }

  remove(remover: SigningKey, subject: SigningKey, cuts: readonly Cut[] = [cut(100)], place: Place = {}): this {
    return this.write(remover, { type: 'member-removed', subject: subject.publicKeyHex, cuts }, place)
  }

  change(changer: SigningKey, subject: SigningKey, fromSeq: number, version: number, role: Role, rights = defaultRights(role)): this {
    const from = { chain: 0, epoch: 1, seq: fromSeq }
    return this.write(changer, { type: 'member-changed', subject: subject.publicKeyHex, from, role, rights, version })
  }

  refound(carrier: SigningKey, founder: SigningKey, counter: number, cuts: readonly Cut[] = [cut(100)], signer = recovery): this {
    const cutsBytes = encodeCuts(cuts)
    const signature = signRefounding(signer, { mesh: MESH, founder: founder.publicKey, counter, cuts: cutsBytes })
    return this.write(carrier, { type: 'founder-named', founder: founder.publicKeyHex, counter, cuts, cutsBytes, signature })
  }

  fold(): MeshView {
    return foldMesh(MESH, PREIMAGE, this.records)
  }
}

const cut = (seq: number, place: Place = {}): Cut => ({ chain: place.chain ?? 0, epoch: place.epoch ?? 1, seq, id: named(`cut ${seq}`) })
const member = (view: MeshView, who: SigningKey) => view.members.get(who.publicKeyHex)
const at = (who: SigningKey, seq: number, place: Place = {}) => ({ author: who.publicKeyHex, chain: place.chain ?? 0, epoch: place.epoch ?? 1, seq })
const present = (view: MeshView, who: SigningKey): boolean => member(view, who) !== undefined && member(view, who)?.removal === null
const valid = (view: MeshView, who: SigningKey, seq: number, place: Place = {}): boolean => grantAt(view, at(who, seq, place)) !== null

function* permutations<Item>(items: readonly Item[]): Generator<Item[]> {
  if (items.length <= 1) return yield [...items]
  for (const [index, item] of items.entries()) {
    for (const rest of permutations([...items.slice(0, index), ...items.slice(index + 1)])) yield [item, ...rest]
  }
}

/** The view as text in which nothing depends on the order of a Map. */
function stateOf(view: MeshView): string {
  const sorted = (map: ReadonlyMap<string, unknown>): unknown[] => [...map].sort(([a], [b]) => (a < b ? -1 : 1))
  return JSON.stringify(view, (_, value: unknown) => {
    if (value instanceof Map) return sorted(value)
    if (value instanceof Set) return [...value].sort()
    return value instanceof Uint8Array ? toHex(value) : value
  })
}

function assertOneStateInEveryOrder(story: Story): MeshView {
  const view = story.fold()
  const expected = stateOf(view)
  for (const records of permutations(story.records)) assert.equal(stateOf(foldMesh(MESH, PREIMAGE, records)), expected)
  return view
}

test('MEMBER-5 Alice founds, admits Bob, and Bob admits Carol below himself', () => {
  const view = assertOneStateInEveryOrder(new Story().admit(alice, bob, 1, 'admin').admit(bob, carol, 2))
  assert.deepEqual(
    [alice, bob, carol].map((who) => [member(view, who)?.rank, member(view, who)?.role]),
    [
      [0, 'admin'],
      [1, 'admin'],
      [2, 'member']
    ]
  )
  assert.equal(view.founder, alice.publicKeyHex)
  assert.equal(member(view, dave), undefined)
})

test('MEMBER-4 only admins admit and remove: Carol the member and Dave the observer do neither', () => {
  const story = new Story().admit(alice, bob, 1, 'admin').admit(alice, carol, 2, 'member', ALL_RIGHTS).admit(alice, dave, 2, 'observer', ALL_RIGHTS)
  story.admit(carol, erin, 3).admit(dave, frank, 3).remove(carol, erin).remove(dave, erin).change(carol, erin, 1, 9, 'observer')
  const view = story.fold()
  assert.deepEqual([member(view, erin), member(view, frank)], [undefined, undefined])
  assert.equal(present(new Story().admit(alice, bob, 1, 'admin').admit(bob, erin, 2).fold(), erin), true)
  story.admit(bob, erin, 9)
  assert.equal(present(story.fold(), erin), true)
})

test('MEMBER-4 an admin admits only with the right to, below its own rank, and with no right that it lacks', () => {
  const story = new Story().admit(alice, bob, 3, 'admin', RIGHTS.admit | RIGHTS.approve).admit(alice, carol, 3, 'admin', RIGHTS.remove)
  story.admit(bob, dave, 3).admit(bob, dave, 2).admit(bob, erin, 4, 'member', RIGHTS.witness).admit(carol, frank, 4, 'observer', 0)
  const refused = story.fold()
  for (const who of [dave, erin, frank]) assert.equal(member(refused, who), undefined)
  story.admit(bob, dave, 4, 'member', RIGHTS.approve)
  assert.equal(present(story.fold(), dave), true)
})

test('MEMBER-5 a certificate counts only in its issuer’s chain, for this mesh, and with a good signature', () => {
  const fields = { mesh: MESH, subject: dave.publicKey, rank: 5, role: 'member', rights: 0, expiryMs: 0 } as const
  const issued = issueCertificate(alice, fields)
  const story = new Story().admit(alice, bob, 1, 'admin')
  story.write(bob, { type: 'member-admitted', certificate: issued, invite: null })
  story.write(alice, { type: 'member-admitted', certificate: issueCertificate(alice, { ...fields, mesh: named('other') }), invite: null })
  story.write(alice, { type: 'member-admitted', certificate: { ...issued, rank: 4 }, invite: null })
  assert.equal(member(story.fold(), dave), undefined)
  story.write(alice, { type: 'member-admitted', certificate: issued, invite: 'i1' })
  assert.equal(member(story.fold(), dave)?.invite, 'i1')
})

test('MEMBER-5 ranks make mutual removal impossible: of Bob and Carol, who remove each other, the senior one stays', () => {
  const story = new Story().admit(alice, bob, 1, 'admin').admit(alice, carol, 2, 'admin').remove(bob, carol).remove(carol, bob)
  const view = assertOneStateInEveryOrder(story)
  assert.deepEqual([present(view, bob), present(view, carol)], [true, false])
  assert.equal(member(view, carol)?.removal?.by, bob.publicKeyHex)
})

test('MEMBER-5 equal ranks cannot touch each other, and nobody removes a founder or themselves', () => {
  const story = new Story().admit(alice, bob, 1, 'admin').admit(alice, carol, 1, 'admin')
  story.remove(bob, carol).remove(carol, bob).remove(bob, alice).remove(carol, carol).change(bob, carol, 1, 5, 'observer').change(bob, bob, 1, 5, 'observer')
  const view = assertOneStateInEveryOrder(story)
  for (const who of [alice, bob, carol]) assert.equal(present(view, who), true)
  assert.equal(grantAt(view, at(carol, 50))?.role, 'admin')
})

test('MEMBER-5 a cut decides which events stay valid, chain key by chain key; what it does not list is cut to nothing', () => {
  const cuts = [cut(10), cut(3, { epoch: 2 }), cut(0, { chain: 7 })]
  const view = assertOneStateInEveryOrder(new Story().admit(alice, bob, 1, 'admin').remove(alice, bob, cuts))
  assert.deepEqual([valid(view, bob, 10), valid(view, bob, 11)], [true, false])
  assert.deepEqual([valid(view, bob, 3, { epoch: 2 }), valid(view, bob, 4, { epoch: 2 })], [true, false])
  assert.equal(valid(view, bob, 1, { epoch: 3 }), false)
  assert.equal(valid(view, bob, 1, { chain: 7 }), false)
  assert.equal(valid(view, bob, 1, { chain: 1 }), false)
})

test('MEMBER-5 acts of Bob up to his cut stand, later ones never were', () => {
  const story = new Story().admit(alice, bob, 1, 'admin')
  story.admit(bob, carol, 2, 'member', 0, { seq: 10 }).admit(bob, dave, 2, 'member', 0, { seq: 11 }).remove(bob, carol, [cut(5)], { seq: 12 })
  const view = assertOneStateInEveryOrder(story.remove(alice, bob, [cut(10)]))
  assert.deepEqual([present(view, carol), member(view, dave)], [true, undefined])
})

test('MEMBER-5 of several removals the most senior remover’s cut counts; of equal ranks the lowest', () => {
  const story = new Story().admit(alice, bob, 1, 'admin').admit(alice, carol, 1, 'admin').admit(alice, dave, 2)
  story.remove(bob, dave, [cut(20), cut(5, { epoch: 2 })]).remove(carol, dave, [cut(30)])
  const byEquals = assertOneStateInEveryOrder(story)
  assert.deepEqual([valid(byEquals, dave, 20), valid(byEquals, dave, 21)], [true, false])
  assert.equal(valid(byEquals, dave, 1, { epoch: 2 }), false)
  const bySenior = assertOneStateInEveryOrder(story.remove(alice, dave, [cut(40), cut(2, { epoch: 2 })]))
  assert.deepEqual([valid(bySenior, dave, 40), valid(bySenior, dave, 41), valid(bySenior, dave, 2, { epoch: 2 })], [true, false, true])
  assert.equal(member(bySenior, dave)?.removal?.by, alice.publicKeyHex)
})

test('MEMBER-3 MEMBER-5 a removed key never returns, removed before its admission or admitted again behind it', () => {
  const story = new Story().remove(alice, dave, [cut(4)]).admit(alice, bob, 1, 'admin').admit(bob, dave, 2).admit(alice, dave, 1, 'admin')
  const view = assertOneStateInEveryOrder(story)
  assert.equal(present(view, dave), false)
  assert.deepEqual([valid(view, dave, 4), valid(view, dave, 5)], [true, false])
})

test('MEMBER-5 a removal yields only to an admission by somebody above the remover, at a rank that the remover cannot touch', () => {
  const story = new Story().admit(alice, bob, 1, 'admin').admit(alice, carol, 2, 'admin').admit(carol, dave, 3).remove(carol, dave)
  assert.equal(present(story.admit(carol, dave, 4).fold(), dave), false)
  assert.equal(present(story.admit(bob, dave, 3).fold(), dave), false)
  assert.equal(present(assertOneStateInEveryOrder(story.admit(bob, dave, 2)), dave), true)
})

test('MEMBER-5 of several admissions the smallest rank counts, then fewer rights, then the smaller certificate', () => {
  const story = new Story().admit(alice, bob, 1, 'admin').admit(bob, carol, 5, 'observer', 0).admit(alice, carol, 3, 'member', 17).admit(alice, carol, 3, 'member', 1)
  const view = assertOneStateInEveryOrder(story)
  assert.deepEqual([member(view, carol)?.rank, member(view, carol)?.rights], [3, 1])

  const tied = new Story().admit(alice, dave, 3, 'member', 1).admit(alice, dave, 3, 'member', 16).admit(alice, dave, 3, 'observer', 1)
  assert.equal(member(assertOneStateInEveryOrder(tied), dave)?.rights, 1)
})

test('MEMBER-5 one certificate written down twice is one admission, the earlier', () => {
  const story = new Story().admit(alice, bob, 1, 'admin')
  const first = story.records[0] as ControlRecord
  story.records.push({ ...first, place: { ...first.place, seq: 40 }, id: named('again') })
  assert.equal(member(assertOneStateInEveryOrder(story), bob)?.admission?.seq, 2)
})

test('MEMBER-5 member-changed: the highest version at or before an event holds; a tie gives fewer rights, then the lower role', () => {
  const story = new Story().admit(alice, bob, 1, 'admin').admit(alice, carol, 2, 'member', 17)
  story.change(alice, carol, 10, 1, 'observer', 0).change(bob, carol, 20, 2, 'member', 1).change(alice, carol, 5, 0 + 3, 'admin', 31).remove(alice, frank)
  const view = assertOneStateInEveryOrder(story)
  assert.deepEqual(grantAt(view, at(carol, 4)), { rank: 2, role: 'member', rights: 17 })
  assert.deepEqual(grantAt(view, at(carol, 5)), { rank: 2, role: 'admin', rights: 31 })
  assert.deepEqual(grantAt(view, at(carol, 25)), { rank: 2, role: 'admin', rights: 31 })
  assert.deepEqual(grantAt(view, at(carol, 25, { chain: 1 })), { rank: 2, role: 'member', rights: 17 })
  assert.deepEqual(grantAt(view, at(carol, 1, { epoch: 2 })), { rank: 2, role: 'admin', rights: 31 })

  const tied = new Story().admit(alice, bob, 1, 'admin').admit(alice, carol, 2)
  tied.change(alice, carol, 1, 7, 'member', 3).change(bob, carol, 1, 7, 'member', 1).change(alice, carol, 1, 7, 'observer', 1)
  assert.deepEqual(grantAt(assertOneStateInEveryOrder(tied), at(carol, 9)), { rank: 2, role: 'observer', rights: 1 })
})

test('MEMBER-5 nobody hands out by a change what they lack, and only a higher rank changes a lower', () => {
  const story = new Story().admit(alice, bob, 1, 'admin', RIGHTS.admit | RIGHTS.approve).admit(alice, carol, 2, 'admin')
  story.change(bob, carol, 1, 5, 'admin', RIGHTS.erase).change(carol, bob, 1, 6, 'observer', 0).change(carol, carol, 1, 7, 'observer', 0)
  const view = assertOneStateInEveryOrder(story)
  assert.equal(grantAt(view, at(carol, 9))?.rights, ALL_RIGHTS)
  assert.equal(grantAt(view, at(bob, 9))?.role, 'admin')
})

test('MEMBER-5 Bob, no longer an admin from his event 10 on, admits nobody from there on', () => {
  const story = new Story().admit(alice, bob, 1, 'admin').change(alice, bob, 10, 1, 'member')
  story.admit(bob, carol, 2, 'member', 0, { seq: 9 }).admit(bob, dave, 2, 'member', 0, { seq: 10 })
  const view = assertOneStateInEveryOrder(story)
  assert.deepEqual([present(view, carol), member(view, dave)], [true, undefined])
})

test('MEMBER-5 concurrent admissions, removals and changes give one view in any order (shuffled)', () => {
  const story = new Story()
  story.admit(alice, bob, 1, 'admin').admit(alice, carol, 1, 'admin').admit(bob, dave, 2, 'admin').admit(carol, dave, 3).admit(dave, erin, 4)
  story.admit(carol, erin, 4, 'member', 1).admit(erin, frank, 9).admit(dave, frank, 5).remove(bob, erin, [cut(7)]).remove(carol, erin, [cut(6)])
  story.remove(dave, frank, [cut(3)]).remove(carol, dave, [cut(3)]).remove(dave, carol).change(bob, dave, 4, 1, 'member').change(carol, dave, 4, 1, 'member', 1)
  story.refound(frank, dave, 1, [cut(60)]).refound(erin, bob, 2, [cut(50)]).refound(erin, bob, 2, [cut(49)])
  const expected = stateOf(story.fold())
  fc.assert(
    fc.property(fc.shuffledSubarray(story.records, { minLength: story.records.length }), (records) => {
      assert.equal(stateOf(foldMesh(MESH, PREIMAGE, records)), expected)
    }),
    { numRuns: 200 }
  )
})

test('MEMBER-5 the recovery key names a new founder: the old one is removed at the cuts, what it did before stands', () => {
  const story = new Story().admit(alice, bob, 1, 'admin', ALL_RIGHTS, { seq: 2 }).admit(alice, carol, 1, 'admin', ALL_RIGHTS, { seq: 12 })
  const view = assertOneStateInEveryOrder(story.refound(dave, dave, 1, [cut(10)]).remove(dave, bob, [cut(5)]))
  assert.equal(view.founder, dave.publicKeyHex)
  assert.deepEqual([member(view, dave)?.rank, member(view, dave)?.role], [0, 'admin'])
  assert.equal(member(view, alice)?.removal?.by, dave.publicKeyHex)
  assert.deepEqual([valid(view, alice, 10), valid(view, alice, 11)], [true, false])
  assert.equal(member(view, carol), undefined)
  assert.equal(present(view, bob), false)
})

test('MEMBER-5 the highest counter names the founder; at a tie the smaller bytes, cuts included', () => {
  const view = assertOneStateInEveryOrder(new Story().refound(bob, bob, 1).refound(carol, carol, 3).refound(dave, dave, 2))
  assert.equal(view.founder, carol.publicKeyHex)
  for (const who of [alice, bob, dave]) assert.equal(present(view, who), false)
  const tied = assertOneStateInEveryOrder(new Story().refound(bob, bob, 1).refound(carol, carol, 1))
  assert.equal(tied.founder, [bob.publicKeyHex, carol.publicKeyHex].sort()[0])
  const cutTwice = assertOneStateInEveryOrder(new Story().refound(bob, bob, 1, [cut(9)]).refound(bob, bob, 1, [cut(8)]))
  assert.deepEqual([valid(cutTwice, alice, 8), valid(cutTwice, alice, 9)], [true, false])
})

test('MEMBER-5 nobody but the recovery key names a founder, not for another mesh, not a twisted key, not without such a key', () => {
  assert.equal(new Story().refound(bob, bob, 1, [], bob).fold().founder, alice.publicKeyHex)
  const none = { ...PREIMAGE, recovery: null }
  assert.equal(foldMesh(meshIdOf(none), none, new Story().refound(bob, bob, 1).records).founder, alice.publicKeyHex)
  const elsewhere = { ...PREIMAGE, name: 'elsewhere' }
  const records = new Story().refound(bob, bob, 1).records
  assert.equal(foldMesh(MESH, PREIMAGE, records).founder, bob.publicKeyHex)
  assert.equal(foldMesh(meshIdOf(elsewhere), elsewhere, records).founder, alice.publicKeyHex)
  const smallOrder = { ...bob, publicKey: new Uint8Array(32), publicKeyHex: '00'.repeat(32) }
  assert.equal(new Story().refound(bob, smallOrder, 1).fold().founder, alice.publicKeyHex)
})

test('ID-4 MEMBER-5 a twisted key is not admitted, whoever signs its certificate', () => {
  const smallOrder = { ...bob, publicKey: Buffer.alloc(32), publicKeyHex: '00'.repeat(32) }
  assert.equal(new Story().admit(alice, smallOrder, 1).fold().members.size, 1)
})

function head(author: SigningKey, epoch: number, firstSeq: number, name: string, chain = 0): Head {
  const statement = { mesh: MESH, author: author.publicKey, chain, epoch, firstSeq, count: 1, prev: named('prev'), lastId: named(name) }
  return sealStatement(statement, author)
}

const instance = new Uint8Array(16)
const links = (heads: readonly Head[] | undefined): string[] => (heads ?? []).map(({ link }) => toHex(link))
const opening = (fields: Partial<ControlBody & { type: 'epoch-opened' }>): ControlBody => ({
  type: 'epoch-opened',
  fork: null,
  missing: null,
  kept: null,
  branches: [],
  instance,
  ...fields
})

test('CHAIN-13 an opened epoch closes the one before at the kept head and adopts its branches', () => {
  const [kept, branch, lost] = [head(bob, 1, 8, 'kept'), head(bob, 1, 9, 'branch'), head(bob, 1, 9, 'lost')]
  const fork = tryForkProof(branch, lost)
  assert.ok(fork)
  const story = new Story().admit(alice, bob, 1)
  story.write(bob, opening({ fork, kept, branches: [branch] }), { epoch: 2, seq: 1, firstPrev: kept.link })
  const view = assertOneStateInEveryOrder(story)
  assert.deepEqual(links(view.wanted.get(kept.key)), links([kept, branch]).sort())
  assert.deepEqual(view.closed.get(kept.key)?.link, kept.link)
  assert.equal(view.opened.has(chainKeyOf(bob.publicKey, 0, 2)), true)
})

test('CHAIN-13 an epoch that keeps nothing begins at zeros', () => {
  const story = new Story().admit(alice, bob, 1)
  story.write(bob, opening({ missing: head(bob, 1, 5, 'lost') }), { epoch: 2, seq: 1, firstPrev: new Uint8Array(32) })
  const view = story.fold()
  assert.equal(view.opened.size, 1)
  assert.equal(view.closed.get(chainKeyOf(bob.publicKey, 0, 1)), null)
})

test('CHAIN-13 an epoch-opened that does not hold opens nothing, and what follows it has no effect', () => {
  const kept = head(bob, 1, 8, 'kept')
  const missing = head(bob, 1, 9, 'lost')
  const at1 = { epoch: 2, seq: 1 }
  const faulty: Record<string, [ControlBody, Place & { firstPrev?: Uint8Array }]> = {
    'not first': [opening({ kept, missing }), { epoch: 2, seq: 2, firstPrev: kept.link }],
    'in epoch 1': [opening({ kept, missing }), { epoch: 1, seq: 1, firstPrev: kept.link }],
    'behind another head': [opening({ kept, missing }), { ...at1, firstPrev: missing.link }],
    'keeps nothing but continues': [opening({ missing }), { ...at1, firstPrev: kept.link }],
    'of another author': [opening({ kept: head(carol, 1, 8, 'hers'), missing }), { ...at1, firstPrev: head(carol, 1, 8, 'hers').link }],
    'of another chain': [opening({ kept: head(bob, 1, 8, 'other', 1), missing }), { ...at1, firstPrev: head(bob, 1, 8, 'other', 1).link }],
    'skips an epoch': [opening({ kept, missing }), { epoch: 3, seq: 1, firstPrev: kept.link }]
  }
  for (const [name, [body, place]] of Object.entries(faulty)) {
    const story = new Story().admit(alice, bob, 1, 'admin').write(bob, body, place)
    if (place.epoch !== 1) story.admit(bob, carol, 2, 'member', 0, { epoch: place.epoch ?? 2, seq: 3 })
    const view = story.fold()
    assert.deepEqual([view.opened.size, view.closed.size, view.wanted.size], [0, 0, 0], name)
    assert.equal(member(view, carol), undefined, name)
  }
  const holds = new Story().admit(alice, bob, 1, 'admin').write(bob, opening({ kept, missing }), { ...at1, firstPrev: kept.link })
  assert.equal(present(holds.admit(bob, carol, 2, 'member', 0, { epoch: 2, seq: 3 }).fold(), carol), true)
})

test('CHAIN-13 epoch-opened demands exactly one reason, good seals and at most eight branches', () => {
  const kept = head(bob, 1, 8, 'kept')
  const [a, b] = [head(bob, 1, 9, 'a'), head(bob, 1, 9, 'b')]
  const fork = tryForkProof(a, b)
  const parse = (fields: Partial<ControlBody & { type: 'epoch-opened' }>) => tryParseControl('epoch-opened', encodeControl(opening(fields)))
  assert.ok(parse({ kept, missing: a }))
  assert.ok(parse({ kept, fork }))
  assert.equal(parse({ kept }), null)
  assert.equal(parse({ kept, missing: a, fork }), null)
  const forged = { ...a, seal: new Uint8Array(64) }
  assert.equal(parse({ kept, missing: forged }), null)
  assert.equal(parse({ kept: forged, missing: a }), null)
  assert.equal(parse({ kept, fork, missing: forged }), null)
  const branches = Array.from({ length: 9 }, (_, index) => head(bob, 1, 10, `branch ${index}`))
  assert.equal(parse({ kept, missing: a, branches }), null)
  assert.ok(parse({ kept, missing: a, branches: branches.slice(0, 8) }))
})

test('CHAIN-13 a member’s witness makes a branch count: four of one author and epoch, none by an observer or beyond a cut', () => {
  const story = new Story().admit(alice, bob, 1).admit(alice, carol, 1).admit(alice, dave, 1, 'observer', ALL_RIGHTS).admit(alice, erin, 1)
  const heads = Array.from({ length: 6 }, (_, index) => head(bob, 1, 5, `branch ${index}`))
  for (const branch of heads) story.write(carol, { type: 'branch-witnessed', head: branch })
  const observed = head(bob, 1, 6, 'seen by Dave')
  story.write(dave, { type: 'branch-witnessed', head: observed })
  story.write(erin, { type: 'branch-witnessed', head: head(bob, 1, 7, 'behind the cut') }, { seq: 9 }).remove(alice, erin, [cut(8)])
  const view = story.fold()
  assert.deepEqual(links(view.wanted.get(observed.key)), links(heads.slice(0, 4)).sort())
  const otherEpoch = head(bob, 2, 1, 'another epoch')
  story.write(carol, { type: 'branch-witnessed', head: otherEpoch })
  assert.deepEqual(links(story.fold().wanted.get(otherEpoch.key)), links([otherEpoch]))
  fc.assert(
    fc.property(fc.shuffledSubarray(story.records, { minLength: story.records.length }), (records) => {
      assert.equal(stateOf(foldMesh(MESH, PREIMAGE, records)), stateOf(story.fold()))
    }),
    { numRuns: 50 }
  )
})

test('MEMBER-3 what was valid before a removal stays verifiable: insideCut answers for every place up to the cut', () => {
  const view = new Story().admit(alice, bob, 1).remove(alice, bob, [cut(3)]).fold()
  const removed = member(view, bob)
  assert.ok(removed)
  assert.deepEqual(
    [1, 2, 3, 4].map((seq) => insideCut(removed, at(bob, seq))),
    [true, true, true, false]
  )
})
