// The network of one node: two libp2p hosts with the same key, main for admitted keys and door for everybody else, put
// together from links, gossip, requests and the redial loop. Moves bytes; what they mean and who is admitted is decided
// by the handlers it is given.

import type { PrivateKey } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import { toHex } from '../base/bytes.ts'
import { isMeshError, MeshError, messageOf } from '../base/mesh-error.ts'
import { keyOfAddress, parseAddress, parseAddresses, tryAddressOf, usableAddresses } from './addresses.ts'
import { Deadline } from './deadline.ts'
import { Door } from './door.ts'
import { Gossip } from './gossip.ts'
import { privateKeyOf, startHost } from './host-parts.ts'
import { createMainHost, DIAL_TIMEOUT_MS, type MainHost } from './main-host.ts'
import type {
  DoorExchange,
  DoorProtocol,
  MeshNetwork,
  NetworkDependencies,
  NetworkHandlers,
  NetworkOptions,
  PeerDiagnosis,
  PeerInfo,
  PeerKey
} from './network-contract.ts'
import { isDeniedPeerAddress, listensOnLoopbackOnly } from './peer-address-guard.ts'
import { libp2pPeerIdOf, tryPeerKeyOf } from './peer-key.ts'
import { PeerLinks } from './peer-links.ts'
import { Penalties } from './penalties.ts'
import { Redial } from './redial.ts'
import { Requests } from './requests.ts'

/** The gossip router is looked at this often; a peer that it does not reach, after the grace time, is mended. */
const GUARD_EVERY_MS = 1_000
const GUARD_GRACE_MS = 8_000
const GUARD_GRACE_TEST_MS = 1_000
const PING_TIMEOUT_MS = 10_000
const HANG_UP_TIMEOUT_MS = 1_000

/** Makes the network; nothing is opened before `start`. */
export function createMeshNetwork(
  options: NetworkOptions,
  handlers: NetworkHandlers,
  deps: NetworkDependencies
): MeshNetwork {
  return new Libp2pNetwork(options, handlers, deps)
}

interface Started {
  readonly self: PeerKey
  readonly main: MainHost
  readonly links: PeerLinks
  readonly redial: Redial
  readonly requests: Requests
  readonly guard: NodeJS.Timeout
}

class Libp2pNetwork implements MeshNetwork {
  readonly #options: NetworkOptions
  readonly #handlers: NetworkHandlers
  readonly #deps: NetworkDependencies
  readonly #penalties: Penalties
  readonly #gossip: Gossip
  readonly #door: Door
  readonly #mismatched = new Set<PeerKey>()
  readonly #unreached = new Set<PeerKey>()
  #admitted: ReadonlySet<PeerKey> = new Set()
  readonly #book = new Map<PeerKey, readonly string[]>()
  #privateKey: Promise<PrivateKey> | null = null
  #started: Started | null = null

