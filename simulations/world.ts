// A mesh of simulated nodes under one seed, and the questions asked of it at the end: all equal, nothing acknowledged lost, memory bounded.

import { LIMITS } from '../src/base/limits.ts'
import { type SigningKey, signingKeyFromSeed } from '../src/identity/ed25519.ts'
import { type MeshPreimage, meshIdOf } from '../src/identity/mesh-id.ts'
import { sha256 } from '../src/log/hash.ts'
import type { Head } from '../src/log/statement.ts'
import { encodeSyncMessage, tryDecodeSyncMessage } from '../src/network/wire/sync-codec.ts'
import type { SyncMessage } from '../src/replication/contract.ts'
import type { MachineSizes } from '../src/replication/replicator.ts'
import { ModelLog } from './model-log.ts'
import { Network } from './network.ts'
import { type Prng, prng } from './prng.ts'
import { Schedule } from './schedule.ts'
import type { SimLogKind } from './sim-log.ts'
import { SimNode } from './sim-node.ts'

export interface WorldOptions {
  readonly seed: number
  readonly nodes: number
  readonly logKind?: SimLogKind
  readonly traceLines?: (line: string) => void
}

export const modelLogKind: SimLogKind = {
  damaged: () => null,
  open: (options, snapshot) => Promise.resolve(new ModelLog(options, snapshot))
}

/** Through the wire codec and back: what a node sends is what another could decode. */
const encoded = new WeakMap<SyncMessage, Uint8Array>()
const wire = {
  sizeOf: (message: SyncMessage): number => {
    const bytes = encodeSyncMessage(message)
    if (bytes.length > LIMITS.messageBytesMax) throw new SimulationFailure(`a ${message.kind} of ${bytes.length} bytes`)
    encoded.set(message, bytes)
    return bytes.length
  },
  transform: (message: SyncMessage): SyncMessage => {
    const decoded = tryDecodeSyncMessage(encoded.get(message) ?? encodeSyncMessage(message))
    if (decoded === null) throw new SimulationFailure(`a ${message.kind} that does not decode`)
    return decoded
  }
}

export class SimulationFailure extends Error {}

export class World {
  readonly schedule = new Schedule()
  readonly random: Prng
  readonly network: Network
  readonly nodes: SimNode[] = []
  readonly mesh: Uint8Array
  readonly preimage: MeshPreimage
  readonly #options: WorldOptions
  readonly #acknowledged: Head[] = []
  #trace: Uint8Array = new Uint8Array(32)
  #traceText: string[] = []
  #dials = true
  /** Whom nobody dials any more. */
  dialFilter: (node: SimNode) => boolean = () => true

  constructor(options: WorldOptions) {
    this.#options = options
    this.random = prng(options.seed)
    this.preimage = {
      founder: this.#keyOf(0).publicKey,
      recovery: null,
      nonce: sha256(Buffer.from(`nonce ${options.seed}`)).subarray(0, 16),
      name: 'simulated'
    }
    this.mesh = meshIdOf(this.preimage)
    this.network = new Network(this.schedule, this.random.fork('network'), wire)
    for (let index = 0; index < options.nodes; index++) this.nodes.push(this.makeNode(`n${index}`, index))
  }

  get founder(): SimNode {
    return this.node(0)
  }

  get logKind(): SimLogKind {
    return this.#options.logKind ?? modelLogKind
  }

