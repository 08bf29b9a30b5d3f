// What the network layer promises to those above it, and what it asks of them. The layer moves bytes between admitted
// keys; it knows no events, chains, certificates or roles: every decision is a handler's. Peers are named by the
// lower-case hex of their 32-byte Ed25519 public key.

import type { Clock, Random } from '../base/clock.ts'
import type { Logger } from '../base/logger.ts'

/** Lower-case hex of a 32-byte Ed25519 public key. */
export type PeerKey = string

/** Verdict of the gossip handler. `ignore` and `reject` are final for two minutes; what merely lacks a predecessor is accepted. */
export type GossipVerdict = 'accept' | 'ignore' | 'reject'

export type DoorProtocol = 'join' | 'admit'

export interface NetworkOptions {
  /** 32-byte Ed25519 seed: both hosts have this identity. */
  readonly seed: Uint8Array
  /** Multiaddrs that the main host listens on; empty for none. */
  readonly listen: readonly string[]
  /** Multiaddrs that the door listens on; empty: no door is served (`doorCall` works all the same). */
  readonly door: readonly string[]
  /** Multiaddrs told to others instead of the listening ones. */
  readonly announce?: readonly string[]
  /** Multiaddrs of main hosts, with /p2p/; dialled for ever once their keys are admitted. */
  readonly bootstrap: readonly string[]
  /** Opaque gossip topic: a hash that the caller makes. */
  readonly topic: string
  readonly mdns: boolean
  /** Service tag of mDNS, such as `_pmesh-0011223344556677._udp.local`. */
  readonly mdnsServiceTag: string
  /** 32 bytes; keeps strangers out before Noise, on both hosts. */
  readonly psk?: Uint8Array
  readonly websocket: boolean
  readonly relayServer: boolean
  readonly relayClient: boolean
  readonly holePunching: boolean
  /** Most members that may be admitted. */
  readonly membersMax: number
  /** Many nodes on one address: no inbound rate limits, no connection monitor, shorter grace times. */
  readonly test?: boolean
}

/** One conversation at the door or one request: whole messages, in order. Both methods throw MeshError. */
export interface DoorExchange {
  /** Sends one message of at most 16 KiB. At most 8 in each direction. */
  send(message: Uint8Array): void
  /** The next message: bytes to keep. PEER_UNREACHABLE when the other side ended the conversation, TIMEOUT after 10 s. */
  receive(): Promise<Uint8Array>
}

export interface NetworkHandlers {
  /** Our hello for that peer, 1 byte to 4 KiB. */
  hello(peer: PeerKey): Uint8Array
  checkHello(peer: PeerKey, hello: Uint8Array): Promise<boolean> | boolean
  /** Both hellos are accepted; `send` and `request` work from now on. */
  peerUp(peer: PeerKey): void
  /** What was sent and not yet received is lost; a later `peerUp` starts from nothing. */
  peerDown(peer: PeerKey): void
  /** One sync message; the bytes are the handler's to keep. */
  message(peer: PeerKey, message: Uint8Array): void
  /** After `send` returned false: the backlog is short again. */
  writable(peer: PeerKey): void
  /** Validator and delivery in one, called once per message; bytes to keep. */
  gossip(peer: PeerKey, data: Uint8Array): GossipVerdict | Promise<GossipVerdict>
  /** Server side of `request`: at most 64 KiB both ways, 10 s. A throw resets the request's stream. */
  request(peer: PeerKey, body: Uint8Array): Promise<Uint8Array>
  /** Server side of a door conversation with any key that Noise has shown. A throw resets it. */
  door(peer: PeerKey, protocol: DoorProtocol, exchange: DoorExchange): Promise<void>
  /** mDNS found a key that may or may not be a member. */
  discovered(peer: PeerKey, addresses: string[]): void
  /** A main host that we dialled closed the connection before it accepted our hello: it does not know us (yet). */
  refused?(peer: PeerKey): void
}

export interface PeerInfo {
  readonly peer: PeerKey
  readonly address: string
  readonly direction: 'inbound' | 'outbound'
  readonly relayed: boolean
  /** Since the hellos were accepted. */
  readonly sinceMs: number
  readonly rttMs?: number
  /** Gossip flows to this peer. */
  readonly gossip: boolean
  /** Gossip score, our own penalties included; negative is bad. */
  readonly score: number
  readonly sendBacklogBytes: number
}

/** Why a peer is, or is not, connected. */
export interface PeerDiagnosis {
  readonly admitted: boolean
  readonly connected: boolean
  /** Addresses that the redial loop tries. */
  readonly addresses: readonly string[]
  /** Dials in a row that did not end in an accepted hello. */
  readonly attempts: number
  readonly nextDialInMs?: number
  readonly lastDialError?: string
  /** Penalty points, which halve every minute; over 200 the peer is kept out until they fall under 100. */
  readonly penalty: number
  readonly barred: boolean
}

export interface MeshNetwork {
  /** NETWORK_ADDRESS_IN_USE, PEER_ADDRESS_INVALID. */
  start(): Promise<void>
  /** For good: a stopped network does not start again. libp2p's last timers end within two seconds. */
  stop(): Promise<void>
  /** Replaces the admitted keys; connections of keys that are no longer in it are cut before this returns. */
  setAdmitted(keys: ReadonlySet<PeerKey>): void
  /** Enters the address book; admitted members in it are kept connected. Addresses that are not valid are left out. */
  setMember(peer: PeerKey, addresses: readonly string[]): void
  removeMember(peer: PeerKey): void
  /**
   * Queues one sync message. False: more than 1 MiB waits (`writable` follows), or the peer is not up and the message
   * was dropped. Over 4 MiB the stream is reset.
   */
  send(peer: PeerKey, message: Uint8Array): boolean
  /** Gossips; returns the number of peers it was sent to. */
  publish(data: Uint8Array): Promise<number>
  /** PEER_UNREACHABLE, TIMEOUT. */
  request(peer: PeerKey, body: Uint8Array, signal?: AbortSignal, timeoutMs?: number): Promise<Uint8Array>
  /** Dials a main host and waits for both hellos. PEER_ID_MISMATCH, PEER_UNREACHABLE, PEER_ADDRESS_INVALID, PEER_NOT_ADMITTED. */
  connect(addresses: readonly string[], signal?: AbortSignal): Promise<PeerKey>
  /** Client side of a door conversation; works before `start`. PEER_ID_MISMATCH, PEER_UNREACHABLE, PEER_ADDRESS_INVALID, TIMEOUT. */
  doorCall<T>(
    protocol: DoorProtocol,
    addresses: readonly string[],
    expected: PeerKey,
    talk: (exchange: DoorExchange) => Promise<T>,
    signal?: AbortSignal
  ): Promise<T>
  hangUp(peer: PeerKey): Promise<void>
  /** Round trip in milliseconds. PEER_UNREACHABLE. */
  ping(peer: PeerKey): Promise<number>
  /** A verdict of a layer above: the peer sent something wrong. Lowers its score; 200 points keep it out for a while. */
  penalise(peer: PeerKey, points: number, reason: string): void
  /** What we listen on, with /p2p/. */
  addresses(): { main: string[]; door: string[] }
  peers(): PeerInfo[]
  diagnose(peer: PeerKey): PeerDiagnosis
}

export interface NetworkDependencies {
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
}
