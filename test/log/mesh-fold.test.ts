import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ALL_RIGHTS, issueCertificate, RIGHTS } from '../../src/identity/certificate.ts'
import type { ControlRecord } from '../../src/log/control-records.ts'
import { foldMesh, grantAt, insideCut } from '../../src/log/mesh-fold.ts'
import {
  alice,
  assertOneStateInEveryOrder,
  at,
  bob,
  carol,
  cut,
  dave,
  erin,
  frank,
  MESH,
  member,
  named,
  PREIMAGE,
  present,
  Story,
  stateOf,
  valid
} from './mesh-fold-story.ts'

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
  const story = new Story()
    .admit(alice, bob, 1, 'admin')
    .admit(alice, carol, 2, 'member', ALL_RIGHTS)
    .admit(alice, dave, 2, 'observer', ALL_RIGHTS)
  story
    .admit(carol, erin, 3)
    .admit(dave, frank, 3)
    .remove(carol, erin)
    .remove(dave, erin)
    .change(carol, erin, 1, 9, 'observer')
  const view = story.fold()
  assert.deepEqual([member(view, erin), member(view, frank)], [undefined, undefined])
  assert.equal(present(new Story().admit(alice, bob, 1, 'admin').admit(bob, erin, 2).fold(), erin), true)
  story.admit(bob, erin, 9)
  assert.equal(present(story.fold(), erin), true)
})

test('MEMBER-4 an admin admits only with the right to, below its own rank, and with no right that it lacks', () => {
  const story = new Story()
    .admit(alice, bob, 3, 'admin', RIGHTS.admit | RIGHTS.approve)
    .admit(alice, carol, 3, 'admin', RIGHTS.remove)
  story
    .admit(bob, dave, 3)
    .admit(bob, dave, 2)
    .admit(bob, erin, 4, 'member', RIGHTS.witness)
    .admit(carol, frank, 4, 'observer', 0)
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
  story.write(alice, {
    type: 'member-admitted',
    certificate: issueCertificate(alice, { ...fields, mesh: named('other') }),
    invite: null
  })
  story.write(alice, { type: 'member-admitted', certificate: { ...issued, rank: 4 }, invite: null })
  assert.equal(member(story.fold(), dave), undefined)
  story.write(alice, { type: 'member-admitted', certificate: issued, invite: 'i1' })
  assert.equal(member(story.fold(), dave)?.invite, 'i1')
})

test('MEMBER-5 ranks make mutual removal impossible: of Bob and Carol, who remove each other, the senior one stays', () => {
  const story = new Story()
    .admit(alice, bob, 1, 'admin')
    .admit(alice, carol, 2, 'admin')
    .remove(bob, carol)
    .remove(carol, bob)
  const view = assertOneStateInEveryOrder(story)
  assert.deepEqual([present(view, bob), present(view, carol)], [true, false])
  assert.equal(member(view, carol)?.removal?.by, bob.publicKeyHex)
})

test('MEMBER-5 equal ranks cannot touch each other, and nobody removes a founder or themselves', () => {
  const story = new Story().admit(alice, bob, 1, 'admin').admit(alice, carol, 1, 'admin')
  story
    .remove(bob, carol)
    .remove(carol, bob)
    .remove(bob, alice)
    .remove(carol, carol)
    .change(bob, carol, 1, 5, 'observer')
    .change(bob, bob, 1, 5, 'observer')
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
  story
    .admit(bob, carol, 2, 'member', 0, { seq: 10 })
    .admit(bob, dave, 2, 'member', 0, { seq: 11 })
    .remove(bob, carol, [cut(5)], { seq: 12 })
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
  assert.deepEqual(
    [valid(bySenior, dave, 40), valid(bySenior, dave, 41), valid(bySenior, dave, 2, { epoch: 2 })],
    [true, false, true]
  )
  assert.equal(member(bySenior, dave)?.removal?.by, alice.publicKeyHex)
})

test('MEMBER-3 MEMBER-5 a removed key never returns, removed before its admission or admitted again behind it', () => {
  const story = new Story()
    .remove(alice, dave, [cut(4)])
    .admit(alice, bob, 1, 'admin')
    .admit(bob, dave, 2)
    .admit(alice, dave, 1, 'admin')
  const view = assertOneStateInEveryOrder(story)
  assert.equal(present(view, dave), false)
  assert.deepEqual([valid(view, dave, 4), valid(view, dave, 5)], [true, false])
})

