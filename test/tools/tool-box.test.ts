import assert from 'node:assert/strict'
import { test } from 'node:test'
import { silentLogger } from '../../src/base/logger.ts'
import type { Tool, ToolDescriptor } from '../../src/pipeline/contract.ts'
import { createCalcTool } from '../../src/tools/calc-tool.ts'
import { createFileTools } from '../../src/tools/file-tools.ts'
import { createToolBox } from '../../src/tools/tool-box.ts'

function named(name: string, change: Partial<ToolDescriptor> = {}): Tool {
  const tool = createCalcTool()
  return { ...tool, descriptor: { ...tool.descriptor, kind: 'mcp', name, ...change } }
}

test('TOOL-2 of two tools with one name the first source’s counts, and the other is told once', () => {
  const warned: string[] = []
  const logger = { ...silentLogger, warn: (_: string, fields?: object) => warned.push(JSON.stringify(fields)) }
  const other = named('calc', { description: 'not the real one' })
  const box = createToolBox([() => [createCalcTool()], () => [other, named('zeta')], createFileTools], logger)
  for (let again = 0; again < 3; again++) {
    assert.deepEqual(
      box.list().map((tool) => tool.descriptor.name),
      ['calc', 'file.edit', 'file.list', 'file.read', 'file.write', 'zeta']
    )
  }
  assert.equal(box.get('calc')?.descriptor.kind, 'builtin')
  assert.equal(box.get('toString'), null)
  assert.equal(box.get('nothing'), null)
  assert.equal(warned.length, 1)
})

test('TOOL-2 names outside the pattern and descriptors that are not whole are not offered', () => {
  const bad = [
    named('Upper'),
    named('file.read'),
    named('__proto__'),
    named('a'.repeat(101)),
    named(''),
    named('no_hash', { hash: '' }),
    named('no_schema', { parameters: {} }),
    named('wrong_tier', { tier: 'harmless' as never }),
    named('endless', { limits: { ...createCalcTool().descriptor.limits, timeMs: Number.POSITIVE_INFINITY } })
  ]
  assert.deepEqual(createToolBox([() => bad]).list(), [])
})

test('TOOL-2 a source is asked anew each time', () => {
  const tools: Tool[] = []
  const box = createToolBox([() => tools])
  assert.equal(box.get('later'), null)
  tools.push(named('later'))
  assert.notEqual(box.get('later'), null)
})
