// One home and the real node on it: a process of bin/pmesh.js, driven by its local socket and by the command line. Waits poll a condition and
// end at a deadline.

import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type {
  EventRecord,
  MemberStatus,
  MethodName,
  NodeStatus,
  ParamsOf,
  ResultOf,
  VerifyReport
} from '../../src/rpc/methods.ts'
import { RpcClient } from '../../src/rpc/rpc-client.ts'

const ROOT = dirname(dirname(import.meta.dirname))
const BINARY = join(ROOT, 'bin', 'pmesh.js')
export const LOOPBACK = '/ip4/127.0.0.1/tcp/0'
/** Two cores for everybody: what takes a second alone takes many beside other tests. */
export const WAIT_MS = 45_000

const POLL_MS = 40
const OUTPUT_BYTES_MAX = 4 * 1024 * 1024

export interface Ran {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

export interface RunOptions {
  readonly stdin?: string
  readonly env?: NodeJS.ProcessEnv
  /** Program and arguments that run the binary: strace, ip netns, setpriv. */
  readonly prefix?: readonly string[]
}

export interface StartOptions extends RunOptions {
  readonly args?: readonly string[]
  /** Listens as config.toml says instead of at ports of the system's choice. */
  readonly defaultListens?: true
  /** Resolves when the socket answers; with 'ready' when the node accepts appends. */
  readonly until?: 'ready' | 'up'
}

/** Resolves with the first value that is not null, undefined or false. */
export async function until<T>(
  what: string,
  condition: () => T | null | undefined | false | Promise<T | null | undefined | false>,
  timeoutMs = WAIT_MS
): Promise<T> {
  const deadline = performance.now() + timeoutMs
  for (;;) {
    const value = await condition()
    if (value !== null && value !== undefined && value !== false) return value
    if (performance.now() > deadline) throw new Error(`not within ${timeoutMs} ms: ${what}`)
    await pause(POLL_MS)
  }
}

export class NodeHome {
  readonly name: string
  readonly folder: string
  readonly #mayStart: () => void
  #child: ChildProcess | null = null
  #exit: Promise<number> = Promise.resolve(0)
  #client: RpcClient | null = null
  #ports: string[] = []
  /** Everything that its processes wrote to stdout and stderr. */
  output = ''

  constructor(name: string, folder: string, mayStart: () => void) {
    this.name = name
    this.folder = folder
    this.#mayStart = mayStart
  }

  path(...parts: readonly string[]): string {
    return join(this.folder, ...parts)
  }

  get socket(): string {
    return this.path('run', 'pmesh.sock')
  }

  get running(): boolean {
    return this.#child !== null && this.#child.exitCode === null && this.#child.signalCode === null
  }

  get pid(): number {
    const pid = this.#child?.pid
    if (pid === undefined) throw new Error(`${this.name} does not run`)
    return pid
  }

  get logFile(): string {
    return readFileSync(this.path('pmesh.log'), 'utf8')
  }

  /** Starts the node at the ports of its last run, so that others find it where it was. */
  async start(options: StartOptions = {}): Promise<NodeStatus> {
    this.launch(options)
    const status = await until(`${this.name} answers`, async () => {
      if (!this.running) throw new Error(`${this.name} ended with ${await this.#exit}: ${this.output}`)
      return this.tryCall('node/status', {})
    })
    this.#ports = portsOf(status)
    if (options.until !== 'up') await this.ready()
    return status
  }

  /** Starts the process and waits for nothing. */
  launch(options: StartOptions = {}): void {
    this.#mayStart()
    assert.ok(!this.running, `${this.name} runs already`)
    const listens = options.defaultListens
      ? []
      : this.#ports.length > 0
        ? this.#ports
        : ['--listen', LOOPBACK, '--door', LOOPBACK]
    const mdns = options.defaultListens ? [] : ['--no-mdns']
    const child = spawnBinary(
      ['--home', this.folder, 'node', 'start', ...mdns, ...listens, ...(options.args ?? [])],
      options
    )
    child.stdin?.end(options.stdin ?? '')
    const take = (chunk: Buffer): void => {
      if (this.output.length < OUTPUT_BYTES_MAX) this.output += chunk.toString()
    }
    child.stdout?.on('data', take)
    child.stderr?.on('data', take)
    this.#child = child
    this.#exit = new Promise((resolve) => child.once('close', (code) => resolve(code ?? -1)))
  }

  /** The next start listens at ports of the system's choice. */
  forgetPorts(): void {
    this.#ports = []
  }

