// The main host: gossip, sync and requests among admitted keys. Its gater refuses every other key after Noise and before
// the multiplexer, so a stranger gets no stream and no byte of a protocol. Nothing here dials by itself: no DHT, no
// autonat, no upnp, no relay search; discovery is mDNS when it is on.

import { circuitRelayServer, circuitRelayTransport } from '@libp2p/circuit-relay-v2'
import { dcutr } from '@libp2p/dcutr'
import { identify, identifyPush } from '@libp2p/identify'
import { FaultTolerance, type Libp2p, type PeerId, type PrivateKey } from '@libp2p/interface'
import { mdns } from '@libp2p/mdns'
import { type Ping, ping } from '@libp2p/ping'
import { createLibp2p } from 'libp2p'
import { LIMITS } from '../base/limits.ts'
import type { Gossip } from './gossip.ts'
import { noiseWithMismatch, protectorOf, streamMuxerOf, transportsOf } from './host-parts.ts'
import type { NetworkOptions, PeerKey } from './network-contract.ts'
import { tryPeerKeyOf } from './peer-key.ts'

const STREAMS_PER_CONNECTION_MAX = 64
const INBOUND_PER_SECOND_AND_ADDRESS = 20
const INBOUND_PENDING_MAX = 32
export const DIAL_TIMEOUT_MS = 10_000

export type MainHost = Libp2p<{ ping: Ping }>

export interface MainHostPorts {
  readonly admits: (peer: PeerKey) => boolean
  readonly gossip: Gossip
  readonly onMismatch: (expected: PeerId) => void
}

function isRelayed(address: string): boolean {
  return address.endsWith('/p2p-circuit')
}

export async function createMainHost(
  options: NetworkOptions,
  privateKey: PrivateKey,
  ports: MainHostPorts
): Promise<MainHost> {
  const denies = (peerId: PeerId): boolean => {
    const key = tryPeerKeyOf(peerId)
    return key === null || !ports.admits(key)
  }
  const connectionsMax = LIMITS.connectionsMax
  return await createLibp2p({
    start: false,
    privateKey,
    nodeInfo: { name: 'pmesh', version: '1', userAgent: 'pmesh' },
    addresses: {
      listen: [...options.listen],
      ...(options.announce === undefined ? {} : { announce: [...options.announce] })
    },
    // A relay that is away must not keep a node from starting; a port that is taken must.
    transportManager: {
      faultTolerance: options.listen.every(isRelayed) ? FaultTolerance.NO_FATAL : FaultTolerance.FATAL_ALL
    },
    transports: [
      ...transportsOf(options, connectionsMax),
      ...(options.relayClient || options.holePunching ? [circuitRelayTransport()] : [])
    ],
    connectionEncrypters: [noiseWithMismatch(ports.onMismatch)],
    streamMuxers: [streamMuxerOf(STREAMS_PER_CONNECTION_MAX)],
    ...protectorOf(options.psk),
    connectionGater: {
      denyDialPeer: denies,
      denyInboundEncryptedConnection: denies,
      denyOutboundEncryptedConnection: denies,
      denyInboundRelayReservation: denies,
      denyOutboundRelayedConnection: (source, destination) => denies(source) || denies(destination),
      denyDialMultiaddr: () => false
    },
    connectionManager: {
      maxConnections: connectionsMax,
      maxParallelDials: 16,
      maxDialQueueLength: 200,
      maxPeerAddrsToDial: LIMITS.addressesPerMemberMax,
      dialTimeout: DIAL_TIMEOUT_MS,
      addressDialTimeout: 4_000,
      inboundUpgradeTimeout: 5_000,
      // Gossip opens its streams one after another: a slow negotiation holds up the others.
      inboundStreamProtocolNegotiationTimeout: 5_000,
      outboundStreamProtocolNegotiationTimeout: 5_000,
      // Per source address. The defaults, 5 and 10, are too few for members behind one NAT.
      inboundConnectionThreshold: options.test ? 10_000 : INBOUND_PER_SECOND_AND_ADDRESS,
      maxIncomingPendingConnections: options.test ? 1_000 : INBOUND_PENDING_MAX,
      // libp2p's own reconnecting gives up after five tries; the redial loop does not.
      reconnectRetries: 0
    },
    connectionMonitor: {
      enabled: !options.test,
      pingInterval: 15_000,
      // A peer whose event loop is blocked for seconds is not gone.
      pingTimeout: { minTimeout: 30_000, maxTimeout: 60_000 },
      abortConnectionOnPingFailure: true
    },
    ...(options.mdns ? { peerDiscovery: [mdns({ serviceTag: options.mdnsServiceTag })] } : {}),
    services: {
      // The default prefix, or no foreign libp2p can identify us.
      identify: identify({ timeout: 10_000 }),
      identifyPush: identifyPush(),
      ping: ping(),
      pubsub: ports.gossip.service,
      ...(options.relayServer ? { relay: circuitRelayServer({ reservations: { applyDefaultLimit: false } }) } : {}),
      ...(options.holePunching ? { dcutr: dcutr() } : {})
    }
  })
}
