// The parts that both hosts share: identity, transports, encryption, multiplexing and the private network. Each call
// makes fresh parts, so that main and door share nothing but the key.

import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import type { ConnectionEncrypter, PeerId, PrivateKey } from '@libp2p/interface'
import { preSharedKey } from '@libp2p/pnet'
import { tcp } from '@libp2p/tcp'
import { webSockets } from '@libp2p/websockets'
import { toHex } from '../base/bytes.ts'
import { MeshError } from '../base/mesh-error.ts'
import type { NetworkOptions } from './network-contract.ts'

const KIB = 1024
const MIB = 1024 * 1024
const PSK_BYTES = 32

export async function privateKeyOf(seed: Uint8Array): Promise<PrivateKey> {
  return await generateKeyPairFromSeed('Ed25519', seed)
}

/** `streamsMax` bounds the streams of one connection in each direction. */
export function streamMuxerOf(streamsMax: number) {
  return yamux({
    maxInboundStreams: streamsMax,
    maxOutboundStreams: streamsMax,
    maxEarlyStreams: 10,
    keepAliveInterval: 15_000,
    streamOptions: {
      initialStreamWindowSize: 256 * KIB,
      // The window stays under the read buffer, or a reader that pauses loses its stream.
      maxStreamWindowSize: MIB,
      maxReadBufferLength: 4 * MIB,
      maxWriteBufferLength: 16 * MIB
    }
  })
}

export function transportsOf(options: NetworkOptions, connectionsMax: number) {
  const sockets = tcp({
    maxConnections: connectionsMax,
    backlog: 64,
    inboundSocketInactivityTimeout: 60_000,
    outboundSocketInactivityTimeout: 60_000
  })
  return options.websocket ? [sockets, webSockets()] : [sockets]
}

/** The pnet protector as an option of libp2p: before Noise, both sides prove nothing but fail without the key. */
export function protectorOf(psk: Uint8Array | undefined) {
  if (psk === undefined) return {}
  if (psk.length !== PSK_BYTES) throw new MeshError('CONFIG_INVALID', 'the pre-shared key is not 32 bytes long')
  const file = `/key/swarm/psk/1.0.0/\n/base16/\n${toHex(psk)}`
  return { connectionProtector: preSharedKey({ psk: new TextEncoder().encode(file) }) }
}

/**
 * Noise that tells when another key answers than the one that was dialled. The upgrader keeps only the text of that error.
 * The dialler stops before it has shown its own key.
 */
export function noiseWithMismatch(onMismatch: (expected: PeerId) => void) {
  const create = noise()
  return (components: Parameters<typeof create>[0]): ConnectionEncrypter => {
    const encrypter = create(components)
    const secureOutbound = encrypter.secureOutbound.bind(encrypter)
    encrypter.secureOutbound = async (connection, options) => {
      try {
        return await secureOutbound(connection, options)
      } catch (error) {
        const unexpected = error instanceof Error && error.name === 'UnexpectedPeerError'
        if (unexpected && options?.remotePeer !== undefined) onMismatch(options.remotePeer)
        throw error
      }
    }
    return encrypter
  }
}

/** Starts a host; a listener that fails becomes NETWORK_ADDRESS_IN_USE. */
export async function startHost(host: { start(): Promise<void> | void }, listen: readonly string[]): Promise<void> {
  try {
    await host.start()
  } catch (error) {
    if (!(error instanceof Error) || error.name !== 'UnsupportedListenAddressesError') throw error
    throw new MeshError('NETWORK_ADDRESS_IN_USE', 'cannot listen', {
      details: { addresses: listen.join(' ') },
      cause: error
    })
  }
}
