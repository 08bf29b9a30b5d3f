import assert from 'node:assert/strict'
import { dirname } from 'node:path'
import { test } from 'node:test'
import { citations, namesIn, testNames } from '../../scripts/test-names.ts'
import { REQUIREMENTS } from '../requirements.ts'

const root = dirname(dirname(import.meta.dirname))

test('every promise that is listed as done is cited by a test', async () => {
  const tests = await testNames(root)
  const unproved = REQUIREMENTS.filter(({ id }) => citations(tests, id).length === 0)
  assert.deepEqual(
    unproved.map(({ id }) => id),
    []
  )
})

test('the list of promises is in order: unique ids, one sentence each', () => {
  const ids = REQUIREMENTS.map(({ id }) => id)
  assert.deepEqual([...new Set(ids)], ids)
  for (const { id, promise } of REQUIREMENTS) {
    assert.match(id, /^[A-Z]+[0-9]*-\d+$/)
    assert.match(promise, /^\S.*[^.]\.$/s, `${id}: the promise is a sentence`)
  }
})

test('names of tests are read whatever their quotes, and only calls of the runner count', () => {
  const source = [
    `test('ONE-1 plain', () => {})`,
    `  test("ONE-2 it's quoted", async () => {})`,
    'it(`ONE-3 $' + '{name} template`, () => {})',
    `test('ONE-4 it\\'s escaped', () => {})`,
    `contest('ONE-5 another function')`,
    `pattern.test('ONE-6 a method')`,
    `test(\n  'ONE-7 on the next line', () => {})`
  ].join('\n')
  assert.deepEqual(namesIn(source), [
    'ONE-1 plain',
    "ONE-2 it's quoted",
    'ONE-3 $' + '{name} template',
    "ONE-4 it's escaped",
    'ONE-7 on the next line'
  ])
})

test('an id is not cited by a longer id that begins with it', () => {
  const tests = [{ file: 'a.test.ts', name: 'TWELVE-12 a promise; also X-TWELVE-1 and TWELVE-1-b' }]
  assert.equal(citations(tests, 'TWELVE-1').length, 0)
  assert.equal(citations(tests, 'TWELVE-12').length, 1)
})
