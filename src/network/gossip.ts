// Gossipsub 17 as this mesh needs it: settings against its known faults, and a gate in front. The router learns of a peer
// only when both hellos are accepted, on the connection that the link uses, and forgets it when the link ends, so that it
// never keeps half a peer. Method overrides are set before `start`, which binds them.

import { createHash } from 'node:crypto'
import {
  type GossipSub,
  type GossipSubComponents,
  type GossipsubOpts,
  gossipsub,
  type Message,
  StrictNoSign,
  TopicValidatorResult
} from '@libp2p/gossipsub'
import type { Connection, PeerId, Stream } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import { asBuffer, copyBytes } from '../base/bytes.ts'
import { LIMITS } from '../base/limits.ts'
import type { Logger } from '../base/logger.ts'
import { messageOf } from '../base/mesh-error.ts'
import type { GossipVerdict, PeerKey } from './network-contract.ts'
import { tryPeerKeyOf } from './peer-key.ts'
import { PENALTY, type Penalties } from './penalties.ts'

const FRAME_BYTES_MAX = 4 * 1024 * 1024
const OUTBOUND_BYTES_MAX = 16 * 1024 * 1024
/** Up to this many peers a message goes to all at once. */
const FLOOD_PEERS_MAX = 20
const VERDICTS = {
  accept: TopicValidatorResult.Accept,
  ignore: TopicValidatorResult.Ignore,
  reject: TopicValidatorResult.Reject
} as const

export interface GossipOptions {
  readonly topic: string
  readonly penalties: Penalties
  readonly logger: Logger
  readonly validate: (peer: PeerKey, data: Uint8Array) => GossipVerdict | Promise<GossipVerdict>
  /** Cuts the peer: its gossip stream broke in a way that the router does not mend. */
  readonly broken: (peer: PeerKey) => void
}

interface WireMessage {
  from?: Uint8Array
  data?: Uint8Array
  seqno?: Uint8Array
  topic: string
  signature?: Uint8Array
  key?: Uint8Array
}

type RpcSource = AsyncIterable<{ subarray(): Uint8Array }>

/** The parts of the router that are reached behind its public interface. */
interface Router {
  peers: Map<string, PeerId>
  streamsOutbound: Map<string, unknown>
  status: { heartbeatTimeout?: NodeJS.Timeout }
  getScore(peerId: string): number
  addPeer(peerId: PeerId, direction: 'inbound' | 'outbound', address: Multiaddr): void
  createOutboundStream(peerId: PeerId, connection: Connection): Promise<void>
  onPeerConnected(peerId: PeerId, connection: Connection): void
  onPeerDisconnected(peerId: PeerId): void
  onIncomingStream(stream: Stream, connection: Connection): void
  handlePeerReadStreamError(error: Error, peerId: PeerId): void
  handleReceivedMessage(from: PeerId, message: WireMessage): Promise<void>
  pipePeerReadStream(peerId: PeerId, source: RpcSource): Promise<void>
  decodeRpc(bytes: Uint8Array): unknown
}

export class Gossip {
  readonly #options: GossipOptions
  #pubsub: (GossipSub & Router) | null = null
  #accept: Router['onIncomingStream'] | null = null
  readonly #attached = new Map<PeerKey, PeerId>()
  readonly #held = new Map<PeerKey, { stream: Stream; connection: Connection }>()
  readonly #opening = new Map<string, { connection: Connection; opened: Promise<void> }>()
  /** The stream that is read from each peer; errors of earlier ones no longer count. */
  readonly #sources = new Map<PeerKey, RpcSource>()

  constructor(options: GossipOptions) {
    this.#options = options
  }