  /** Exit code of the last process, once it has ended. */
  async exited(timeoutMs = WAIT_MS): Promise<number> {
    const late = pause(timeoutMs, 'late' as const, { ref: false })
    const code = await Promise.race([this.#exit, late])
    if (code === 'late') throw new Error(`${this.name} did not end`)
    return code
  }

  async ready(timeoutMs = WAIT_MS): Promise<void> {
    try {
      await this.call('node/wait', { timeoutMs }, timeoutMs + 5_000)
    } catch (cause) {
      const { state, stateDetail } = await this.status()
      throw new Error(`${this.name} does not accept events: ${state}, ${stateDetail}\n${this.logFile}`, { cause })
    }
  }

  async restart(options: StartOptions = {}): Promise<void> {
    await this.stop()
    await this.start(options)
  }

  async stop(): Promise<void> {
    if (!this.running) return
    this.#hangUp()
    process.kill(-this.pid, 'SIGTERM')
    assert.equal(await this.exited(), 0, `${this.name} stops in order: ${this.output}`)
  }

  /** kill −9: nothing of the process runs any more. */
  async kill(): Promise<void> {
    this.#hangUp()
    if (!this.running) return
    process.kill(-this.pid, 'SIGKILL')
    await this.exited()
  }

  async call<Name extends MethodName>(
    method: Name,
    params: ParamsOf<Name>,
    timeoutMs = WAIT_MS
  ): Promise<ResultOf<Name>> {
    this.#client ??= await RpcClient.connect(this.socket)
    return this.#client.call(method, params, { timeoutMs })
  }

  /** The same; null while the node does not run or answer. */
  async tryCall<Name extends MethodName>(method: Name, params: ParamsOf<Name>): Promise<ResultOf<Name> | null> {
    try {
      return await this.call(method, params, 5_000)
    } catch {
      this.#hangUp()
      return null
    }
  }

  #hangUp(): void {
    this.#client?.close()
    this.#client = null
  }

  /** Runs the command line on this home. */
  cli(...args: readonly string[]): Promise<Ran> {
    return this.cliWith({}, ...args)
  }

  cliWith(options: RunOptions, ...args: readonly string[]): Promise<Ran> {
    return runBinary(['--home', this.folder, '--no-input', ...args], options)
  }

  status(): Promise<NodeStatus> {
    return this.call('node/status', {})
  }

  async peerId(): Promise<string> {
    return (await this.call('identity/show', {})).peerId
  }

  async members(): Promise<readonly MemberStatus[]> {
    return (await this.call('member/list', {})).items
  }

  async member(name: string): Promise<MemberStatus | undefined> {
    return (await this.members()).find((member) => member.name === name)
  }

  invite(role: 'observer' | 'member' | 'admin' = 'member', expiresInMs = 600_000) {
    return this.call('invite/create', { role, expiresInMs })
  }

  /** Appends one `app-note` per text; resolves when they are durable. */
  async append(...texts: readonly string[]): Promise<void> {
    await this.call('event/append', {
      items: texts.map((text) => ({ type: 'app-note', json: JSON.stringify({ text }) }))
    })
  }

  /** Every event of the log, oldest first. */
  async events(): Promise<EventRecord[]> {
    const events: EventRecord[] = []
    let cursor: string | undefined
    do {
      const page = await this.call('log/query', {
        order: 'oldest',
        limit: 1000,
        ...(cursor === undefined ? {} : { cursor })
      })
      events.push(...page.items)
      cursor = page.next ?? undefined
    } while (cursor !== undefined)
    return events
  }

  /** Texts of the `app-note` events that have effect, in the log's order. */
  async notes(): Promise<string[]> {
    const events = await this.events()
    return events
      .filter((event) => event.type === 'app-note' && event.authorised)
      .map((event) => JSON.parse(event.json ?? '{}').text)
  }

  /** Link of every chain end, sorted: equal on nodes that hold the same. */
  async heads(): Promise<string[]> {
    const { items } = await this.call('log/heads', {})
    return items.map((head) => `${head.author.peerId}/${head.chain}/${head.epoch} ${head.seq} ${head.link}`).sort()
  }

  verify(): Promise<VerifyReport> {
    return this.call('log/verify', {})
  }

  mainAddresses(): Promise<readonly string[]> {
    return this.status().then((status) => status.listening.main)
  }
}

function portsOf(status: NodeStatus): string[] {
  const plain = (address: string): string => address.replace(/\/p2p\/[^/]+$/, '')
  const { main, door } = status.listening
  return [
    ...main.flatMap((address) => ['--listen', plain(address)]),
    ...door.flatMap((address) => ['--door', plain(address)])
  ]
}

function spawnBinary(args: readonly string[], options: RunOptions): ChildProcess {
  const [program = process.execPath, ...rest] = [...(options.prefix ?? []), process.execPath, BINARY, ...args]
  // Nothing of the tester's own environment steers the node but the way to its programs.
  const env = { PATH: process.env.PATH, HOME: tmpdir(), ...options.env }
  // A group of its own: a signal to it also reaches what runs behind a prefix.
  return spawn(program, rest, { env, stdio: ['pipe', 'pipe', 'pipe'], detached: true })
}

/** Runs the binary to its end. */
export async function runBinary(args: readonly string[], options: RunOptions = {}, timeoutMs = 90_000): Promise<Ran> {
  const child = spawnBinary(args, options)
  const chunks = { stdout: '', stderr: '' }
  child.stdout?.on('data', (chunk: Buffer) => (chunks.stdout += chunk.toString()))
  child.stderr?.on('data', (chunk: Buffer) => (chunks.stderr += chunk.toString()))
  child.stdin?.end(options.stdin ?? '')
  const timer = setTimeout(() => child.pid !== undefined && process.kill(-child.pid, 'SIGKILL'), timeoutMs)
  const code = await new Promise<number>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (exit) => resolve(exit ?? -1))
  })
  clearTimeout(timer)
  return { code, ...chunks }
}
