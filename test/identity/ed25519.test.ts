import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { fromHex, toHex } from '../../src/base/bytes.ts'
import { isMeshError } from '../../src/base/mesh-error.ts'
import {
  checkPublicKey,
  isSmallOrderEncoding,
  signingKeyFromSeed,
  verifySignature
} from '../../src/identity/ed25519.ts'
import { fingerprintWords, peerIdOf, shortPeerId, tryParsePeerId } from '../../src/identity/peer-id.ts'
import { scanBytes } from '../canary.ts'

interface OddVector {
  readonly name: string
  readonly key: string
  readonly message: string
  readonly signature: string
  readonly keyVerdict: string
  readonly valid: boolean
}

const vectors = JSON.parse(readFileSync(new URL('../vectors/ed25519-odd.json', import.meta.url), 'utf8')) as OddVector[]
const alice = signingKeyFromSeed(new Uint8Array(32).fill(1))

test('ID-4 every odd key and signature of the golden vectors gets its one answer', () => {
  assert.ok(vectors.length >= 25)
  for (const vector of vectors) {
    const [key, message, signature] = [fromHex(vector.key), fromHex(vector.message), fromHex(vector.signature)]
    assert.equal(checkPublicKey(key), vector.keyVerdict, vector.name)
    assert.equal(verifySignature(key, message, signature), vector.valid, vector.name)
    assert.equal(verifySignature(key, message, signature), vector.valid, `${vector.name}, from the cache`)
  }
  const refused = new Set(vectors.map((vector) => vector.keyVerdict))
  assert.deepEqual([...refused].sort(), ['malformed', 'mixed-order', 'non-canonical', 'ok', 'small-order'])
})

test('ID-4 points of small order are known in all fourteen encodings, whatever the release of Node thinks of them', () => {
  const names = ['00', '01', 'ec', '26', 'c7', 'ed', 'ee']
  const encodings = vectors
    .map((vector) => vector.key)
    .filter((key) => key.length === 64 && isSmallOrderEncoding(fromHex(key)))
  assert.ok(new Set(encodings).size >= 8)
  for (const first of names) assert.ok(SMALL_ORDER.some((y) => y.startsWith(first)))
  for (const y of SMALL_ORDER) {
    const withSign = fromHex(y)
    withSign[31] = (withSign[31] ?? 0) | 0x80
    assert.ok(isSmallOrderEncoding(fromHex(y)), y)
    assert.ok(isSmallOrderEncoding(withSign), y)
  }
  assert.equal(isSmallOrderEncoding(alice.publicKey), false)
  assert.equal(isSmallOrderEncoding(fromHex(`01${'00'.repeat(30)}01`)), false)
})

const SMALL_ORDER = [
  '00'.repeat(32),
  `01${'00'.repeat(31)}`,
  `ec${'ff'.repeat(30)}7f`,
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  `ed${'ff'.repeat(30)}7f`,
  `ee${'ff'.repeat(30)}7f`
]

test('a signature is that of RFC 8032, test 2', () => {
  const key = signingKeyFromSeed(fromHex('4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb'))
  assert.equal(key.publicKeyHex, '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c')
  const signature = key.sign(Uint8Array.of(0x72))
  assert.equal(
    toHex(signature),
    '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00'
  )
  assert.ok(verifySignature(key.publicKey, Uint8Array.of(0x72), signature))
})

test('more public keys than the cache holds still verify', () => {
  const message = Buffer.from('m')
  const signature = alice.sign(message)
  for (let index = 0; index < 5000; index++) {
    const stranger = Buffer.alloc(32)
    stranger.writeUInt32BE(index + 1, 4)
    assert.equal(verifySignature(stranger, message, signature), false)
  }
  assert.ok(verifySignature(alice.publicKey, message, signature))
})

test('a secret of another length is no key', () => {
  assert.throws(
    () => signingKeyFromSeed(new Uint8Array(31)),
    (error) => isMeshError(error) && error.code === 'IDENTITY_KEY_INVALID'
  )
})

test('ID-9 a signing key shows no secret in inspection, JSON or enumeration', () => {
  const seed = Uint8Array.from({ length: 32 }, (_, index) => index * 7 + 3)
  const key = signingKeyFromSeed(seed)
  const shown = [
    inspect(key, { showHidden: true, depth: 9, getters: true }),
    inspect({ nested: [key] }, { depth: 9 }),
    JSON.stringify({ key }),
    Object.entries(key).join(),
    JSON.stringify({ ...key })
  ].join('\n')
  assert.deepEqual(scanBytes(shown, [seed]), [])
  assert.deepEqual(key.seed, seed)
  key.seed.fill(0)
  assert.deepEqual(key.seed, seed, 'a caller that wipes its copy does not wipe the key')
})

test('ID-1 the peer id is libp2p’s of the same key, and reads back', () => {
  assert.equal(peerIdOf(alice.publicKey), '12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5')
  assert.equal(peerIdOf(alice.publicKeyHex), peerIdOf(alice.publicKey))
  assert.deepEqual(tryParsePeerId(peerIdOf(alice.publicKey)), new Uint8Array(alice.publicKey))
  assert.equal(shortPeerId(alice.publicKey), '12D3KooWK9…KPH5')
  for (const text of [
    '',
    '12D3KooW',
    'QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N',
    `${peerIdOf(alice.publicKey)}1`,
    '0OIl',
    '1'.repeat(10_000)
  ]) {
    assert.equal(tryParsePeerId(text), null, text.slice(0, 60))
  }
})

test('four words stand for a key and change with it', () => {
  assert.equal(fingerprintWords(alice.publicKey), 'today-razor-session-basic')
  assert.equal(fingerprintWords(alice.publicKeyHex), 'today-razor-session-basic')
  assert.notEqual(fingerprintWords(new Uint8Array(32).fill(8)), 'today-razor-session-basic')
})
