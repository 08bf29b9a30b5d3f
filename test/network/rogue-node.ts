// A libp2p node without our rules: full gossipsub with every topic, any protocol, and a record of every byte that it
// receives above Noise. With an admitted key it can speak the sync protocol by hand.

import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import { type GossipSub, gossipsub, StrictNoSign } from '@libp2p/gossipsub'
import { identify } from '@libp2p/identify'
import type { Connection, Libp2p, SecuredConnection, Stream } from '@libp2p/interface'
import { tcp } from '@libp2p/tcp'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { utf8 } from '../../src/base/bytes.ts'
import { keyOf, LOOPBACK, seedOf, TOPIC, until } from './network-fixture.ts'

export const GOSSIP_PROTOCOL = '/meshsub/1.2.0'
export const SYNC = '/pmesh/sync/1'

export interface Rogue {
  readonly key: string
  readonly node: Libp2p<{ pubsub: GossipSub }>
  /** Everything received above Noise. */
  heard(): Buffer
  address(): string
  dial(address: string): Promise<Connection>
  stop(): Promise<void>
}

const running = new Set<Rogue>()

export async function startRogue(name: string): Promise<Rogue> {
  const heard: Buffer[] = []
  const node = await createLibp2p({
    privateKey: await generateKeyPairFromSeed('Ed25519', seedOf(name)),
    addresses: { listen: [LOOPBACK] },
    transports: [tcp()],
    connectionEncrypters: [listeningNoise(heard)],
    streamMuxers: [yamux()],
    connectionGater: { denyDialMultiaddr: () => false },
    connectionManager: { inboundConnectionThreshold: 1_000, reconnectRetries: 0 },
    connectionMonitor: { enabled: false },
    services: {
      identify: identify(),
      pubsub: gossipsub({ globalSignaturePolicy: StrictNoSign, allowPublishToZeroTopicPeers: true })
    }
  })
  node.services.pubsub.subscribe(TOPIC)
  const rogue: Rogue = {
    key: await keyOf(name),
    node,
    heard: () => Buffer.concat(heard),
    address: () => node.getMultiaddrs()[0]?.toString() ?? '',
    dial: (address) => node.dial(multiaddr(address), { force: true }),
    stop: async () => {
      running.delete(rogue)
      await node.stop()
    }
  }
  running.add(rogue)
  return rogue
}

export async function stopRogues(): Promise<void> {
  await Promise.all([...running].map((rogue) => rogue.stop()))
}

/** The names in the order of their keys: the first opens sync streams to all others. */
export async function namesByKey(...names: string[]): Promise<string[]> {
  const keyed = await Promise.all(names.map(async (name) => ({ name, key: await keyOf(name) })))
  return keyed.sort((a, b) => (a.key < b.key ? -1 : 1)).map(({ name }) => name)
}

export interface RawLink {
  readonly stream: Stream
  /** Whole messages received. */
  readonly messages: Buffer[]
  send(bytes: Uint8Array): void
}

/** Opens the sync stream by hand and completes both hellos, as the side with the smaller key does. */
export async function openRawLink(connection: Connection, hello = utf8('rogue hello')): Promise<RawLink> {
  const link = rawLinkOn(await connection.newStream(SYNC))
  link.send(frame(hello))
  await until(() => link.messages.length >= 2 || link.stream.status !== 'open', 'hello and acceptance')
  link.send(frame(new Uint8Array(0)))
  return link
}

export function rawLinkOn(stream: Stream): RawLink {
  const messages: Buffer[] = []
  let pending = Buffer.alloc(0)
  stream.addEventListener('message', (event) => {
    pending = Buffer.concat([pending, event.data.subarray()])
    while (pending.length >= 4 && pending.length >= 4 + pending.readUInt32BE(0)) {
      const end = 4 + pending.readUInt32BE(0)
      messages.push(pending.subarray(4, end))
      pending = pending.subarray(end)
    }
  })
  return { stream, messages, send: (bytes) => stream.send(bytes) }
}

export function frame(body: Uint8Array): Uint8Array {
  const header = Buffer.alloc(4)
  header.writeUInt32BE(body.length)
  return Buffer.concat([header, body])
}

export function varint(value: number): Buffer {
  const bytes: number[] = []
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return Buffer.from([...bytes, rest])
    bytes.push((rest % 128) | 128)
  }
}

/** One gossip RPC that publishes `data`, with the fields of signed messages as given. */
export function gossipFrame(data: Uint8Array, extra: { from?: Uint8Array } = {}): Buffer {
  const field = (tag: number, bytes: Uint8Array): Buffer =>
    Buffer.concat([varint(tag * 8 + 2), varint(bytes.length), bytes])
  const message = Buffer.concat([
    ...(extra.from === undefined ? [] : [field(1, extra.from)]),
    field(2, data),
    field(4, utf8(TOPIC))
  ])
  const rpc = field(2, message)
  return Buffer.concat([varint(rpc.length), rpc])
}

function listeningNoise(heard: Buffer[]) {
  const create = noise()
  return (components: Parameters<typeof create>[0]) => {
    const encrypter = create(components)
    // Recorded as others read it: a listener of our own would take bytes that came before the multiplexer listens.
    const listen = <T extends SecuredConnection>(secured: T): T => {
      const { connection } = secured
      const dispatch = connection.dispatchEvent.bind(connection)
      connection.dispatchEvent = (event: Event) => {
        if ('data' in event) heard.push(Buffer.from((event.data as Uint8Array).subarray()))
        return dispatch(event)
      }
      return secured
    }
    const outbound = encrypter.secureOutbound.bind(encrypter)
    const inbound = encrypter.secureInbound.bind(encrypter)
    encrypter.secureOutbound = async (connection, options) => listen(await outbound(connection, options))
    encrypter.secureInbound = async (connection, options) => listen(await inbound(connection, options))
    return encrypter
  }
}
