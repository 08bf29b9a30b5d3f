import assert from 'node:assert/strict'
import { test } from 'node:test'
import { create, toBinary } from '@bufbuild/protobuf'
import fc from 'fast-check'
import { LIMITS } from '../../src/base/limits.ts'
import { signingKeyFromSeed } from '../../src/identity/ed25519.ts'
import { chainKeyOf, type Head, sealStatement, tryForkProof } from '../../src/log/statement.ts'
import { SyncMessageSchema } from '../../src/network/wire/gen/sync_pb.js'
import { tryDecodeGossip } from '../../src/network/wire/gossip-codec.ts'
import {
  encodeAdmitAnswer,
  encodeHello,
  encodeJoinAnswer,
  type Hello,
  tryDecodeAdmitAnswer,
  tryDecodeAdmitRequest,
  tryDecodeHello,
  tryDecodeJoinAnswer,
  tryDecodeJoinChallenge,
  tryDecodeJoinProof,
  tryDecodeJoinRequest
} from '../../src/network/wire/peer-codec.ts'
import { tryDecodePeerRequest, tryDecodePeerResponse } from '../../src/network/wire/rpc-codec.ts'
import { encodeSyncMessage, tryDecodeSyncMessage } from '../../src/network/wire/sync-codec.ts'
import type { EndReason, SyncMessage } from '../../src/replication/contract.ts'

const key = signingKeyFromSeed(new Uint8Array(32).fill(7))
const mesh = new Uint8Array(32).fill(1)
const chainKey = chainKeyOf(key.publicKey, 0, 1)

function headAt(firstSeq: number, last = 3): Head {
  const statement = {
    mesh,
    author: key.publicKey,
    chain: 0,
    epoch: 1,
    firstSeq,
    count: 2,
    prev: new Uint8Array(32),
    lastId: new Uint8Array(32).fill(last)
  }
  return sealStatement(statement, key)
}

const seq = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER })
const place = fc.record({ seq, link: fc.uint8Array({ minLength: 16, maxLength: 32 }) })
const id = fc.integer({ min: 0, max: 0xffff_ffff })
const heads = fc.array(
  fc.integer({ min: 1, max: 50 }).map((at) => headAt(at)),
  { maxLength: 4 }
)
const claim = fc.record({
  key: fc.constant(chainKey),
  tips: fc.array(place, { maxLength: LIMITS.tipsPerClaimMax }),
  head: fc.option(fc.constant(headAt(5)), { nil: null }),
  forked: fc.boolean()
})
const reasons: readonly EndReason[] = ['done', 'diverged', 'unknown', 'busy', 'stopped']
const message: fc.Arbitrary<SyncMessage> = fc.oneof(
  fc.record({
    kind: fc.constant('digest' as const),
    digest: fc.uint8Array({ minLength: 32, maxLength: 32 }),
    asks: fc.boolean()
  }),
  fc.record({
    kind: fc.constant('frontier' as const),
    round: id,
    last: fc.boolean(),
    claims: fc.array(claim, { maxLength: 20 })
  }),
  fc.record({
    kind: fc.constant('fetch' as const),
    id,
    key: fc.constant(chainKey),
    after: fc.option(place, { nil: null }),
    tip: place
  }),
  fc.record({ kind: fc.constant('cancel' as const), id }),
  fc.record({ kind: fc.constant('credit' as const), bytes: id }),
  fc.record({ kind: fc.constant('frame' as const), id, bytes: fc.uint8Array({ minLength: 1, maxLength: 4096 }) }),
  fc.record({ kind: fc.constant('end' as const), id, reason: fc.constantFrom(...reasons) }),
  fc.record({
    kind: fc.constant('probe' as const),
    id,
    key: fc.constant(chainKey),
    tip: place,
    seqs: fc.array(seq, { maxLength: LIMITS.probePointsMax })
  }),
  fc.record({ kind: fc.constant('points' as const), id, heads }),
  fc.record({ kind: fc.constant('beacon' as const), bytes: fc.uint8Array({ minLength: 300, maxLength: 300 }) })
)

/** Same bytes, whatever class holds them. */
function plain(value: unknown): unknown {
  return JSON.parse(
    JSON.stringify(value, (_, inner) =>
      inner instanceof Uint8Array || inner?.type === 'Buffer' ? Buffer.from(inner.data ?? inner).toString('hex') : inner
    )
  )
}

