// The time that patterns take: each expression proved by recheck, the whole measured on hostile texts.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkSync } from 'recheck'
import type { GuardContext } from '../../src/guard/contract.ts'
import { findPhrase, near, phrase } from '../../src/guard/pattern.ts'
import { createPatternGuard } from '../../src/guard/pattern-guard.ts'
import { PATTERNS } from '../../src/guard/patterns.ts'
import { redactSecrets } from '../../src/guard/redact.ts'

const WEB: GuardContext = { subject: 'result', origin: 'web' }
const SMALL_UNITS = 256 * 1024
const LARGE_UNITS = 1024 * 1024
/** What 1 MB of hostile text may take; the machine that runs this may be busy. */
const LARGE_MS_MAX = 10_000
/** Four times the text takes about four times as long; a quadratic pattern sixteen times. */
const RATIO_MAX = 10

test('GUARD-6 there are many patterns, each with a rule of its own', () => {
  assert.ok(PATTERNS.length >= 12)
  assert.equal(new Set(PATTERNS.map((pattern) => pattern.rule)).size, PATTERNS.length)
})

test('GUARD-6 every expression of every pattern is proved safe', () => {
  const expressions = PATTERNS.flatMap((pattern) => pattern.phrases.flat()).map((step) => step.expression)
  for (const { source, flags } of new Set(expressions)) {
    const proof = checkSync(source, flags, { checker: 'automaton', timeout: 20_000 })
    assert.equal(proof.status, 'safe', source)
  }
})

test('GUARD-6 the sweep over matches reads each of them a bounded number of times', () => {
  const count = 20_000
  let reads = 0
  const spansFrom = (offset: number) =>
    Array.from({ length: count }, (_, index) => ({
      start: offset + index,
      get end(): number {
        reads++
        return offset + index + 1
      }
    }))
  const [first, second] = [spansFrom(0), spansFrom(count * 2)]
  const found = findPhrase(phrase('one', near(3), 'two'), (expression) =>
    expression.source.includes('one') ? first : second
  )
  assert.equal(found, null)
  assert.ok(reads <= count * 8, `${reads} reads of ${count} matches`)
})

const HOSTILE: Readonly<Record<string, string>> = {
  'openings without an end': 'ignore the previous ',
  'steps without the last': 'get it and send the key to ',
  'one letter': 'a',
  'split words': 'a b c d ',
  'dotted words': 'i.g.n.o.r.e ',
  base64: 'aGVsbG8gd29ybGQgdGhpcyBpcyB0ZXh0',
  hex: '68656c6c6f20',
  escapes: '%69&#105;\\u0069',
  'zero-width': 'a\u200b',
  'tag characters': '\u{e0061}',
  'look-alikes': 'іgnоrе ',
  'long ligatures': '\ufdfa',
  comments: '<!--i',
  'private keys': `-----BEGIN ${'PRIVATE'} KEY-----`,
  addresses: 'password=a@'
}

for (const [name, seed] of Object.entries(HOSTILE)) {
  test(`GUARD-6 1 MB of hostile text is read within ${LARGE_MS_MAX} ms, in linear time: ${name}`, () => {
    const time = (units: number) => {
      // A guard remembers the last text that it read.
      const guard = createPatternGuard()
      const text = seed.repeat(Math.ceil(units / seed.length)).slice(0, units)
      const began = performance.now()
      assert.notEqual(guard.inspect(text, WEB).findings[0]?.rule, 'guard-failed')
      redactSecrets(text)
      return performance.now() - began
    }
    time(SMALL_UNITS)
    const small = Math.max(20, Math.min(time(SMALL_UNITS), time(SMALL_UNITS)))
    let large = time(LARGE_UNITS)
    // Other processes only ever add: what is linear is so in its best of three.
    for (let again = 0; again < 2 && large >= small * RATIO_MAX; again++) large = Math.min(large, time(LARGE_UNITS))
    assert.ok(large < LARGE_MS_MAX, `${large} ms`)
    assert.ok(large < small * RATIO_MAX, `${small} ms and ${large} ms`)
  })
}
