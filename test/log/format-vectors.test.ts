import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { fromHex, toHex } from '../../src/base/bytes.ts'
import {
  certificateId,
  certificateSignatureValid,
  encodeCertificate,
  issueCertificate,
  type Role,
  tryDecodeCertificate
} from '../../src/identity/certificate.ts'
import { signingKeyFromSeed } from '../../src/identity/ed25519.ts'
import { joinProof, joinProofValid } from '../../src/identity/join-proof.ts'
import { encodeMeshPreimage, meshIdOf, tryDecodeMeshPreimage } from '../../src/identity/mesh-id.ts'
import { refoundingValid, signRefounding } from '../../src/identity/refounding.ts'
import { TAGS } from '../../src/identity/tags.ts'
import { claimedHead, commitmentOf, eventHeaders } from '../../src/log/append-check.ts'
import {
  type AppendBlocks,
  type AppendRow,
  type CodecFault,
  decodeBlocks,
  decodeFrame,
  encodeBlocks,
  frameAppend,
  rowPayload,
  rowSalt,
  rowScope,
  rowType,
  writeSeal
} from '../../src/log/append-codec.ts'
import { signBeacon, tryDecodeBeacon } from '../../src/log/beacon.ts'
import { encodeCuts } from '../../src/log/control-records.ts'
import { eraserOf } from '../../src/log/export.ts'
import { sha256 } from '../../src/log/hash.ts'
import {
  encodeForkProof,
  encodeHead,
  encodeStatement,
  headSealValid,
  sealStatement,
  tryDecodeForkProof,
  tryDecodeHead,
  tryForkProof
} from '../../src/log/statement.ts'
import { vectorFiles } from '../vectors/generate.ts'
import * as reference from '../vectors/reference.ts'

const FOLDER = join(import.meta.dirname, '..', 'vectors')

/** SHA-256 of every file of vectors. A file is never changed: new vectors come in new files. */
const PINNED: Readonly<Record<string, string>> = {
  'appends-1.json': '1a8f71de6dd668a348ac7633d0565a6c80dd8c80528acbb58deb0765911132a9',
  'export-1.jsonl': '4e2dab0ffc8f740b2e7303a142c85eebf5a3901abff96726772528704f2e88af',
  'heads-1.json': 'aa96f8babc99759f517252e90038ff0eac488e7496e73b6d4b19abaa006a8d94',
  'json-1.json': 'a998d95474b8779d37dc474d7e9e1c7547e70eb4a68b503d58ff9f481a0044cc',
  'membership-1.json': '071eb40ebf143d41cfadfb99d4bf461f555aae712f7b5ea1e81f9d94458cf482'
}

interface AppendVector {
  readonly name: string
  readonly input: reference.ReferenceAppend
  readonly expected: ReturnType<typeof reference.computeAppend>
}

const read = (name: string) => JSON.parse(readFileSync(join(FOLDER, name), 'utf8'))
const APPENDS: readonly AppendVector[] = read('appends-1.json')

/** What the product makes of the same input, when no payload is erased. */
function produce(input: reference.ReferenceAppend): AppendBlocks {
  const key = signingKeyFromSeed(fromHex(input.seed))
  const place = {
    author: key.publicKey,
    chain: input.chain,
    epoch: input.epoch,
    firstSeq: input.firstSeq,
    prev: fromHex(input.prev)
  }
  const events = input.events.map((event) => ({
    ...event,
    scope: fromHex(event.scope),
    salt: fromHex(event.salt),
    payload: fromHex(event.payload)
  }))
  const blocks = encodeBlocks(place, events)
  const mesh = fromHex(input.mesh)
  writeSeal(blocks, sealStatement({ ...claimedHead(mesh, blocks), mesh }, key).seal)
  return blocks
}

/** Everything that the vectors state about decoded blocks. */
function assertExpected(mesh: Uint8Array, blocks: AppendBlocks, expected: AppendVector['expected']): void {
  const head = claimedHead(mesh, blocks)
  const events = eventHeaders(mesh, blocks)
  assert.deepEqual(
    events.map(({ header }) => toHex(header)),
    expected.headers
  )
  assert.deepEqual(
    events.map(({ id }) => toHex(id)),
    expected.ids
  )
  assert.equal(toHex(encodeStatement(head)), expected.statement)
  assert.equal(toHex(head.seal), expected.seal)
  assert.equal(toHex(head.link), expected.link)
  assert.equal(toHex(encodeHead(head)), expected.head)
  assert.equal(toHex(blocks.author), expected.author)
  assert.equal(headSealValid(head), true)
}

test('CHAIN-8 no vector has ever changed, and each is what the slow reference computes', () => {
  for (const [name, digest] of Object.entries(PINNED)) {
    const content = readFileSync(join(FOLDER, name))
    assert.equal(createHash('sha256').update(content).digest('hex'), digest, name)
    assert.equal(vectorFiles().get(name), content.toString('utf8'), name)
  }
  assert.deepEqual([...vectorFiles().keys()].sort(), Object.keys(PINNED).sort())
})

