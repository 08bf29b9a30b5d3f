// Calls a tool as the pipeline does: parsed arguments, their bytes, a workspace of its own.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import type { JsonObject, Tool, ToolInvocation, ToolOutcome } from '../../src/pipeline/contract.ts'

/** A folder that goes with the test. */
export async function temporaryFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'pmesh-tools-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}

export function callTool(tool: Tool, args: JsonObject, rest: Partial<ToolInvocation> = {}): Promise<ToolOutcome> {
  return tool.run({
    arguments: args,
    argumentBytes: Buffer.from(JSON.stringify(args)),
    workspace: tmpdir(),
    limits: tool.descriptor.limits,
    signal: AbortSignal.timeout(20_000),
    ...rest
  })
}

export function outputOf(outcome: ToolOutcome): string {
  return Buffer.from(outcome.output).toString('utf8')
}
