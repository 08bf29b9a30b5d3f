// A node for the benchmarks: the real log, replication and network on loopback, without home, configuration and local socket.

import { randomBytes } from 'node:crypto'
import { asBuffer, copyBytes } from '../src/base/bytes.ts'
import { systemClock, systemRandom } from '../src/base/clock.ts'
import { silentLogger } from '../src/base/logger.ts'
import { defaultRights, issueCertificate } from '../src/identity/certificate.ts'
import { type SigningKey, signingKeyFromSeed } from '../src/identity/ed25519.ts'
import { INSTANCE_BYTES, makeInstance } from '../src/log/beacon.ts'
import type { EventLog } from '../src/log/event-log.ts'
import { chainKeyOf } from '../src/log/statement.ts'
import { createMeshNetwork } from '../src/network/mesh-network.ts'
import type { MeshNetwork } from '../src/network/network-contract.ts'
import { ReplicationShell } from '../src/node/replication-shell.ts'
import { founderKey } from './bench-log.ts'

const WAIT_MS_MAX = 120_000

export const memberKey: SigningKey = signingKeyFromSeed(new Uint8Array(32).fill(9))

export interface BenchNode {
  readonly log: EventLog
  readonly network: MeshNetwork
  readonly shell: ReplicationShell
  /** Gossip messages that arrived. */
  gossipMessages(): number
  largestGossipBytes(): number
  stop(): Promise<void>
}

export interface BenchNodeOptions {
  /** Called when the other node’s hello is accepted. */
  readonly peerUp?: () => void
}

/** Starts a node on a log that is open. Founder and member admit each other and nobody else. */
export async function startBenchNode(
  log: EventLog,
  key: SigningKey,
  options: BenchNodeOptions = {}
): Promise<BenchNode> {
  const instance = makeInstance(Date.now(), randomBytes(8))
  let [gossipMessages, largestGossipBytes] = [0, 0]
  const network = createMeshNetwork(
    {
      seed: key.seed,
      listen: ['/ip4/127.0.0.1/tcp/0'],
      door: [],
      bootstrap: [],
      topic: 'pmesh-bench',
      mdns: false,
      mdnsServiceTag: '_pmesh-bench._udp.local',
      websocket: false,
      relayServer: false,
      relayClient: false,
      holePunching: false,
      membersMax: 8
    },
    {
      hello: () => helloOf(instance),
      checkHello: (peer, hello) => {
        hellos.set(peer, copyBytes(hello))
        return hello.length === INSTANCE_BYTES + 8
      },
      peerUp: (peer) => {
        options.peerUp?.()
        shell.step({ kind: 'peer-up', peer, key: peer, ...readHello(hellos.get(peer) as Uint8Array) })
      },
      peerDown: (peer) => shell.step({ kind: 'peer-down', peer }),
      message: (peer, bytes) => shell.message(peer, bytes),
      writable: (peer) => shell.step({ kind: 'writable', peer, writable: true }),
      gossip: (peer, data) => {
        gossipMessages++
        largestGossipBytes = Math.max(largestGossipBytes, data.length)
        return shell.gossip(peer, data)
      },
      request: () => Promise.reject(new Error('the benchmarks ask nothing')),
      door: () => Promise.reject(new Error('the benchmarks have no door')),
      discovered: () => undefined
    },
    { clock: systemClock, random: systemRandom, logger: silentLogger }
  )
  const hellos = new Map<string, Uint8Array>()
  const shell = new ReplicationShell({
    log,
    network: () => network,
    key,
    instance,
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
    markerFits: true,
    markerHead: null,
    stateChanged: ({ phase }) => log.setWriteMode(phase === 'ready' ? 'open' : 'held')
  })
  network.setAdmitted(
    new Set([founderKey.publicKeyHex, memberKey.publicKeyHex].filter((peer) => peer !== key.publicKeyHex))
  )
  await network.start()
  shell.start()
  const stop = async () => {
    shell.stop()
    await network.stop()
  }
  return {
    log,
    network,
    shell,
    gossipMessages: () => gossipMessages,
    largestGossipBytes: () => largestGossipBytes,
    stop
  }
}

function helloOf(instance: Uint8Array): Buffer {
  const time = Buffer.alloc(8)
  time.writeBigUInt64BE(BigInt(Date.now()))
  return Buffer.concat([instance, time])
}

function readHello(hello: Uint8Array): { instance: Uint8Array; timeMs: number } {
  const timeMs = Number(asBuffer(hello).readBigUInt64BE(INSTANCE_BYTES))
  return { instance: hello.subarray(0, INSTANCE_BYTES), timeMs }
}

/** The founder admits the member of the benchmarks. */
export async function admitMember(log: EventLog): Promise<void> {
  const role = 'member'
  const fields = {
    mesh: log.mesh,
    subject: memberKey.publicKey,
    rank: 1,
    role,
    rights: defaultRights(role),
    expiryMs: 0
  } as const
  await log.appendRecord({ type: 'member-admitted', certificate: issueCertificate(founderKey, fields), invite: null })
}

/** Last sequence number of the founder’s chain that is stored and durable. */
export function founderSeq(log: EventLog): number {
  return log.chains.get(chainKeyOf(founderKey.publicKeyHex, 0, 1))?.tips[0]?.lastSeq ?? 0
}

/** Resolves once the founder’s chain is stored up to `seq`. */
export function reached(log: EventLog, seq: number): Promise<void> {
  if (founderSeq(log) >= seq) return Promise.resolve()
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`the chain stands at ${founderSeq(log)} of ${seq}`)), WAIT_MS_MAX)
    const unlisten = log.onCommit(() => {
      if (founderSeq(log) < seq) return
      clearTimeout(late)
      unlisten()
      resolve()
    })
  })
}
