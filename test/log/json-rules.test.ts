import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { jsonObjectFault, tryParseJsonObject } from '../../src/log/strict-json.ts'

interface JsonVector {
  readonly name: string
  readonly accepted: boolean
  /** Hex. */
  readonly payload: string
}

const FILE = join(import.meta.dirname, '..', 'vectors', 'json-1.json')
const VECTORS: readonly JsonVector[] = JSON.parse(readFileSync(FILE, 'utf8'))

test('CHAIN-8 JSON edge cases: accepted and refused as the vectors say', async (t) => {
  assert.ok(VECTORS.filter(({ accepted }) => accepted).length >= 16 && VECTORS.length >= 60)
  for (const { name, accepted, payload } of VECTORS) {
    await t.test(`${accepted ? 'accepted' : 'refused'}: ${name}`, () => {
      const bytes = Buffer.from(payload, 'hex')
      const fault = jsonObjectFault(bytes)
      assert.equal(fault === null, accepted, fault ?? 'it was accepted')
      const parsed = tryParseJsonObject(bytes)
      if (accepted) assert.deepEqual(parsed, JSON.parse(bytes.toString('utf8')))
      else assert.equal(parsed, null)
    })
  }
})

test('CHAIN-8 a payload inside larger memory is read between its own ends', () => {
  const memory = Buffer.from('{"x":1}{"a":1}{"y":1}')
  assert.deepEqual(tryParseJsonObject(memory.subarray(7, 14)), { a: 1 })
})

/** What the rules say of a value that JSON.parse made, where duplicate keys and spelling are gone. */
function acceptable(value: unknown, depth = 1): boolean {
  if (typeof value === 'number') {
    return !Object.is(value, -0) && Number.isFinite(value) && (!Number.isInteger(value) || Number.isSafeInteger(value))
  }
  if (typeof value === 'string') return value.isWellFormed()
  if (typeof value !== 'object' || value === null) return true
  const entries = Object.entries(value)
  return depth <= 64 && entries.every(([key, inner]) => key.isWellFormed() && acceptable(inner, depth + 1))
}

const keyed = (value: fc.Arbitrary<unknown>) => fc.dictionary(fc.string({ unit: 'binary' }), value, { maxKeys: 4 })
const anyValue = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.string({ unit: 'binary' }),
    fc.double(),
    fc.integer(),
    fc.boolean(),
    fc.constant(null),
    fc.array(tie('value'), { maxLength: 4 }),
    keyed(tie('value'))
  )
}))

test('CHAIN-8 what JSON.stringify writes of an acceptable object is accepted, of another one refused', () => {
  fc.assert(
    fc.property(keyed(anyValue.value), fc.constantFrom(0, 1, 2), (object, indent) => {
      const text = JSON.stringify(object, null, indent)
      assert.equal(jsonObjectFault(Buffer.from(text, 'utf8')) === null, acceptable(JSON.parse(text)), text)
    }),
    { numRuns: 500 }
  )
})

const FRAGMENTS = [
  '{',
  '}',
  '[',
  ']',
  ',',
  ':',
  '"',
  '"a"',
  '"b"',
  '"\\u0061"',
  '\\',
  '\\ud800',
  '\\udc00',
  '0',
  '-',
  '1',
  '.5',
  'e',
  'E+2',
  '9007199254740992',
  'true',
  'null',
  'fals',
  ' ',
  '\n',
  '\t',
  '\u00a0',
  '\ufeff',
  '{"a":',
  '"a":1',
  '{"b":[1,'
]

test('CHAIN-8 nothing is accepted that JSON.parse refuses, and what is refused is outside the rules', () => {
  const text = fc.array(fc.constantFrom(...FRAGMENTS), { maxLength: 12 }).map((parts) => `{${parts.join('')}}`)
  let accepted = 0
  fc.assert(
    fc.property(text, (candidate) => {
      const fault = jsonObjectFault(Buffer.from(candidate, 'utf8'))
      if (fault === null) {
        accepted += 1
        assert.equal(acceptable(JSON.parse(candidate)), true, candidate)
        return
      }
      if (fault.startsWith('duplicate key')) return
      let parsed: unknown
      try {
        parsed = JSON.parse(candidate)
      } catch {
        return
      }
      assert.equal(acceptable(parsed), false, `${candidate}: ${fault}`)
    }),
    { numRuns: 20_000 }
  )
  assert.ok(accepted > 20, `only ${accepted} candidates were JSON`)
})

test('CHAIN-8 random bytes are refused or parse, and never throw', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
      if (jsonObjectFault(bytes) === null) JSON.parse(Buffer.from(bytes).toString('utf8'))
    }),
    { numRuns: 2000 }
  )
})

test('CHAIN-8 a hostile payload of the largest size is judged in little time', () => {
  const hostile = [
    '['.repeat(65_530),
    `{"a":${'{"a":'.repeat(13_000)}`,
    `{"a":"${'\\u0000'.repeat(10_900)}"}`,
    `{${Array.from({ length: 6000 }, (_, index) => `"k${index}":1`).join(',')}}`,
    `{"a":${'9'.repeat(65_000)}}`
  ]
  const start = performance.now()
  for (const text of hostile) jsonObjectFault(Buffer.from(text, 'utf8'))
  assert.ok(performance.now() - start < 1000)
})
