// One link per connected peer: a sync stream on one of its connections, up once both hellos are accepted.
//
// The side with the smaller key opens the stream, and so alone chooses the connection; it closes spare ones, which come
// of both sides dialling at once. On the stream each side sends: hello, an empty message once it accepts the other's
// hello, then messages. A stream that ends is a peerDown; another connection, or the same, is then tried.

import type { Connection, Libp2p, Stream } from '@libp2p/interface'
import type { Clock } from '../base/clock.ts'
import { LIMITS } from '../base/limits.ts'
import type { Logger } from '../base/logger.ts'
import { MeshError, messageOf } from '../base/mesh-error.ts'
import { FramedStream } from './framed-stream.ts'
import { KeyedWaiters } from './keyed-waiters.ts'
import { clearTimers, type Link, newLink, newPeer, type Peer } from './linked-peer.ts'
import type { NetworkHandlers, PeerKey } from './network-contract.ts'
import { tryPeerKeyOf } from './peer-key.ts'
import { PENALTY, type Penalties } from './penalties.ts'

export const SYNC_PROTOCOL = '/pmesh/sync/1'
const HELLO_BYTES_MAX = 4096
const HELLO_TIMEOUT_MS = 5_000
/** Spare connections live this long: the other side may just be opening streams on them. */
const SPARE_CONNECTION_MS = 1_000
const CONNECTIONS_PER_PEER_MAX = 4
/** A stream that ended sooner is not opened again on the same connections. */
const LINK_LIFE_MS_MIN = 1_000
const ACCEPTED = new Uint8Array(0)

export interface LinkEvents extends Pick<NetworkHandlers, 'hello' | 'checkHello' | 'message' | 'writable'> {
  up(peer: PeerKey, connection: Connection): void
  down(peer: PeerKey): void
  /** No connection is left. `upMs`: how long the last link was up, 0 if never. */
  disconnected(peer: PeerKey, fate: { upMs: number; refused: boolean }): void
}

export class PeerLinks {
  readonly #node: Libp2p
  readonly #self: PeerKey
  readonly #events: LinkEvents
  readonly #admits: (peer: PeerKey) => boolean
  readonly #penalties: Penalties
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #peers = new Map<PeerKey, Peer>()
  readonly #waiters = new KeyedWaiters()
  #stopped = false

  constructor(
    options: { node: Libp2p; self: PeerKey; admits: (peer: PeerKey) => boolean },
    events: LinkEvents,
    deps: { penalties: Penalties; clock: Clock; logger: Logger }
  ) {
    this.#node = options.node
    this.#self = options.self
    this.#admits = options.admits
    this.#events = events
    this.#penalties = deps.penalties
    this.#clock = deps.clock
    this.#logger = deps.logger
  }

