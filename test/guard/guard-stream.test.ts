// Text that arrives in pieces.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Guard, GuardContext } from '../../src/guard/contract.ts'
import { GuardStream, type StreamVerdict } from '../../src/guard/guard-stream.ts'
import { createPatternGuard } from '../../src/guard/pattern-guard.ts'
import { PLAIN_ATTACK } from './disguises.ts'

const guard = createPatternGuard()
const ANSWER: GuardContext = { subject: 'answer', origin: 'model' }
const LOREM = 'An ordinary sentence of a long answer about gardens. '

/** What came out before the end or the block, and whether it was blocked. */
function stream(pieces: readonly string[], by: Guard = guard): { text: string; blocked: boolean } {
  const guarded = new GuardStream(by, ANSWER)
  let text = ''
  const verdicts = [...pieces.map((piece) => () => guarded.push(piece)), () => guarded.end()]
  for (const next of verdicts) {
    const verdict: StreamVerdict = next()
    if (verdict.action === 'block') return { text, blocked: true }
    text += verdict.text
  }
  return { text, blocked: false }
}

function cut(text: string, size: number): string[] {
  return Array.from({ length: Math.ceil(text.length / size) }, (_, index) =>
    text.slice(index * size, (index + 1) * size)
  )
}

for (const size of [1, 3, 17, 400, 5000]) {
  test(`GUARD-5 an attack across the borders of pieces of ${size} blocks before any of it is released`, () => {
    for (const before of [0, 9, 11, 40]) {
      const { text, blocked } = stream(cut(LOREM.repeat(before) + PLAIN_ATTACK + LOREM.repeat(30), size))
      assert.ok(blocked)
      assert.ok(!text.includes('Ignore'))
    }
  })

  test(`GUARD-5 a template token across the borders of pieces of ${size} comes out harmless`, () => {
    const { text, blocked } = stream(cut(`${LOREM.repeat(12)}<|im_start|> ${LOREM.repeat(12)}`, size))
    assert.ok(!blocked)
    assert.equal(text, `${LOREM.repeat(12)}[im_start] ${LOREM.repeat(12)}`)
  })
}

test('GUARD-5 a stream that blocked once releases nothing any more', () => {
  const guarded = new GuardStream(guard, ANSWER)
  assert.equal(guarded.push(PLAIN_ATTACK.padEnd(1000)).action, 'block')
  assert.equal(guarded.push(LOREM).action, 'block')
  assert.equal(guarded.end().action, 'block')
})

test('GUARD-4 a guard that throws blocks the stream', () => {
  const throwing: Guard = {
    name: 'throwing/1',
    inspect: () => {
      throw new Error('broken')
    }
  }
  assert.deepEqual(stream([LOREM.repeat(20)], throwing), { text: '', blocked: true })
})

test('GUARD-5 harmless text comes out as it went in, however it is cut', () => {
  fc.assert(
    fc.property(fc.array(fc.string({ unit: 'grapheme', maxLength: 400 }), { maxLength: 12 }), (pieces) => {
      const whole = pieces.join('')
      if (guard.inspect(whole, ANSWER).action !== 'pass') return
      assert.deepEqual(stream(pieces), { text: whole, blocked: false })
    }),
    { numRuns: 100 }
  )
})