  constructor(options: NetworkOptions, handlers: NetworkHandlers, deps: NetworkDependencies) {
    this.#options = options
    this.#handlers = handlers
    this.#deps = deps
    this.#penalties = new Penalties(deps.clock, deps.logger)
    this.#gossip = new Gossip({
      topic: options.topic,
      penalties: this.#penalties,
      logger: deps.logger,
      validate: (peer, data) => handlers.gossip(peer, data),
      broken: (peer) => {
        if (this.#started?.links.connectionOf(peer) != null) this.#started.links.cut(peer, 'gossip broke')
      }
    })
    this.#door = new Door(options, (peer, protocol, exchange) => handlers.door(peer, protocol, exchange), deps)
  }

  async start(): Promise<void> {
    const privateKey = await this.#key()
    const self = toHex(privateKey.publicKey.raw)
    const bootstrap = this.#options.bootstrap.map(parseBootstrap)
    const main = await createMainHost(this.#options, privateKey, {
      admits: (peer) => this.#admits(peer),
      gossip: this.#gossip,
      onMismatch: (peerId) => this.#mismatched.add(tryPeerKeyOf(peerId) ?? '')
    })
    const links = this.#createLinks(main, self)
    const redial = this.#createRedial(self, main, links)
    const requests = new Requests(
      {
        connectionOf: (peer) => links.connectionOf(peer),
        handle: (peer, body) => this.#handlers.request(peer, body)
      },
      this.#deps.logger
    )
    for (const { peer, address } of bootstrap) redial.pin(peer, address)
    for (const [peer, addresses] of this.#book) redial.setMember(peer, addresses)
    await links.start()
    await requests.start(main)
    this.#listenForDiscovery(main, self)
    // A member may dial as soon as the host listens: what it brings up must find a network that runs.
    this.#started = { self, main, links, redial, requests, guard: this.#startGuard(links) }
    try {
      await startHost(main, this.#options.listen)
      this.#gossip.start()
      await this.#door.start(privateKey)
    } catch (error) {
      await this.stop()
      throw error
    }
    redial.start()
  }

  async stop(): Promise<void> {
    const started = this.#started
    this.#started = null
    if (started === null) {
      await this.#door.stop()
      return
    }
    clearInterval(started.guard)
    started.redial.stop()
    started.links.stop()
    const clearHeartbeat = this.#gossip.beforeStop()
    await Promise.all([this.#door.stop(), started.main.stop()])
    clearHeartbeat()
  }

  setAdmitted(keys: ReadonlySet<PeerKey>): void {
    if (keys.size > this.#options.membersMax) {
      throw new MeshError('INTERNAL', 'more keys are admitted than the mesh may have members')
    }
    this.#admitted = new Set(keys)
    this.#started?.links.cutStrangers()
  }

  setMember(peer: PeerKey, addresses: readonly string[]): void {
    this.#book.set(peer, [...addresses])
    this.#started?.redial.setMember(peer, addresses)
  }

  removeMember(peer: PeerKey): void {
    this.#book.delete(peer)
    this.#started?.redial.removeMember(peer)
  }

  send(peer: PeerKey, message: Uint8Array): boolean {
    return this.#started?.links.send(peer, message) ?? false
  }

  async publish(data: Uint8Array): Promise<number> {
    return this.#started === null ? 0 : await this.#gossip.publish(data)
  }

  async request(peer: PeerKey, body: Uint8Array, signal?: AbortSignal, timeoutMs?: number): Promise<Uint8Array> {
    return await this.#running().requests.request(peer, body, signal, timeoutMs)
  }

  async connect(addresses: readonly string[], signal?: AbortSignal): Promise<PeerKey> {
    const { main, links, redial } = this.#running()
    const parsed = parseAddresses(addresses)
    const expected = this.#expectedKey(parsed)
    const deadline = new Deadline(DIAL_TIMEOUT_MS, 'connecting', signal)
    if (expected !== null) {
      redial.hurry(expected)
      this.#mismatched.delete(expected)
    }
    try {
      if (expected !== null && links.connectionOf(expected) !== null) return expected
      const connection = await main.dial(parsed, { signal: deadline.signal })
      const peer = tryPeerKeyOf(connection.remotePeer) ?? ''
      await links.whenUp(peer, deadline.signal)
      return peer
    } catch (error) {
      if (signal?.aborted) throw signal.reason
      throw this.#dialFailure(error, expected, parsed)
    } finally {
      deadline.clear()
    }
  }

  async doorCall<T>(
    protocol: DoorProtocol,
    addresses: readonly string[],
    expected: PeerKey,
    talk: (exchange: DoorExchange) => Promise<T>,
    signal?: AbortSignal
  ): Promise<T> {
    return await this.#door.call(await this.#key(), { protocol, addresses, expected }, talk, signal)
  }

  async hangUp(peer: PeerKey): Promise<void> {
    await this.#started?.main.hangUp(libp2pPeerIdOf(peer), { signal: AbortSignal.timeout(HANG_UP_TIMEOUT_MS) })
  }

  async ping(peer: PeerKey): Promise<number> {
    const { main, links } = this.#running()
    if (links.connectionOf(peer) === null) throw unreachable(peer)
    const deadline = new Deadline(PING_TIMEOUT_MS, 'ping')
    try {
      return await main.services.ping.ping(libp2pPeerIdOf(peer), { signal: deadline.signal })
    } catch (error) {
      throw unreachable(peer, error)
    } finally {
      deadline.clear()
    }
  }

  penalise(peer: PeerKey, points: number, reason: string): void {
    if (!this.#admitted.has(peer)) return
    this.#penalties.add(peer, points, reason)
    if (this.#penalties.isBarred(peer)) this.#started?.links.cut(peer, reason)
  }

  addresses(): { main: string[]; door: string[] } {
    const main = this.#started?.main.getMultiaddrs().map((address) => address.toString()) ?? []
    return { main, door: this.#door.addresses() }
  }

  peers(): PeerInfo[] {
    const up = this.#started?.links.up() ?? []
    return up.map(({ peer, connection, sinceMs, backlogBytes }) => ({
      peer,
      address: connection.remoteAddr.toString(),
      direction: connection.direction,
      relayed: !connection.direct,
      sinceMs,
      ...(connection.rtt === undefined ? {} : { rttMs: connection.rtt }),
      gossip: this.#gossip.reaches(peer),
      score: this.#gossip.scoreOf(peer),
      sendBacklogBytes: backlogBytes
    }))
  }

  diagnose(peer: PeerKey): PeerDiagnosis {
    return {
      admitted: this.#admitted.has(peer),
      connected: this.#started?.links.connectionOf(peer) != null,
      addresses: this.#started?.redial.addressesOf(peer) ?? [],
      penalty: Math.round(this.#penalties.pointsOf(peer)),
      barred: this.#penalties.isBarred(peer),
      ...(this.#started?.redial.diagnose(peer) ?? { attempts: 0 })
    }
  }

  #key(): Promise<PrivateKey> {
    this.#privateKey ??= privateKeyOf(this.#options.seed)
    return this.#privateKey
  }

  #running(): Started {
    if (this.#started === null) throw new MeshError('NODE_STOPPING', 'the network does not run')
    return this.#started
  }

  #admits(peer: PeerKey): boolean {
    return this.#admitted.has(peer) && !this.#penalties.isBarred(peer)
  }

  #createLinks(main: MainHost, self: PeerKey): PeerLinks {
    const handlers = this.#handlers
    return new PeerLinks(
      { node: main, self, admits: (peer) => this.#admits(peer) },
      {
        hello: (peer) => handlers.hello(peer),
        checkHello: (peer, hello) => handlers.checkHello(peer, hello),
        message: (peer, message) => handlers.message(peer, message),
        writable: (peer) => handlers.writable(peer),
        up: (peer, connection) => {
          this.#started?.redial.up(peer)
          this.#gossip.attach(peer, connection)
          handlers.peerUp(peer)
        },
        down: (peer) => {
          this.#gossip.detach(peer)
          this.#unreached.delete(peer)
          handlers.peerDown(peer)
        },
        disconnected: (peer, { upMs, refused }) => {
          this.#gossip.detach(peer)
          this.#started?.redial.disconnected(peer, upMs)
          if (!refused) return
          this.#started?.redial.noteError(peer, 'the node there closed the connection before it accepted us')
          handlers.refused?.(peer)
        }
      },
      { penalties: this.#penalties, clock: this.#deps.clock, logger: this.#deps.logger }
    )
  }

  #createRedial(self: PeerKey, main: MainHost, links: PeerLinks): Redial {
    const dial = async (peer: PeerKey, addresses: Multiaddr[]): Promise<void> => {
      const deadline = new Deadline(DIAL_TIMEOUT_MS, 'dialling')
      this.#mismatched.delete(peer)
      try {
        await main.dial(addresses, { signal: deadline.signal })
      } catch (error) {
        const failure = this.#dialFailure(error, peer, addresses)
        this.#deps.logger.debug('dial failed', { peer, error: messageOf(failure) })
        throw failure
      } finally {
        deadline.clear()
      }
    }
    const isConnected = (peer: PeerKey): boolean => links.isConnected(peer)
    const onOneMachine = listensOnLoopbackOnly(this.#options.listen)
    const denies = (address: string): boolean => isDeniedPeerAddress(address, onOneMachine)
    return new Redial(self, { denies, admits: (peer) => this.#admits(peer), isConnected, dial }, this.#deps)
  }

  #listenForDiscovery(main: MainHost, self: PeerKey): void {
    main.addEventListener('peer:discovery', (event) => {
      const peer = tryPeerKeyOf(event.detail.id)
      if (peer === null || peer === self) return
      const texts = event.detail.multiaddrs.map((address) => address.toString())
      const addresses = usableAddresses(texts, peer).map((address) => address.toString())
      if (addresses.length > 0) this.#handlers.discovered(peer, addresses)
    })
  }

  /** The router loses a peer for good when a stream breaks: it is opened again, and failing that the peer is cut. */
  #startGuard(links: PeerLinks): NodeJS.Timeout {
    const graceMs = this.#options.test ? GUARD_GRACE_TEST_MS : GUARD_GRACE_MS
    return setInterval(() => {
      for (const { peer, connection, sinceMs } of links.up()) {
        if (sinceMs < graceMs || this.#gossip.reaches(peer)) {
          this.#unreached.delete(peer)
        } else if (this.#gossip.isOpening(peer)) {
          this.#deps.logger.debug('a gossip stream takes long to open', { peer })
        } else if (this.#unreached.delete(peer)) {
          this.#deps.logger.warn('gossip does not reach a connected peer; connecting anew', { peer })
          links.cut(peer, 'gossip does not reach the peer')
        } else {
          this.#unreached.add(peer)
          this.#gossip.open(peer, connection)
        }
      }
    }, GUARD_EVERY_MS)
  }

  /** The one key that all addresses name, or null when none names any. PEER_ADDRESS_INVALID, PEER_NOT_ADMITTED. */
  #expectedKey(addresses: readonly Multiaddr[]): PeerKey | null {
    const first = addresses[0] === undefined ? null : keyOfAddress(addresses[0])
    if (first === null) return null
    if (!addresses.every((address) => tryAddressOf(address, first) !== null)) {
      throw new MeshError('PEER_ADDRESS_INVALID', 'the addresses name more than one peer')
    }
    if (!this.#admits(first)) throw new MeshError('PEER_NOT_ADMITTED', 'not a member', { details: { peer: first } })
    return first
  }

  #dialFailure(error: unknown, expected: PeerKey | null, addresses: readonly Multiaddr[]): unknown {
    const details = { address: addresses.map((address) => address.toString()).join(' ') }
    if (expected !== null && this.#mismatched.has(expected)) {
      return new MeshError('PEER_ID_MISMATCH', 'another key answered', { details, cause: error })
    }
    if (isMeshError(error) && error.code !== 'TIMEOUT') return error
    if (nameOf(error) === 'ConnectionInterceptedError') {
      return new MeshError('PEER_NOT_ADMITTED', 'not a member', { details, cause: error })
    }
    return new MeshError('PEER_UNREACHABLE', messageOf(error), { details, cause: error })
  }
}

function parseBootstrap(text: string): { peer: PeerKey; address: string } {
  const peer = keyOfAddress(parseAddress(text))
  if (peer !== null) return { peer, address: text }
  throw new MeshError('PEER_ADDRESS_INVALID', 'a bootstrap address ends in /p2p/…', { details: { address: text } })
}

function unreachable(peer: PeerKey, cause?: unknown): MeshError {
  return new MeshError('PEER_UNREACHABLE', 'the peer is not connected', { details: { peer }, cause })
}

function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : ''
}
