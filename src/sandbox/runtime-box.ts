// The box of macOS, and a second one for Linux: @anthropic-ai/sandbox-runtime, by argument array and with our own environment. It is slower than
// the box of Linux, shares shared-memory segments with the host and keeps helpers outside that a killed node leaves behind: the next node ends
// them. macOS was not tried; there a daemon leaves the process group and with it our reach.

import { randomUUID } from 'node:crypto'
import { chmodSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { SandboxManager } from '@anthropic-ai/sandbox-runtime'
import { MeshError, messageOf } from '../base/mesh-error.ts'
import type { BoxBackend, BoxRequest, StartedBox } from './box-backend.ts'
import { launcherArguments } from './box-launcher.ts'
import type { ControlGroup } from './control-group.ts'
import { isMissing } from './missing-file.ts'
import { isRunning } from './process-tree.ts'
import { type SandboxUser, SupervisedProcess } from './supervisor.ts'

const BASH = '/bin/bash'
const READABLE = {
  linux: [
    '/usr',
    '/bin',
    '/lib',
    '/lib64',
    '/etc/ssl/certs',
    '/etc/alternatives',
    '/etc/ld.so.cache',
    '/etc/localtime'
  ],
  darwin: ['/usr', '/bin', '/sbin', '/System', '/Library', '/private/etc/ssl', '/dev', '/opt/homebrew']
}
const RECORD_PATTERN = /^helpers-(\d+)\.json$/

/** Its manager is one per process. */
let open = false

export interface RuntimeBoxOptions {
  readonly user: SandboxUser | null
  /** For its own files: a folder that the sandbox's user may enter. */
  readonly folder: string
}

export class RuntimeBox implements BoxBackend {
  readonly text = 'sandbox-runtime'
  readonly profile: string
  readonly #user: SandboxUser | null
  readonly #folder: string

  private constructor({ user, folder }: RuntimeBoxOptions) {
    this.#user = user
    this.#folder = folder
    this.profile = JSON.stringify(['sandbox-runtime', launcherArguments(PROFILE_LIMITS), filesystem('', [], '', [])])
  }

  /** SANDBOX_UNAVAILABLE with the reason. */
  static async open(options: RuntimeBoxOptions): Promise<RuntimeBox> {
    if (open) throw new MeshError('SANDBOX_UNAVAILABLE', 'sandbox-runtime is open already in this process')
    if (process.platform !== 'linux' && process.platform !== 'darwin') {
      throw new MeshError('SANDBOX_UNAVAILABLE', `no box is known for ${process.platform}`, {
        hint: 'run commands on another member'
      })
    }
    open = true
    try {
      mkdirSync(options.folder, { recursive: true })
      chmodSync(options.folder, 0o755)
      sweepHelpers(options.folder)
      const vendor = copyVendor(options.folder)
      await SandboxManager.initialize({
        network: { allowedDomains: [], deniedDomains: [] },
        filesystem: filesystem(vendor, [], '', []),
        ...(process.platform === 'linux'
          ? { seccomp: { applyPath: join(vendor, 'seccomp', process.arch, 'apply-seccomp') } }
          : {})
      })
      recordHelpers(options.folder)
      return new RuntimeBox(options)
    } catch (cause) {
      open = false
      if (cause instanceof MeshError) throw cause
      throw new MeshError('SANDBOX_UNAVAILABLE', `sandbox-runtime does not start: ${messageOf(cause)}`, { cause })
    }
  }

  inside(workspace: string): string {
    return workspace
  }

  async start(request: BoxRequest, group: ControlGroup | null): Promise<StartedBox> {
    const folder = join(request.workspace, request.folder)
    // The library adds addresses and passwords of its proxies to the environment: nothing of it goes on.
    const environment = Object.entries(request.environment).map(([name, value]) => `${name}=${value}`)
    const launcher = ['/usr/bin/env', '-i', ...environment, BASH, '-p', '-c', ...launcherArguments(request.limits)]
    const command = [...launcher, ...request.argv].map(quoted).join(' ')
    const denied = request.readOnly.map((path) => join(request.workspace, path))
    const files = filesystem(join(this.#folder, 'vendor'), request.readable, request.workspace, denied)
    const wrapped = await SandboxManager.wrapWithSandboxArgv(
      `exec ${command}`,
      BASH,
      { filesystem: files },
      undefined,
      folder,
      { commandId: randomUUID() }
    )
    try {
      const supervised = await SupervisedProcess.start({
        argv: [...(group?.prefix ?? []), ...wrapped.argv],
        environment: request.environment,
        folder: request.workspace,
        user: this.#user,
        descriptors: []
      })
      group?.join(supervised.pid)
      void supervised.exited.then(() => SandboxManager.cleanupAfterCommand())
      return { process: supervised, begun: () => true }
    } catch (error) {
      SandboxManager.cleanupAfterCommand()
      throw error
    }
  }

  async close(): Promise<void> {
    await SandboxManager.reset()
    rmSync(join(this.#folder, `helpers-${process.pid}.json`), { force: true })
    open = false
  }
}

const PROFILE_LIMITS = { processes: 0, fileBytes: 0, addressBytes: 0, cpuSeconds: 0 }

function filesystem(vendor: string, readable: readonly string[], workspace: string, denied: readonly string[]) {
  const system = process.platform === 'darwin' ? READABLE.darwin : READABLE.linux
  const own = workspace === '' ? [] : [workspace]
  return {
    denyRead: ['/'],
    allowRead: [...system.filter((path) => existsSync(path)), ...(vendor === '' ? [] : [vendor]), ...readable, ...own],
    allowWrite: own,
    denyWrite: [...denied]
  }
}

/** The library runs its own programs inside the box: without a copy that the sandbox's user may read no command starts. */
function copyVendor(folder: string): string {
  const main = createRequire(import.meta.url).resolve('@anthropic-ai/sandbox-runtime')
  const copy = join(folder, 'vendor')
  cpSync(join(dirname(dirname(main)), 'vendor', 'seccomp'), join(copy, 'seccomp'), { recursive: true })
  return copy
}

/** A word for the shell that the library puts in between. */
function quoted(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`
}

/** Helpers outlive a killed node: what is ours stands in a file, and the next node ends it. */
function recordHelpers(folder: string): void {
  const sockets = [SandboxManager.getLinuxHttpSocketPath(), SandboxManager.getLinuxSocksSocketPath()]
  writeFileSync(
    join(folder, `helpers-${process.pid}.json`),
    JSON.stringify(sockets.filter((path) => path !== undefined))
  )
}

function sweepHelpers(folder: string): void {
  for (const name of readdirSync(folder)) {
    const owner = RECORD_PATTERN.exec(name)?.[1]
    if (owner === undefined || isRunning(Number(owner))) continue
    const path = join(folder, name)
    for (const socket of JSON.parse(readFileSync(path, 'utf8')) as string[]) {
      for (const pid of processesNaming(socket)) process.kill(pid, 'SIGKILL')
      rmSync(socket, { force: true })
    }
    rmSync(path, { force: true })
  }
}

/** `socat` processes of this user whose arguments name the socket. */
function processesNaming(socket: string): number[] {
  if (process.platform !== 'linux') return []
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        const line = readFileSync(`/proc/${pid}/cmdline`, 'latin1')
        return /(^|\/)socat\0/.test(line) && line.includes(socket)
      } catch (error) {
        if (isMissing(error)) return false
        throw error
      }
    })
}
