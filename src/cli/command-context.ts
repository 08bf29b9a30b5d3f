// What every command is given: options, paths, output, the signal that stops it, and the running node.

import { MeshError } from '../base/mesh-error.ts'
import { type HomePaths, homePaths, socketPath } from '../config/paths.ts'
import type { MethodName, ParamsOf, ResultOf } from '../rpc/methods.ts'
import { type CallOptions, RpcClient } from '../rpc/rpc-client.ts'
import { type ColorWhen, Output } from './output.ts'
import { ProgressLine } from './progress-line.ts'
import type { Terminal } from './terminal.ts'

export interface GlobalOptions {
  readonly home?: string
  readonly socket?: string
  readonly json: boolean
  readonly quiet: boolean
  readonly verbose: boolean
  /** False with --no-input. */
  readonly input: boolean
  readonly color: ColorWhen
  readonly timeoutMs?: number
}

export const DEFAULT_OPTIONS: GlobalOptions = { json: false, quiet: false, verbose: false, input: true, color: 'auto' }

/** For work that takes as long as the log is long. */
export const LONG_TIMEOUT_MS = 24 * 3_600_000

export class CommandContext {
  readonly terminal: Terminal
  readonly options: GlobalOptions
  readonly out: Output
  readonly paths: HomePaths
  readonly #stop = new AbortController()
  #client: RpcClient | null = null

  constructor(terminal: Terminal, options: GlobalOptions) {
    this.terminal = terminal
    this.options = options
    this.out = new Output(terminal, options, () => this.#stop.abort())
    this.paths = homePaths(options.home, terminal.env)
  }

  /** Aborted by Ctrl-C, SIGTERM, or a stdout that nobody reads. */
  get signal(): AbortSignal {
    return this.#stop.signal
  }

  get userHome(): string | undefined {
    return this.terminal.env.HOME
  }

  /** Whether a question may be asked. */
  get canAsk(): boolean {
    return (
      this.options.input &&
      !this.options.json &&
      this.terminal.stdin.isTTY === true &&
      this.terminal.stderr.isTTY === true
    )
  }

  stop(): void {
    this.#stop.abort()
  }

  /** The socket's path; says so when the home's own path was too long. */
  socket(): string {
    const { path, moved } = socketPath(this.paths, this.options.socket, this.terminal.env)
    if (moved && this.options.verbose) this.out.note(`the home’s path is too long for a socket: using ${path}`)
    return path
  }

  /** The running node. NODE_NOT_RUNNING. */
  async client(): Promise<RpcClient> {
    this.#client ??= await RpcClient.connect(this.socket())
    return this.#client
  }

  /** The running node; null when none runs. */
  async clientIfRunning(): Promise<RpcClient | null> {
    try {
      return await this.client()
    } catch (error) {
      if (error instanceof MeshError && error.code === 'NODE_NOT_RUNNING') return null
      throw error
    }
  }

  /** A call under --timeout and the stop signal. */
  async call<Name extends MethodName>(
    method: Name,
    params: ParamsOf<Name>,
    options: CallOptions = {}
  ): Promise<ResultOf<Name>> {
    const client = await this.client()
    return client.call(method, params, {
      signal: this.signal,
      ...options,
      timeoutMs: this.options.timeoutMs ?? options.timeoutMs
    })
  }

  /** A call that shows its progress. */
  async callWithProgress<Name extends MethodName>(
    what: string,
    method: Name,
    params: ParamsOf<Name>
  ): Promise<ResultOf<Name>> {
    const progress = new ProgressLine(this.terminal, what, !this.options.quiet && !this.out.json)
    try {
      return await this.call(method, params, {
        timeoutMs: LONG_TIMEOUT_MS,
        onProgress: (update) => progress.update(update)
      })
    } finally {
      progress.end()
    }
  }

  close(): void {
    this.#client?.close()
  }
}