  /** The service factory for libp2p. */
  readonly service = (components: GossipSubComponents): GossipSub => {
    const pubsub = gossipsub(this.#settings())(components) as GossipSub & Router
    this.#pubsub = pubsub
    this.#accept = pubsub.onIncomingStream.bind(pubsub)
    pubsub.onPeerConnected = (peerId) => this.#options.logger.debug('peer speaks gossip', { peer: peerId.toString() })
    pubsub.onIncomingStream = (stream, connection) => this.#onIncomingStream(stream, connection)
    this.#openOnce(pubsub)
    this.#watchReads(pubsub)
    pubsub.topicValidators.set(this.#options.topic, (peerId, message) => this.#validate(peerId, message))
    return pubsub
  }

  start(): void {
    this.#router.subscribe(this.#options.topic)
  }

  /** Call before the host stops: the router forgets to clear its next heartbeat. */
  beforeStop(): () => void {
    const heartbeat = this.#router.status.heartbeatTimeout
    return () => clearTimeout(heartbeat)
  }

  /** Gossip with this peer begins, over `connection`. */
  attach(peer: PeerKey, connection: Connection): void {
    this.#attached.set(peer, connection.remotePeer)
    this.open(peer, connection)
    const held = this.#held.get(peer)
    this.#held.delete(peer)
    if (held?.stream.status === 'open') this.#accept?.(held.stream, held.connection)
  }

  /**
   * Makes the router know the peer and opens our stream to it, if either is missing. At once and not through the router's
   * queue, in which each peer waits for the ones before it.
   */
  open(peer: PeerKey, connection: Connection): void {
    const router = this.#router
    if (!this.#attached.has(peer) || connection.status !== 'open') return
    router.addPeer(connection.remotePeer, connection.direction, connection.remoteAddr)
    router.createOutboundStream(connection.remotePeer, connection).catch((error: unknown) => {
      this.#options.logger.warn('a gossip stream did not open', { peer, error: messageOf(error) })
    })
  }

  /** Gossip with this peer ends. */
  detach(peer: PeerKey): void {
    this.#held.get(peer)?.stream.abort(new Error('the peer is gone'))
    this.#held.delete(peer)
    this.#sources.delete(peer)
    const peerId = this.#attached.get(peer)
    this.#attached.delete(peer)
    if (peerId !== undefined) this.#router.onPeerDisconnected(peerId)
  }

  /** Our stream to the peer is being opened; that ends within seconds. */
  isOpening(peer: PeerKey): boolean {
    return this.#opening.has(this.#attached.get(peer)?.toString() ?? '')
  }

  /** The router knows the peer and can send to it. */
  reaches(peer: PeerKey): boolean {
    const id = this.#attached.get(peer)?.toString()
    return id !== undefined && this.#router.peers.has(id) && this.#router.streamsOutbound.has(id)
  }

  scoreOf(peer: PeerKey): number {
    const peerId = this.#attached.get(peer)
    return peerId === undefined ? -this.#options.penalties.pointsOf(peer) : this.#router.getScore(peerId.toString())
  }

  async publish(data: Uint8Array): Promise<number> {
    const floodPublish = this.#attached.size <= FLOOD_PEERS_MAX
    const pubsub = this.#router as unknown as {
      publish(topic: string, data: Uint8Array, options: { floodPublish: boolean }): Promise<{ recipients: PeerId[] }>
    }
    const { recipients } = await pubsub.publish(this.#options.topic, data, { floodPublish })
    return recipients.length
  }

  get #router(): GossipSub & Router {
    if (this.#pubsub === null) throw new Error('gossip is used before its host was made')
    return this.#pubsub
  }

  #onIncomingStream(stream: Stream, connection: Connection): void {
    const peer = tryPeerKeyOf(connection.remotePeer)
    if (peer === null) {
      stream.abort(new Error('not a member'))
    } else if (this.#attached.has(peer)) {
      this.#accept?.(stream, connection)
    } else {
      this.#held.get(peer)?.stream.abort(new Error('another stream came'))
      this.#held.set(peer, { stream, connection })
    }
  }

  /** One stream per connection, however often it is asked for. */
  #openOnce(pubsub: Router): void {
    const open = pubsub.createOutboundStream.bind(pubsub)
    pubsub.createOutboundStream = (peerId, connection) => {
      const id = peerId.toString()
      const running = this.#opening.get(id)
      if (running?.connection === connection) return running.opened
      const opened = open(peerId, connection).finally(() => {
        if (this.#opening.get(id)?.connection === connection) this.#opening.delete(id)
      })
      this.#opening.set(id, { connection, opened })
      return opened
    }
  }

  #penalise(peerId: PeerId, points: number, reason: string): void {
    const peer = tryPeerKeyOf(peerId)
    if (peer !== null) this.#options.penalties.add(peer, points, reason)
  }

  #watchReads(pubsub: Router): void {
    const onReadError = pubsub.handlePeerReadStreamError.bind(pubsub)
    pubsub.handlePeerReadStreamError = (error, peerId) => {
      if (error.name.startsWith('InvalidDataLength')) {
        this.#penalise(peerId, PENALTY.gossipFrameTooLarge, 'gossip frame over the limit')
      }
      onReadError(error, peerId)
      const peer = tryPeerKeyOf(peerId)
      if (peer !== null) this.#options.broken(peer)
    }
    const onMessage = pubsub.handleReceivedMessage.bind(pubsub)
    pubsub.handleReceivedMessage = (from, message) => {
      if (hasEnvelope(message)) this.#penalise(from, PENALTY.gossipEnvelope, 'gossip with fields of signed messages')
      return onMessage(from, message)
    }
    // The decoder is called right after subarray(), in the same turn: that tells whose bytes it failed on.
    let reading: PeerId | null = null
    const pipe = pubsub.pipePeerReadStream.bind(pubsub)
    pubsub.pipePeerReadStream = (peerId, source) => {
      const peer = tryPeerKeyOf(peerId) ?? ''
      this.#sources.set(peer, source)
      const mark = (): void => {
        reading = peerId
      }
      return pipe(
        peerId,
        marked(source, mark, () => this.#sources.get(peer) === source)
      )
    }
    const decode = pubsub.decodeRpc.bind(pubsub)
    pubsub.decodeRpc = (bytes) => {
      try {
        return decode(bytes)
      } catch (error) {
        if (reading !== null) this.#penalise(reading, PENALTY.gossipMalformed, 'gossip that does not decode')
        throw error
      }
    }
  }

  async #validate(peerId: PeerId, message: Message): Promise<TopicValidatorResult> {
    const peer = tryPeerKeyOf(peerId)
    if (peer === null || message.data.length > LIMITS.gossipBytesMax) return TopicValidatorResult.Reject
    try {
      return VERDICTS[await this.#options.validate(peer, copyBytes(message.data))]
    } catch (error) {
      this.#options.logger.error('the gossip handler failed', { peer, error: messageOf(error) })
      return TopicValidatorResult.Ignore
    }
  }

  #settings(): Partial<GossipsubOpts> {
    const { topic, penalties } = this.#options
    return {
      // Events carry their own signature, checked once in the validator and not once per copy.
      globalSignaturePolicy: StrictNoSign,
      msgIdFn: (message: { topic: string; data: Uint8Array }) => digestOf(message.topic, message.data).subarray(0, 20),
      // StrictNoSign of 17.1.1 lets a `from` of any size through to the next hop; a throw here drops the message.
      fastMsgIdFn: (message: WireMessage) => {
        if (hasEnvelope(message) || message.data === undefined) throw new Error('a field that is not allowed')
        return digestOf(message.topic, message.data).toString('latin1')
      },
      msgIdToStrFn: (id: Uint8Array) => asBuffer(id).toString('latin1'),
      allowedTopics: [topic],
      fallbackToFloodsub: false,
      emitSelf: false,
      doPX: false,
      allowPublishToZeroTopicPeers: true,
      ignoreDuplicatePublishError: true,
      floodPublish: false,
      batchPublish: true,
      D: 6,
      Dlo: 4,
      Dhi: 12,
      Dlazy: 6,
      heartbeatInterval: 1000,
      idontwantMinDataSize: 16 * 1024,
      gossipsubIWantFollowupMs: 10_000,
      // A frame is a whole RPC, in which answers to IWANT are bundled: far above one message.
      maxInboundDataLength: FRAME_BYTES_MAX,
      maxOutboundBufferSize: OUTBOUND_BYTES_MAX,
      maxTopicBytesPerPeer: 64 * 1024,
      decodeRpcLimits: {
        maxSubscriptions: 32,
        maxMessages: 5000,
        maxIhaveMessageIDs: 5000,
        maxIwantMessageIDs: 5000,
        maxIdontwantMessageIDs: 512,
        maxControlMessages: 64,
        maxPeerInfos: 16
      },
      scoreParams: scoreParametersOf(topic, penalties),
      scoreThresholds: {
        gossipThreshold: -50,
        publishThreshold: -100,
        graylistThreshold: -200,
        acceptPXThreshold: 1000,
        opportunisticGraftThreshold: 1
      }
    }
  }
}

