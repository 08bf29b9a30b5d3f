// A tool of an MCP server as one of this node's. Its hash covers the owner's configuration of the server and all that the server says of
// the tool: a description that changes later makes it another tool, which no earlier approval covers.

import { createHash } from 'node:crypto'
import { type CallToolResult, type Tool as McpTool, ProtocolError } from '@modelcontextprotocol/client'
import { LIMITS } from '../base/limits.ts'
import { isMeshError } from '../base/mesh-error.ts'
import type { McpServerSection } from '../config/mcp-section.ts'
import type { JsonSchema, Tool, ToolDescriptor, ToolInvocation, ToolOutcome } from '../pipeline/contract.ts'
import { failedOutcome, TOOL_LIMITS } from './builtin-tool.ts'
import type { McpConnection } from './mcp-connection.ts'
import { trySafeSchema } from './mcp-tool-schema.ts'

export interface McpToolHost {
  readonly section: McpServerSection
  /** Hex of SHA-256 over the sandbox that the server runs in. */
  readonly profile: string
  /** Null while there is none. */
  connection(): McpConnection | null
  /** Hash of the tool of that name as the server describes it now; null when it has none. */
  hashNow(name: string): string | null
}

const NAME_MAX = 100
const NOTHING = { paths: [], hosts: [], argv: null }

/** Null when the server describes it in a way that is not taken: no schema of an object, or too much of anything. */
export function mcpTool(host: McpToolHost, tool: McpTool): Tool | null {
  const { section, profile } = host
  const description = tool.description ?? ''
  const parameters = trySafeSchema(tool.inputSchema as JsonSchema)
  if (parameters === null || Buffer.byteLength(description) > LIMITS.mcpDescriptionBytesMax) return null
  const identity = { place: section.place, tool: tool.name, schema: tool.inputSchema, description }
  const hosts = section.place.kind === 'http' ? [new URL(section.place.url).hostname] : []
  const descriptor: ToolDescriptor = {
    name: mcpToolName(section.name, tool.name),
    kind: 'mcp',
    description,
    descriptionUntrusted: true,
    parameters,
    tier: section.tiers.get(tool.name) ?? null,
    hash: createHash('sha256').update(JSON.stringify(identity)).digest('hex'),
    profile,
    taints: 'tool',
    limits: TOOL_LIMITS
  }
  return {
    descriptor,
    touches: () => ({ ...NOTHING, hosts }),
    async run(invocation) {
      const connection = host.connection()
      if (connection === null) {
        return failedOutcome('refused', 'TOOL_UNAVAILABLE', `the MCP server ${section.name} is not running`)
      }
      if (host.hashNow(descriptor.name) !== descriptor.hash) {
        return failedOutcome(
          'refused',
          'TOOL_CODE_CHANGED',
          `the MCP server ${section.name} describes the tool otherwise now`
        )
      }
      return runMcpTool(connection, tool.name, invocation)
    }
  }
}

/** `mcp_SERVER_TOOL` in the letters that names have. */
export function mcpToolName(server: string, tool: string): string {
  return `mcp_${server}_${tool.toLowerCase().replaceAll(/[^a-z0-9_]/g, '_')}`.slice(0, NAME_MAX)
}

async function runMcpTool(connection: McpConnection, tool: string, invocation: ToolInvocation): Promise<ToolOutcome> {
  const { limits, arguments: args } = invocation
  const late = AbortSignal.timeout(limits.timeMs)
  const signal = AbortSignal.any([invocation.signal, late])
  try {
    // A little longer than our own time limit, so that it is always ours that ends the call.
    const result = await connection.call({ tool, arguments: args, timeMs: limits.timeMs + 1000, signal })
    return outcomeOf(result, limits.outputBytes)
  } catch (error) {
    return faultOf(error, connection, invocation, late)
  }
}

async function faultOf(
  error: unknown,
  connection: McpConnection,
  { signal, limits }: ToolInvocation,
  late: AbortSignal
): Promise<ToolOutcome> {
  if (error instanceof ProtocolError && !signal.aborted && !late.aborted) {
    const output = Buffer.from(error.message).subarray(0, limits.outputBytes)
    return { ...failedOutcome('error', 'TOOL_FAILED', 'the MCP server refused the call'), output }
  }
  // Whatever still works on the call must not go on after its end was told; and a broken connection is made anew.
  await connection.close()
  if (signal.aborted) return failedOutcome('killed', 'CANCELLED', 'the call was cancelled')
  if (late.aborted) return failedOutcome('timeout', 'TOOL_TIMEOUT', `the call took longer than ${limits.timeMs} ms`)
  if (isMeshError(error) && error.code === 'URL_REFUSED') return failedOutcome('refused', error.code, error.message)
  return failedOutcome('error', 'MCP_FAILED', 'the MCP server failed the call')
}

function outcomeOf(result: CallToolResult, outputBytes: number): ToolOutcome {
  const output = Buffer.from(textOf(result))
  const failed = result.isError === true
  const end = failedOutcome('error', 'TOOL_FAILED', 'the tool says that it failed')
  return {
    ...end,
    ...(failed ? {} : { status: 'ok', code: null, message: '' }),
    output: output.subarray(0, outputBytes),
    truncated: output.length > outputBytes
  }
}

/** The text alone where there is nothing else, else all of it as JSON. */
function textOf({ content, structuredContent }: CallToolResult): string {
  const texts = content.flatMap((block) => (block.type === 'text' ? [block.text] : []))
  return texts.length === content.length && texts.length > 0
    ? texts.join('\n')
    : JSON.stringify({ content, structuredContent })
}
