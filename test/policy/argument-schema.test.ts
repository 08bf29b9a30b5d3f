import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { LIMITS } from '../../src/base/limits.ts'
import { isMeshError } from '../../src/base/mesh-error.ts'
import { compileArguments, type JsonObject } from '../../src/policy/argument-schema.ts'

const SCHEMA = {
  type: 'object',
  properties: {
    name: { type: 'string', maxLength: 20 },
    count: { type: 'integer', minimum: 1, maximum: 9 },
    color: { enum: ['red', 'blue'] },
    place: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
    list: { type: 'array', items: { type: 'object', properties: { x: { type: 'number' } } }, maxItems: 3 },
    free: { type: 'object' },
    open: { type: 'object', properties: { a: { type: 'number' } }, additionalProperties: true }
  },
  required: ['name']
}

/** As text: a literal with `then` looks like a promise to the linter. */
const CONDITIONAL =
  '{"properties":{"k":true,"v":true},"if":{"properties":{"k":{"const":"x"}},"required":["k"]},"then":{"required":["v"]}}'

function verdictOf(text: string, schema: JsonObject = SCHEMA): string {
  const verdict = compileArguments(schema).check(Buffer.from(text))
  return verdict.ok ? 'ok' : `${verdict.pointer}: ${verdict.message}`
}

test('SCHEMA-1 arguments that fit are passed on as they are, without coercion or defaults', () => {
  const value = {
    name: 'x',
    count: 3,
    color: 'red',
    place: { city: 'y' },
    list: [{ x: 1 }],
    free: { any: [1] },
    open: { b: 2 }
  }
  assert.deepEqual(compileArguments(SCHEMA).check(Buffer.from(JSON.stringify(value))), { ok: true, value })
  const withDefault = { type: 'object', properties: { a: { type: 'number', default: 1 } } }
  assert.deepEqual(compileArguments(withDefault).check(Buffer.from('{}')), { ok: true, value: {} })
})

test('SCHEMA-1 every kind of wrong argument is refused with a JSON pointer', () => {
  const wrong: readonly (readonly [string, string])[] = [
    ['{}', '/name'],
    ['{"name":1}', '/name'],
    ['{"name":"x","extra":1}', '/extra'],
    ['{"name":"x","a/b~c":1}', '/a~1b~0c'],
    ['{"name":"x","place":{}}', '/place/city'],
    ['{"name":"x","place":{"city":1}}', '/place/city'],
    ['{"name":"x","place":{"city":"y","zip":1}}', '/place/zip'],
    ['{"name":"x","list":[{"x":1},{"y":1}]}', '/list/1/y'],
    ['{"name":"x","list":[{"x":1},{"x":"1"}]}', '/list/1/x'],
    ['{"name":"x","list":[{},{},{},{}]}', '/list'],
    ['{"name":"x","color":"green"}', '/color'],
    ['{"name":"x","count":0}', '/count'],
    ['{"name":"x","count":10}', '/count'],
    ['{"name":"x","count":1.5}', '/count'],
    ['{"name":"x","count":"1"}', '/count'],
    ['{"name":"x","count":true}', '/count'],
    ['{"name":null}', '/name'],
    ['{"name":"x","place":null}', '/place'],
    ['{"name":"x","place":"{}"}', '/place'],
    ['{"name":"x","place":[]}', '/place'],
    ['{"name":"xxxxxxxxxxxxxxxxxxxxx"}', '/name'],
    ['{"name":"x","__proto__":{"a":1}}', '/__proto__'],
    ['{"name":"x","\\u005f_proto__":{"a":1}}', '/__proto__'],
    ['{"name":"x","free":{"a":[{"__proto__":1}]}}', '/free/a/0/__proto__'],
    ['{"name":"x","constructor":1}', '/constructor']
  ]
  for (const [text, pointer] of wrong)
    assert.ok(verdictOf(text).startsWith(`${pointer}: `), `${text} → ${verdictOf(text)}`)
})

