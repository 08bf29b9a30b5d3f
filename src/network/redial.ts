// The address book and the loop that keeps its members connected: for ever, with back-off and jitter. libp2p's own
// peer store forgets addresses after an hour and its reconnecting gives up, so neither is relied upon.

import { createHash } from 'node:crypto'
import type { Multiaddr } from '@multiformats/multiaddr'
import type { Clock, Random } from '../base/clock.ts'
import { LIMITS } from '../base/limits.ts'
import { messageOf } from '../base/mesh-error.ts'
import { usableAddresses } from './addresses.ts'
import type { PeerKey } from './network-contract.ts'

const TICK_MS = 200
const PAUSE_FIRST_MS = 500
const PARALLEL_MAX = 16
/** A link that lasted this long ends the back-off. */
const STEADY_MS = 5_000
/** Up to here everybody is kept connected; some connections stay free for the others' dials. */
const FULL_MESH_MAX = LIMITS.connectionsMax - 20
/** In a larger mesh each node keeps this many; the others' choices about double it. */
const NEIGHBOURS = 40

interface Entry {
  /** Addresses of the member, as the log tells them. */
  addresses: string[]
  /** Addresses given by hand, which stay. */
  pinned: string[]
  usable: Multiaddr[]
  attempts: number
  nextAtMs: number
  dialling: boolean
  lastError: string | undefined
}

export interface RedialPorts {
  /** An address that a member says of itself and that this node does not dial (SSRF-4). */
  readonly denies: (address: string) => boolean
  readonly admits: (peer: PeerKey) => boolean
  readonly isConnected: (peer: PeerKey) => boolean
  readonly dial: (peer: PeerKey, addresses: Multiaddr[]) => Promise<void>
}

export class Redial {
  readonly #self: PeerKey
  readonly #ports: RedialPorts
  readonly #clock: Clock
  readonly #random: Random
  readonly #entries = new Map<PeerKey, Entry>()
  #neighbours: PeerKey[] | null = null
  #timer: NodeJS.Timeout | null = null
  #dialling = 0

  constructor(self: PeerKey, ports: RedialPorts, deps: { clock: Clock; random: Random }) {
    this.#self = self
    this.#ports = ports
    this.#clock = deps.clock
    this.#random = deps.random
  }

  start(): void {
    this.#timer ??= setInterval(() => this.#tick(), TICK_MS)
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#timer = null
  }

  /** New addresses are tried soon; a call with the same ones changes nothing. */
  setMember(peer: PeerKey, addresses: readonly string[]): void {
    this.#change(peer, (entry) => {
      entry.addresses = [...addresses]
    })
  }

  /** Addresses that stay in the book whatever the log says. */
  pin(peer: PeerKey, address: string): void {
    this.#change(peer, (entry) => {
      if (entry.pinned.length < LIMITS.addressesPerMemberMax) entry.pinned.push(address)
    })
  }

  removeMember(peer: PeerKey): void {
    this.#entries.delete(peer)
    this.#neighbours = null
  }

  /** Forgets the back-off: the next dial comes at once. */
  hurry(peer: PeerKey): void {
    const entry = this.#entries.get(peer)
    if (entry === undefined) return
    entry.attempts = 0
    entry.nextAtMs = 0
  }

  noteError(peer: PeerKey, error: string): void {
    const entry = this.#entries.get(peer)
    if (entry !== undefined) entry.lastError = error
  }

  up(peer: PeerKey): void {
    const entry = this.#entries.get(peer)
    if (entry !== undefined) entry.lastError = undefined
  }

  disconnected(peer: PeerKey, upMs: number): void {
    const entry = this.#entries.get(peer)
    if (entry === undefined) return
    entry.attempts = upMs >= STEADY_MS ? 0 : entry.attempts + 1
    entry.nextAtMs = this.#clock.monotonic() + this.#pauseMs(entry.attempts)
  }

  addressesOf(peer: PeerKey): string[] {
    return this.#entries.get(peer)?.usable.map((address) => address.toString()) ?? []
  }

  diagnose(peer: PeerKey): { attempts: number; nextDialInMs?: number; lastDialError?: string } {
    const entry = this.#entries.get(peer)
    if (entry === undefined) return { attempts: 0 }
    const waits = this.#ports.admits(peer) && !this.#ports.isConnected(peer) && entry.usable.length > 0
    return {
      attempts: entry.attempts,
      ...(waits ? { nextDialInMs: Math.max(0, Math.round(entry.nextAtMs - this.#clock.monotonic())) } : {}),
      ...(entry.lastError === undefined ? {} : { lastDialError: entry.lastError })
    }
  }

  #change(peer: PeerKey, change: (entry: Entry) => void): void {
    if (peer === this.#self) return
    const known = this.#entries.get(peer)
    const entry = known ?? newEntry()
    const before = [...entry.pinned, ...entry.addresses].join(' ')
    change(entry)
    if (known !== undefined && before === [...entry.pinned, ...entry.addresses].join(' ')) return
    const advertised = entry.addresses.filter((address) => !this.#ports.denies(address))
    entry.usable = usableAddresses([...new Set([...entry.pinned, ...advertised])], peer)
    entry.attempts = 0
    // The side with the larger key waits a little, so that rarely both dial.
    const head = this.#self < peer ? 0 : 250
    entry.nextAtMs = this.#clock.monotonic() + head + this.#random.fraction() * 250
    this.#entries.set(peer, entry)
    this.#neighbours = null
  }

  #tick(): void {
    const now = this.#clock.monotonic()
    for (const peer of this.#wanted()) {
      if (this.#dialling >= PARALLEL_MAX) return
      const entry = this.#entries.get(peer)
      if (entry === undefined || entry.dialling || entry.nextAtMs > now || entry.usable.length === 0) continue
      if (this.#ports.admits(peer) && !this.#ports.isConnected(peer)) this.#dial(peer, entry)
    }
  }

  #dial(peer: PeerKey, entry: Entry): void {
    entry.dialling = true
    this.#dialling += 1
    this.#ports
      .dial(peer, entry.usable)
      .catch((error: unknown) => {
        entry.lastError = messageOf(error)
        entry.attempts += 1
        entry.nextAtMs = this.#clock.monotonic() + this.#pauseMs(entry.attempts)
      })
      .finally(() => {
        entry.dialling = false
        this.#dialling -= 1
      })
  }

  #pauseMs(attempts: number): number {
    const full = PAUSE_FIRST_MS * 2 ** Math.min(attempts, 8)
    return Math.min(LIMITS.redialMsMax, full) * (0.5 + this.#random.fraction() / 2)
  }

  /** Everybody, or in a large mesh those whose pair hashes lowest: both ends see the same hash, so choices agree often. */
  #wanted(): PeerKey[] {
    if (this.#neighbours !== null) return this.#neighbours
    const keys = [...this.#entries.keys()]
    if (keys.length > FULL_MESH_MAX) {
      const rank = new Map(keys.map((key) => [key, pairHash(this.#self, key)]))
      keys.sort((a, b) => Buffer.compare(rank.get(a) ?? EMPTY, rank.get(b) ?? EMPTY))
      keys.length = NEIGHBOURS
    }
    this.#neighbours = keys
    return keys
  }
}

const EMPTY = Buffer.alloc(0)

function newEntry(): Entry {
  return {
    addresses: [],
    pinned: [],
    usable: [],
    attempts: 0,
    nextAtMs: 0,
    dialling: false,
    lastError: undefined
  }
}

function pairHash(a: PeerKey, b: PeerKey): Buffer {
  const pair = a < b ? [a, b] : [b, a]
  return createHash('sha256').update(pair.join('')).digest()
}
