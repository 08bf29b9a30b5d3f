// What a script is given and gives back, and that workers are bounded, cancelled, ended, and never a reason for the process to go on.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { after, before, describe, test } from 'node:test'
import type { ToolLimits } from '../../src/pipeline/contract.ts'
import { ScriptSandbox } from '../../src/sandbox/script-sandbox.ts'

const MIB = 1024 * 1024
const LIMITS: ToolLimits = { timeMs: 5_000, memoryBytes: 32 * MIB, outputBytes: 1024, processes: 1, fileBytes: 0 }

describe('the script sandbox', () => {
  let sandbox: ScriptSandbox
  before(async () => {
    sandbox = await ScriptSandbox.open({ warm: 1, live: 2 })
  })
  after(() => sandbox.close())

  const run = (source: string, input: unknown = null, limits: Partial<ToolLimits> = {}, signal?: AbortSignal) =>
    sandbox.run({
      source,
      input: JSON.stringify(input),
      limits: { ...LIMITS, ...limits },
      signal: signal ?? new AbortController().signal
    })
  const output = async (...call: Parameters<typeof run>) => Buffer.from((await run(...call)).output).toString()

  test('SANDBOX-5 a script gives its last expression, or what main makes of the input', async () => {
    assert.equal(await output('input.a * 2', { a: 4 }), '8')
    assert.equal(await output('const main = async ({ a }) => ({ got: await a })', { a: [1] }), '{"got":[1]}')
    assert.equal(await output('let input = 5; function main(given) { return [input, given] }', 'x'), '[5,"x"]')
    assert.equal(await output('await Promise.resolve(3)'), '3')
    assert.equal(await output('undefined'), 'null')
    assert.equal(await output('"\\ud800"'), '"\\ud800"')
  })

  test('SANDBOX-5 console lines stand before the result and are text whatever they hold', async () => {
    const lines = 'console.log("a", { b: 1 }, 2n); console.error(undefined); console.log("\\ud800"); 7'
    assert.equal(await output(lines), 'a {"b":1} 2\nundefined\n\ufffd\n7')
  })

  test('SANDBOX-5 errors are told in words of the script alone', async () => {
    assert.match(await output('null.x'), /^TypeError: .*\n\s+at <eval> \(script\.js:1:\d+\)\n$/)
    assert.match(await output('let let'), /^SyntaxError/)
    for (const thrown of [
      'Object.create(null)',
      '{ toString() { throw 1 } }',
      'new Proxy({}, { get() { throw 1 } })'
    ]) {
      const outcome = await run(`throw ${thrown}`)
      assert.deepEqual([outcome.status, outcome.message], ['error', 'the script threw an error'])
    }
    const waiting = await run('await new Promise(() => {})')
    assert.deepEqual([waiting.status, waiting.message], ['error', 'the script waits for something that never comes'])
  })

  test('SANDBOX-3 output is cut at its limit, in bytes and for both ways out', async () => {
    for (const source of [
      "'\u20ac'.repeat(5000)",
      "for (;;) { console.log('\u20ac'.repeat(100)); if (++globalThis.n > 1e4) break } 1"
    ]) {
      const outcome = await run(`globalThis.n = 0; ${source}`)
      assert.deepEqual([outcome.status, outcome.truncated, outcome.output.length], ['output', true, LIMITS.outputBytes])
    }
  })

  test('SANDBOX-3 memory stops at the limit of the call', async () => {
    const allocate = 'const a = []; for (let i = 0; i < 20; i++) a.push(new Uint8Array(1 << 20).fill(1)); a.length'
    assert.equal((await run(allocate, null, { memoryBytes: 8 * MIB })).status, 'memory')
    assert.equal(await output(allocate, null, { memoryBytes: 64 * MIB }), '20')
  })

  test('SANDBOX-5 nothing of one call is there in the next', async () => {
    await run(
      'globalThis.left = 1; Array.prototype.push = null; JSON.stringify = () => "x"; Promise.prototype.then = null'
    )
    assert.equal(await output('[typeof left, [1].push(2)]'), '["undefined",2]')
  })

  test('SANDBOX-2 a cancelled call ends at once, and one that waits for a worker never starts', async () => {
    const control = new AbortController()
    const startedAt = performance.now()
    const calls = Array.from({ length: 4 }, () => run('for (;;);', null, { timeMs: 20_000 }, control.signal))
    const first = run('for (;;);', null, { timeMs: 100 })
    control.abort()
    for (const call of await Promise.all(calls)) assert.equal(call.status, 'killed')
    assert.equal((await first).status, 'timeout')
    assert.ok(performance.now() - startedAt < 5_000)
    assert.equal((await run('1', null, {}, AbortSignal.abort())).status, 'killed')
  })

  test('SANDBOX-3 more calls than workers all get their answer', async () => {
    const answers = await Promise.all(Array.from({ length: 8 }, (_, n) => output('input + 1', n)))
    assert.deepEqual(answers, ['1', '2', '3', '4', '5', '6', '7', '8'])
  })

  test('SANDBOX-5 input that is no JSON is an error and not code', async () => {
    const outcome = await sandbox.run({
      source: '1',
      input: '(1)',
      limits: LIMITS,
      signal: new AbortController().signal
    })
    assert.equal(outcome.status, 'error')
    const large = await run('1', 'x'.repeat(256 * 1024))
    assert.deepEqual([large.status, large.code], ['refused', 'TOOL_INPUT_INVALID'])
  })

  test('SANDBOX-5 the profile names engine and shape, the same each time', async () => {
    const other = await ScriptSandbox.open({ warm: 0 })
    assert.match(sandbox.profile, /^[0-9a-f]{64}$/)
    assert.equal(other.profile, sandbox.profile)
    await other.close()
    assert.equal(
      (await other.run({ source: '1', input: '1', limits: LIMITS, signal: new AbortController().signal })).code,
      'SANDBOX_UNAVAILABLE'
    )
  })

  test('SANDBOX-5 warm workers do not keep a process alive', () => {
    const module = new URL('../../src/sandbox/script-sandbox.ts', import.meta.url).href
    const program = `const { ScriptSandbox } = await import('${module}'); await ScriptSandbox.open(); console.log('open')`
    const child = spawnSync(process.execPath, ['--input-type=module', '-e', program], { timeout: 20_000 })
    assert.deepEqual([child.status, child.stdout.toString()], [0, 'open\n'], child.stderr.toString())
  })
})
