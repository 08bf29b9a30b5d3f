// The door: a host of its own on its own port, with the node's key, where strangers may ask to join and members that are
// not known here may show their certificates. No gossip, identify, ping, discovery or shared peer store: a stranger
// learns nothing but the key. The same host dials other doors.

import type { Connection, Libp2p, PeerId, PrivateKey, Stream } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import type { Clock } from '../base/clock.ts'
import type { Logger } from '../base/logger.ts'
import { isMeshError, MeshError, messageOf } from '../base/mesh-error.ts'
import { parseAddresses, tryAddressOf } from './addresses.ts'
import { Conversation } from './conversation.ts'
import { Deadline } from './deadline.ts'
import { noiseWithMismatch, protectorOf, startHost, streamMuxerOf, transportsOf } from './host-parts.ts'
import type { DoorExchange, DoorProtocol, NetworkOptions, PeerKey } from './network-contract.ts'
import { libp2pPeerIdOf, tryPeerKeyOf } from './peer-key.ts'
import { RateLimit } from './rate-limit.ts'

const PROTOCOLS = { join: '/pmesh/join/1', admit: '/pmesh/admit/1' } as const
const CONVERSATION_LIMITS = { messageBytesMax: 16 * 1024, messagesMax: 8 }
const CONVERSATION_TIMEOUT_MS = 10_000
/** Any connection at the door is closed after this long. */
const CONNECTION_LIFE_MS = 15_000
const CONNECTIONS_MAX = 32
const CONVERSATIONS_PER_ADDRESS = { count: 20, everyMs: 60_000 }
const INBOUND_PER_SECOND_AND_ADDRESS = 5
const INBOUND_PENDING_MAX = 8
const STREAMS_PER_CONNECTION_MAX = 4

export type DoorServer = (peer: PeerKey, protocol: DoorProtocol, exchange: DoorExchange) => Promise<void>

export class Door {
  readonly #options: NetworkOptions
  readonly #serve: DoorServer
  readonly #logger: Logger
  readonly #rate: RateLimit
  readonly #expected = new Map<PeerKey, number>()
  readonly #mismatched = new Set<PeerKey>()
  readonly #timers = new Map<Connection, NodeJS.Timeout>()
  #host: Promise<Libp2p> | null = null
  #running: Libp2p | null = null
  #stopped = false

  constructor(options: NetworkOptions, serve: DoorServer, deps: { clock: Clock; logger: Logger }) {
    this.#options = options
    this.#serve = serve
    this.#logger = deps.logger
    this.#rate = new RateLimit(CONVERSATIONS_PER_ADDRESS, deps.clock)
  }

