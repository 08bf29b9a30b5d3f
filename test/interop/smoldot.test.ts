// Our main host against smoldot, a libp2p in Rust that shares no code with ours: multistream-select, Noise, Yamux, identify and ping over plain
// TCP on loopback. smoldot has a new key at every start and is no member, so the gater is open here; everything else of the host is what a node
// runs. That the gater refuses such a peer is proved beside it, with the same foreign peer.

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { type TestContext, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { systemClock } from '../../src/base/clock.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { Gossip } from '../../src/network/gossip.ts'
import { privateKeyOf } from '../../src/network/host-parts.ts'
import { createMainHost, type MainHost } from '../../src/network/main-host.ts'
import { Penalties } from '../../src/network/penalties.ts'

const WAIT_MS = 30_000

type Connection = ReturnType<MainHost['getConnections']>[number]

interface Identity {
  readonly agentVersion?: string
  readonly protocols: readonly string[]
}

interface Identify {
  identify(connection: Connection, options: { readonly signal: AbortSignal }): Promise<Identity>
}

async function startHost(context: TestContext, admits: boolean): Promise<MainHost> {
  const gossip = new Gossip({
    topic: 'interop',
    penalties: new Penalties(systemClock, silentLogger),
    logger: silentLogger,
    validate: () => 'ignore',
    broken: () => undefined
  })
  const host = await createMainHost(
    {
      seed: randomBytes(32),
      listen: ['/ip4/127.0.0.1/tcp/0'],
      door: [],
      bootstrap: [],
      topic: 'interop',
      mdns: false,
      mdnsServiceTag: '_pmesh-interop._udp.local',
      websocket: false,
      relayServer: false,
      relayClient: false,
      holePunching: false,
      membersMax: 8
    },
    await privateKeyOf(randomBytes(32)),
    { admits: () => admits, gossip, onMismatch: () => undefined }
  )
  await host.start()
  context.after(async () => {
    const clearHeartbeat = gossip.beforeStop()
    await host.stop()
    clearHeartbeat()
  })
  return host
}

/** A light client whose only boot node is our host. */
function startSmoldot(context: TestContext, host: MainHost): void {
  const bootNodes = host.getMultiaddrs().map((address) => address.toString())
  const worker = new Worker(new URL('smoldot-worker.ts', import.meta.url), { workerData: { bootNodes } })
  context.after(() => worker.terminate())
}

async function until<T>(what: string, condition: () => T | undefined): Promise<T> {
  const deadline = performance.now() + WAIT_MS
  for (;;) {
    const value = condition()
    if (value !== undefined) return value
    if (performance.now() > deadline) throw new Error(`not within ${WAIT_MS} ms: ${what}`)
    await pause(20)
  }
}

test('a foreign libp2p completes Noise, Yamux, identify and ping with our main host', async (t) => {
  const host = await startHost(t, true)
  startSmoldot(t, host)
  const connection = await until('smoldot is connected', () => host.getConnections()[0])
  assert.equal(connection.direction, 'inbound')
  assert.equal(connection.encryption, '/noise')
  assert.equal(connection.multiplexer, '/yamux/1.0.0')
  const identity = await identify(host, connection)
  assert.match(identity.agentVersion ?? '', /smoldot/)
  assert.ok(identity.protocols.includes('/ipfs/ping/1.0.0'))
  const rttMs = await host.services.ping.ping(connection.remotePeer, { signal: AbortSignal.timeout(WAIT_MS) })
  assert.ok(rttMs >= 0 && rttMs < WAIT_MS)
  await until('smoldot pings too', () =>
    connection.streams.find((stream) => stream.direction === 'inbound' && stream.protocol === '/ipfs/ping/1.0.0')
  )
})

/** smoldot now and then drops a stream that is opened while it sets the connection up: asked again, as a person would. */
async function identify(host: MainHost, connection: Connection): Promise<Identity> {
  const { identify: service } = host.services as unknown as { identify: Identify }
  const deadline = performance.now() + WAIT_MS
  for (;;) {
    try {
      return await service.identify(connection, { signal: AbortSignal.timeout(3_000) })
    } catch (error) {
      if (performance.now() > deadline) throw error
    }
  }
}

test('MEMBER-1 the same foreign peer is given no multiplexer and no stream where its key is not admitted', async (t) => {
  const host = await startHost(t, false)
  const opened: Connection[] = []
  host.addEventListener('connection:open', (event) => void opened.push(event.detail))
  const refusals = { count: 0 }
  const gater = host as unknown as {
    components: { connectionGater: { denyInboundEncryptedConnection?: (...args: never[]) => boolean } }
  }
  const before = gater.components.connectionGater.denyInboundEncryptedConnection
  assert.ok(before !== undefined)
  gater.components.connectionGater.denyInboundEncryptedConnection = (...args) => {
    refusals.count += 1
    return before(...args)
  }
  startSmoldot(t, host)
  await until('smoldot came as far as Noise', () => (refusals.count > 0 ? true : undefined))
  assert.deepEqual(opened, [])
  assert.deepEqual(host.getConnections(), [])
})