  async start(): Promise<void> {
    this.#node.addEventListener('connection:open', (event) => this.#onConnection(event.detail))
    this.#node.addEventListener('connection:close', (event) => this.#onConnectionClosed(event.detail))
    await this.#node.handle(SYNC_PROTOCOL, (stream, connection) => this.#onStream(stream, connection), {
      maxInboundStreams: 2,
      maxOutboundStreams: 2
    })
  }

  stop(): void {
    this.#stopped = true
    for (const peer of this.#peers.values()) {
      peer.endedByUs = true
      clearTimers(peer)
    }
  }

  /** Peers whose hellos are accepted on both sides. */
  up(): { peer: PeerKey; connection: Connection; sinceMs: number; backlogBytes: number }[] {
    const found = []
    for (const { key, link } of this.#peers.values()) {
      if (link === null || link.upAtMs === null) continue
      const sinceMs = this.#clock.monotonic() - link.upAtMs
      found.push({ peer: key, connection: link.connection, sinceMs, backlogBytes: link.frames?.backlogBytes ?? 0 })
    }
    return found
  }

  /** The connection of a peer that is up. */
  connectionOf(peer: PeerKey): Connection | null {
    const link = this.#peers.get(peer)?.link
    return link !== null && link !== undefined && link.upAtMs !== null ? link.connection : null
  }

  isConnected(peer: PeerKey): boolean {
    return this.#peers.has(peer)
  }

  send(peer: PeerKey, message: Uint8Array): boolean {
    const link = this.#peers.get(peer)?.link
    if (link === null || link === undefined || link.upAtMs === null || link.frames === null) return false
    if (message.length === 0 || message.length > LIMITS.messageBytesMax) {
      throw new MeshError('INTERNAL', 'a sync message is empty or over its limit', {
        details: { bytes: message.length }
      })
    }
    return link.frames.send(message)
  }

  /** Resolves when the peer is up; PEER_NOT_ADMITTED when it goes away before. */
  async whenUp(peer: PeerKey, signal: AbortSignal): Promise<void> {
    if (this.connectionOf(peer) !== null) return
    if (!this.#peers.has(peer)) throw refusal(peer)
    await this.#waiters.wait(peer, signal)
  }

  /** Cuts every connection of the peer at once. */
  cut(peer: PeerKey, why: string): void {
    const found = this.#peers.get(peer)
    if (found === undefined) return
    found.endedByUs = true
    for (const connection of [...found.connections]) connection.abort(new Error(why))
  }

  /** Cuts every peer that is no longer admitted. */
  cutStrangers(): void {
    for (const key of [...this.#peers.keys()]) if (!this.#admits(key)) this.cut(key, 'no longer admitted')
  }

  #onConnection(connection: Connection): void {
    const key = tryPeerKeyOf(connection.remotePeer)
    if (this.#stopped || connection.status !== 'open') return
    if (key === null || !this.#admits(key)) {
      connection.abort(new Error('not admitted'))
      return
    }
    const peer = this.#peers.get(key) ?? newPeer(key)
    if (peer.connections.size >= CONNECTIONS_PER_PEER_MAX) {
      connection.abort(new Error('too many connections of one peer'))
      return
    }
    this.#peers.set(key, peer)
    peer.connections.add(connection)
    peer.dialled ||= connection.direction === 'outbound'
    this.#expectHello(peer)
    if (this.#self < key && peer.link === null) this.#open(peer)
    this.#closeSparesLater(peer)
  }

  #onConnectionClosed(connection: Connection): void {
    const key = tryPeerKeyOf(connection.remotePeer)
    const peer = key === null ? undefined : this.#peers.get(key)
    if (peer === undefined || !peer.connections.delete(connection)) return
    if (peer.link?.connection === connection) this.#linkEnded(peer, peer.link, 'the connection closed')
    if (peer.connections.size > 0) return
    clearTimers(peer)
    this.#peers.delete(peer.key)
    const refused = peer.dialled && !peer.endedByUs && peer.lastUpMs === 0
    this.#waiters.reject(peer.key, refusal(peer.key))
    this.#events.disconnected(peer.key, { upMs: peer.lastUpMs, refused })
  }

  /** Every connected peer is up within five seconds, or it is cut. */
  #expectHello(peer: Peer): void {
    if (peer.helloTimer !== null || peer.link?.upAtMs != null) return
    peer.helloTimer = setTimeout(() => this.cut(peer.key, 'no hello in time'), HELLO_TIMEOUT_MS)
  }

  #closeSparesLater(peer: Peer): void {
    if (this.#self > peer.key || peer.connections.size < 2 || peer.spareTimer !== null) return
    peer.spareTimer = setTimeout(() => {
      peer.spareTimer = null
      this.#closeSpares(peer)
    }, SPARE_CONNECTION_MS)
  }

  #closeSpares(peer: Peer): void {
    const { link } = peer
    if (this.#stopped || link === null || link.upAtMs === null) return
    if (!link.connection.direct && [...peer.connections].some((connection) => connection.direct)) {
      link.frames?.abort(new Error('a direct connection takes over'))
      return
    }
    for (const connection of peer.connections) {
      if (connection === link.connection) continue
      connection.close().catch((error: unknown) => connection.abort(asError(error)))
    }
  }

  #open(peer: Peer): void {
    const open = [...peer.connections].filter((connection) => connection.status === 'open')
    const connection = open.find((candidate) => candidate.direct) ?? open[0]
    if (connection === undefined) return
    const link = newLink(connection)
    peer.link = link
    connection
      .newStream(SYNC_PROTOCOL, { signal: AbortSignal.timeout(HELLO_TIMEOUT_MS) })
      .then((stream) => this.#begin(peer, link, stream))
      .catch((error: unknown) => {
        this.#logger.debug('the sync stream did not open', { peer: peer.key, error: messageOf(error) })
        this.#linkEnded(peer, link, 'the stream did not open')
      })
  }

  #onStream(stream: Stream, connection: Connection): void {
    const key = tryPeerKeyOf(connection.remotePeer)
    const peer = key === null ? undefined : this.#peers.get(key)
    if (peer === undefined || this.#stopped || !peer.connections.has(connection)) {
      stream.abort(new Error('not admitted'))
    } else if (this.#self < peer.key) {
      stream.abort(new Error('the side with the smaller key opens the sync stream'))
    } else if (peer.link !== null && peer.link.upAtMs !== null && peer.link.connection !== connection) {
      this.#challenge(peer, stream, connection)
    } else {
      const before = peer.link
      if (before !== null) this.#linkEnded(peer, before, 'the peer opened another stream')
      const link = newLink(connection)
      peer.link = link
      this.#begin(peer, link, stream)
    }
  }

  #begin(peer: Peer, link: Link, stream: Stream): void {
    if (peer.link !== link) {
      stream.abort(new Error('too late'))
      return
    }
    this.#expectHello(peer)
    link.frames = new FramedStream(stream, LIMITS.messageBytesMax, {
      message: (message) => this.#onMessage(peer, link, message),
      writable: () => this.#events.writable(peer.key),
      ended: () => this.#linkEnded(peer, link, 'the peer ended the stream'),
      closed: ({ violation, error }) => {
        if (violation) this.#punish(peer, PENALTY.frameViolation, 'sync message over the limit')
        this.#linkEnded(peer, link, error === undefined ? 'the stream closed' : messageOf(error))
      }
    })
    const hello = this.#events.hello(peer.key)
    if (hello.length === 0 || hello.length > HELLO_BYTES_MAX) throw new Error('our hello is empty or over its limit')
    link.frames.send(hello)
  }

  /**
   * A stream on another connection while a link is up: of the process that holds the link, which may change its connection, or of another
   * with the same key, which must not take the link away. The hello tells, and the handler decides.
   */
  #challenge(peer: Peer, stream: Stream, connection: Connection): void {
    const link = newLink(connection)
    const giveUp = (why: string): void => connection.abort(new Error(why))
    const timer = setTimeout(() => giveUp('no hello in time'), HELLO_TIMEOUT_MS)
    const judge = async (hello: Uint8Array): Promise<void> => {
      const accepted = await this.#events.checkHello(peer.key, hello)
      if (!accepted || this.#stopped || !peer.connections.has(connection)) return giveUp('another link is up')
      if (peer.link !== null) this.#linkEnded(peer, peer.link, 'the peer opened another stream')
      peer.link = link
      link.helloAccepted = true
      link.frames?.send(this.#events.hello(peer.key))
      link.frames?.send(ACCEPTED)
    }
    link.frames = new FramedStream(stream, LIMITS.messageBytesMax, {
      message: (message) => {
        if (peer.link === link) return this.#onMessage(peer, link, message)
        if (link.helloReceived || message.length === 0 || message.length > HELLO_BYTES_MAX) return giveUp('out of turn')
        link.helloReceived = true
        judge(message)
          .catch((error: unknown) => giveUp(messageOf(error)))
          .finally(() => clearTimeout(timer))
          .catch((error: unknown) => this.#logger.error('a hello was not judged', { error: messageOf(error) }))
      },
      writable: () => this.#events.writable(peer.key),
      ended: () => this.#linkEnded(peer, link, 'the peer ended the stream'),
      closed: ({ error }) => {
        clearTimeout(timer)
        this.#linkEnded(peer, link, error === undefined ? 'the stream closed' : messageOf(error))
      }
    })
  }

  #onMessage(peer: Peer, link: Link, message: Uint8Array): void {
    if (peer.link !== link) return
    if (link.upAtMs !== null && message.length > 0) {
      this.#deliver(peer, link, message)
    } else if (!link.helloReceived && message.length > 0 && message.length <= HELLO_BYTES_MAX) {
      link.helloReceived = true
      this.#judgeHello(peer, link, message)
    } else if (link.helloReceived && !link.acceptedByPeer && message.length === 0) {
      link.acceptedByPeer = true
      this.#upWhenAccepted(peer, link)
    } else {
      this.#punish(peer, PENALTY.helloViolation, 'message out of turn')
    }
  }

  #deliver(peer: Peer, link: Link, message: Uint8Array): void {
    try {
      this.#events.message(peer.key, message)
    } catch (error) {
      this.#logger.error('the message handler failed', { peer: peer.key, error: messageOf(error) })
      link.frames?.abort(asError(error))
    }
  }

  #judgeHello(peer: Peer, link: Link, hello: Uint8Array): void {
    Promise.resolve()
      .then(() => this.#events.checkHello(peer.key, hello))
      .then((accepted) => {
        if (peer.link !== link || link.frames === null) return
        if (!accepted) {
          this.#logger.info('hello refused', { peer: peer.key })
          this.cut(peer.key, 'hello refused')
          return
        }
        link.helloAccepted = true
        link.frames.send(ACCEPTED)
        this.#upWhenAccepted(peer, link)
      })
      .catch((error: unknown) => {
        this.#logger.error('the hello handler failed', { peer: peer.key, error: messageOf(error) })
        this.cut(peer.key, 'hello not checked')
      })
  }

  #upWhenAccepted(peer: Peer, link: Link): void {
    if (!link.helloAccepted || !link.acceptedByPeer) return
    if (peer.helloTimer !== null) clearTimeout(peer.helloTimer)
    peer.helloTimer = null
    link.upAtMs = this.#clock.monotonic()
    this.#events.up(peer.key, link.connection)
    this.#waiters.resolve(peer.key)
    this.#closeSparesLater(peer)
  }

  #linkEnded(peer: Peer, link: Link, why: string): void {
    if (peer.link !== link) return
    peer.link = null
    const upMs = link.upAtMs === null ? 0 : Math.max(1, this.#clock.monotonic() - link.upAtMs)
    peer.lastUpMs = Math.max(peer.lastUpMs, upMs)
    if (link.frames?.open) link.frames.abort(new Error(why))
    if (link.upAtMs !== null) this.#events.down(peer.key)
    this.#logger.debug('link ended', { peer: peer.key, why, upMs: Math.round(upMs) })
    if (this.#stopped || peer.connections.size === 0) return
    this.#expectHello(peer)
    if (this.#self > peer.key) return
    if (upMs < LINK_LIFE_MS_MIN) this.#drop(peer, link.connection)
    queueMicrotask(() => {
      if (peer.link === null && !this.#stopped) this.#open(peer)
    })
  }

  /** A connection on which no link lasts is closed, without blame: another may do. */
  #drop(peer: Peer, connection: Connection): void {
    if (connection.status !== 'open') return
    this.#logger.debug('connection dropped', { peer: peer.key })
    connection.abort(new Error('no link lasts on this connection'))
  }

  #punish(peer: Peer, points: number, reason: string): void {
    this.#penalties.add(peer.key, points, reason)
    this.cut(peer.key, reason)
  }
}

function refusal(peer: PeerKey): MeshError {
  return new MeshError('PEER_NOT_ADMITTED', 'the node there closed the connection before it accepted us', {
    details: { peer }
  })
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error))
}
