// The stdio transport of MCP over a process that someone else starts: in the command sandbox, with its own folder and no secrets. Bounded
// lines; closing ends the whole process, so that no server is left behind. Knows nothing of what the messages say.

import type { Readable, Writable } from 'node:stream'
import { type JSONRPCMessage, ReadBuffer, serializeMessage, type Transport } from '@modelcontextprotocol/client'
import { LIMITS } from '../base/limits.ts'
import { MeshError } from '../base/mesh-error.ts'

/** A started server: `kill` and `exited` are about everything of it. */
export interface McpProcess {
  readonly stdin: Writable
  readonly stdout: Readable
  /** Read and thrown away. */
  readonly stderr?: Readable
  readonly exited: Promise<unknown>
  kill(): Promise<void>
}

export class McpStdioTransport implements Transport {
  onclose?: () => void
  onerror?: (error: Error) => void
  onmessage?: (message: JSONRPCMessage) => void
  readonly #process: McpProcess
  readonly #lines = new ReadBuffer({ maxBufferSize: LIMITS.mcpLineBytesMax })

  constructor(process: McpProcess) {
    this.#process = process
  }

  async start(): Promise<void> {
    const { stdin, stdout, stderr, exited } = this.#process
    stdout.on('data', (chunk: Buffer) => this.#read(chunk))
    for (const stream of [stdin, stdout, stderr]) stream?.on('error', (error) => this.onerror?.(error))
    stderr?.resume()
    exited.then(
      () => this.onclose?.(),
      () => this.onclose?.()
    )
  }

  async send(message: JSONRPCMessage): Promise<void> {
    const { stdin } = this.#process
    if (!stdin.writable) throw new MeshError('MCP_FAILED', 'the server has ended')
    await new Promise<void>((resolve, reject) => {
      stdin.write(serializeMessage(message), (error) => (error ? reject(error) : resolve()))
    })
  }

  async close(): Promise<void> {
    await this.#process.kill()
  }

  #read(chunk: Buffer): void {
    try {
      this.#lines.append(chunk)
      for (let message = this.#lines.readMessage(); message !== null; message = this.#lines.readMessage()) {
        this.onmessage?.(message)
      }
    } catch (error) {
      // No line can be trusted after one that is too long or not JSON-RPC.
      this.onerror?.(error instanceof Error ? error : new Error(String(error)))
      this.#process.kill().catch((fault: Error) => this.onerror?.(fault))
    }
  }
}
