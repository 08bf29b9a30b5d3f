// A seeded network. Sync streams are reliable and in order, as over TCP, until they are cut; gossip may be lost, doubled and reordered.
// Faults are set by the scenario; each link draws from its own stream of randomness.

import type { SyncMessage } from '../src/replication/contract.ts'
import type { Prng } from './prng.ts'
import type { Schedule } from './schedule.ts'

export interface NetworkFaults {
  /** Delay of a message, ms: least and spread. */
  delayMs: number
  delaySpreadMs: number
  /** Gossip: probability that a copy is lost, or comes twice. */
  loss: number
  duplication: number
  /** Bytes per ms of one direction of one link. */
  bytesPerMs: number
}

export const CALM: NetworkFaults = { delayMs: 5, delaySpreadMs: 5, loss: 0, duplication: 0, bytesPerMs: 100_000 }

/** What travels by gossip. */
export type GossipItem =
  | { readonly kind: 'append'; readonly bytes: Uint8Array; readonly name: string }
  | { readonly kind: 'head'; readonly bytes: Uint8Array; readonly name: string }
  | { readonly kind: 'beacon'; readonly bytes: Uint8Array; readonly name: string }
  | {
      readonly kind: 'claim'
      readonly key: string
      readonly instance: Uint8Array
      readonly timeMs: number
      readonly name: string
    }

export interface Endpoint {
  readonly id: string
  readonly generation: number
  linkUp(link: Link): Promise<void>
  linkDown(link: Link): Promise<void>
  receive(link: Link, message: SyncMessage): Promise<void>
  gossip(link: Link, item: GossipItem): Promise<void>
}

interface Direction {
  /** When the last message arrives: no later one overtakes it. */
  lastMs: number
  /** Bytes under way. */
  queued: number
}

export class Link {
  readonly name: string
  readonly a: Endpoint
  readonly b: Endpoint
  up = true
  /** Nothing arrives until then, and nobody is told. */
  heldUntilMs = 0
  readonly forth: Direction = { lastMs: 0, queued: 0 }
  readonly back: Direction = { lastMs: 0, queued: 0 }

  constructor(name: string, a: Endpoint, b: Endpoint) {
    this.name = name
    this.a = a
    this.b = b
  }

  other(endpoint: Endpoint): Endpoint {
    return endpoint === this.a ? this.b : this.a
  }
}

export class Network {
  readonly #schedule: Schedule
  readonly #random: Prng
  readonly #sizeOf: (message: SyncMessage) => number
  readonly #transform: (message: SyncMessage) => SyncMessage
  readonly links = new Map<string, Link>()
  faults: NetworkFaults = { ...CALM }
  #side: ((id: string) => number) | null = null
  #count = 0
  messages = 0
  bytes = 0
  /** Most bytes that were ever under way in one direction of one link. */
  queuedMax = 0

  constructor(
    schedule: Schedule,
    random: Prng,
    wire: {
      readonly sizeOf: (message: SyncMessage) => number
      readonly transform: (message: SyncMessage) => SyncMessage
    }
  ) {
    this.#schedule = schedule
    this.#random = random
    this.#sizeOf = wire.sizeOf
    this.#transform = wire.transform
  }

  reachable(a: Endpoint, b: Endpoint): boolean {
    return this.#side === null || this.#side(a.id) === this.#side(b.id)
  }

  /** Null when there is a link already or a partition lies between. */
  connect(a: Endpoint, b: Endpoint): Link | null {
    if (a === b || !this.reachable(a, b)) return null
    for (const link of this.links.values())
      if ((link.a === a && link.b === b) || (link.a === b && link.b === a)) return null
    const link = new Link(`${a.id}~${b.id}#${this.#count++}`, a, b)
    this.links.set(link.name, link)
    this.#schedule.after(2 * this.#delay(), async () => {
      if (!link.up) return
      await link.a.linkUp(link)
      if (link.up) await link.b.linkUp(link)
    })
    return link
  }

  cut(link: Link): void {
    if (!link.up) return
    link.up = false
    this.links.delete(link.name)
    for (const end of [link.a, link.b]) this.#schedule.after(this.#delay(), () => end.linkDown(link))
  }

  cutAll(endpoint: Endpoint): void {
    for (const link of [...this.links.values()]) if (link.a === endpoint || link.b === endpoint) this.cut(link)
  }

  /** Ends on different sides lose each other; null heals (links come back by `connect`). */
  partition(side: ((id: string) => number) | null): void {
    this.#side = side
    for (const link of [...this.links.values()]) if (!this.reachable(link.a, link.b)) this.cut(link)
  }

  linksOf(endpoint: Endpoint): Link[] {
    return [...this.links.values()].filter((link) => link.a === endpoint || link.b === endpoint)
  }

  send(link: Link, from: Endpoint, message: SyncMessage): void {
    if (!link.up) return
    const to = link.other(from)
    const size = this.#sizeOf(message)
    const direction = from === link.a ? link.forth : link.back
    this.messages++
    this.bytes += size
    direction.queued += size
    this.queuedMax = Math.max(this.queuedMax, direction.queued)
    const begin = Math.max(direction.lastMs, this.#schedule.nowMs + this.#delay(), link.heldUntilMs)
    direction.lastMs = begin + size / this.faults.bytesPerMs
    const carried = this.#transform(message)
    this.#schedule.at(direction.lastMs, () => {
      direction.queued -= size
      return link.up ? to.receive(link, carried) : undefined
    })
  }

  flood(from: Endpoint, except: Link | null, item: GossipItem): void {
    for (const link of this.linksOf(from)) {
      if (link === except) continue
      const copies = this.#random.chance(this.faults.loss) ? 0 : this.#random.chance(this.faults.duplication) ? 2 : 1
      for (let copy = 0; copy < copies; copy++) {
        const to = link.other(from)
        this.#schedule.at(Math.max(this.#schedule.nowMs + this.#delay(), link.heldUntilMs), () =>
          link.up ? to.gossip(link, item) : undefined
        )
      }
    }
  }

  #delay(): number {
    return this.faults.delayMs + this.#random.fraction() * this.faults.delaySpreadMs
  }
}
