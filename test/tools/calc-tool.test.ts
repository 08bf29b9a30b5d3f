import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { LIMITS } from '../../src/base/limits.ts'
import { createCalcTool } from '../../src/tools/calc-tool.ts'
import { callTool, outputOf } from './tool-kit.ts'

const calc = createCalcTool()

async function resultOf(expression: string): Promise<string> {
  const outcome = await callTool(calc, { expression })
  assert.equal(outcome.status, 'ok', `${expression.slice(0, 60)}: ${outcome.message}`)
  return outputOf(outcome)
}

async function faultOf(expression: string): Promise<string> {
  const outcome = await callTool(calc, { expression })
  assert.equal(outcome.status, 'error', expression.slice(0, 60))
  assert.equal(outcome.code, 'CALC_INVALID')
  assert.equal(outcome.output.length, 0)
  return outcome.message
}

test('CALC-1 integers and decimals are exact', async () => {
  const cases = {
    '0.1+0.2': '0.3',
    '99999999999999999999*99999999999999999999': '9999999999999999999800000000000000000001',
    '2**200': String(2n ** 200n),
    '1/3*3': '1',
    '1/8': '0.125',
    '-1/8': '-0.125',
    '10**-5': '0.00001',
    '1e3+1.5e-3': '1000.0015',
    '3.10': '3.1',
    '1_000*.5': '500',
    '-0.0': '0'
  }
  for (const [expression, value] of Object.entries(cases)) assert.equal(await resultOf(expression), value, expression)
})

test('CALC-1 precedence and signs are those of Python', async () => {
  const cases = {
    '-2**2': '-4',
    '−2**2': '-4',
    '2**3**2': '512',
    '2**-1': '0.5',
    '(-2)**2': '4',
    '1+2*3': '7',
    '10-4-3': '3',
    '100/10/5': '2',
    '-7%3': '2',
    '7%-3': '-2',
    '-5.5%2': '0.5',
    '2 * -3': '-6',
    '- - 1': '1'
  }
  for (const [expression, value] of Object.entries(cases)) assert.equal(await resultOf(expression), value, expression)
})

test('CALC-1 a quotient that does not end has forty significant digits and says that it goes on', async () => {
  assert.equal(await resultOf('1/3'), `0.${'3'.repeat(40)}…`)
  assert.equal(await resultOf('100/7'), '14.28571428571428571428571428571428571428…')
  assert.equal(await resultOf('-1/700000'), '-0.000001428571428571428571428571428571428571428…')
  assert.equal(await resultOf(`${10n ** 50n}/3`), `${'3'.repeat(50)}.3…`)
})

test('CALC-1 agrees with whole-number arithmetic of the language', async () => {
  const whole = fc.bigInt({ min: -(10n ** 30n), max: 10n ** 30n })
  const operator = fc.constantFrom('+', '-', '*')
  await fc.assert(
    fc.asyncProperty(whole, operator, whole, operator, whole, async (a, first, b, second, c) => {
      const expression = `(${a})${first}(${b})${second}(${c})`
      // Text of numbers and operators that this test wrote itself.
      const expected = new Function(`return ${expression.replaceAll(/\d+/g, '$&n')}`)() as bigint
      assert.equal(await resultOf(expression), String(expected))
    }),
    { numRuns: 200 }
  )
})

test('CALC-1 exponent, length, depth and size are limited before anything is computed', async () => {
  const started = performance.now()
  assert.match(await faultOf('9**9**9'), /exponent is at most 10000/)
  assert.match(await faultOf('(9**9999)**9999'), /digits/)
  assert.match(await faultOf(`${'9**10000*'.repeat(50)}1`), /digits/)
  assert.match(await faultOf('(1/3)**9999'), /fine a fraction/)
  assert.match(await faultOf('1e999999'), /digits/)
  assert.match(await faultOf('2**0.5'), /whole number/)
  assert.match(await faultOf(`${'('.repeat(500)}1${')'.repeat(500)}`), /levels/)
  assert.match(await faultOf(`${'-'.repeat(500)}1`), /levels/)
  assert.match(await faultOf(`${'2**'.repeat(400)}1`), /levels/)
  const long = await callTool(calc, { expression: '1+'.repeat(LIMITS.calcTextMax) })
  assert.deepEqual([long.status, long.code], ['refused', 'TOOL_INPUT_INVALID'])
  let fractions = '1'
  for (let odd = 3; fractions.length < LIMITS.calcTextMax - 8; odd += 2) fractions += `+1/${odd}`
  await resultOf(fractions)
  assert.ok(performance.now() - started < 2000)
})

test('CALC-1 there are no names, and faults name their character', async () => {
  for (const text of [
    'abc',
    'process.exit()',
    'Infinity',
    'NaN',
    '0x10',
    '1n',
    '٣+1',
    '1;2',
    '"1"',
    '`1`',
    '[1]',
    '1//2'
  ]) {
    assert.match(await faultOf(text), /at character \d+$/, text)
  }
  assert.match(await faultOf('1/0'), /division by zero, at character 2/)
  assert.match(await faultOf('5%0'), /division by zero/)
  assert.match(await faultOf('0**-1'), /division by zero/)
  assert.match(await faultOf('1 2'), /"2", at character 3/)
  assert.match(await faultOf('2+'), /ends too early, at character 3/)
  assert.match(await faultOf('(1'), /not closed/)
  assert.match(await faultOf('1)'), /"\)", at character 2/)
})

test('TOOL-3 a built-in refuses missing, mistyped and additional arguments with their place', async () => {
  for (const args of [{}, { expression: 1 }, { expression: '1', other: true }, { expression: null }]) {
    const outcome = await callTool(calc, args)
    assert.deepEqual([outcome.status, outcome.code], ['refused', 'TOOL_INPUT_INVALID'])
  }
  assert.match((await callTool(calc, { expression: 1 })).message, /\/expression/)
})

test('TOOL-3 output of a built-in is cut at the call’s limit and says so', async () => {
  const outcome = await callTool(
    calc,
    { expression: '2**1000' },
    { limits: { ...calc.descriptor.limits, outputBytes: 10 } }
  )
  assert.deepEqual([outcome.output.length, outcome.truncated], [10, true])
})
