// The gossip floor: gossip-process.ts BYTES MS. Two nodes in this process, one publishes to the other; says {count, seconds}.

import { createHash, randomBytes } from 'node:crypto'
import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { type GossipSub, gossipsub } from '@libp2p/gossipsub'
import { identify } from '@libp2p/identify'
import { tcp } from '@libp2p/tcp'
import { createLibp2p } from 'libp2p'

const TOPIC = 'gossip-floor'
const WINDOW = 64
const MESH_MS_MAX = 10_000

/** The class says more than its interface. */
type Pubsub = GossipSub & { getMeshPeers(topic: string): readonly string[] }

async function host() {
  const node = await createLibp2p({
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
  const pubsub = node.services.pubsub as Pubsub
  pubsub.subscribe(TOPIC)
  return { node, pubsub }
}

async function meshed(pubsub: Pubsub): Promise<void> {
  const deadline = performance.now() + MESH_MS_MAX
  while (pubsub.getMeshPeers(TOPIC).length === 0) {
    if (performance.now() > deadline) throw new Error('the gossip mesh does not form')
    await new Promise((resolve) => setImmediate(resolve))
  }
}

const pause = () => new Promise<void>((resolve) => setImmediate(resolve))

async function run(bytes: number, ms: number): Promise<void> {
  const [from, to] = [await host(), await host()]
  await to.node.dial(from.node.getMultiaddrs())
  await Promise.all([meshed(from.pubsub), meshed(to.pubsub)])
  let [sent, received] = [0, 0]
  to.pubsub.addEventListener('message', () => received++)
  const body = randomBytes(bytes)
  const start = performance.now()
  while (performance.now() - start < ms) {
    while (sent - received >= WINDOW) await pause()
    const message = Buffer.from(body)
    message.writeUInt32BE(sent++, 0)
    await from.pubsub.publish(TOPIC, message)
  }
  while (received < sent) await pause()
  process.send?.({ count: received, seconds: (performance.now() - start) / 1000 })
}

const [bytes = '0', ms = '0'] = process.argv.slice(2)
await run(Number(bytes), Number(ms))
