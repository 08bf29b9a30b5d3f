// The tools that this node offers, gathered from their sources: built-ins first, then what was registered, then what servers bring.
// Knows nothing of what any of them does; a tool that does not describe itself properly is not offered.

import { z } from 'zod'
import { LIMITS } from '../base/limits.ts'
import { type Logger, silentLogger } from '../base/logger.ts'
import type { Tool, ToolBox } from '../pipeline/contract.ts'
import { TIERS } from '../policy/contract.ts'

const HASH = z.string().regex(/^[0-9a-f]{64}$/)
const LIMIT = z.int().min(0)
const DESCRIPTOR = z.strictObject({
  name: z.string(),
  kind: z.enum(['builtin', 'script', 'wasm', 'command', 'mcp']),
  description: z.string().max(LIMITS.toolInputBytesMax),
  descriptionUntrusted: z.boolean(),
  parameters: z.looseObject({ type: z.literal('object') }),
  tier: z.enum(TIERS).nullable(),
  hash: HASH,
  profile: HASH,
  taints: z.enum(['web', 'file', 'tool']).nullable(),
  limits: z.strictObject({
    timeMs: LIMIT.max(LIMITS.toolTimeMsMax),
    memoryBytes: LIMIT.max(LIMITS.toolMemoryBytesMax),
    outputBytes: LIMIT.max(LIMITS.toolOutputBytesMax),
    processes: LIMIT.max(LIMITS.toolProcessesMax),
    fileBytes: LIMIT.max(LIMITS.toolFileBytesMax)
  }),
  usesWorkspace: z.boolean().optional()
})
const NAME = /^[a-z][a-z0-9_]{0,99}$/
const BUILTIN_NAME = /^[a-z][a-z0-9_]{0,99}(?:\.[a-z][a-z0-9_]{0,99})?$/

/** Asks the sources anew each time; of two tools with one name the first source's counts, and the other is logged once. */
export function createToolBox(sources: readonly (() => readonly Tool[])[], logger: Logger = silentLogger): ToolBox {
  const told = new WeakSet<Tool>()
  const faults = new WeakMap<Tool, string>()

  const leaveOut = (tool: Tool, reason: string): void => {
    if (told.has(tool)) return
    told.add(tool)
    logger.warn('a tool is not offered', { tool: tool.descriptor.name.slice(0, 100), reason })
  }

  const gather = (): Map<string, Tool> => {
    const tools = new Map<string, Tool>()
    for (const tool of sources.flatMap((source) => source())) {
      const fault = faults.get(tool) ?? descriptorFault(tool)
      faults.set(tool, fault)
      if (fault !== '') leaveOut(tool, fault)
      else if (tools.has(tool.descriptor.name)) leaveOut(tool, 'another tool has the name')
      else tools.set(tool.descriptor.name, tool)
    }
    return tools
  }

  return {
    list: () => [...gather().values()].toSorted((a, b) => (a.descriptor.name < b.descriptor.name ? -1 : 1)),
    get: (name) => gather().get(name) ?? null
  }
}

/** What is wrong with a tool's description of itself; '' when nothing is. */
function descriptorFault(tool: Tool): string {
  const read = DESCRIPTOR.safeParse(tool.descriptor)
  if (!read.success) return `its description of itself is not valid at ${read.error.issues[0]?.path.join('.') ?? ''}`
  const pattern = read.data.kind === 'builtin' ? BUILTIN_NAME : NAME
  return pattern.test(read.data.name) ? '' : 'its name is not allowed'
}
