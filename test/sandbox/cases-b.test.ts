// The B list of abuse through the public entry point: each case ends by itself or is killed, in bounded time and memory, tells nothing of the
// host, and leaves a sandbox that answers.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { ToolLimits } from '../../src/pipeline/contract.ts'
import { ScriptSandbox } from '../../src/sandbox/script-sandbox.ts'
import { ABUSE_CASES } from './script-abuse.ts'

const MIB = 1024 * 1024
const LIMITS: ToolLimits = { timeMs: 300, memoryBytes: 32 * MIB, outputBytes: 64 * 1024, processes: 1, fileBytes: 0 }
/** 300 ms soft, 300 ms grace, the rest for a machine that does other things. */
const WALL_MS_MAX = 3_000
const STOPPED = ['error', 'timeout', 'memory', 'output', 'refused']

describe('SANDBOX-5 every abuse of the script sandbox is contained', { concurrency: 2 }, () => {
  let sandbox: ScriptSandbox
  before(async () => {
    sandbox = await ScriptSandbox.open({ warm: 2, live: 4 })
  })
  after(() => sandbox.close())

  const run = (source: string) =>
    sandbox.run({ source, input: '{"given":1}', limits: LIMITS, signal: new AbortController().signal })

  for (const { id, what, source, gives, ends } of ABUSE_CASES) {
    test(`SANDBOX-2 SANDBOX-3 SANDBOX-5 ${id} ${what}`, async () => {
      const startedAt = performance.now()
      const outcome = await run(source)
      const wallMs = performance.now() - startedAt
      const output = Buffer.from(outcome.output).toString()

      if (gives === undefined) assert.ok((ends ?? STOPPED).includes(outcome.status), `${outcome.status}: ${output}`)
      else assert.deepEqual([outcome.status, output], ['ok', gives])
      assert.ok(outcome.output.length <= LIMITS.outputBytes)
      assert.doesNotMatch(output, /file:|node_modules|\.wasm|wasm-function/)
      assert.ok(wallMs < WALL_MS_MAX, `${wallMs} ms`)
      assert.equal(Object.hasOwn(Object.prototype, 'end'), false)

      const next = await run('input.given + 1')
      assert.deepEqual([next.status, Buffer.from(next.output).toString()], ['ok', '2'])
    })
  }

  test('SANDBOX-3 the whole list keeps the process below 500 MiB', () => {
    assert.ok(process.resourceUsage().maxRSS * 1024 < 500 * MIB, `${process.resourceUsage().maxRSS} KiB`)
  })
})