  get traceHash(): string {
    this.trace(`${this.network.messages} messages, ${this.network.bytes} bytes`)
    this.#flushTrace()
    return Buffer.from(this.#trace).toString('hex', 0, 16)
  }

  get acknowledged(): readonly Head[] {
    return this.#acknowledged
  }

  node(index: number): SimNode {
    const node = this.nodes[index]
    if (node === undefined) throw new RangeError(`no node ${index}`)
    return node
  }

  /** `keyIndex`: whose key it runs with; two nodes may share one. */
  makeNode(id: string, keyIndex: number, observer = false): SimNode {
    const { preimage, mesh } = this
    const logOptions = {
      preimage,
      mesh,
      founder: this.#keyOf(0).publicKeyHex,
      seed: this.#keyOf(keyIndex).seed,
      observer
    }
    return new SimNode(id, {
      schedule: this.schedule,
      network: this.network,
      logKind: this.logKind,
      logOptions,
      random: this.random.fork(`node ${id}`),
      acknowledged: (head) => this.#acknowledged.push(head),
      trace: (text) => this.trace(text)
    })
  }

  /** Starts everybody; the founder opens the mesh and admits all. Ends when all are admitted and equal. */
  async found(admins: readonly number[] = []): Promise<void> {
    for (const node of this.nodes) await node.start(null)
    this.founder.append({ type: 'app-note', text: 'founded' })
    this.nodes.forEach((node, index) => {
      if (index > 0)
        this.founder.append({ type: 'member-admitted', subject: node.key.publicKeyHex, admin: admins.includes(index) })
    })
    this.keepConnected()
    await this.untilEqual(60_000)
  }

  /** Redials what is missing, each second, towards a mesh of at most eight neighbours per node. */
  keepConnected(degree = 8): void {
    const random = this.random.fork('dials')
    const redial = (): void => {
      if (this.#dials) this.dialOnce(degree, random)
      this.schedule.after(1000, redial)
    }
    redial()
  }

  stopDialling(): void {
    this.#dials = false
  }

  resumeDialling(): void {
    this.#dials = true
  }

  dialOnce(degree: number, random: Prng): void {
    const alive = this.nodes.filter((node) => node.alive && this.dialFilter(node))
    for (const node of alive) {
      if (this.network.linksOf(node).length >= Math.min(degree, alive.length - 1)) continue
      const others = alive.filter((other) => other !== node && other.key.publicKeyHex !== node.key.publicKeyHex)
      if (others.length > 0) this.network.connect(node, random.pick(others))
    }
  }

  async run(forMs: number): Promise<void> {
    await this.schedule.runUntil(this.schedule.nowMs + forMs)
  }

  /** Runs until all living nodes hold the same and nothing waits; a failure after `withinMs`. */
  async untilEqual(withinMs: number, nodes?: readonly SimNode[]): Promise<void> {
    const asked = (): readonly SimNode[] => (nodes ?? this.nodes).filter((node) => node.alive)
    await this.until(withinMs, 'everybody equal', () => {
      const living = asked()
      const settled = (node: SimNode): boolean =>
        node.state.phase === 'in-use-twice' || (node.state.phase === 'ready' && node.waitingAppends === 0)
      if (!living.every(settled)) return false
      const first = living[0]?.log.stateHash()
      return living.every((node) => node.log.stateHash() === first)
    })
  }

  async until(withinMs: number, what: string, holds: () => boolean): Promise<void> {
    const endMs = this.schedule.nowMs + withinMs
    while (!holds()) {
      if (this.schedule.nowMs >= endMs)
        throw new SimulationFailure(`not within ${withinMs} ms: ${what}\n${this.describe()}`)
      await this.run(250)
    }
  }

  /** Everything that was ever acknowledged is held by `nodes` (all living ones). */
  async checkNothingLost(nodes = this.nodes.filter((node) => node.alive)): Promise<void> {
    for (const head of this.#acknowledged) {
      for (const node of nodes) {
        const holds = await node.log.holds(head)
        if (!holds)
          throw new SimulationFailure(
            `${node.id} lacks acknowledged ${head.key} ${head.firstSeq}..${head.lastSeq}\n${this.describe()}`
          )
      }
    }
  }

  checkBounded(): void {
    for (const node of this.nodes) {
      if (!node.alive) continue
      const sizes = node.replicator.sizes()
      const bounds: Partial<MachineSizes> = {
        parkedBytes: LIMITS.parkedBytesMax,
        fetches: LIMITS.fetchesMax,
        tickets: 4096,
        peers: LIMITS.connectionsMax,
        claims: LIMITS.claimsPerPeerMax * LIMITS.connectionsMax,
        serves: (2 * LIMITS.servesPerPeerMax + 1) * LIMITS.connectionsMax
      }
      for (const [name, bound] of Object.entries(bounds)) {
        if (sizes[name as keyof MachineSizes] > bound)
          throw new SimulationFailure(`${node.id}: ${name} ${JSON.stringify(sizes)} over ${bound}`)
      }
    }
  }

  #keyOf(index: number): SigningKey {
    return signingKeyFromSeed(sha256(Buffer.from(`key ${this.#options.seed} ${index}`)))
  }

  trace(text: string): void {
    const line = `${this.schedule.nowMs.toFixed(3)} ${text}`
    this.#options.traceLines?.(line)
    this.#traceText.push(line)
    if (this.#traceText.length >= 256) this.#flushTrace()
  }

  describe(): string {
    return this.nodes
      .map((node) => {
        if (!node.alive) return `${node.id} down`
        const chains = node.log.states().map((state) => {
          const tips = state.tips
            .map((tip) => `${tip.lastSeq}:${Buffer.from(tip.link).toString('hex', 0, 2)}`)
            .join('|')
          const name =
            this.nodes.find((other) => other.key.publicKeyHex === state.author)?.id ?? state.author.slice(0, 6)
          const wanted = state.wanted
            .map((head) => `${head.lastSeq}:${Buffer.from(head.link).toString('hex', 0, 2)}`)
            .join('|')
          return `${name}/${state.epoch} ${tips}${state.fork ? ' fork' : ''}${state.closed ? ' closed' : ''}${wanted ? ` wants ${wanted}` : ''}${state.cut ? ` cut ${state.cut.seq}` : ''}`
        })
        return `${node.id} ${node.state.phase}/${node.state.waitsFor} links ${this.network.linksOf(node).length} waiting ${node.waitingAppends} ${JSON.stringify(node.replicator.sizes())}\n   ${chains.join('; ')}`
      })
      .join('\n')
  }

  #flushTrace(): void {
    if (this.#traceText.length === 0) return
    this.#trace = sha256(Buffer.concat([this.#trace, Buffer.from(this.#traceText.join('\n'))]))
    this.#traceText = []
  }
}
