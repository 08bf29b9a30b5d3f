// Floor of live batches: gossipsub between two nodes of one process, unsigned, with messages of the product's size.

import { createHash, randomBytes } from 'node:crypto'
import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { type GossipSub, gossipsub } from '@libp2p/gossipsub'
import { identify } from '@libp2p/identify'
import { tcp } from '@libp2p/tcp'
import { createLibp2p } from 'libp2p'

/** The class says more than its interface. */
type Pubsub = GossipSub & { getMeshPeers(topic: string): readonly string[] }

const TOPIC = 'gossip-floor'
const WINDOW = 64
const STALL_MS_MAX = 5000
const MESH_MS_MAX = 10_000

function host() {
  return createLibp2p({
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    transports: [tcp()],
    streamMuxers: [yamux()],
    connectionEncrypters: [noise()],
    services: {
      identify: identify(),
      pubsub: gossipsub({
        globalSignaturePolicy: 'StrictNoSign',
        msgIdFn: ({ data }) => createHash('sha256').update(data).digest().subarray(0, 20),
        allowPublishToZeroTopicPeers: true,
        emitSelf: false,
        floodPublish: false,
        fallbackToFloodsub: false
      })
    }
  })
}

/** Messages per second from one node to the other, at most 64 under way. */
export async function gossipFloor(messageBytes: number, ms: number): Promise<number> {
  const [from, to] = await Promise.all([host(), host()])
  try {
    const [publisher, reader] = [from.services.pubsub as Pubsub, to.services.pubsub as Pubsub]
    publisher.subscribe(TOPIC)
    reader.subscribe(TOPIC)
    await from.dial(to.getMultiaddrs())
    await until(() => publisher.getMeshPeers(TOPIC).length > 0 && reader.getMeshPeers(TOPIC).length > 0, MESH_MS_MAX)
    let received = 0
    reader.addEventListener('message', () => received++)
    const body = randomBytes(messageBytes)
    const start = performance.now()
    let sent = 0
    for (; performance.now() - start < ms; sent++) {
      await until(() => sent - received < WINDOW, STALL_MS_MAX)
      const message = Buffer.from(body)
      message.writeUInt32BE(sent, 0)
      await publisher.publish(TOPIC, message)
    }
    await until(() => received === sent, STALL_MS_MAX)
    return received / ((performance.now() - start) / 1000)
  } finally {
    await Promise.all([from.stop(), to.stop()])
  }
}

async function until(condition: () => boolean, msMax: number): Promise<void> {
  const start = performance.now()
  while (!condition()) {
    if (performance.now() - start > msMax) throw new Error('gossip stalls')
    await new Promise((resolve) => setImmediate(resolve))
  }
}
