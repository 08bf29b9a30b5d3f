import assert from 'node:assert/strict'
import { test } from 'node:test'
import { mcpToolName } from '../../src/tools/mcp-tool.ts'
import { trySafeSchema } from '../../src/tools/mcp-tool-schema.ts'

test('SCHEMA-1 what a server’s schema could make this process search or fetch is taken out', () => {
  const schema = {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    $id: 'https://evil.test/schema',
    type: 'object',
    properties: {
      pattern: { type: 'string', pattern: '^(a+)+$', format: 'regex' },
      format: { type: 'array', items: { type: 'string', pattern: '(x*)*' } },
      kind: { enum: ['a', { pattern: 'data' }], default: { format: 'data' } }
    },
    patternProperties: { '^(b+)+$': {} },
    required: ['pattern'],
    $defs: { pattern: { $ref: '#/$defs/other' } }
  }
  assert.deepEqual(trySafeSchema(schema), {
    type: 'object',
    properties: {
      pattern: { type: 'string' },
      format: { type: 'array', items: { type: 'string' } },
      kind: { enum: ['a', { pattern: 'data' }], default: { format: 'data' } }
    },
    required: ['pattern'],
    $defs: { pattern: { $ref: '#/$defs/other' } }
  })
})

test('SCHEMA-1 a server’s schema that reaches elsewhere, or is too deep or large, or is not of an object, is not taken', () => {
  let deep: object = { type: 'string' }
  for (let level = 0; level < 200; level++) deep = { items: deep }
  const bad = [
    { type: 'object', properties: { a: { $ref: 'https://evil.test/x' } } },
    { type: 'object', properties: { a: { $ref: 7 } } },
    { type: 'object', properties: { a: deep } },
    { type: 'object', description: 'x'.repeat(20_000) },
    { type: 'string' },
    {}
  ]
  for (const schema of bad) assert.equal(trySafeSchema(schema), null)
})

test('TOOL-2 names of MCP tools fit the pattern', () => {
  assert.equal(mcpToolName('git', 'Create.Issue-2'), 'mcp_git_create_issue_2')
  assert.equal(mcpToolName('a', '../../etc'), 'mcp_a_______etc')
  assert.match(mcpToolName('a', 'é'.repeat(300)), /^[a-z][a-z0-9_]{0,99}$/)
})
