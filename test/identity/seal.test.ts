import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { utf8 } from '../../src/base/bytes.ts'
import { KeyRing, openSealedV01, type SealPlace, sealedKeyId } from '../../src/identity/seal.ts'
import { scanBytes } from '../canary.ts'

const place: SealPlace = { purpose: 'credential', name: ['providers', 'groq', 'api_key'] }
const rootKey = { id: '00c0ffee', bytes: Uint8Array.from({ length: 32 }, (_, index) => index * 3 + 1) }
const ring = new KeyRing(rootKey)

/** Made by node:crypto, not by the library that reads it. */
const V01_KEY = new Uint8Array(32).fill(0x42)
const V01_VALUE = 'enc2:242424242424242424242424976ca878dbef75dbe008faee902681c6a4c6966c7d84480218c1acf597'

function opened(reader: KeyRing, text: string, at: SealPlace = place): string {
  const verdict = reader.open(at, text)
  return verdict.ok ? Buffer.from(verdict.bytes).toString('utf8') : verdict.reason
}

test('ID-5 a sealed value carries version and key, opens at its place, and differs each time', () => {
  const sealed = ring.seal(place, utf8('sk-secret'))
  assert.match(sealed, /^enc2:v1:00c0ffee:[A-Za-z0-9_-]+$/)
  assert.equal(sealedKeyId(sealed), '00c0ffee')
  assert.notEqual(ring.seal(place, utf8('sk-secret')), sealed)
  assert.equal(opened(ring, sealed), 'sk-secret')
  assert.equal(opened(new KeyRing(rootKey), sealed), 'sk-secret')
})

test('ID-5 a value moved to another provider, field or purpose does not open', () => {
  const sealed = ring.seal(place, utf8('sk-secret'))
  const elsewhere: SealPlace[] = [
    { purpose: 'credential', name: ['providers', 'openai', 'api_key'] },
    { purpose: 'credential', name: ['providers', 'groq', 'token'] },
    { purpose: 'credential', name: ['providers', 'groq', 'api_key', ''] },
    { purpose: 'credential', name: ['providers', 'groqapi_key'] },
    { purpose: 'mesh', name: place.name },
    { purpose: 'identity', name: place.name }
  ]
  for (const at of elsewhere) assert.equal(opened(ring, sealed, at), 'not-authentic', JSON.stringify(at))
})

test('ID-5 values of v0.1 open with the key of .secret_key and no other', () => {
  const verdict = openSealedV01(V01_VALUE, V01_KEY)
  assert.equal(verdict.ok && Buffer.from(verdict.bytes).toString(), 'sk-v01-secret')
  assert.deepEqual(openSealedV01(V01_VALUE, new Uint8Array(32)), { ok: false, reason: 'not-authentic' })
  assert.deepEqual(openSealedV01(`${V01_VALUE.slice(0, -1)}8`, V01_KEY), { ok: false, reason: 'not-authentic' })
  for (const text of [
    'enc2:',
    'enc2:abcd',
    'enc2:zz',
    V01_VALUE.slice(0, -1),
    V01_VALUE.toUpperCase(),
    ring.seal(place, utf8('x'))
  ]) {
    assert.deepEqual(openSealedV01(text, V01_KEY), { ok: false, reason: 'format' }, text)
  }
})

test('ID-6 every changed letter of a sealed value makes it fail, never read as something else', () => {
  const sealed = ring.seal(place, utf8('sk-secret'))
  for (let index = 0; index < sealed.length; index++) {
    const letter = sealed[index] === 'A' ? 'B' : 'A'
    const verdict = ring.open(place, `${sealed.slice(0, index)}${letter}${sealed.slice(index + 1)}`)
    assert.equal(verdict.ok, false, `letter ${index}`)
  }
  for (let length = 0; length < sealed.length; length++)
    assert.equal(ring.open(place, sealed.slice(0, length)).ok, false)
})

test('ID-8 there is no other cipher: plain text, v0.1’s form and other programs’ forms read as format errors', () => {
  for (const text of ['sk-secret', 'enc:abcdef', V01_VALUE, 'enc2:v2:00c0ffee:AAAA', 'enc2:v1:00C0FFEE:AAAA', '']) {
    assert.equal(opened(ring, text), 'format', text)
  }
})

test('a ring opens what its earlier keys sealed and says when a key is not there', () => {
  const next = { id: '11111111', bytes: new Uint8Array(32).fill(9) }
  const both = new KeyRing(next, ring.exportKeys())
  const old = ring.seal(place, utf8('old'))
  assert.equal(opened(both, old), 'old')
  assert.equal(sealedKeyId(both.seal(place, utf8('new'))), '11111111')
  assert.equal(opened(new KeyRing(next), old), 'key-unknown')
})

test('ID-9 a key ring shows no key in inspection or JSON', () => {
  const sealed = ring.seal(place, utf8('warm the derived keys'))
  assert.ok(sealed.length > 0)
  const shown = `${inspect(ring, { showHidden: true, depth: 9, getters: true })} ${JSON.stringify(ring)} ${JSON.stringify({ ...ring })}`
  assert.deepEqual(scanBytes(shown, [rootKey.bytes]), [])
})
