// A mesh of nodes that run tasks: real logs, real engines, the real pipeline with a tool of the test, virtual time. Frames and requests pass
// between nodes that are linked; a test cuts links, crashes nodes between two events, and sends beacons when it wants.

import { prng } from '../../simulations/prng.ts'
import { Schedule } from '../../simulations/schedule.ts'
import type { Clock } from '../../src/base/clock.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { MeshError } from '../../src/base/mesh-error.ts'
import type { Role } from '../../src/identity/certificate.ts'
import { type SigningKey, signingKeyFromSeed } from '../../src/identity/ed25519.ts'
import { peerIdOf } from '../../src/identity/peer-id.ts'
import type { EventDraft } from '../../src/log/append-builder.ts'
import { frameAppend } from '../../src/log/append-codec.ts'
import type { EventLog, LogCommit } from '../../src/log/event-log.ts'
import { queryEvents } from '../../src/log/event-query.ts'
import type { PublicKeyHex } from '../../src/log/statement.ts'
import type { ToolDescriptor, ToolInvocation } from '../../src/pipeline/contract.ts'
import type { AgentRunner } from '../../src/pipeline/run-contract.ts'
import { MemoryStore } from '../../src/store/memory-store.ts'
import { type NewTask, TaskEngine } from '../../src/task/task-engine.ts'
import type { ExecuteRun } from '../../src/task/task-ports.ts'
import type { TaskRecord } from '../../src/task/task-records.ts'
import { admit, founding, type Mesh, OPENED, openLog, pull, testMesh } from '../log/log-kit.ts'
import { ALLOW_ALL } from '../pipeline/run-kit.ts'
import { pipelineWithProbe } from './probe-pipeline.ts'

const START_MS = 1_700_000_000_000
export const ASK_ALL = ''

export interface NodeOptions {
  readonly role?: Role
  readonly rights?: number
  readonly policy?: string
  /** Descriptor of its `probe`. */
  readonly tool?: Partial<ToolDescriptor>
  readonly offers?: boolean
  readonly agents?: AgentRunner
  /** Its person says yes to everything. */
  readonly approves?: boolean
}

/** One effect, in the order in which it happened. */
export interface Effect {
  readonly node: string
  readonly text: string
}

/** Crashes at one append of a node: before it is durable, or after. */
export interface CrashPoint {
  readonly append: number
  readonly when: 'before' | 'after'
}

export class TaskNode {
  readonly name: string
  readonly key: SigningKey
  readonly store = new MemoryStore()
  readonly mesh: TaskMesh
  readonly options: NodeOptions
  clock: Clock & { skewMs: number }
  log!: EventLog
  engine!: TaskEngine
  up = false
  confirmed = true
  appends = 0
  crashAt: CrashPoint | null = null
  /** What the tool does beside noting that it ran. */
  whileRunning: (invocation: ToolInvocation) => Promise<void> = async () => undefined
  #life = 0

  constructor(mesh: TaskMesh, name: string, key: SigningKey, options: NodeOptions) {
    this.mesh = mesh
    this.name = name
    this.key = key
    this.options = options
    const schedule = mesh.schedule
    this.clock = {
      skewMs: 0,
      now() {
        return START_MS + schedule.nowMs + this.skewMs
      },
      monotonic: () => schedule.nowMs
    }
  }

  get id(): PublicKeyHex {
    return this.key.publicKeyHex
  }

  /** Opens the log on what the store holds. */
  async open(): Promise<void> {
    this.log = await openLog(this.mesh.mesh, this.key, { store: this.store, clock: this.clock })
    const append = this.log.append.bind(this.log)
    const life = ++this.#life
    Object.defineProperty(this.log, 'append', {
      value: (drafts: readonly EventDraft[]) => this.#append(life, append, drafts)
    })
    const { log } = this
    log.onCommit((commit) => {
      if (this.log === log) this.mesh.forward(this, commit)
    })
  }

