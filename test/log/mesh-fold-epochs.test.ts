import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { toHex } from '../../src/base/bytes.ts'
import { ALL_RIGHTS } from '../../src/identity/certificate.ts'
import type { SigningKey } from '../../src/identity/ed25519.ts'
import { meshIdOf } from '../../src/identity/mesh-id.ts'
import { type ControlBody, encodeControl, tryParseControl } from '../../src/log/control-records.ts'
import { foldMesh } from '../../src/log/mesh-fold.ts'
import { chainKeyOf, type Head, sealStatement, tryForkProof } from '../../src/log/statement.ts'
import {
  alice,
  assertOneStateInEveryOrder,
  bob,
  carol,
  cut,
  dave,
  erin,
  MESH,
  member,
  named,
  type Place,
  PREIMAGE,
  present,
  Story,
  stateOf,
  valid
} from './mesh-fold-story.ts'

test('MEMBER-5 the recovery key names a new founder: the old one is removed at the cuts, what it did before stands', () => {
  const story = new Story()
    .admit(alice, bob, 1, 'admin', ALL_RIGHTS, { seq: 2 })
    .admit(alice, carol, 1, 'admin', ALL_RIGHTS, { seq: 12 })
  const view = assertOneStateInEveryOrder(story.refound(dave, dave, 1, [cut(10)]).remove(dave, bob, [cut(5)]))
  assert.equal(view.founder, dave.publicKeyHex)
  assert.deepEqual([member(view, dave)?.rank, member(view, dave)?.role], [0, 'admin'])
  assert.equal(member(view, alice)?.removal?.by, dave.publicKeyHex)
  assert.deepEqual([valid(view, alice, 10), valid(view, alice, 11)], [true, false])
  assert.equal(member(view, carol), undefined)
  assert.equal(present(view, bob), false)
})

test('MEMBER-5 the highest counter names the founder; at a tie the smaller bytes, cuts included', () => {
  const view = assertOneStateInEveryOrder(
    new Story().refound(bob, bob, 1).refound(carol, carol, 3).refound(dave, dave, 2)
  )
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
  const statement = {
    mesh: MESH,
    author: author.publicKey,
    chain,
    epoch,
    firstSeq,
    count: 1,
    prev: named('prev'),
    lastId: named(name)
  }
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
    'of another author': [
      opening({ kept: head(carol, 1, 8, 'hers'), missing }),
      { ...at1, firstPrev: head(carol, 1, 8, 'hers').link }
    ],
    'of another chain': [
      opening({ kept: head(bob, 1, 8, 'other', 1), missing }),
      { ...at1, firstPrev: head(bob, 1, 8, 'other', 1).link }
    ],
    'skips an epoch': [opening({ kept, missing }), { epoch: 3, seq: 1, firstPrev: kept.link }]
  }
  for (const [name, [body, place]] of Object.entries(faulty)) {
    const story = new Story().admit(alice, bob, 1, 'admin').write(bob, body, place)
    if (place.epoch !== 1) story.admit(bob, carol, 2, 'member', 0, { epoch: place.epoch ?? 2, seq: 3 })
    const view = story.fold()
    assert.deepEqual([view.opened.size, view.closed.size, view.wanted.size], [0, 0, 0], name)
    assert.equal(member(view, carol), undefined, name)
  }
  const holds = new Story()
    .admit(alice, bob, 1, 'admin')
    .write(bob, opening({ kept, missing }), { ...at1, firstPrev: kept.link })
  assert.equal(present(holds.admit(bob, carol, 2, 'member', 0, { epoch: 2, seq: 3 }).fold(), carol), true)
})

test('CHAIN-13 epoch-opened demands exactly one reason, good seals and at most eight branches', () => {
  const kept = head(bob, 1, 8, 'kept')
  const [a, b] = [head(bob, 1, 9, 'a'), head(bob, 1, 9, 'b')]
  const fork = tryForkProof(a, b)
  const parse = (fields: Partial<ControlBody & { type: 'epoch-opened' }>) =>
    tryParseControl('epoch-opened', encodeControl(opening(fields)))
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
  const story = new Story()
    .admit(alice, bob, 1)
    .admit(alice, carol, 1)
    .admit(alice, dave, 1, 'observer', ALL_RIGHTS)
    .admit(alice, erin, 1)
  const heads = Array.from({ length: 6 }, (_, index) => head(bob, 1, 5, `branch ${index}`))
  for (const branch of heads) story.write(carol, { type: 'branch-witnessed', head: branch })
  const observed = head(bob, 1, 6, 'seen by Dave')
  story.write(dave, { type: 'branch-witnessed', head: observed })
  story
    .write(erin, { type: 'branch-witnessed', head: head(bob, 1, 7, 'behind the cut') }, { seq: 9 })
    .remove(alice, erin, [cut(8)])
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
