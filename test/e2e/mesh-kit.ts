// Meshes of real nodes for the end-to-end tests. Whatever a test started is killed and removed after it.

import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { removeWorkspacesOf } from '../../src/sandbox/workspaces.ts'
import { NodeHome, type Ran, type StartOptions, until } from './node-home.ts'

export { NodeHome, type Ran, until } from './node-home.ts'

const PROCESSES_MAX = 5

export class MeshKit {
  readonly folder: string
  readonly #nodes: NodeHome[] = []
  readonly #undo: (() => void)[] = []

  constructor(context: { after(step: () => Promise<void>): void }) {
    this.folder = mkdtempSync(join(tmpdir(), 'pm-'))
    context.after(() => this.#cleanUp())
  }

  /** A fresh 0700 home with that node name; nothing runs yet. */
  home(name: string): NodeHome {
    const folder = join(this.folder, name)
    mkdirSync(folder, { mode: 0o700 })
    writeFileSync(join(folder, 'config.toml'), `[node]\nname = "${name}"\n`, { mode: 0o600 })
    return this.adopt(name, folder)
  }

  /** A home that lies there already: a copy, a restored backup. */
  adopt(name: string, folder = join(this.folder, name)): NodeHome {
    const node = new NodeHome(name, folder, () => this.#count())
    this.#nodes.push(node)
    return node
  }

  async start(name: string, options: StartOptions = {}): Promise<NodeHome> {
    const node = this.home(name)
    await node.start(options)
    return node
  }

  /** The first founds, the others are invited by it; all are ready and connected to it. */
  async mesh(...names: readonly string[]): Promise<NodeHome[]> {
    const [first = 'ada', ...others] = names
    const founder = await this.start(first)
    const nodes = [founder]
    for (const name of others) nodes.push(await this.join(founder, name))
    await connected(nodes)
    return nodes
  }

  /** A new node that enters by an invite of `inviter`, and runs. */
  async join(
    inviter: NodeHome,
    name: string,
    options: { role?: 'observer' | 'member' | 'admin'; start?: StartOptions } = {}
  ): Promise<NodeHome> {
    const node = this.home(name)
    const { line } = await inviter.invite(options.role)
    const ran = await node.cli('join', line)
    assert.equal(ran.code, 0, `${name} joins: ${ran.stderr}`)
    await node.start(options.start)
    return node
  }

  /** Writes a file beside the homes; its path. */
  file(name: string, content: string | Uint8Array): string {
    const path = join(this.folder, name)
    writeFileSync(path, content, { mode: 0o600 })
    return path
  }

  /** Runs after the test, when no node runs any more and before the homes are removed. */
  undo(step: () => void): void {
    this.#undo.push(step)
  }

  #count(): void {
    const running = this.#nodes.filter((node) => node.running).length
    if (running >= PROCESSES_MAX) throw new Error(`a test may run ${PROCESSES_MAX} nodes at once`)
  }

  async #cleanUp(): Promise<void> {
    await Promise.all(this.#nodes.map((node) => node.kill()))
    for (const step of this.#undo) step()
    for (const node of this.#nodes) removeWorkspacesOf(node.folder)
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
  }
}

/** All are linked to each other. */
export async function connected(nodes: readonly NodeHome[]): Promise<void> {
  for (const node of nodes) {
    await until(`${node.name} is linked to all`, async () => {
      const linked = new Set((await node.members()).filter((member) => member.connected).map((member) => member.name))
      return nodes.every((other) => other === node || linked.has(other.name))
    })
  }
}

/** All hold the same chain ends, every chain of all verifies, and nobody lacks an event. */
export async function converged(nodes: readonly NodeHome[], unheard = 0): Promise<void> {
  await until('all hold the same', async () => {
    const heads = await Promise.all(nodes.map((node) => node.heads()))
    return heads.every((own) => own.join() === heads[0]?.join())
  })
  for (const node of nodes) await verified(node, unheard)
}

/** `log verify` over the socket: every chain of this node holds (M5). `unheard` members have written nothing yet. */
export async function verified(node: NodeHome, unheard = 0): Promise<void> {
  const report = async () => {
    const { chains } = await node.verify()
    const silent = chains.filter((chain) => chain.code === 'LOG_UNKNOWN' && chain.events === 0)
    return { silent, wrong: chains.filter((chain) => !chain.ok && !silent.includes(chain)) }
  }
  await until(`${node.name} has heard of all but ${unheard}`, async () => (await report()).silent.length === unheard)
  assert.deepEqual((await report()).wrong, [], `${node.name}’s chains verify`)
}

/** The error that a command printed with --json. */
export function errorOf(ran: Ran): { code: string; hint: string; message: string } {
  const line = ran.stderr.trim().split('\n').at(-1) ?? ''
  return JSON.parse(line)
}