  async #append(
    life: number,
    append: (drafts: readonly EventDraft[]) => ReturnType<EventLog['append']>,
    drafts: readonly EventDraft[]
  ): ReturnType<EventLog['append']> {
    const dead = (): MeshError => new MeshError('NODE_STOPPING', 'crashed by the test')
    if (life !== this.#life || !this.up) throw dead()
    const at = this.appends++
    if (this.crashAt?.append === at && this.crashAt.when === 'before') {
      this.kill()
      throw dead()
    }
    const events = await append(drafts)
    if (this.crashAt?.append === at && this.crashAt.when === 'after') {
      this.kill()
      throw dead()
    }
    return events
  }

  async start(): Promise<void> {
    this.up = true
    this.appends = 0
    const life = this.#life
    this.engine = new TaskEngine({
      log: this.log,
      clock: this.clock,
      random: prng(this.#life, this.name),
      logger: silentLogger,
      timers: {
        set: (ms, run) => {
          let live = true
          this.mesh.schedule.after(ms, async () => {
            if (!live || life !== this.#life || !this.up) return
            live = false
            run()
            await turns(8)
          })
          return () => {
            live = false
          }
        }
      },
      ask: (peer, method, params) => this.mesh.ask(this, peer, method, params),
      connected: () => new Set(this.mesh.linkedTo(this).map(({ id }) => id)),
      chainStatus: (author) => this.mesh.chainStatus(this, author),
      ownHeadConfirmed: () => this.confirmed,
      memberRef: (key) => ({ peerId: peerIdOf(key), name: this.mesh.byKey(key)?.name ?? key.slice(0, 6) }),
      resolveMember: (text) => {
        const node = this.mesh.nodes.get(text)
        if (node === undefined) throw new MeshError('MEMBER_UNKNOWN', `no member ${text}`)
        return node.id
      },
      execute: this.#execute(),
      offer: () => ({
        tools:
          this.options.offers === false
            ? []
            : [{ name: 'probe', kind: 'builtin', tier: 'external', hash: 'ab'.repeat(32) }],
        agents: this.options.agents === undefined ? [] : ['helper'],
        judges: 1,
        sandbox: { script: true, wasm: true, command: false, line: 'none' }
      })
    })
    await this.engine.start()
    if (this.options.approves === true) this.#approveAll(life).catch(() => undefined)
  }

  async #approveAll(life: number): Promise<void> {
    const { engine } = this
    for await (const { id, mayVote } of engine.approvalFollow(new AbortController().signal)) {
      if (life !== this.#life) return
      if (mayVote) await engine.approvalVote(id, 'approve', (await engine.approval(id)).digest)
    }
  }

  #execute(): ExecuteRun {
    const life = this.#life
    const { policy = ALLOW_ALL, tool = {}, agents = null } = this.options
    return pipelineWithProbe(
      { clock: this.clock, seed: `${this.name} ${life}`, policy, tool, agents },
      (invocation) => {
        if (life === this.#life && this.up)
          this.mesh.effects.push({ node: this.name, text: String(invocation.arguments['text']) })
        return this.whileRunning(invocation)
      }
    )
  }

  /** The process is gone from one moment to the next. */
  kill(): void {
    this.up = false
    this.#life++
    this.log.setWriteMode('NODE_STOPPING')
  }

  async restart(): Promise<void> {
    if (this.up) this.kill()
    await this.log.close()
    this.crashAt = null
    await this.open()
    await this.start()
    await this.mesh.syncWith(this)
  }

  /** The submitter's word for a task of the tool `probe`, or of an agent. */
  submit(text: string, task: Partial<NewTask> = {}): Promise<TaskRecord> {
    return this.engine.taskSubmit({
      kind: 'tool',
      name: 'probe',
      input: JSON.stringify({ text }),
      on: null,
      conversation: null,
      expiresInMs: 86_400_000,
      ...task
    })
  }

  async state(id: string): Promise<string> {
    return (await this.engine.task(id)).state
  }

  async types(id: string): Promise<string[]> {
    const types: string[] = []
    for await (const event of queryEvents(this.log, { scope: Buffer.from(id, 'hex') })) types.push(event.type)
    return types
  }
}

export class TaskMesh {
  readonly mesh: Mesh = testMesh()
  readonly schedule = new Schedule()
  readonly nodes = new Map<string, TaskNode>()
  readonly effects: Effect[] = []
  /** Methods whose answers are lost on the way. */
  readonly lostAnswers = new Set<string>()
  readonly #cut = new Set<string>()
  readonly #beacons = new Map<string, { readonly timeMs: number; readonly key: string; readonly seq: number }>()

  /** Alice founds the mesh; all others are admitted by her. */
  static async open(options: Readonly<Record<string, NodeOptions>>): Promise<TaskMesh> {
    const mesh = new TaskMesh()
    const names = Object.keys(options)
    for (const [index, name] of names.entries()) {
      const key = name === 'alice' ? mesh.mesh.alice : signingKeyFromSeed(Buffer.alloc(32, 20 + index))
      mesh.nodes.set(name, new TaskNode(mesh, name, key, options[name] ?? {}))
    }
    const alice = mesh.node('alice')
    for (const node of mesh.nodes.values()) await node.open()
    alice.up = true
    await alice.log.append(founding(mesh.mesh))
    for (const node of mesh.nodes.values()) {
      const { role = 'member', rights } = node.options
      if (node !== alice)
        await admit(alice.log, mesh.mesh, mesh.mesh.alice, node.key, rights === undefined ? { role } : { role, rights })
    }
    for (const node of mesh.nodes.values()) {
      node.up = true
      await pull(alice.log, node.log)
      if (node !== alice) await node.log.append([OPENED])
    }
    await mesh.sync()
    for (const node of mesh.nodes.values()) await node.start()
    await turns()
    return mesh
  }

  async close(): Promise<void> {
    for (const node of this.nodes.values()) {
      if (node.up) await node.engine.stop()
      node.kill()
      await node.log.close()
    }
  }

  node(name: string): TaskNode {
    return this.nodes.get(name) as TaskNode
  }

  byKey(key: PublicKeyHex): TaskNode | undefined {
    return [...this.nodes.values()].find(({ id }) => id === key)
  }

  cut(a: string, b: string): void {
    this.#cut.add([a, b].sort().join(' '))
  }

  async heal(a: string, b: string): Promise<void> {
    this.#cut.delete([a, b].sort().join(' '))
    await this.syncWith(this.node(a))
  }

  linkedTo(node: TaskNode): TaskNode[] {
    return [...this.nodes.values()].filter(
      (other) => other !== node && other.up && node.up && !this.#cut.has([node.name, other.name].sort().join(' '))
    )
  }

  /** What gossip does with a new append. */
  forward(node: TaskNode, { stored }: LogCommit): void {
    for (const { own, blocks } of stored) {
      if (!own) continue
      const frame = frameAppend(blocks.header, blocks.body)
      for (const other of this.linkedTo(node)) other.log.ingest(frame, 'gossip').catch(() => undefined)
    }
  }

  async sync(): Promise<void> {
    for (const node of this.nodes.values()) if (node.up) await this.syncWith(node)
  }

  /** What range sync does when two nodes meet. */
  async syncWith(node: TaskNode): Promise<void> {
    for (const other of this.linkedTo(node)) {
      await pull(node.log, other.log)
      await pull(other.log, node.log)
      other.engine?.lookAgain()
    }
    node.engine?.lookAgain()
    await turns()
  }

  async ask(from: TaskNode, to: PublicKeyHex, method: string, params: unknown): Promise<unknown> {
    const node = this.linkedTo(from).find(({ id }) => id === to)
    if (node === undefined) throw new MeshError('PEER_UNREACHABLE', 'not linked')
    const answer = await node.engine.request(from.id, method, JSON.parse(JSON.stringify(params)))
    if (this.lostAnswers.has(method)) throw new MeshError('PEER_UNREACHABLE', 'the answer was lost')
    if ('error' in answer) throw new MeshError(answer.error, 'refused')
    return JSON.parse(JSON.stringify(answer.result))
  }

  /** The node tells everybody linked its head and time. */
  beacon(name: string): void {
    const node = this.node(name)
    const { key, tips } = node.log.ownChain()
    for (const other of this.linkedTo(node))
      this.#beacons.set(`${other.name} ${node.id}`, { timeMs: node.clock.now(), key, seq: tips[0]?.lastSeq ?? 0 })
  }

  chainStatus(node: TaskNode, author: PublicKeyHex): { state: 'complete' | 'behind'; beaconMs: number } | null {
    const beacon = this.#beacons.get(`${node.name} ${author}`)
    if (beacon === undefined) return null
    const stored = node.log.chains.get(beacon.key)?.tips[0]?.lastSeq ?? 0
    return { state: stored >= beacon.seq ? 'complete' : 'behind', beaconMs: beacon.timeMs }
  }

  /** Lets virtual time pass, with everything that is due in it. */
  async pass(ms: number): Promise<void> {
    await turns()
    await this.schedule.runUntil(this.schedule.nowMs + ms)
    await turns()
  }

  /** Lets time pass in small steps until the condition holds. */
  async until(what: string, holds: () => boolean | Promise<boolean>, withinMs = 600_000): Promise<void> {
    const endMs = this.schedule.nowMs + withinMs
    for (;;) {
      for (let turn = 0; turn < 12; turn++) {
        if (await holds()) return
        await turns(4)
      }
      if (this.schedule.nowMs >= endMs) throw new Error(`never came: ${what}`)
      await this.schedule.runUntil(Math.min(endMs, this.schedule.nowMs + 500))
    }
  }

  /** Waits until a task reads so on a node. */
  async reads(name: string, id: string, state: string, withinMs = 600_000): Promise<void> {
    let last = ''
    const holds = async (): Promise<boolean> => {
      last = await this.node(name)
        .state(id)
        .catch(() => 'absent')
      return last === state
    }
    await this.until(`${state} on ${name}`, holds, withinMs).catch((error: unknown) => {
      throw new Error(`${String(error)}; it reads ${last}`)
    })
  }

  effectsOf(text: string): string[] {
    return this.effects.filter((effect) => effect.text === text).map(({ node }) => node)
  }
}

/** Gives microtasks, the store and the writer their turns. */
export async function turns(count = 40): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve))
}

/** Lets the tool begin and hold until the test lets it go. */
export function gate(): { hold: () => Promise<void>; open: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>()
  return { hold: () => promise, open: resolve }
}
