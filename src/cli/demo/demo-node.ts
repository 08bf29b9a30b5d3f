// One node of the demo: a process of its own on a temporary home, spoken to through its socket only.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { MeshError } from '../../base/mesh-error.ts'
import { setConfigValue } from '../../config/config-file.ts'
import { homePaths, socketPath } from '../../config/paths.ts'
import { RpcClient } from '../../rpc/rpc-client.ts'

const LOOPBACK = '/ip4/127.0.0.1/tcp/0'
const START_MS_MAX = 20_000
const STOP_MS_MAX = 5_000
const POLL_MS = 20

export interface DemoNodeOptions {
  readonly name: string
  /** Folder of the demo; the home is made in it. */
  readonly folder: string
  /** bin/pmesh.js */
  readonly program: string
  readonly env: NodeJS.ProcessEnv
  /** The process outlives the demo and its terminal. */
  readonly detached: boolean
}

export class DemoNode {
  readonly name: string
  readonly home: string
  readonly socket: string
  readonly #options: DemoNodeOptions
  readonly #clients = new Set<RpcClient>()
  #process: ChildProcess | null = null
  #client: RpcClient | null = null

  constructor(options: DemoNodeOptions) {
    const { name, folder } = options
    this.#options = options
    this.name = name
    this.home = join(folder, name)
    const paths = homePaths(this.home)
    this.socket = socketPath(paths, undefined, options.env).path
    mkdirSync(this.home, { mode: 0o700 })
    setConfigValue(paths.config, 'node.name', name)
  }

  /** Of the process that runs; 0 when none does. */
  get pid(): number {
    return this.#process?.pid ?? 0
  }

  /** The first connection to the running process. */
  get client(): RpcClient {
    if (this.#client === null) throw new MeshError('NODE_NOT_RUNNING', `${this.name} is not running`)
    return this.#client
  }

  /** Starts the process; resolves when its socket answers. DEMO_FAILED when it ends before, TIMEOUT. */
  async start(signal: AbortSignal): Promise<void> {
    const { program, env, detached } = this.#options
    const output = openSync(this.#outputFile, 'a', 0o600)
    const network = ['--no-mdns', '--listen', LOOPBACK, '--door', LOOPBACK]
    const args = [program, '--home', this.home, '--socket', this.socket, '--no-input', 'node', 'start', ...network]
    const child = spawn(process.execPath, args, { env, detached, stdio: ['ignore', output, output] })
    closeSync(output)
    this.#process = child
    let ended: string | null = null
    child.on('error', (error) => (ended ??= error.message))
    child.on('exit', (code, by) => (ended ??= `it ended with ${by ?? code}`))
    const deadline = performance.now() + START_MS_MAX
    while (ended === null && performance.now() < deadline) {
      this.#client = await this.#tryConnect()
      if (this.#client !== null) return
      await sleep(POLL_MS, undefined, { signal })
    }
    if (ended === null) throw new MeshError('TIMEOUT', `${this.name} did not open its socket within ${START_MS_MAX} ms`)
    throw new MeshError('DEMO_FAILED', `${this.name} did not start: ${ended}`, { details: { said: this.#lastWords() } })
  }

  /** One more connection, closed with the process. */
  async connect(): Promise<RpcClient> {
    const client = await RpcClient.connect(this.socket)
    this.#clients.add(client)
    return client
  }

  /** kill −9, without waiting. False when the process had ended. */
  kill(): boolean {
    return this.#process?.kill('SIGKILL') ?? false
  }

  /** Resolves with the signal that ended the process; null when none did. */
  async ended(signal: AbortSignal): Promise<NodeJS.Signals | null> {
    const child = this.#process
    if (child === null) return null
    if (isRunning(child)) await once(child, 'exit', { signal })
    this.#forget()
    return child.signalCode
  }

  /** Ends the process in order, by force after a while. */
  async stop(): Promise<void> {
    const child = this.#process
    if (child !== null && isRunning(child)) {
      const exit = once(child, 'exit')
      const late = setTimeout(() => child.kill('SIGKILL'), STOP_MS_MAX)
      child.kill('SIGTERM')
      await exit
      clearTimeout(late)
    }
    this.#forget()
  }

  /** Leaves the process to itself. */
  release(): void {
    this.#closeClients()
    this.#process?.unref()
  }

  get #outputFile(): string {
    return join(this.home, 'output.txt')
  }

  #lastWords(): string {
    return readFileSync(this.#outputFile, 'utf8').trim().split('\n').slice(-4).join(' / ')
  }

  #forget(): void {
    this.#closeClients()
    this.#process = null
  }

  #closeClients(): void {
    for (const client of [...this.#clients, this.#client]) client?.close()
    this.#clients.clear()
    this.#client = null
  }

  async #tryConnect(): Promise<RpcClient | null> {
    try {
      return await RpcClient.connect(this.socket)
    } catch (error) {
      if (error instanceof MeshError && error.code === 'NODE_NOT_RUNNING') return null
      throw error
    }
  }
}

function isRunning(child: ChildProcess): boolean {
  return child.pid !== undefined && child.exitCode === null && child.signalCode === null
}