test('CHAIN-8 golden vectors: headers, ids, statement, seal, link and blocks agree byte for byte, both ways', async (t) => {
  assert.ok(APPENDS.length >= 14)
  for (const { name, input, expected } of APPENDS) {
    await t.test(name, () => {
      const decoded: AppendBlocks | CodecFault = decodeBlocks(
        Buffer.from(expected.headerBlock, 'hex'),
        Buffer.from(expected.bodyBlock, 'hex')
      )
      if (typeof decoded === 'string') assert.fail(decoded)
      assertExpected(fromHex(input.mesh), decoded, expected)
      for (const [index, event] of input.events.entries()) {
        const row: AppendRow | undefined = decoded.rows[index]
        assert.ok(row !== undefined)
        assert.equal(rowType(decoded, row), event.type)
        assert.equal(toHex(rowScope(decoded, row)), event.scope)
        assert.deepEqual(
          [row.flags, row.encoding, row.timeMs, row.timeCounter],
          [event.flags, event.encoding, event.timeMs, event.timeCounter]
        )
        const salt: Buffer | null = rowSalt(decoded, row)
        const payload: Buffer | null = rowPayload(decoded, row)
        if (event.erased === undefined) {
          assert.deepEqual([salt && toHex(salt), payload && toHex(payload)], [event.salt, event.payload])
        } else {
          assert.deepEqual([salt, payload], [null, null])
          assert.deepEqual(eraserOf(decoded, row), event.erased)
        }
      }
      assert.equal(toHex(frameAppend(decoded.header, decoded.body)), expected.frame)
      if (input.events.some((event) => event.erased !== undefined)) return
      const produced = produce(input)
      assert.equal(toHex(produced.header), expected.headerBlock)
      assert.equal(toHex(produced.body), expected.bodyBlock)
      assertExpected(fromHex(input.mesh), produced, expected)
    })
  }
})

test('CHAIN-8 golden vectors: fork proof and beacon', () => {
  const { fork, beacon } = read('heads-1.json')
  const [a, b] = [tryDecodeHead(fromHex(fork.a)), tryDecodeHead(fromHex(fork.b))]
  assert.ok(a !== null && b !== null)
  for (const [first, second] of [
    [a, b],
    [b, a]
  ] as const) {
    const proof = tryForkProof(first, second)
    assert.equal(proof && toHex(encodeForkProof(proof)), fork.proof)
  }
  assert.ok(tryDecodeForkProof(fromHex(fork.proof)))
  const decoded = tryDecodeBeacon(fromHex(beacon.beacon))
  assert.deepEqual([decoded?.timeMs, decoded && toHex(decoded.instance)], [beacon.timeMs, beacon.instance])
  const { timeMs } = beacon
  const signed = signBeacon(
    { head: a, timeMs, instance: fromHex(beacon.instance) },
    signingKeyFromSeed(fromHex(beacon.seed))
  )
  assert.equal(toHex(signed), beacon.beacon)
})

test('CHAIN-8 golden vectors: mesh id, scope, certificate, refounding, join proof', () => {
  const vectors = read('membership-1.json')
  for (const { preimage, bytes, mesh } of vectors.meshes) {
    const { founder, recovery, nonce, name } = preimage
    const input = {
      founder: fromHex(founder),
      recovery: recovery === null ? null : fromHex(recovery),
      nonce: fromHex(nonce),
      name
    }
    assert.equal(toHex(encodeMeshPreimage(input)), bytes)
    assert.equal(toHex(meshIdOf(input)), mesh)
    assert.equal(tryDecodeMeshPreimage(fromHex(bytes))?.name, name)
  }
  for (const { owner, nonce, scope } of vectors.scopes) {
    assert.equal(toHex(sha256(Buffer.concat([TAGS.scope, fromHex(owner), fromHex(nonce)])).subarray(0, 16)), scope)
  }
  const roles: readonly Role[] = ['observer', 'member', 'admin']
  for (const { input, certificate, id } of vectors.certificates) {
    const { mesh, subject, issuerSeed, rank, role, rights, expiryMs } = input
    const fields = { mesh: fromHex(mesh), subject: fromHex(subject), rank, role: roles[role] as Role, rights, expiryMs }
    assert.equal(
      toHex(encodeCertificate(issueCertificate(signingKeyFromSeed(fromHex(issuerSeed)), fields))),
      certificate
    )
    const decoded = tryDecodeCertificate(fromHex(certificate))
    assert.equal(decoded !== null && certificateSignatureValid(decoded), true)
    assert.equal(toHex(certificateId(fromHex(certificate))), id)
  }
  for (const { recovery, mesh, founder, counter, cuts, signature } of vectors.refoundings) {
    const places = cuts.map((cut: reference.ReferenceCut) => ({ ...cut, id: fromHex(cut.id) }))
    const refounding = { mesh: fromHex(mesh), founder: fromHex(founder), counter, cuts: encodeCuts(places) }
    assert.equal(refoundingValid(fromHex(recovery), refounding, fromHex(signature)), true)
    const key = signingKeyFromSeed(sha256(Buffer.from('pmesh vector key recovery')))
    assert.equal(toHex(signRefounding(key, refounding)), signature)
  }
  for (const { secret, proof, ...hex } of vectors.joinProofs) {
    const fields = {
      mesh: fromHex(hex.mesh),
      inviter: fromHex(hex.inviter),
      joiner: fromHex(hex.joiner),
      inviterNonce: fromHex(hex.inviterNonce),
      joinerNonce: fromHex(hex.joinerNonce)
    }
    assert.equal(toHex(joinProof(fromHex(secret), fields)), proof)
    assert.equal(joinProofValid(fromHex(secret), fields, fromHex(proof)), true)
  }
})