  /** Listens, if the options name addresses. NETWORK_ADDRESS_IN_USE. */
  async start(privateKey: PrivateKey): Promise<void> {
    if (this.#options.door.length > 0) await this.#open(privateKey)
  }

  async stop(): Promise<void> {
    this.#stopped = true
    for (const timer of this.#timers.values()) clearTimeout(timer)
    const host = await this.#host?.catch(() => null) // its failure was told to whoever opened it
    await host?.stop()
  }

  addresses(): string[] {
    return this.#running?.getMultiaddrs().map((address) => address.toString()) ?? []
  }

  /** See `MeshNetwork.doorCall`. */
  async call<T>(
    privateKey: PrivateKey,
    to: { protocol: DoorProtocol; addresses: readonly string[]; expected: PeerKey },
    talk: (exchange: DoorExchange) => Promise<T>,
    signal?: AbortSignal
  ): Promise<T> {
    const targets = parseAddresses(to.addresses).map((address) => addressOrMismatch(address, to.expected))
    const host = await this.#open(privateKey)
    const deadline = new Deadline(CONVERSATION_TIMEOUT_MS, 'the door', signal)
    this.#expected.set(to.expected, (this.#expected.get(to.expected) ?? 0) + 1)
    this.#mismatched.delete(to.expected)
    try {
      return await this.#talk(host, targets, to, talk, deadline)
    } finally {
      deadline.clear()
      const left = (this.#expected.get(to.expected) ?? 1) - 1
      if (left > 0) this.#expected.set(to.expected, left)
      else {
        this.#expected.delete(to.expected)
        await host.hangUp(libp2pPeerIdOf(to.expected))
      }
    }
  }

  async #talk<T>(
    host: Libp2p,
    targets: Multiaddr[],
    to: { protocol: DoorProtocol; expected: PeerKey },
    talk: (exchange: DoorExchange) => Promise<T>,
    deadline: Deadline
  ): Promise<T> {
    let conversation: Conversation | null = null
    try {
      const connection = await host.dial(targets, { signal: deadline.signal })
      const stream = await connection.newStream(PROTOCOLS[to.protocol], { signal: deadline.signal })
      conversation = new Conversation(stream, CONVERSATION_LIMITS, deadline)
      const result = await talk(conversation)
      await conversation.finish()
      await conversation.ended()
      return result
    } catch (error) {
      conversation?.abort(new Error('the talk failed'))
      throw this.#failureOf(error, to.expected, deadline)
    } finally {
      conversation?.release()
    }
  }

  #failureOf(error: unknown, expected: PeerKey, deadline: Deadline): unknown {
    if (this.#mismatched.has(expected)) {
      return new MeshError('PEER_ID_MISMATCH', 'another key answered at the door', { details: { expected } })
    }
    if (isMeshError(error)) return error
    if (deadline.signal.aborted) return deadline.signal.reason
    return new MeshError('PEER_UNREACHABLE', 'the door does not answer', { details: { expected }, cause: error })
  }

  #open(privateKey: PrivateKey): Promise<Libp2p> {
    if (this.#stopped) throw new MeshError('NODE_STOPPING', 'the network is stopping')
    this.#host ??= this.#create(privateKey)
    return this.#host
  }

  async #create(privateKey: PrivateKey): Promise<Libp2p> {
    const host = await createLibp2p(this.#settings(privateKey))
    host.addEventListener('connection:open', (event) => this.#limitLife(event.detail))
    host.addEventListener('connection:close', (event) => this.#forget(event.detail))
    if (this.#options.door.length > 0) {
      for (const protocol of ['join', 'admit'] as const) {
        await host.handle(PROTOCOLS[protocol], (stream, connection) => this.#answer(protocol, stream, connection), {
          maxInboundStreams: 2
        })
      }
    }
    await startHost(host, this.#options.door)
    this.#running = host
    return host
  }

  #settings(privateKey: PrivateKey) {
    const { test } = this.#options
    return {
      start: false,
      privateKey,
      addresses: { listen: [...this.#options.door] },
      transports: transportsOf(this.#options, CONNECTIONS_MAX),
      connectionEncrypters: [
        noiseWithMismatch((peerId: PeerId) => {
          const key = tryPeerKeyOf(peerId)
          if (key !== null && this.#expected.has(key)) this.#mismatched.add(key)
        })
      ],
      streamMuxers: [streamMuxerOf(STREAMS_PER_CONNECTION_MAX)],
      ...protectorOf(this.#options.psk),
      connectionGater: {
        denyDialPeer: (peerId: PeerId) => !this.#expected.has(tryPeerKeyOf(peerId) ?? ''),
        denyOutboundEncryptedConnection: (peerId: PeerId) => !this.#expected.has(tryPeerKeyOf(peerId) ?? ''),
        denyDialMultiaddr: () => false
      },
      connectionManager: {
        maxConnections: CONNECTIONS_MAX,
        maxParallelDials: 4,
        addressDialTimeout: 4_000,
        inboundUpgradeTimeout: 5_000,
        inboundStreamProtocolNegotiationTimeout: 5_000,
        outboundStreamProtocolNegotiationTimeout: 5_000,
        inboundConnectionThreshold: test ? 1_000 : INBOUND_PER_SECOND_AND_ADDRESS,
        maxIncomingPendingConnections: test ? 100 : INBOUND_PENDING_MAX,
        reconnectRetries: 0
      },
      connectionMonitor: { enabled: false }
    }
  }

  #limitLife(connection: Connection): void {
    const timer = setTimeout(() => connection.abort(new Error('the door closes')), CONNECTION_LIFE_MS)
    this.#timers.set(connection, timer)
  }

  #forget(connection: Connection): void {
    clearTimeout(this.#timers.get(connection))
    this.#timers.delete(connection)
  }

  async #answer(protocol: DoorProtocol, stream: Stream, connection: Connection): Promise<void> {
    const peer = tryPeerKeyOf(connection.remotePeer)
    const source = connection.remoteAddr.getComponents()[0]?.value ?? ''
    if (peer === null || !this.#rate.take(source)) {
      this.#logger.warn('the door refused a conversation', { protocol, source })
      stream.abort(new Error('not now'))
      return
    }
    const conversation = new Conversation(
      stream,
      CONVERSATION_LIMITS,
      new Deadline(CONVERSATION_TIMEOUT_MS, 'the door')
    )
    try {
      await this.#serve(peer, protocol, conversation)
      await conversation.finish()
    } catch (error) {
      this.#logger.info('a conversation at the door failed', { protocol, peer, error: messageOf(error) })
      conversation.abort(new Error('the conversation failed'))
    } finally {
      conversation.release()
    }
  }
}

function addressOrMismatch(address: Multiaddr, expected: PeerKey): Multiaddr {
  const named = tryAddressOf(address, expected)
  if (named !== null) return named
  throw new MeshError('PEER_ID_MISMATCH', 'the address names another peer', {
    details: { address: address.toString(), expected }
  })
}
