// The MCP servers that the owner configured: started, kept running with growing pauses, and ended with this node. Servers that run here run
// in the command sandbox or not at all; servers elsewhere are reached through the guard of outgoing requests, each allowed its own place.

import { createHash } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { StreamableHTTPClientTransport, type Transport } from '@modelcontextprotocol/client'
import { LIMITS } from '../base/limits.ts'
import { type Logger, silentLogger } from '../base/logger.ts'
import { isMeshError, MeshError, messageOf } from '../base/mesh-error.ts'
import type { McpServerSection } from '../config/mcp-section.ts'
import type { Tool } from '../pipeline/contract.ts'
import { guardedFetchFor } from '../web/guarded-fetch.ts'
import { createUrlGuard } from '../web/url-guard.ts'
import { McpConnection } from './mcp-connection.ts'
import { type McpProcess, McpStdioTransport } from './mcp-stdio.ts'
import { type McpToolHost, mcpTool } from './mcp-tool.ts'

export interface McpLaunch {
  /** Of the server: its workspace may be named after it. */
  readonly name: string
  readonly argv: readonly string[]
  readonly signal: AbortSignal
}

export interface McpServersOptions {
  readonly sections: readonly McpServerSection[]
  /** Starts a server in the command sandbox; null where there is none. SANDBOX_…. */
  readonly start: ((launch: McpLaunch) => Promise<McpProcess>) | null
  /** Hex of SHA-256 over the profile of that sandbox. */
  readonly profile: string
  readonly logger?: Logger
  readonly restartMsMin?: number
}

export interface McpServerState {
  readonly name: string
  readonly running: boolean
  readonly tools: number
  /** Why it is not running; '' while it is. */
  readonly text: string
}

const HTTP_PROFILE = createHash('sha256').update('pmesh/profile/mcp-http/1').digest('hex')

export class McpServers {
  readonly #servers: readonly McpServer[]
  readonly #stop = new AbortController()
  readonly #loops: Promise<void>[] = []

  constructor(options: McpServersOptions) {
    this.#servers = options.sections.map((section) => new McpServer(section, options, this.#stop.signal))
  }

  /** Begins to start all of them; does not wait for any. */
  start(): void {
    for (const server of this.#servers) this.#loops.push(server.keepRunning())
  }

  /** Tools of the servers that were reached at least once; calls of a server that is away are refused. */
  tools(): readonly Tool[] {
    return this.#servers.flatMap((server) => server.tools)
  }

  states(): readonly McpServerState[] {
    return this.#servers.map((server) => server.state())
  }

  /** Ends all servers; resolves when nothing of them is left. */
  async close(): Promise<void> {
    this.#stop.abort()
    await Promise.all(this.#loops)
  }
}

class McpServer {
  tools: readonly Tool[] = []
  readonly #section: McpServerSection
  readonly #options: McpServersOptions
  readonly #logger: Logger
  readonly #stopped: AbortSignal
  #connection: McpConnection | null = null
  #fault = 'it was not started yet'

  constructor(section: McpServerSection, options: McpServersOptions, stopped: AbortSignal) {
    this.#section = section
    this.#options = options
    this.#logger = options.logger ?? silentLogger
    this.#stopped = stopped
  }

  state(): McpServerState {
    const running = this.#connection !== null
    return { name: this.#section.name, running, tools: this.tools.length, text: running ? '' : this.#fault }
  }

  async keepRunning(): Promise<void> {
    const first = this.#options.restartMsMin ?? LIMITS.mcpRestartMsMin
    let waitMs = first
    while (!this.#stopped.aborted) {
      const began = performance.now()
      await this.#runOnce()
      // One that ran for a while has earned a quick start.
      if (performance.now() - began > LIMITS.mcpRestartMsMax) waitMs = first
      await this.#rest(waitMs)
      waitMs = Math.min(waitMs * 2, LIMITS.mcpRestartMsMax)
    }
  }

  async #runOnce(): Promise<void> {
    const { name } = this.#section
    try {
      const transport = await this.#open()
      const connection = await McpConnection.open(transport, () => this.#relist(connection), this.#stopped)
      try {
        await this.#list(connection)
        this.#connection = connection
        this.#logger.info('an MCP server runs', { server: name, tools: this.tools.length })
        await this.#untilGone(connection)
        this.#fault = 'it ended'
      } finally {
        this.#connection = null
        await connection.close()
      }
    } catch (error) {
      // Whatever a server does is its own end and nobody else's.
      this.#fault = isMeshError(error) ? error.message : `it failed: ${messageOf(error)}`
    }
    if (!this.#stopped.aborted) this.#logger.warn('an MCP server is away', { server: name, reason: this.#fault })
  }

  async #open(): Promise<Transport> {
    const { name, place } = this.#section
    if (place.kind === 'http') {
      const guard = createUrlGuard({ allowPrivate: [place.url] })
      return new StreamableHTTPClientTransport(guard.check(place.url), { fetch: guardedFetchFor(guard) })
    }
    const { start } = this.#options
    if (start === null) throw new MeshError('SANDBOX_UNAVAILABLE', 'there is no command sandbox to run it in')
    return new McpStdioTransport(await start({ name, argv: place.argv, signal: this.#stopped }))
  }

  async #list(connection: McpConnection): Promise<void> {
    const { place } = this.#section
    const profile = place.kind === 'http' ? HTTP_PROFILE : this.#options.profile
    const host: McpToolHost = {
      section: this.#section,
      profile,
      connection: () => this.#connection,
      hashNow: (name) => this.tools.find((tool) => tool.descriptor.name === name)?.descriptor.hash ?? null
    }
    const listed = await connection.tools(this.#stopped)
    this.tools = listed.map((tool) => mcpTool(host, tool)).filter((tool) => tool !== null)
    const leftOut = listed.length - this.tools.length
    if (leftOut > 0)
      this.#logger.warn('tools of an MCP server are not taken', { server: this.#section.name, tools: leftOut })
  }

  /** The server says that its tools changed: other descriptions are other tools. */
  #relist(connection: McpConnection): void {
    this.#list(connection).catch((error: unknown) => {
      // One that no longer lists its tools offers none, and is started again.
      this.tools = []
      this.#logger.warn('an MCP server does not list its tools', {
        server: this.#section.name,
        reason: messageOf(error)
      })
      return connection.close()
    })
  }

  async #untilGone(connection: McpConnection): Promise<void> {
    const stopped = Promise.withResolvers<void>()
    const stop = (): void => stopped.resolve()
    this.#stopped.addEventListener('abort', stop, { once: true })
    if (this.#stopped.aborted) stop()
    await Promise.race([connection.closed, stopped.promise])
    this.#stopped.removeEventListener('abort', stop)
  }

  async #rest(ms: number): Promise<void> {
    try {
      await pause(ms, undefined, { signal: this.#stopped, ref: false })
    } catch (error) {
      if (!this.#stopped.aborted) throw error
    }
  }
}