test('every sync message comes back as it was', () => {
  fc.assert(
    fc.property(message, (original) => {
      const bytes = encodeSyncMessage(original)
      assert.deepEqual(plain(tryDecodeSyncMessage(bytes)), plain(original))
    }),
    { numRuns: 300 }
  )
})

test('a frame is encoded as the generated code does it', () => {
  for (const [id, length] of [
    [0, 1],
    [1, 127],
    [300, 128],
    [0xffff_ffff, 70_000]
  ] as const) {
    const bytes = new Uint8Array(length).fill(3)
    const generated = toBinary(
      SyncMessageSchema,
      create(SyncMessageSchema, { body: { case: 'frame', value: { id, bytes } } })
    )
    assert.deepEqual(Buffer.from(encodeSyncMessage({ kind: 'frame', id, bytes })), Buffer.from(generated))
  }
})

test('a fork proof comes back, and two equal heads are no proof', () => {
  const proof = tryForkProof(headAt(3, 1), headAt(3, 2))
  assert.ok(proof)
  const decoded = tryDecodeSyncMessage(encodeSyncMessage({ kind: 'proofs', proofs: [proof] }))
  assert.deepEqual(plain(decoded), plain({ kind: 'proofs', proofs: [proof] }))
  assert.equal(tryDecodeSyncMessage(encodeSyncMessage({ kind: 'proofs', proofs: [{ a: proof.a, b: proof.a }] })), null)
})

test('the bytes of a frame are not copied when they are decoded', () => {
  const bytes = encodeSyncMessage({ kind: 'frame', id: 1, bytes: new Uint8Array(1000).fill(9) })
  const decoded = tryDecodeSyncMessage(bytes)
  assert.ok(decoded?.kind === 'frame')
  assert.equal(decoded.bytes.buffer, bytes.buffer)
})

test('SYNC-3 garbage, flipped bits and truncations never make a decoder throw', () => {
  const decoders = [
    tryDecodeSyncMessage,
    tryDecodeHello,
    tryDecodeJoinRequest,
    tryDecodeJoinChallenge,
    tryDecodeJoinProof,
    tryDecodeJoinAnswer,
    tryDecodeAdmitRequest,
    tryDecodeAdmitAnswer,
    tryDecodePeerRequest,
    tryDecodePeerResponse,
    tryDecodeGossip
  ]
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 600 }), (bytes) => {
      for (const decode of decoders) decode(bytes)
    }),
    { numRuns: 1000 }
  )
  fc.assert(
    fc.property(message, fc.nat(), fc.integer({ min: 1, max: 255 }), (original, at, flip) => {
      const bytes = Buffer.from(encodeSyncMessage(original))
      const index = at % bytes.length
      bytes[index] = (bytes[index] as number) ^ flip
      for (const decode of decoders) decode(bytes)
      tryDecodeSyncMessage(bytes.subarray(0, index))
    }),
    { numRuns: 1000 }
  )
})

test('SYNC-3 a message over its limits is refused before it is decoded: too many bytes, claims, tips, fields, oneofs', () => {
  const tip = { seq: 1, link: new Uint8Array(16) }
  const many = (claims: number, tips: number): Uint8Array =>
    encodeSyncMessage({
      kind: 'frontier',
      round: 1,
      last: true,
      claims: Array.from({ length: claims }, () => ({
        key: chainKey,
        tips: Array.from({ length: tips }, () => tip),
        head: null,
        forked: false
      }))
    })
  assert.notEqual(tryDecodeSyncMessage(many(LIMITS.claimsPerMessageMax, 2)), null)
  assert.equal(tryDecodeSyncMessage(many(LIMITS.claimsPerMessageMax + 1, 2)), null)
  assert.notEqual(tryDecodeSyncMessage(many(1, LIMITS.tipsPerClaimMax)), null)
  assert.equal(tryDecodeSyncMessage(many(1, LIMITS.tipsPerClaimMax + 1)), null)
  assert.equal(
    tryDecodeSyncMessage(encodeSyncMessage({ kind: 'frame', id: 1, bytes: new Uint8Array(LIMITS.messageBytesMax) })),
    null
  )
  const one = encodeSyncMessage({ kind: 'cancel', id: 1 })
  assert.equal(tryDecodeSyncMessage(Buffer.concat([one, one])), null)
  const emptyClaims = Buffer.concat([
    Buffer.from([0x12, 0x80, 0x80, 0x04]),
    Buffer.alloc(65_536, Buffer.from([0x1a, 0x00]))
  ])
  const startedMs = performance.now()
  assert.equal(tryDecodeSyncMessage(emptyClaims), null)
  assert.ok(performance.now() - startedMs < 20)
})

