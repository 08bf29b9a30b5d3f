// JavaScript as tools: the built-in `script`, whose source is an argument and stands in the approved bytes, and tools whose code was registered.

import { createHash } from 'node:crypto'
import { utf8 } from '../base/bytes.ts'
import { LIMITS } from '../base/limits.ts'
import type { JsonSchema, Tool, ToolLimits, ToolOutcome, ToolTouch } from '../pipeline/contract.ts'
import type { ScriptSandbox } from '../sandbox/script-sandbox.ts'
import { failedOutcome } from './builtin-tool.ts'

export const SCRIPT_LIMITS: ToolLimits = {
  timeMs: LIMITS.toolTimeMsMax,
  memoryBytes: LIMITS.scriptMemoryBytesMax,
  outputBytes: LIMITS.toolOutputEventBytesMax,
  processes: 1,
  fileBytes: 0
}

export const TOUCHES_NOTHING: ToolTouch = { paths: [], hosts: [], argv: null }

const VERSION = 1
const PARAMETERS: JsonSchema = {
  type: 'object',
  properties: {
    source: {
      type: 'string',
      minLength: 1,
      description:
        'A script. Its last expression is the result, or what main(input) returns if it defines main. await works.'
    },
    input: { description: 'Any JSON; the script sees it as `input`.' }
  },
  required: ['source'],
  additionalProperties: false
}

/**
 * The tool `script`: `{source, input?}` to one line of JSON behind what console.log wrote. It reaches nothing, so its tier is read-only; what it
 * gives can hide what a guard would have seen in the source, so it taints like any tool.
 */
export function createScriptTool(sandbox: ScriptSandbox): Tool {
  return {
    descriptor: {
      name: 'script',
      kind: 'script',
      description: 'Runs JavaScript without files, network, modules or timers, and gives its result as JSON.',
      descriptionUntrusted: false,
      parameters: PARAMETERS,
      tier: 'read-only',
      usesWorkspace: false,
      hash: createHash('sha256')
        .update(JSON.stringify(['script', VERSION, PARAMETERS]))
        .digest('hex'),
      profile: sandbox.profile,
      taints: 'tool',
      limits: SCRIPT_LIMITS
    },
    touches: () => TOUCHES_NOTHING,
    async run({ arguments: args, limits, signal }): Promise<ToolOutcome> {
      if (typeof args.source !== 'string') return failedOutcome('refused', 'TOOL_INPUT_INVALID', 'source is no text')
      return await sandbox.run({ source: args.source, input: JSON.stringify(args.input ?? null), limits, signal })
    }
  }
}

/** How code that was registered as a script runs: the arguments, as they were approved, are its `input`. */
export function runScriptCode(
  sandbox: ScriptSandbox,
  code: Uint8Array,
  call: { readonly argumentBytes: Uint8Array; readonly limits: ToolLimits; readonly signal: AbortSignal }
): Promise<ToolOutcome> {
  const { limits, signal } = call
  return sandbox.run({ source: textOf(code), input: textOf(call.argumentBytes), limits, signal })
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('utf8')
}

/** Whether the bytes are text at all. */
export function isScriptText(code: Uint8Array): boolean {
  return utf8(textOf(code)).equals(code)
}
