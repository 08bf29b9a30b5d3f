// One side of the gossip floor: gossip-process.ts write BYTES | read BYTES ADDRESS

import { createHash, randomBytes } from 'node:crypto'
import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { type GossipSub, gossipsub } from '@libp2p/gossipsub'
import { identify } from '@libp2p/identify'
import { tcp } from '@libp2p/tcp'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { publishFor } from '../live-pair.ts'

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

async function write(bytes: number): Promise<void> {
  const { node, pubsub } = await host()
  process.send?.({ address: node.getMultiaddrs()[0]?.toString(), seen: 0 })
  const body = randomBytes(bytes)
  const formed = meshed(pubsub)
  let issued = 0
  const publish = async () => {
    await formed
    const message = Buffer.from(body)
    message.writeUInt32BE(issued++, 0)
    await pubsub.publish(TOPIC, message)
    return issued
  }
  await publishFor(publish, () => issued, WINDOW)
}

async function read(address: string): Promise<void> {
  const { node, pubsub } = await host()
  await node.dial(multiaddr(address))
  await meshed(pubsub)
  let seen = 0
  let told = false
  pubsub.addEventListener('message', () => {
    seen++
    if (told) return
    told = true
    setImmediate(() => {
      told = false
      process.send?.({ seen })
    })
  })
  process.send?.({ ready: true })
}

const [role, bytes = '0', address = ''] = process.argv.slice(2)
if (role === 'write') await write(Number(bytes))
else await read(address)
