// Whole nodes in this process, on loopback, with real stores in temporary homes: faster than processes, and with a clock of the test's.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import type { Clock } from '../../src/base/clock.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { configSchema } from '../../src/config/config-schema.ts'
import { type HomePaths, homePaths, prepareHome } from '../../src/config/paths.ts'
import type { Role } from '../../src/identity/certificate.ts'
import { type Identity, openOrCreateIdentity } from '../../src/identity/identity-store.ts'
import { parseInvite } from '../../src/identity/invite.ts'
import { type MeshFile, saveMeshFile } from '../../src/identity/mesh-file.ts'
import { createNode, type MeshNode } from '../../src/node/create-node.ts'
import { foundMesh } from '../../src/node/found-mesh.ts'
import { requestAdmission } from '../../src/node/join-mesh.ts'
import type { EventRecord, NodeApi } from '../../src/node/node-api.ts'
import { createNodeService } from '../../src/node/node-service.ts'

const LOOPBACK = '/ip4/127.0.0.1/tcp/0'
const WAIT_MS = 30_000

export interface TestNode {
  readonly node: MeshNode
  readonly api: NodeApi
  readonly identity: Identity
}

interface Home {
  readonly paths: HomePaths
  readonly identity: Identity
}

export interface NodeOptions {
  readonly clock?: Clock
}

/** A home with an identity and no mesh. */
export async function makeHome(context: TestContext, name: string): Promise<Home> {
  const folder = mkdtempSync(join(tmpdir(), `pn-${name}-`))
  context.after(() => rmSync(folder, { recursive: true, force: true }))
  const paths = homePaths(join(folder, 'home'))
  prepareHome(paths)
  return { paths, identity: await openOrCreateIdentity(paths, { seal: 'key-file' }) }
}

export async function startFounder(context: TestContext, name: string, options: NodeOptions = {}): Promise<TestNode> {
  const home = await makeHome(context, name)
  const mesh = await foundMesh({ ...home, name: 'test', recovery: null, logger: silentLogger })
  return startNode(context, name, home, mesh, options)
}

export async function startJoiner(
  context: TestContext,
  inviter: TestNode,
  name: string,
  options: NodeOptions = {}
): Promise<TestNode> {
  const home = await makeHome(context, name)
  const { key, keyRing } = home.identity
  const { line } = await makeInvite(inviter, 'member')
  const mesh = await requestAdmission(parseInvite(line), key, name, AbortSignal.timeout(WAIT_MS), silentLogger)
  saveMeshFile(home.paths, keyRing.ring, mesh)
  return startNode(context, name, home, mesh, options)
}

export function makeInvite({ node }: TestNode, role: Role, expiresInMs = 600_000) {
  return node.invites.create({ role, name: '', expiresInMs, meshName: 'test', doors: node.network.addresses().door })
}

async function startNode(
  context: TestContext,
  name: string,
  home: Home,
  mesh: MeshFile,
  options: NodeOptions
): Promise<TestNode> {
  const config = configSchema.parse({
    node: { name },
    network: { listen: [LOOPBACK], door: [LOOPBACK], mdns: false, hole_punching: false, relay: { client: false } }
  })
  const node = await createNode({
    ...home,
    mesh,
    config,
    bootstrap: [],
    crowded: true,
    logger: silentLogger,
    ...options
  })
  context.after(() => node.stop())
  await node.start()
  const api = createNodeService({
    node,
    socket: '',
    sealedBy: 'key-file',
    shutDown: () => node.stop(),
    join: () => Promise.reject(new Error('not in this test'))
  })
  await api.waitReady(WAIT_MS, new AbortController().signal)
  return { node, api, identity: home.identity }
}

export async function eventsOf({ api }: TestNode): Promise<readonly EventRecord[]> {
  return (await api.query({ order: 'oldest', limit: 1000 })).items
}

/** Codes of the chains that do not verify. */
export async function faultsOf({ api }: TestNode): Promise<readonly (string | null)[]> {
  const { chains } = await api.verify(() => undefined, new AbortController().signal, null)
  return chains.filter((chain) => !chain.ok).map((chain) => chain.code)
}

export async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + WAIT_MS
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`not within ${WAIT_MS} ms: ${what}`)
    await pause(20)
  }
}