test('SYNC-3 sequence numbers of 0 and above 2^53−1, short links and unknown ends are refused', () => {
  const tip = { seq: 1, link: new Uint8Array(16) }
  assert.equal(
    tryDecodeSyncMessage(
      encodeSyncMessage({ kind: 'fetch', id: 1, key: chainKey, after: null, tip: { ...tip, seq: 0 } })
    ),
    null
  )
  assert.equal(
    tryDecodeSyncMessage(
      encodeSyncMessage({ kind: 'fetch', id: 1, key: chainKey, after: null, tip: { ...tip, seq: 2 ** 60 } })
    ),
    null
  )
  assert.equal(
    tryDecodeSyncMessage(
      encodeSyncMessage({ kind: 'fetch', id: 1, key: chainKey, after: null, tip: { seq: 1, link: new Uint8Array(15) } })
    ),
    null
  )
  assert.equal(tryDecodeSyncMessage(Buffer.from([0x3a, 0x04, 0x08, 0x01, 0x10, 0x07])), null)
  assert.equal(tryDecodeSyncMessage(Buffer.alloc(0)), null)
})

const hello: Hello = {
  mesh,
  certificates: [new Uint8Array(175).fill(1), new Uint8Array(175).fill(2)],
  preimage: new Uint8Array(90).fill(3),
  instance: new Uint8Array(16).fill(4),
  timeMs: 1_700_000_000_000,
  name: 'laptop',
  version: '0.2.0',
  mainAddresses: ['/ip4/127.0.0.1/tcp/4701'],
  doorAddresses: [],
  signature: new Uint8Array(64).fill(5),
  namedFounder: new Uint8Array(148).fill(6)
}

test('a hello comes back, shares no memory, and is refused over each limit', () => {
  const bytes = encodeHello(hello)
  const decoded = tryDecodeHello(bytes)
  assert.deepEqual(plain(decoded), plain(hello))
  bytes.fill(0)
  assert.deepEqual(plain(decoded), plain(hello))
  const refused: readonly Partial<Hello>[] = [
    { mesh: new Uint8Array(31) },
    { certificates: Array.from({ length: 9 }, () => new Uint8Array(175)) },
    { certificates: [new Uint8Array(174)] },
    { instance: new Uint8Array(15) },
    { signature: new Uint8Array(63) },
    { name: 'x'.repeat(300) },
    { name: 'a\u001b[31m' },
    { mainAddresses: Array.from({ length: 9 }, () => '/ip4/127.0.0.1') },
    { timeMs: 2 ** 60 }
  ]
  for (const change of refused)
    assert.equal(tryDecodeHello(encodeHello({ ...hello, ...change })), null, JSON.stringify(Object.keys(change)))
})

test('door answers come back as an admission or a code of the table', () => {
  const admission = {
    preimage: new Uint8Array(90),
    certificates: hello.certificates,
    meshSecret: new Uint8Array(32),
    mainAddresses: ['/ip4/10.0.0.1/tcp/4701'],
    namedFounder: new Uint8Array(0)
  }
  assert.deepEqual(plain(tryDecodeJoinAnswer(encodeJoinAnswer({ admission }))), plain({ admission }))
  assert.deepEqual(tryDecodeJoinAnswer(encodeJoinAnswer({ refusal: 'INVITE_USED' })), { refusal: 'INVITE_USED' })
  assert.deepEqual(tryDecodeAdmitAnswer(encodeAdmitAnswer({ refusal: 'NO_SUCH_CODE' as never })), {
    refusal: 'PEER_NOT_ADMITTED'
  })
  assert.equal(
    tryDecodeJoinAnswer(encodeJoinAnswer({ admission: { ...admission, meshSecret: new Uint8Array(31) } })),
    null
  )
})