test('SCHEMA-1 what is no strict JSON object is refused before the schema is asked', () => {
  const open = { type: 'object', additionalProperties: true }
  assert.equal(verdictOf('{"a":{"b":1}}', open), 'ok')
  const wrong: readonly (readonly [string, RegExp])[] = [
    ['{"a":1,"a":2}', /^: duplicate key/],
    ['{"a":1,"\\u0061":2}', /^: duplicate key/],
    ['{"a":"\\ud800"}', /^: lone surrogate/],
    [`${'{"a":'.repeat(10_000)}1${'}'.repeat(10_000)}`, /^: nested deeper than 64/],
    [`{"a":${'['.repeat(10_000)}${']'.repeat(10_000)}}`, /^: nested deeper than 64/],
    [`{"a":"${'x'.repeat(1_000_000)}"}`, /^: larger than/],
    ['[]', /^: not a JSON object/],
    ['"{}"', /^: not a JSON object/],
    ['null', /^: not a JSON object/],
    ['', /^: not a JSON object/],
    ['{"a":1}{', /^: unexpected/],
    ['{"a":NaN}', /^: /],
    ['{"a":1e999}', /^: number out of range/]
  ]
  for (const [text, message] of wrong) assert.match(verdictOf(text, open), message, text.slice(0, 40))
  assert.match(compileMessage(open, Buffer.from([0x7b, 0xff, 0x7d])), /UTF-8/)
  const most = `{"a":"${'x'.repeat(LIMITS.toolInputBytesMax - 8)}"}`
  assert.equal(verdictOf(most, open), 'ok')
  assert.match(verdictOf(`${most} `, open), /^: larger/)
})

function compileMessage(schema: JsonObject, bytes: Uint8Array): string {
  const verdict = compileArguments(schema).check(bytes)
  return verdict.ok ? '' : verdict.message
}

test('SCHEMA-1 an object takes no properties but those declared, also where several schemas declare them together', () => {
  const rows: readonly (readonly [JsonObject, string, string])[] = [
    [{}, '{}', '{"a":1}'],
    [{ type: 'object' }, '{}', '{"a":1}'],
    [{ properties: { a: true }, patternProperties: { '^x': { type: 'number' } } }, '{"a":1,"x1":2}', '{"b":1}'],
    [{ properties: { a: true }, allOf: [{ properties: { b: { type: 'number' } } }] }, '{"a":1,"b":2}', '{"a":1,"c":2}'],
    [
      {
        anyOf: [
          { properties: { a: true }, required: ['a'] },
          { properties: { b: true }, required: ['b'] }
        ]
      },
      '{"b":1}',
      '{"b":1,"c":1}'
    ],
    [{ $ref: '#/$defs/P', $defs: { P: { properties: { a: true } } } }, '{"a":1}', '{"b":1}'],
    [
      {
        properties: { p: { $ref: '#/$defs/P' } },
        $defs: { P: { properties: { q: { $ref: '#/$defs/P' }, v: { type: 'number' } } } }
      },
      '{"p":{"q":{"v":1}}}',
      '{"p":{"q":{"w":1}}}'
    ],
    [{ properties: { c: { $ref: '#' }, v: { type: 'number' } } }, '{"c":{"c":{"v":1}}}', '{"c":{"c":{"w":1}}}'],
    [JSON.parse(CONDITIONAL), '{"k":"x","v":1}', '{"k":"x"}'],
    [
      { properties: { l: { type: 'array', items: { properties: { a: true } } } } },
      '{"l":[{"a":1}]}',
      '{"l":[{"b":1}]}'
    ],
    [
      {
        $schema: 'http://json-schema.org/draft-07/schema#',
        definitions: {},
        properties: { t: { items: [{ type: 'string' }], additionalItems: false } }
      },
      '{"t":["a"]}',
      '{"t":["a",1]}'
    ],
    [{ properties: { p: { $ref: '#/$defs/Map' } }, $defs: { Map: { type: 'object' } } }, '{"p":{"any":1}}', '{"q":1}'],
    [
      { properties: { p: { properties: { a: true }, additionalProperties: { type: 'number' } } } },
      '{"p":{"b":1}}',
      '{"p":{"b":"1"}}'
    ]
  ]
  for (const [schema, fits, fitsNot] of rows) {
    assert.equal(verdictOf(fits, schema), 'ok', `${JSON.stringify(schema)} ${fits}`)
    assert.notEqual(verdictOf(fitsNot, schema), 'ok', `${JSON.stringify(schema)} ${fitsNot}`)
  }
})

test('SCHEMA-1 inherited names are no properties', () => {
  assert.match(verdictOf('{}', { properties: { toString: true }, required: ['toString'] }), /^\/toString: /)
})