test('MEMBER-5 a removal yields only to an admission by somebody above the remover, at a rank that the remover cannot touch', () => {
  const story = new Story()
    .admit(alice, bob, 1, 'admin')
    .admit(alice, carol, 2, 'admin')
    .admit(carol, dave, 3)
    .remove(carol, dave)
  assert.equal(present(story.admit(carol, dave, 4).fold(), dave), false)
  assert.equal(present(story.admit(bob, dave, 3).fold(), dave), false)
  assert.equal(present(assertOneStateInEveryOrder(story.admit(bob, dave, 2)), dave), true)
})

test('MEMBER-5 of several admissions the smallest rank counts, then fewer rights, then the smaller certificate', () => {
  const story = new Story()
    .admit(alice, bob, 1, 'admin')
    .admit(bob, carol, 5, 'observer', 0)
    .admit(alice, carol, 3, 'member', 17)
    .admit(alice, carol, 3, 'member', 1)
  const view = assertOneStateInEveryOrder(story)
  assert.deepEqual([member(view, carol)?.rank, member(view, carol)?.rights], [3, 1])

  const tied = new Story()
    .admit(alice, dave, 3, 'member', 1)
    .admit(alice, dave, 3, 'member', 16)
    .admit(alice, dave, 3, 'observer', 1)
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
  story
    .change(alice, carol, 10, 1, 'observer', 0)
    .change(bob, carol, 20, 2, 'member', 1)
    .change(alice, carol, 5, 0 + 3, 'admin', 31)
    .remove(alice, frank)
  const view = assertOneStateInEveryOrder(story)
  assert.deepEqual(grantAt(view, at(carol, 4)), { rank: 2, role: 'member', rights: 17 })
  assert.deepEqual(grantAt(view, at(carol, 5)), { rank: 2, role: 'admin', rights: 31 })
  assert.deepEqual(grantAt(view, at(carol, 25)), { rank: 2, role: 'admin', rights: 31 })
  assert.deepEqual(grantAt(view, at(carol, 25, { chain: 1 })), { rank: 2, role: 'member', rights: 17 })
  assert.deepEqual(grantAt(view, at(carol, 1, { epoch: 2 })), { rank: 2, role: 'admin', rights: 31 })

  const tied = new Story().admit(alice, bob, 1, 'admin').admit(alice, carol, 2)
  tied
    .change(alice, carol, 1, 7, 'member', 3)
    .change(bob, carol, 1, 7, 'member', 1)
    .change(alice, carol, 1, 7, 'observer', 1)
  assert.deepEqual(grantAt(assertOneStateInEveryOrder(tied), at(carol, 9)), { rank: 2, role: 'observer', rights: 1 })
})

test('MEMBER-5 nobody hands out by a change what they lack, and only a higher rank changes a lower', () => {
  const story = new Story().admit(alice, bob, 1, 'admin', RIGHTS.admit | RIGHTS.approve).admit(alice, carol, 2, 'admin')
  story
    .change(bob, carol, 1, 5, 'admin', RIGHTS.erase)
    .change(carol, bob, 1, 6, 'observer', 0)
    .change(carol, carol, 1, 7, 'observer', 0)
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
  story
    .admit(alice, bob, 1, 'admin')
    .admit(alice, carol, 1, 'admin')
    .admit(bob, dave, 2, 'admin')
    .admit(carol, dave, 3)
    .admit(dave, erin, 4)
  story
    .admit(carol, erin, 4, 'member', 1)
    .admit(erin, frank, 9)
    .admit(dave, frank, 5)
    .remove(bob, erin, [cut(7)])
    .remove(carol, erin, [cut(6)])
  story
    .remove(dave, frank, [cut(3)])
    .remove(carol, dave, [cut(3)])
    .remove(dave, carol)
    .change(bob, dave, 4, 1, 'member')
    .change(carol, dave, 4, 1, 'member', 1)
  story
    .refound(frank, dave, 1, [cut(60)])
    .refound(erin, bob, 2, [cut(50)])
    .refound(erin, bob, 2, [cut(49)])
  const expected = stateOf(story.fold())
  fc.assert(
    fc.property(fc.shuffledSubarray(story.records, { minLength: story.records.length }), (records) => {
      assert.equal(stateOf(foldMesh(MESH, PREIMAGE, records)), expected)
    }),
    { numRuns: 200 }
  )
})

test('MEMBER-3 what was valid before a removal stays verifiable: insideCut answers for every place up to the cut', () => {
  const view = new Story()
    .admit(alice, bob, 1)
    .remove(alice, bob, [cut(3)])
    .fold()
  const removed = member(view, bob)
  assert.ok(removed)
  assert.deepEqual(
    [1, 2, 3, 4].map((seq) => insideCut(removed, at(bob, seq))),
    [true, true, true, false]
  )
})