test('CHAIN-8 the tags are those of the protocol and no two are equal or begin alike', () => {
  const tags = Object.entries(TAGS)
  for (const [name, bytes] of tags) assert.equal(toHex(bytes), reference.tag(name))
  for (const [name, bytes] of tags) {
    for (const [other, prefix] of tags)
      if (other !== name) assert.notEqual(toHex(bytes.subarray(0, prefix.length)), toHex(prefix))
  }
})

const hex = (length: number) => fc.uint8Array({ minLength: length, maxLength: length }).map((bytes) => toHex(bytes))
const typeName = fc.stringMatching(/^[a-z][a-z0-9]{0,6}(-[a-z0-9]{1,6}){0,3}$/)
const anyEvent: fc.Arbitrary<reference.ReferenceEvent> = fc
  .record({
    flags: fc.integer({ min: 0, max: 1 }),
    encoding: fc.integer({ min: 0, max: 1 }),
    type: typeName,
    scope: fc.oneof(fc.constant(reference.zeros(16)), fc.constantFrom('11'.repeat(16), '22'.repeat(16)), hex(16)),
    timeMs: fc.integer({ min: 0, max: 2 ** 48 - 1 }),
    timeCounter: fc.integer({ min: 0, max: 0xffff }),
    salt: hex(16),
    payload: fc.uint8Array({ maxLength: 80 }).map((bytes) => toHex(bytes))
  })
  .map((event) => ({
    ...event,
    payload:
      event.flags === 1 ? event.payload.slice(0, event.payload.length - (event.payload.length % 64)) : event.payload
  }))
const anyAppend: fc.Arbitrary<reference.ReferenceAppend> = fc.record({
  mesh: hex(32),
  seed: fc.constantFrom('01'.repeat(32), '02'.repeat(32)),
  chain: fc.integer({ min: 0, max: 0xffff_ffff }),
  epoch: fc.integer({ min: 1, max: 0xffff_ffff }),
  firstSeq: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER - 1024 }),
  prev: hex(32),
  events: fc.array(anyEvent, { minLength: 1, maxLength: 6 })
})

test('CHAIN-8 whatever is appended, the product and the slow reference agree on every byte', () => {
  fc.assert(
    fc.property(anyAppend, (input) => {
      const expected = reference.computeAppend(input)
      const produced = produce(input)
      assert.equal(toHex(frameAppend(produced.header, produced.body)), expected.frame)
      const decoded = decodeFrame(Buffer.from(expected.frame, 'hex'))
      assert.equal(decoded.fault, null)
      assertExpected(fromHex(input.mesh), decoded.appends[0] as AppendBlocks, expected)
    }),
    { numRuns: 60 }
  )
})

test('CHAIN-8 the largest payload and the fullest append agree with the slow reference', () => {
  const event = {
    flags: 0,
    encoding: 0,
    type: 'app-x',
    scope: reference.zeros(16),
    timeMs: 1,
    timeCounter: 2,
    salt: 'ab'.repeat(16)
  }
  const place = {
    mesh: '03'.repeat(32),
    seed: '01'.repeat(32),
    chain: 0,
    epoch: 1,
    firstSeq: 1,
    prev: reference.zeros(32)
  }
  const full = { ...place, events: Array.from({ length: 997 }, () => ({ ...event, payload: '' })) }
  for (const input of [{ ...place, events: [{ ...event, payload: '20'.repeat(65_536) }] }, full]) {
    const expected = reference.computeAppend(input)
    const decoded = decodeFrame(Buffer.from(expected.frame, 'hex'))
    assert.equal(decoded.fault, null)
    assertExpected(fromHex(input.mesh), decoded.appends[0] as AppendBlocks, expected)
  }
  const tooLarge = reference.computeAppend({
    ...place,
    events: [...full.events, { ...event, payload: '' }, { ...event, payload: '' }]
  })
  assert.equal(decodeFrame(Buffer.from(tooLarge.frame, 'hex')).fault, 'layout')
  const tooLong = reference.computeAppend({ ...place, events: [{ ...event, payload: '20'.repeat(65_537) }] })
  assert.equal(decodeFrame(Buffer.from(tooLong.frame, 'hex')).fault, 'layout')
})

test('CHAIN-8 the commitment covers salt and payload', () => {
  const [salt, payload] = ['01'.repeat(16), reference.text('{"a":1}')]
  assert.equal(toHex(commitmentOf(fromHex(salt), fromHex(payload))), reference.commitment(salt, payload))
})
