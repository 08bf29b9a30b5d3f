// One connection to one MCP server: opening it, listing its tools, calling them. Nothing that the server says is believed: annotations are
// not read, schemas of results are not compiled, and it is offered nothing of ours (no sampling, no roots, no questions).

import { type CallToolResult, Client, type Tool, type Transport } from '@modelcontextprotocol/client'
import { LIMITS } from '../base/limits.ts'
import { MeshError } from '../base/mesh-error.ts'
import type { JsonObject } from '../pipeline/contract.ts'

const LIST_PAGES_MAX = 8

export interface McpCall {
  readonly tool: string
  readonly arguments: JsonObject
  readonly timeMs: number
  readonly signal: AbortSignal
}

export class McpConnection {
  /** Resolves when the connection is gone, whatever ended it. */
  readonly closed: Promise<void>
  readonly #client: Client
  readonly #transport: Transport

  private constructor(client: Client, transport: Transport, closed: Promise<void>) {
    this.#client = client
    this.#transport = transport
    this.closed = closed
  }

  /** Connects over `transport`, which it owns from here on. MCP_FAILED when the server does not speak in time. */
  static async open(transport: Transport, onTools: () => void, signal: AbortSignal): Promise<McpConnection> {
    const closed = Promise.withResolvers<void>()
    const client = new Client(
      { name: 'pmesh', version: '1' },
      {
        capabilities: {},
        listMaxPages: LIST_PAGES_MAX,
        listChanged: { tools: { autoRefresh: false, onChanged: onTools } },
        jsonSchemaValidator: {
          getValidator: () => (data) => ({ valid: true, data: data as never, errorMessage: undefined })
        }
      }
    )
    client.onclose = () => closed.resolve()
    // Told by the request that fails; without a request there is nobody to tell.
    client.onerror = () => undefined
    const connection = new McpConnection(client, transport, closed.promise)
    try {
      await client.connect(transport, { timeout: LIMITS.mcpStartMs, signal })
      return connection
    } catch (cause) {
      await connection.close()
      throw new MeshError('MCP_FAILED', 'the server does not answer as an MCP server', { cause })
    }
  }

  /** MCP_FAILED. */
  async tools(signal: AbortSignal): Promise<readonly Tool[]> {
    try {
      const { tools } = await this.#client.listTools(undefined, { timeout: LIMITS.mcpStartMs, signal })
      return tools.slice(0, LIMITS.mcpToolsMax)
    } catch (cause) {
      throw new MeshError('MCP_FAILED', 'the server does not list its tools', { cause })
    }
  }

  /** The server's answer. Throws what the client throws: time-outs, protocol errors, a closed connection. */
  async call({ tool, arguments: args, timeMs, signal }: McpCall): Promise<CallToolResult> {
    const limits = { timeout: timeMs, maxTotalTimeout: timeMs, signal }
    return this.#client.callTool({ name: tool, arguments: { ...args } }, limits)
  }

  /** Ends the connection, and the server where it was started for it. */
  async close(): Promise<void> {
    try {
      await this.#client.close()
    } finally {
      await this.#transport.close()
    }
  }
}
