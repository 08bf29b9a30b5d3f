import assert from 'node:assert/strict'
import { test } from 'node:test'
import { redactJson } from '../../src/guard/redact-json.ts'

const KEY = `sk-ant-${'a'.repeat(24)}`

test('APPROVE-6 only the bytes of a secret are masked: everything else stands as it was written', () => {
  for (const text of [
    '{"amount":12345678901234567890.10, "é":"\\u00e9", "b":[1,true,null,"x"]}',
    '{}',
    '"plain"',
    '42'
  ])
    assert.deepEqual(redactJson(text), { text, places: 0 })
  assert.deepEqual(redactJson(`{"a": "\\u0041 key ${KEY} end",  "n": 1.50}`), {
    text: '{"a": "A key [redacted:anthropic-key] end",  "n": 1.50}',
    places: 1
  })
  assert.deepEqual(redactJson(`["${KEY}","${KEY} ${KEY}"]`).places, 3)
})

test('APPROVE-6 a secret is found behind its name and behind an escape', () => {
  assert.deepEqual(redactJson('{"password" : "hunter2secret","user":"ann"}'), {
    text: '{"password" : "[redacted:assigned-secret]","user":"ann"}',
    places: 1
  })
  assert.deepEqual(redactJson(`{"text":"first\\n${KEY}"}`).text, '{"text":"first\\n[redacted:anthropic-key]"}')
  assert.deepEqual(redactJson('{"text":"api_key=\\"abcdefgh\\" rest"}').places, 1)
})

test('APPROVE-6 a mask hides nothing beside the string that it stands in', () => {
  const begin = '-----BEGIN PRIVATE KEY-----'
  for (const [text, shown] of [
    [`{"text":"${begin}","command":"rm -rf x"}`, '{"text":"[redacted:private-key]","command":"rm -rf x"}'],
    [`{"${begin}":"rm -rf x","b":1}`, '{"[redacted:private-key]":"rm -rf x","b":1}'],
    ['["password=",{"x":"rm -rf yyyyyy"}]', '["password=",{"x":"rm -rf yyyyyy"}]'],
    ['["http://u:","rmrfyyyyyy@host"]', '["http://u:","rmrfyyyyyy@host"]']
  ] as const) {
    const redacted = redactJson(text)
    assert.equal(redacted.text, shown)
    JSON.parse(redacted.text)
  }
})

test('APPROVE-6 what is not JSON is masked line by line', () => {
  assert.deepEqual(redactJson(`a ${KEY}\n-----BEGIN PRIVATE KEY-----\nrm -rf x`), {
    text: 'a [redacted:anthropic-key]\n[redacted:private-key]\nrm -rf x',
    places: 2
  })
})
