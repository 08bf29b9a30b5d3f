// Real nodes for the end-to-end tests: each a process of bin/pmesh.js with a home of its own, driven by its local socket and by the command
// line. Waits poll a condition and end at a deadline; whatever a test started is killed and removed after it.

import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { TestContext } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import type { EventRecord, MemberStatus, NodeStatus, VerifyReport } from '../../src/rpc/methods.ts'
import type { MethodName, ParamsOf, ResultOf } from '../../src/rpc/methods.ts'
import { RpcClient } from '../../src/rpc/rpc-client.ts'

export const ROOT = dirname(dirname(import.meta.dirname))
export const BINARY = join(ROOT, 'bin', 'pmesh.js')
export const LOOPBACK = '/ip4/127.0.0.1/tcp/0'
/** Two cores for everybody: what takes a second alone takes many beside other tests. */
export const WAIT_MS = 45_000

const PROCESSES_MAX = 5
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

export class MeshKit {
  readonly folder: string
  readonly #nodes: NodeHome[] = []
  readonly #undo: (() => void)[] = []

  constructor(context: Pick<TestContext, 'after'>) {
    this.folder = mkdtempSync(join(tmpdir(), 'pm-'))
    context.after(() => this.#cleanUp())
  }

  /** A fresh 0700 home with that node name; nothing runs yet. */
  home(name: string): NodeHome {
    const folder = join(this.folder, name)
    mkdirSync(folder, { mode: 0o700 })
    writeFileSync(join(folder, 'config.toml'), `[node]\nname = "${name}"\n`, { mode: 0o600 })
    return this.adopt(name, folder)
  }

  /** A home that lies there already: a copy, a restored backup. */
  adopt(name: string, folder = join(this.folder, name)): NodeHome {
    const node = new NodeHome(name, folder, () => this.#count())
    this.#nodes.push(node)
    return node
  }

  async start(name: string, options: StartOptions = {}): Promise<NodeHome> {
    const node = this.home(name)
    await node.start(options)
    return node
  }

  /** The first founds, the others are invited by it; all are ready and connected to it. */
  async mesh(...names: readonly string[]): Promise<NodeHome[]> {
    const [first = 'ada', ...others] = names
    const founder = await this.start(first)
    const nodes = [founder]
    for (const name of others) nodes.push(await this.join(founder, name))
    await connected(nodes)
    return nodes
  }

  /** A new node that enters by an invite of `inviter`, and runs. */
  async join(inviter: NodeHome, name: string, options: { role?: 'observer' | 'member' | 'admin'; start?: StartOptions } = {}): Promise<NodeHome> {
    const node = this.home(name)
    const { line } = await inviter.invite(options.role)
    const ran = await node.cli('join', line)
    assert.equal(ran.code, 0, `${name} joins: ${ran.stderr}`)
    await node.start(options.start)
    return node
  }

  /** Runs after the test, when no node runs any more and before the homes are removed. */
  undo(step: () => void): void {
    this.#undo.push(step)
  }

  #count(): void {
    const running = this.#nodes.filter((node) => node.running).length
    if (running >= PROCESSES_MAX) throw new Error(`a test may run ${PROCESSES_MAX} nodes at once`)
  }

  async #cleanUp(): Promise<void> {
    await Promise.all(this.#nodes.map((node) => node.kill()))
    for (const step of this.#undo) step()
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
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
    const listens = options.defaultListens ? [] : this.#ports.length > 0 ? this.#ports : ['--listen', LOOPBACK, '--door', LOOPBACK]
    const mdns = options.defaultListens ? [] : ['--no-mdns']
    const child = spawnBinary(['--home', this.folder, 'node', 'start', ...mdns, ...listens, ...(options.args ?? [])], options)
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

  async call<Name extends MethodName>(method: Name, params: ParamsOf<Name>, timeoutMs = WAIT_MS): Promise<ResultOf<Name>> {
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
    await this.call('event/append', { items: texts.map((text) => ({ type: 'app-note', json: JSON.stringify({ text }) })) })
  }

  /** Every event of the log, oldest first. */
  async events(): Promise<EventRecord[]> {
    const events: EventRecord[] = []
    let cursor: string | undefined
    do {
      const page = await this.call('log/query', { order: 'oldest', limit: 1000, ...(cursor === undefined ? {} : { cursor }) })
      events.push(...page.items)
      cursor = page.next ?? undefined
    } while (cursor !== undefined)
    return events
  }

  /** Texts of the `app-note` events that have effect, in the log's order. */
  async notes(): Promise<string[]> {
    const events = await this.events()
    return events.filter((event) => event.type === 'app-note' && event.authorised).map((event) => JSON.parse(event.json ?? '{}').text)
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
  return [...main.flatMap((address) => ['--listen', plain(address)]), ...door.flatMap((address) => ['--door', plain(address)])]
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

/** All are linked to each other. */
export async function connected(nodes: readonly NodeHome[]): Promise<void> {
  for (const node of nodes) {
    await until(`${node.name} is linked to all`, async () => {
      const linked = new Set((await node.members()).filter((member) => member.connected).map((member) => member.name))
      return nodes.every((other) => other === node || linked.has(other.name))
    })
  }
}

/** All hold the same chain ends, every chain of all verifies, and nobody lacks an event. */
export async function converged(nodes: readonly NodeHome[], unheard = 0): Promise<void> {
  await until('all hold the same', async () => {
    const heads = await Promise.all(nodes.map((node) => node.heads()))
    return heads.every((own) => own.join() === heads[0]?.join())
  })
  for (const node of nodes) await verified(node, unheard)
}

/** `log verify` over the socket: every chain of this node holds (M5). `unheard` members have written nothing yet. */
export async function verified(node: NodeHome, unheard = 0): Promise<void> {
  const { chains } = await node.verify()
  const silent = chains.filter((chain) => chain.code === 'LOG_UNKNOWN' && chain.events === 0)
  assert.deepEqual(
    chains.filter((chain) => !chain.ok && !silent.includes(chain)),
    [],
    `${node.name}’s chains verify`
  )
  assert.equal(silent.length, unheard, `authors that ${node.name} knows nothing of`)
}

/** The error that a command printed with --json. */
export function errorOf(ran: Ran): { code: string; hint: string; message: string } {
  const line = ran.stderr.trim().split('\n').at(-1) ?? ''
  return JSON.parse(line)
}