function refusal(schema: unknown): string {
  try {
    compileArguments(schema as JsonObject)
    return 'compiled'
  } catch (error) {
    assert.ok(isMeshError(error), String(error))
    assert.equal(error.code, 'TOOL_SCHEMA_INVALID')
    return error.message
  }
}

test('SCHEMA-1 a remote reference is refused and never fetched; one inside the schema is followed', async (context) => {
  let requests = 0
  const server = createServer((_request, response) => {
    requests++
    response.end('{}')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  context.after(() => server.close())
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}/schema.json`
  for (const $ref of [
    address,
    'other.json',
    'file:///etc/passwd',
    'https://json-schema.org/draft/2020-12/schema',
    '//x',
    '#anchor',
    `${address}#/$defs/A`
  ]) {
    assert.match(refusal({ properties: { a: { $ref } } }), /only references inside/, $ref)
    assert.match(refusal({ $id: address, $ref }), /only references inside/, $ref)
  }
  assert.match(refusal({ $schema: address }), /dialect/)
  assert.match(refusal({ properties: { a: { $id: address } } }), /keyword/)
  assert.match(refusal({ properties: { a: { $dynamicRef: '#x' } } }), /keyword/)
  assert.match(refusal({ const: { type: 'string' }, $ref: '#/const' }), /no schema/)
  assert.match(refusal({ $ref: '#/$defs/none' }), /nowhere/)
  assert.equal(refusal({ $id: address, $defs: { A: { properties: { a: true } } }, $ref: '#/$defs/A' }), 'compiled')
  assert.equal(requests, 0)
})

test('SCHEMA-1 a schema that is broken, unbounded or of an unknown kind is refused when it is compiled', () => {
  let deep: JsonObject = { type: 'object' }
  for (let depth = 0; depth < 40; depth++) deep = { properties: { a: deep } }
  let deeper: unknown = 1
  for (let depth = 0; depth < 10_000; depth++) deeper = [deeper]
  const cycle: Record<string, unknown> = {}
  cycle.properties = cycle
  const broken: readonly unknown[] = [
    { type: 'objet' },
    { propertys: {} },
    { properties: { a: { pattern: '(' } } },
    { properties: { a: { pattern: 'x'.repeat(257) } } },
    { patternProperties: { ['x'.repeat(257)]: true } },
    { properties: { a: 1 } },
    { allOf: {} },
    { exclusiveMinimum: true },
    { not: { $ref: '#' } },
    { description: 'x'.repeat(70_000) },
    { enum: [deeper] },
    { const: () => 1 },
    JSON.parse('{"properties":{"__proto__":{"type":"string"}}}'),
    deep,
    cycle
  ]
  for (const schema of broken) assert.notEqual(refusal(schema), 'compiled')
  assert.equal(
    refusal({
      title: 'x',
      description: 'y',
      format: 'uri',
      'x-more': { a: 1 },
      properties: { a: { format: 'date', examples: [1] } }
    }),
    'compiled'
  )
})

test('SCHEMA-1 a schema made to hang is stopped in time, and the next check works', () => {
  const slow: readonly (readonly [JsonObject, string])[] = [
    [{ properties: { a: { type: 'string', pattern: '^(a+)+$' } } }, `{"a":"${'a'.repeat(60)}!"}`],
    [
      {
        $ref: '#/$defs/X',
        $defs: {
          X: {
            properties: { a: true },
            allOf: [{ properties: { a: { $ref: '#/$defs/X' } } }, { properties: { a: { $ref: '#/$defs/X' } } }]
          }
        }
      },
      `${'{"a":'.repeat(60)}{}${'}'.repeat(60)}`
    ],
    [{ allOf: [{ $ref: '#' }] }, '{}']
  ]
  for (const [schema, text] of slow) {
    const started = performance.now()
    assert.match(verdictOf(text, schema), /cannot be held against the schema in time/)
    assert.ok(performance.now() - started < LIMITS.schemaTimeMsMax * 5)
  }
  assert.equal(verdictOf('{"a":"aa"}', slow[0]?.[0]), 'ok')
  assert.equal(verdictOf('{"name":"x"}'), 'ok')
})

test('a refusal shows neither values nor endless names', () => {
  const verdict = compileArguments(SCHEMA).check(
    Buffer.from(`{"name":"s3cret-value-that-is-too-long","${'k'.repeat(5000)}":1}`)
  )
  assert.ok(!verdict.ok && !verdict.message.includes('s3cret') && verdict.pointer.length <= 201)
})
