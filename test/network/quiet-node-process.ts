// The process that quiet-node.test.ts looks at: one network, alone; bootstrap addresses are its arguments.

import { systemClock, systemRandom } from '../../src/base/clock.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { tryKeyOfAddress } from '../../src/network/addresses.ts'
import { createMeshNetwork } from '../../src/network/mesh-network.ts'

const bootstrap = process.argv.slice(2)
const network = createMeshNetwork(
  {
    seed: new Uint8Array(32).fill(3),
    listen: ['/ip4/127.0.0.1/tcp/0'],
    door: ['/ip4/127.0.0.1/tcp/0'],
    bootstrap,
    topic: 'topic',
    mdns: false,
    mdnsServiceTag: '_pmesh-test._udp.local',
    websocket: false,
    relayServer: false,
    relayClient: false,
    holePunching: false,
    membersMax: 8
  },
  {
    hello: () => new Uint8Array(1),
    checkHello: () => true,
    peerUp: () => {},
    peerDown: () => {},
    message: () => {},
    writable: () => {},
    gossip: () => 'ignore',
    request: async (_peer, body) => body,
    door: async () => {},
    discovered: () => {}
  },
  { clock: systemClock, random: systemRandom, logger: silentLogger }
)
network.setAdmitted(new Set(bootstrap.map((address) => tryKeyOfAddress(address) ?? '')))
await network.start()
process.stdout.write('started\n')
