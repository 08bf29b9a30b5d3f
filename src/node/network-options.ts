// What the network is opened with: the node's configuration, and the mesh's secrets as names that tell nothing.

import { createHash, createHmac } from 'node:crypto'
import { LIMITS } from '../base/limits.ts'
import { parseAddress } from '../network/addresses.ts'
import type { NetworkOptions } from '../network/network-contract.ts'
import type { NodeInit } from './create-node.ts'

/** PEER_ADDRESS_INVALID. */
export function networkOptions(init: NodeInit, mesh: Uint8Array): NetworkOptions {
  const { network } = init.config
  for (const address of [...network.listen, ...network.door, ...network.announce]) parseAddress(address)
  const psk = init.psk ?? init.mesh.psk
  const topic = createHmac('sha256', init.mesh.meshSecret).update('pmesh topic 1').update(mesh).digest('hex')
  return {
    seed: init.identity.key.seed,
    listen: network.listen,
    door: network.door,
    announce: [],
    bootstrap: init.bootstrap,
    topic,
    mdns: network.mdns,
    mdnsServiceTag: `_pmesh-${createHash('sha256').update(init.mesh.meshSecret).update('mdns').digest('hex').slice(0, 16)}._udp.local`,
    websocket: network.websocket,
    relayServer: network.relay.server,
    relayClient: network.relay.client,
    holePunching: network.hole_punching,
    membersMax: LIMITS.membersMax,
    ...(psk === undefined ? {} : { psk }),
    ...(init.crowded === undefined ? {} : { test: init.crowded })
  }
}
