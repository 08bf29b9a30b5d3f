// What every built-in tool shares: its descriptor, reading its arguments, its time limit, and turning what went wrong into an outcome.
// Knows nothing of what the tools do.

import { createHash } from 'node:crypto'
import { z } from 'zod'
import { LIMITS } from '../base/limits.ts'
import { isMeshError, MeshError } from '../base/mesh-error.ts'
import type {
  FileChange,
  JsonObject,
  JsonSchema,
  Tool,
  ToolDescriptor,
  ToolInvocation,
  ToolLimits,
  ToolOutcome,
  ToolStatus,
  ToolTouch
} from '../pipeline/contract.ts'
import type { Tier } from '../policy/contract.ts'

/** What a call of a built-in works with. */
export interface BuiltinCall {
  readonly workspace: string
  readonly limits: ToolLimits
  /** Ends with the call's time limit too. */
  readonly signal: AbortSignal
  /** Told at once, so that a call that fails later still tells what it changed. */
  record(change: FileChange): void
}

export interface BuiltinResult {
  readonly output: string | Uint8Array
  /** True when there is more than `output`. */
  readonly truncated?: boolean
}

export interface BuiltinDefinition<Arguments> {
  readonly name: string
  /** Rises with every change of what the tool does: the hash that votes cover hangs on it. */
  readonly version: number
  readonly description: string
  readonly arguments: z.ZodType<Arguments>
  readonly tier: Tier
  readonly taints: ToolDescriptor['taints']
  readonly usesWorkspace?: false
  touches?(args: NoInfer<Arguments>): Partial<ToolTouch>
  /** Throws MeshError for what cannot be done. */
  run(args: NoInfer<Arguments>, call: BuiltinCall): Promise<BuiltinResult>
}

/** Limits of a tool that declares none. */
export const TOOL_LIMITS: ToolLimits = {
  timeMs: LIMITS.toolTimeMsMax,
  memoryBytes: LIMITS.toolMemoryBytesMax,
  outputBytes: LIMITS.toolOutputBytesMax,
  processes: LIMITS.toolProcessesMax,
  fileBytes: LIMITS.toolFileBytesMax
}

const NOTHING: ToolTouch = { paths: [], hosts: [], argv: null }
const PROFILE = createHash('sha256').update('pmesh/profile/host/1').digest('hex')
const REFUSED: ReadonlySet<string> = new Set(['TOOL_INPUT_INVALID', 'TOOL_UNAVAILABLE', 'FILE_REFUSED', 'URL_REFUSED'])

/** A tool that runs in this process. */
export function builtinTool<Arguments>(definition: BuiltinDefinition<Arguments>): Tool {
  const { $schema: _, ...parameters } = z.toJSONSchema(definition.arguments) as JsonSchema
  const { name, version } = definition
  const descriptor: ToolDescriptor = {
    name,
    kind: 'builtin',
    description: definition.description,
    descriptionUntrusted: false,
    parameters,
    tier: definition.tier,
    ...(definition.usesWorkspace === false ? { usesWorkspace: false } : {}),
    hash: createHash('sha256').update(JSON.stringify({ name, version, parameters })).digest('hex'),
    profile: PROFILE,
    taints: definition.taints,
    limits: TOOL_LIMITS
  }
  return {
    descriptor,
    touches(args) {
      const read = definition.arguments.safeParse(args)
      return read.success ? { ...NOTHING, ...definition.touches?.(read.data) } : NOTHING
    },
    run: (invocation) => runBuiltin(definition, invocation)
  }
}

async function runBuiltin<Arguments>(
  definition: BuiltinDefinition<Arguments>,
  invocation: ToolInvocation
): Promise<ToolOutcome> {
  const { workspace, limits } = invocation
  const changes: FileChange[] = []
  const signal = AbortSignal.any([invocation.signal, AbortSignal.timeout(limits.timeMs)])
  try {
    signal.throwIfAborted()
    const args = parseArguments(definition.arguments, invocation.arguments)
    const result = await definition.run(args, { workspace, limits, signal, record: (change) => changes.push(change) })
    const output = typeof result.output === 'string' ? Buffer.from(result.output) : result.output
    const truncated = result.truncated === true || output.length > limits.outputBytes
    return { ...ENDED, output: output.subarray(0, limits.outputBytes), truncated, changes }
  } catch (error) {
    if (invocation.signal.aborted) return failedOutcome('killed', 'CANCELLED', 'the call was cancelled', changes)
    if (signal.aborted) {
      return failedOutcome('timeout', 'TOOL_TIMEOUT', `the call took longer than ${limits.timeMs} ms`, changes)
    }
    if (!isMeshError(error)) throw error
    return failedOutcome(REFUSED.has(error.code) ? 'refused' : 'error', error.code, error.message, changes)
  }
}

/** Throws TOOL_INPUT_INVALID with the JSON pointer of the first fault. */
function parseArguments<Arguments>(schema: z.ZodType<Arguments>, args: JsonObject): Arguments {
  const read = schema.safeParse(args)
  if (read.success) return read.data
  const [issue] = read.error.issues
  const pointer = (issue?.path ?? []).map((part) => `/${String(part)}`).join('')
  throw new MeshError('TOOL_INPUT_INVALID', `the arguments do not fit at ${pointer || '/'}: ${issue?.message ?? ''}`)
}

const ENDED = {
  status: 'ok',
  output: new Uint8Array(0),
  truncated: false,
  exitCode: null,
  signal: null,
  code: null,
  message: '',
  changes: []
} as const satisfies ToolOutcome

/** The outcome of a call that came to nothing; `message` is one sentence without secrets. */
export function failedOutcome(
  status: Exclude<ToolStatus, 'ok'>,
  code: NonNullable<ToolOutcome['code']>,
  message: string,
  changes: readonly FileChange[] = []
): ToolOutcome {
  return { ...ENDED, status, code, message, changes }
}
