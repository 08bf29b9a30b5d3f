// Real nodes on loopback for the network tests: each member records what its handlers were told.

import { createHash } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import { toHex, utf8 } from '../../src/base/bytes.ts'
import { systemClock, systemRandom } from '../../src/base/clock.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { createMeshNetwork } from '../../src/network/mesh-network.ts'
import type { MeshNetwork, NetworkHandlers, NetworkOptions, PeerKey } from '../../src/network/network-contract.ts'

export const TOPIC = 'a1b2c3-topic-of-the-tests'
export const LOOPBACK = '/ip4/127.0.0.1/tcp/0'

export function seedOf(name: string): Uint8Array {
  return createHash('sha256').update(`network test ${name}`).digest()
}

export async function keyOf(name: string): Promise<PeerKey> {
  return toHex((await generateKeyPairFromSeed('Ed25519', seedOf(name))).publicKey.raw)
}

export interface Member {
  readonly key: PeerKey
  readonly network: MeshNetwork
  readonly ups: PeerKey[]
  readonly downs: PeerKey[]
  readonly refusals: PeerKey[]
  readonly messages: { peer: PeerKey; text: string; bytes: number }[]
  readonly gossip: { peer: PeerKey; text: string; bytes: number }[]
  readonly writables: PeerKey[]
  main(): string[]
}

export interface MemberSettings {
  readonly name: string
  readonly admitted?: Iterable<PeerKey>
  readonly options?: Partial<NetworkOptions>
  readonly handlers?: Partial<NetworkHandlers>
}

const running = new Set<MeshNetwork>()

export async function startMember(settings: MemberSettings): Promise<Member> {
  const key = await keyOf(settings.name)
  const records = {
    ups: [] as PeerKey[],
    downs: [] as PeerKey[],
    refusals: [] as PeerKey[],
    messages: [] as Member['messages'],
    gossip: [] as Member['gossip'],
    writables: [] as PeerKey[]
  }
  const network = createMeshNetwork(
    {
      seed: seedOf(settings.name),
      listen: [LOOPBACK],
      door: [],
      bootstrap: [],
      topic: TOPIC,
      mdns: false,
      mdnsServiceTag: '_pmesh-test._udp.local',
      websocket: false,
      relayServer: false,
      relayClient: false,
      holePunching: false,
      membersMax: 64,
      test: true,
      ...settings.options
    },
    {
      hello: () => utf8(`hello from ${settings.name}`),
      checkHello: () => true,
      peerUp: (peer) => records.ups.push(peer),
      peerDown: (peer) => records.downs.push(peer),
      refused: (peer) => records.refusals.push(peer),
      message: (peer, bytes) => records.messages.push({ peer, text: textOf(bytes), bytes: bytes.length }),
      writable: (peer) => records.writables.push(peer),
      gossip: (peer, bytes) => {
        records.gossip.push({ peer, text: textOf(bytes), bytes: bytes.length })
        return 'accept'
      },
      request: async (_peer, body) => body,
      door: async () => {},
      discovered: () => {},
      ...settings.handlers
    },
    { clock: systemClock, random: systemRandom, logger: silentLogger }
  )
  network.setAdmitted(new Set(settings.admitted ?? []))
  running.add(network)
  await network.start()
  return { key, network, ...records, main: () => network.addresses().main }
}

export async function stopMember(member: Member): Promise<void> {
  running.delete(member.network)
  await member.network.stop()
}

/** For `afterEach`: nothing outlives its test. */
export async function stopAll(): Promise<void> {
  const networks = [...running]
  running.clear()
  await Promise.all(networks.map((network) => network.stop()))
}

/** Two members that admit each other and are connected. */
export async function connectedPair(first: MemberSettings, second: MemberSettings): Promise<{ a: Member; b: Member }> {
  const admitted = [await keyOf(first.name), await keyOf(second.name)]
  const a = await startMember({ admitted, ...first })
  const b = await startMember({ admitted, ...second })
  await b.network.connect(a.main())
  await until(() => a.network.peers().length === 1 && a.ups.includes(b.key), 'a sees b')
  return { a, b }
}

export function gossips(member: Member, peers: number): boolean {
  return member.network.peers().filter((peer) => peer.gossip).length >= peers
}

export async function until(condition: () => boolean, what: string, timeoutMs = 10_000): Promise<void> {
  const deadline = Date.now() + timeoutMs
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`not within ${timeoutMs} ms: ${what}`)
    await pause(10)
  }
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.subarray(0, 200)).toString('latin1')
}
