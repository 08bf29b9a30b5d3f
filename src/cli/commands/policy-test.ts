// pmesh policy test: a file of calls and what is expected of the policy, one JSON object per line; exit code 14 when one differs.

import { readFileSync, statSync } from 'node:fs'
import { z } from 'zod'
import { LIMITS } from '../../base/limits.ts'
import { MeshError } from '../../base/mesh-error.ts'
import type { PolicyExplanation } from '../../rpc/methods.ts'
import type { CommandContext } from '../command-context.ts'
import { countOf } from '../human-text.ts'
import { TAINTS } from './policy-explain.ts'

const VERIFICATION_FAILED_EXIT = 14

const expectation = z.strictObject({
  tool: z.string().min(1).max(256),
  input: z.union([z.string(), z.record(z.string(), z.unknown())]).default('{}'),
  expect: z.enum(['allow', 'ask', 'deny']),
  taint: z.array(z.enum(TAINTS)).default([]),
  member: z.string().nullable().default(null)
})

interface Tested {
  readonly line: number
  readonly tool: string
  readonly expected: string
  readonly found: PolicyExplanation
}

export async function testPolicy(context: CommandContext, [file]: readonly [string]): Promise<number> {
  const { out } = context
  const differences: Tested[] = []
  let tested = 0
  for (const { line, value } of readLines(file)) {
    const { tool, input, expect, taint, member } = value
    const text = typeof input === 'string' ? input : JSON.stringify(input)
    const found = await context.call('policy/explain', { tool, input: text, taint, member })
    tested++
    if (found.decision !== expect) differences.push({ line, tool, expected: expect, found })
  }
  if (tested === 0) throw new MeshError('USAGE', 'there is no call in the file', { details: { file } })
  if (out.json) out.value({ tested, differences })
  else {
    for (const { line, tool, expected, found } of differences) {
      const by = `   ${found.rule} (${found.place})`
      out.line(
        { text: '✗', style: 'red' },
        ` line ${line}   ${tool}   expected ${expected}, got ${found.decision}${by}`
      )
    }
    if (differences.length === 0) out.remark(`${countOf(tested, 'call')}, all as expected`)
    else out.line({ text: `${differences.length} of ${countOf(tested, 'call')} differ`, style: 'red' })
  }
  return differences.length === 0 ? 0 : VERIFICATION_FAILED_EXIT
}

/** Every line before anything is asked: a file with a mistake tests nothing. USAGE with the line. */
function readLines(file: string): { readonly line: number; readonly value: z.output<typeof expectation> }[] {
  return readText(file)
    .split('\n')
    .flatMap((text, index) => {
      if (text.trim() === '') return []
      const checked = expectation.safeParse(tryParse(text))
      if (checked.success) return [{ line: index + 1, value: checked.data }]
      const issue = checked.error.issues[0]
      const place = issue?.path.join('.') ?? ''
      const why = `${place === '' ? '' : `${place}: `}${issue?.message ?? ''}`
      throw new MeshError('USAGE', `cannot read line ${index + 1}: ${why}`, {
        details: { file, line: index + 1 },
        hint: '{"tool": "calc", "input": {"expression": "1+1"}, "expect": "allow"}'
      })
    })
}

function readText(file: string): string {
  try {
    if (statSync(file).size > LIMITS.configBytesMax)
      throw new MeshError('USAGE', `the file is larger than ${LIMITS.configBytesMax} bytes`, { details: { file } })
    return readFileSync(file, 'utf8')
  } catch (error) {
    if (error instanceof MeshError) throw error
    throw new MeshError('USAGE', 'cannot read the file', { details: { file }, cause: error })
  }
}

function tryParse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    if (error instanceof SyntaxError) return null
    throw error
  }
}
