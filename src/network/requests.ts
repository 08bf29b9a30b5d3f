// Small requests between members that are up: one stream per request, one message each way.

import type { Connection, Libp2p, Stream } from '@libp2p/interface'
import type { Logger } from '../base/logger.ts'
import { isMeshError, MeshError, messageOf } from '../base/mesh-error.ts'
import { Conversation } from './conversation.ts'
import { Deadline } from './deadline.ts'
import type { PeerKey } from './network-contract.ts'
import { tryPeerKeyOf } from './peer-key.ts'

export const RPC_PROTOCOL = '/pmesh/rpc/1'
const TIMEOUT_MS = 10_000
/** An answer that takes longer is nobody's any more. */
const SERVE_MS_MAX = 60_000
const LIMITS_OF_REQUEST = { messageBytesMax: 64 * 1024, messagesMax: 1 }
const STREAMS_MAX = 16

export interface RequestPorts {
  /** The connection of a peer that is up, or null. */
  readonly connectionOf: (peer: PeerKey) => Connection | null
  readonly handle: (peer: PeerKey, body: Uint8Array) => Promise<Uint8Array>
}

export class Requests {
  readonly #ports: RequestPorts
  readonly #logger: Logger

  constructor(ports: RequestPorts, logger: Logger) {
    this.#ports = ports
    this.#logger = logger
  }

  async start(node: Libp2p): Promise<void> {
    await node.handle(RPC_PROTOCOL, (stream, connection) => this.#serve(stream, connection), {
      maxInboundStreams: STREAMS_MAX,
      maxOutboundStreams: STREAMS_MAX
    })
  }

  /** PEER_UNREACHABLE, TIMEOUT, or the reason of `signal`. */
  async request(
    peer: PeerKey,
    body: Uint8Array,
    signal?: AbortSignal,
    timeoutMs: number = TIMEOUT_MS
  ): Promise<Uint8Array> {
    const connection = this.#ports.connectionOf(peer)
    if (connection === null) throw new MeshError('PEER_UNREACHABLE', 'the peer is not connected', { details: { peer } })
    const deadline = new Deadline(timeoutMs, 'the request', signal)
    let conversation: Conversation | null = null
    try {
      const stream = await connection.newStream(RPC_PROTOCOL, { signal: deadline.signal })
      conversation = new Conversation(stream, LIMITS_OF_REQUEST, deadline)
      conversation.send(body)
      await conversation.finish()
      return await conversation.receive()
    } catch (error) {
      conversation?.abort(new Error('the request failed'))
      if (deadline.signal.aborted) throw deadline.signal.reason
      if (isMeshError(error)) throw error
      throw new MeshError('PEER_UNREACHABLE', 'the request failed', { details: { peer }, cause: error })
    } finally {
      deadline.clear()
      conversation?.release()
    }
  }

  async #serve(stream: Stream, connection: Connection): Promise<void> {
    const peer = tryPeerKeyOf(connection.remotePeer)
    if (peer === null || this.#ports.connectionOf(peer) === null) {
      stream.abort(new Error('no hello yet'))
      return
    }
    const deadline = new Deadline(SERVE_MS_MAX, 'the request')
    const conversation = new Conversation(stream, LIMITS_OF_REQUEST, deadline)
    try {
      const answer = await this.#ports.handle(peer, await conversation.receive())
      conversation.send(answer)
      await conversation.finish()
    } catch (error) {
      this.#logger.debug('a request failed', { peer, error: messageOf(error) })
      conversation.abort(new Error('the request failed'))
    } finally {
      conversation.release()
    }
  }
}
