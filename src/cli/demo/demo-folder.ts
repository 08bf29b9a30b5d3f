// The demo's folder and its nodes, and that nothing of them is left behind: not after a failure, not after a second Ctrl-C.

import { mkdtempSync, realpathSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { homePaths, socketPath } from '../../config/paths.ts'
import { removeWorkspacesOf } from '../../sandbox/workspaces.ts'
import { DemoNode } from './demo-node.ts'

export class DemoFolder {
  readonly path: string
  readonly nodes: DemoNode[] = []
  readonly #env: NodeJS.ProcessEnv
  #kept = false

  /** Makes the folder, 0700, where sockets of its homes have short paths. */
  constructor(env: NodeJS.ProcessEnv) {
    // A setting of the user's own node is none of the demo's.
    this.#env = Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith('PMESH_')))
    this.path = mkdtempSync(join(placeForHomes(env), 'pmesh-demo-'))
    process.on('exit', this.#removeAtOnce)
  }

  /** A node with a home of its own, not started. */
  add(name: string, options: { readonly program: string; readonly detached: boolean }): DemoNode {
    const node = new DemoNode({ ...options, name, folder: this.path, env: this.#env })
    this.nodes.push(node)
    return node
  }

  /** The nodes and homes stay when the demo ends. */
  keep(): void {
    this.#kept = true
    process.off('exit', this.#removeAtOnce)
    for (const node of this.nodes) node.release()
  }

  /** Ends the nodes; the homes stay. */
  async stop(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.stop()))
  }

  /** Ends the nodes and removes the homes, unless they are kept. */
  async remove(options: { readonly leaveHomes?: boolean } = {}): Promise<void> {
    if (this.#kept) return
    await this.stop()
    if (options.leaveHomes !== true) this.#removeHomes()
    process.off('exit', this.#removeAtOnce)
  }

  #removeAtOnce = (): void => {
    for (const node of this.nodes) node.kill()
    this.#removeHomes()
  }

  #removeHomes(): void {
    for (const { home } of this.nodes) removeWorkspacesOf(home)
    rmSync(this.path, { recursive: true, force: true, maxRetries: 3 })
  }
}

function placeForHomes(env: NodeJS.ProcessEnv): string {
  const places = [tmpdir(), '/tmp'].filter((place) => statSync(place, { throwIfNoEntry: false })?.isDirectory())
  const fits = (place: string) =>
    !socketPath(homePaths(join(place, 'pmesh-demo-XXXXXX', 'carol')), undefined, env).moved
  return realpathSync(places.find(fits) ?? tmpdir())
}