function scoreParametersOf(topic: string, penalties: Penalties) {
  return {
    appSpecificScore: (id: string) => -penalties.pointsOfPeerId(id),
    appSpecificWeight: 1,
    // Members behind one address are normal: with the default weight no mesh forms among more than ten of them.
    IPColocationFactorWeight: 0,
    behaviourPenaltyWeight: -1,
    behaviourPenaltyThreshold: 6,
    behaviourPenaltyDecay: 0.9,
    decayInterval: 1000,
    decayToZero: 0.1,
    retainScore: 600_000,
    topics: {
      [topic]: {
        topicWeight: 1,
        timeInMeshWeight: 0,
        timeInMeshQuantum: 1000,
        timeInMeshCap: 1,
        firstMessageDeliveriesWeight: 0.1,
        firstMessageDeliveriesDecay: 0.9,
        firstMessageDeliveriesCap: 50,
        meshMessageDeliveriesWeight: 0,
        meshMessageDeliveriesDecay: 0.9,
        meshMessageDeliveriesCap: 10,
        meshMessageDeliveriesThreshold: 1,
        meshMessageDeliveriesWindow: 10,
        meshMessageDeliveriesActivation: 1000,
        meshFailurePenaltyWeight: 0,
        meshFailurePenaltyDecay: 0.9,
        invalidMessageDeliveriesWeight: -20,
        invalidMessageDeliveriesDecay: 0.98
      }
    }
  }
}

/** PROTOCOL §6: SHA-256(topic ‖ 0 ‖ data). */
function digestOf(topic: string, data: Uint8Array): Buffer {
  return createHash('sha256').update(topic).update('\0').update(data).digest()
}

function hasEnvelope(message: WireMessage): boolean {
  const { from, seqno, key, signature } = message
  return [from, seqno, key, signature].some((field) => field !== undefined && field !== null)
}

async function* marked(source: RpcSource, mark: () => void, isCurrent: () => boolean): RpcSource {
  try {
    for await (const data of source) {
      yield {
        subarray: () => {
          mark()
          return data.subarray()
        }
      }
    }
  } catch (error) {
    if (isCurrent()) throw error
  }
}
