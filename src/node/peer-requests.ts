// Small requests between two members: one method, JSON both ways. A method that nobody answers here is the asker's fault.

import type { ErrorCode } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import { isMeshError, MeshError, messageOf } from '../base/mesh-error.ts'
import type { MeshNetwork, PeerKey } from '../network/network-contract.ts'
import {
  encodePeerRequest,
  encodePeerResponse,
  tryDecodePeerRequest,
  tryDecodePeerResponse
} from '../network/wire/rpc-codec.ts'

/** Answers one method. Params are whatever JSON the member sent: check them. A MeshError's code is sent back, nothing else of it. */
export type PeerHandler = (peer: PeerKey, params: unknown) => Promise<unknown>

const UNKNOWN_POINTS = 10

export class PeerRequests {
  readonly #network: () => MeshNetwork
  readonly #logger: Logger
  readonly #handlers = new Map<string, PeerHandler>()

  constructor(network: () => MeshNetwork, logger: Logger) {
    this.#network = network
    this.#logger = logger
  }

  /** `method` is noun/verb. */
  on(method: string, handler: PeerHandler): void {
    this.#handlers.set(method, handler)
  }

  /** PEER_UNREACHABLE, TIMEOUT, and the code that the member answered with. */
  async ask(
    peer: PeerKey,
    method: string,
    params: unknown,
    signal?: AbortSignal,
    timeoutMs?: number
  ): Promise<unknown> {
    const body = encodePeerRequest({ method, params: Buffer.from(JSON.stringify(params)) })
    const response = tryDecodePeerResponse(await this.#network().request(peer, body, signal, timeoutMs))
    if (response === null) throw new MeshError('PEER_UNREACHABLE', `the member’s answer to ${method} is not readable`)
    if ('error' in response) throw new MeshError(response.error, `the member refused ${method}`)
    return parsed(response.result)
  }

  async answer(peer: PeerKey, body: Uint8Array): Promise<Uint8Array> {
    const request = tryDecodePeerRequest(body)
    const handler = request === null ? undefined : this.#handlers.get(request.method)
    if (request === null || handler === undefined) {
      this.#network().penalise(peer, UNKNOWN_POINTS, 'an unknown request')
      return encodePeerResponse({ error: 'RPC_METHOD_UNKNOWN' })
    }
    try {
      const result = await handler(peer, parsed(request.params))
      return encodePeerResponse({ result: Buffer.from(JSON.stringify(result ?? null)) })
    } catch (error) {
      const code: ErrorCode = isMeshError(error) ? error.code : 'INTERNAL'
      this.#logger.debug('a request was refused', { peer, method: request.method, message: messageOf(error) })
      return encodePeerResponse({ error: code })
    }
  }
}

/** RPC_PARSE_ERROR for what is not JSON. */
function parsed(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8'))
  } catch (cause) {
    throw new MeshError('RPC_PARSE_ERROR', 'not JSON', { cause })
  }
}
