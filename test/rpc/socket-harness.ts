// A served fake node and a raw line client, in a temporary home.

import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import type { Logger } from '../../src/base/logger.ts'
import type { NodeApi } from '../../src/node/node-api.ts'
import { createRpcServer, type RpcServer } from '../../src/rpc/rpc-server.ts'

export function temporaryHome(context: TestContext): string {
  const home = mkdtempSync(join(tmpdir(), 'pmesh-test-'))
  context.after(() => rmSync(home, { recursive: true, force: true }))
  return home
}

export interface Served {
  readonly home: string
  readonly path: string
  readonly server: RpcServer
}

export async function serve(context: TestContext, api: NodeApi, logger?: Logger): Promise<Served> {
  const home = temporaryHome(context)
  const path = join(home, 'run', 'pmesh.sock')
  const server = createRpcServer({ api, path, ...(logger === undefined ? {} : { logger }) })
  await server.start()
  context.after(() => server.stop())
  return { home, path, server }
}

/** Resolves when `holds` does; fails after `timeoutMs`. */
export async function until(holds: () => boolean, timeoutMs = 5_000): Promise<void> {
  const deadline = performance.now() + timeoutMs
  while (!holds()) {
    if (performance.now() > deadline) throw new Error('the condition did not come true in time')
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

/** Resolves when `measure` has answered the same 30 times running. */
export async function untilStill(measure: () => number): Promise<void> {
  let before = Number.NaN
  let still = 0
  await until(() => {
    const now = measure()
    still = now === before ? still + 1 : 0
    before = now
    return still > 30
  })
}

// biome-ignore lint/suspicious/noExplicitAny: answers are looked at field by field
export type Answer = any

/** Lines over a bare socket; answers are parsed as they come. */
export class LineSocket {
  readonly socket: Socket
  readonly answers: Answer[] = []
  closed = false
  ended = false
  #rest = ''

  constructor(socket: Socket) {
    this.socket = socket
    socket.setEncoding('utf8')
    socket.on('data', (text: string) => {
      const lines = (this.#rest + text).split('\n')
      this.#rest = lines.pop() ?? ''
      for (const line of lines) this.answers.push(JSON.parse(line))
    })
    socket.on('error', () => {
      this.closed = true
    })
    socket.on('end', () => {
      this.ended = true
    })
    socket.on('close', () => {
      this.closed = true
    })
  }

  static async open(context: TestContext, path: string): Promise<LineSocket> {
    const socket = connect({ path, allowHalfOpen: true })
    context.after(() => socket.destroy())
    await once(socket, 'connect')
    return new LineSocket(socket)
  }

  send(message: unknown): void {
    this.socket.write(`${typeof message === 'string' ? message : JSON.stringify(message)}\n`)
  }

  /** The next answer after those that were already there. */
  async ask(message: unknown): Promise<Answer> {
    const before = this.answers.length
    this.send(message)
    await until(() => this.answers.length > before)
    return this.answers[before]
  }
}
