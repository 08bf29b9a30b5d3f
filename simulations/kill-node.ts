// The kill loop's victim in full: a node started by `pmesh node start` that takes appends over its socket, from several connections at once.

import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { fromHex } from '../src/base/bytes.ts'
import { systemClock, systemRandom } from '../src/base/clock.ts'
import { silentLogger } from '../src/base/logger.ts'
import { signingKeyFromSeed } from '../src/identity/ed25519.ts'
import { type MeshPreimage, meshIdOf, tryDecodeMeshPreimage } from '../src/identity/mesh-id.ts'
import { EventLog } from '../src/log/event-log.ts'
import { RpcClient } from '../src/rpc/rpc-client.ts'
import { openLevelStore } from '../src/store/open-level-store.ts'
import type { KillRound, OpenedKillLog, Victim } from './kill-loop.ts'
import type { Prng } from './prng.ts'

const PROGRAM = fileURLToPath(new URL('../bin/pmesh.js', import.meta.url))
const READY_MS_MAX = 30_000
const CONNECTIONS = 4
const EVENTS_PER_ROUND_MAX = 3000

/** Loopback, ports of the system's choice, nobody to find: the node has nothing to do but append. */
const CONFIG = `
[network]
listen = ["/ip4/127.0.0.1/tcp/0"]
door = ["/ip4/127.0.0.1/tcp/0"]
mdns = false
`

function program(home: string, ...args: readonly string[]): ChildProcess {
  return spawn(process.execPath, [PROGRAM, '--home', home, ...args], { stdio: ['ignore', 'ignore', 'pipe'] })
}

const ended = (child: ChildProcess): Promise<void> => new Promise((resolve) => child.once('close', () => resolve()))

async function prepare(home: string): Promise<void> {
  const init = program(home, 'init', '--name', 'victim', '--seal', 'key-file')
  await ended(init)
  if (init.exitCode !== 0) throw new Error(`pmesh init ended with ${init.exitCode}`)
  const path = join(home, 'config.toml')
  writeFileSync(path, readFileSync(path, 'utf8') + CONFIG)
}

async function connected(home: string, gone: () => boolean): Promise<RpcClient | null> {
  const deadline = performance.now() + READY_MS_MAX
  while (!gone() && performance.now() < deadline) {
    try {
      return await RpcClient.connect(join(home, 'run', 'pmesh.sock'))
    } catch {
      // The node is not there yet; what it lacks is the deadline's to say.
      await wait(20)
    }
  }
  return null
}

async function killOnce(home: string, round: number, random: Prng): Promise<KillRound> {
  const child = program(home, 'node', 'start')
  let [complaint, gone] = ['', false]
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    complaint += text
  })
  const closed = ended(child).then(() => {
    gone = true
  })
  const acknowledged: [string, string][] = []
  const isGone = (): boolean => gone
  const kill = async (afterMs: number): Promise<void> => {
    await wait(afterMs)
    child.kill('SIGKILL')
    await closed
  }
  if (round > 0 && random.chance(0.2)) {
    await kill(random.below(1500))
    return { acknowledged, ready: false, complaint: '' }
  }
  try {
    await appendWhileUp(home, acknowledged, isGone)
  } finally {
    await kill(random.below(300))
  }
  return { acknowledged, ready: acknowledged.length > 0, complaint: acknowledged.length > 0 ? '' : complaint }
}

/** Begins to append and returns when the first event is acknowledged; the callers go on until the node is gone. */
async function appendWhileUp(home: string, acknowledged: [string, string][], gone: () => boolean): Promise<void> {
  const clients = await Promise.all(Array.from({ length: CONNECTIONS }, () => connected(home, gone)))
  let failure: unknown = null
  for (const [index, client] of clients.entries()) {
    if (client === null) continue
    appendUntilGone(client, index, acknowledged, gone).catch((error: unknown) => {
      failure = error
    })
  }
  const deadline = performance.now() + READY_MS_MAX
  while (acknowledged.length === 0 && failure === null && !gone() && performance.now() < deadline) await wait(5)
  if (failure !== null) throw failure
}

async function appendUntilGone(
  client: RpcClient,
  caller: number,
  acknowledged: [string, string][],
  gone: () => boolean
): Promise<void> {
  try {
    for (let turn = 0; !gone(); turn++) {
      if (acknowledged.length > EVENTS_PER_ROUND_MAX) await wait(20)
      const items = Array.from({ length: 1 + (turn % 5) }, (_, index) => ({
        type: 'app-kill',
        json: JSON.stringify({ caller, turn, index, text: 'x'.repeat((turn * 37) % 900) })
      }))
      const { items: receipts } = await client.call('event/append', { items })
      for (const { id, epoch, seq } of receipts) acknowledged.push([`own ${epoch} ${seq}`, id])
    }
  } catch (error) {
    if (!gone()) await wait(50)
    if (!gone()) throw error
  }
}

/** Opens the log beside the node that is gone, with a key of no consequence: nothing is appended. */
async function open(home: string): Promise<OpenedKillLog> {
  const file = JSON.parse(readFileSync(join(home, 'identity', 'mesh.json'), 'utf8')) as { preimage: string }
  const preimage = tryDecodeMeshPreimage(fromHex(file.preimage)) as MeshPreimage
  const expectedMesh = meshIdOf(preimage)
  const store = await openLevelStore({
    folder: join(home, 'store'),
    backups: join(home, 'backups'),
    expectedMesh,
    logger: silentLogger
  })
  const key = signingKeyFromSeed(Buffer.alloc(32, 99))
  const log = await EventLog.open({
    store,
    preimage,
    key,
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
    pause: (ms) => wait(ms)
  })
  const close = async (): Promise<void> => {
    await log.close()
    await store.close()
  }
  return { log, own: Buffer.from(preimage.founder).toString('hex'), close }
}

export const nodeVictim: Victim = { prepare, killOnce, open }
