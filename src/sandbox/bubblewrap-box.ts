// The box of Linux: bubblewrap with every namespace its own, a seccomp filter, an empty root, and a fixed launcher inside that sets limits and
// closes descriptors which this process itself inherited. bubblewrap waits until the box stands in its control group. Nothing of the host is
// there but /usr, a few files of /etc, the workspace, and what the caller names as readable.

import { spawnSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { closeSync, existsSync, lstatSync, openSync, readlinkSync, unlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { MeshError } from '../base/mesh-error.ts'
import { installAdvice, READ_ON } from './box-advice.ts'
import type { BoxBackend, BoxRequest, StartedBox } from './box-backend.ts'
import { launcherArguments } from './box-launcher.ts'
import type { ControlGroup } from './control-group.ts'
import { seccompFilter } from './seccomp-filter.ts'
import { type SandboxUser, SupervisedProcess } from './supervisor.ts'

const BOX_WORKSPACE = '/workspace'
const BOX_UID = '1000'
const TEMPORARY_BYTES_MAX = 64 * 1024 * 1024
const SHARED_MEMORY_BYTES_MAX = 16 * 1024 * 1024
const VERSION_MS_MAX = 5_000
const STATUS_BYTES_MAX = 64 * 1024

const SECCOMP = 3
const STATUS = 4
const BLOCK = 5

const HOST_FILES = [
  '/etc/alternatives',
  '/etc/ssl/certs',
  '/etc/ssl/openssl.cnf',
  '/etc/pki/tls/certs',
  '/etc/ld.so.cache',
  '/etc/ld.so.conf',
  '/etc/ld.so.conf.d',
  '/etc/localtime'
]
const SYSTEM_FOLDERS = ['/bin', '/sbin', '/lib', '/lib32', '/lib64', '/libx32']

export class BubblewrapBox implements BoxBackend {
  readonly text: string
  readonly #program: string
  readonly #user: SandboxUser | null
  readonly #filter: number
  readonly #system: readonly string[]

  private constructor(program: string, version: string, user: SandboxUser | null, filter: number) {
    this.text = `bubblewrap ${version} + seccomp`
    this.#program = program
    this.#user = user
    this.#filter = filter
    this.#system = systemArguments()
  }

  /** SANDBOX_UNAVAILABLE with the reason. Nothing is proven before a command ran in it. */
  static open(program: string, user: SandboxUser | null, options: { sharedSegments: boolean }): BubblewrapBox {
    const filter = seccompFilter(process.arch, options)
    if (filter === null) {
      throw new MeshError('SANDBOX_UNAVAILABLE', `no system call filter for ${process.arch}`, {
        hint: 'run commands on another member'
      })
    }
    if (!existsSync('/bin/bash')) {
      throw new MeshError('SANDBOX_UNAVAILABLE', '/bin/bash is missing', { hint: installAdvice('bash') })
    }
    return new BubblewrapBox(program, bubblewrapVersion(program), user, openUnnamed(filter))
  }

  /** What makes the box what it is, for its hash: the same on every machine with the same layout. */
  get profile(): string {
    return JSON.stringify([this.#arguments(PROFILE_REQUEST), this.#user === null ? 'self' : 'other user'])
  }

  /** SANDBOX_FAILED when it cannot be started. The program begins when the box stands in its group. */
  async start(request: BoxRequest, group: ControlGroup | null): Promise<StartedBox> {
    const filter = openSync(`/proc/self/fd/${this.#filter}`, 'r')
    let supervised: SupervisedProcess
    try {
      supervised = await SupervisedProcess.start({
        argv: [...(group?.prefix ?? []), this.#program, ...this.#arguments(request)],
        environment: request.environment,
        folder: '/',
        user: this.#user,
        descriptors: [filter, 'pipe', 'pipe']
      })
    } finally {
      closeSync(filter)
    }
    const status = followStatus(supervised)
    const first = await status.first
    if (first !== null) {
      supervised.include(first)
      group?.join(first)
    }
    status.release()
    return { process: supervised, begun: status.begun }
  }

  #arguments(request: BoxRequest): string[] {
    const { workspace, limits } = request
    const inside = (path: string): string => `${BOX_WORKSPACE}/${path}`
    return [
      ...['--unshare-user', '--unshare-all', '--disable-userns', '--die-with-parent', '--new-session'],
      ...['--uid', BOX_UID, '--gid', BOX_UID, '--hostname', 'box'],
      ...this.#system,
      ...['--size', String(TEMPORARY_BYTES_MAX), '--perms', '1777', '--tmpfs', '/tmp'],
      ...['--size', String(SHARED_MEMORY_BYTES_MAX), '--perms', '1777', '--tmpfs', '/dev/shm'],
      ...request.readable.flatMap((path) => ['--ro-bind', path, path]),
      ...['--bind', workspace, BOX_WORKSPACE],
      ...request.pinned.flatMap((path) => ['--bind', join(workspace, path), inside(path)]),
      ...request.readOnly.flatMap((path) => ['--ro-bind', join(workspace, path), inside(path)]),
      ...['--remount-ro', '/dev', '--remount-ro', '/', '--chdir', join(BOX_WORKSPACE, request.folder)],
      ...['--seccomp', String(SECCOMP), '--json-status-fd', String(STATUS), '--block-fd', String(BLOCK)],
      ...['--', '/bin/bash', '-p', '-c', ...launcherArguments(limits), ...request.argv]
    ]
  }

  inside(): string {
    return BOX_WORKSPACE
  }

  async close(): Promise<void> {
    closeSync(this.#filter)
  }
}

const PROFILE_REQUEST: BoxRequest = {
  argv: [],
  workspace: '',
  folder: '.',
  environment: {},
  readOnly: [],
  pinned: [],
  readable: [],
  limits: { processes: 0, fileBytes: 0, addressBytes: 0, cpuSeconds: 0 }
}

interface BoxStatus {
  /** The box's first process, as the host numbers it; null when there was none. */
  readonly first: Promise<number | null>
  readonly begun: () => boolean
  readonly release: () => void
}

/** What bubblewrap tells on its status pipe, and the pipe that it waits on. */
function followStatus(supervised: SupervisedProcess): BoxStatus {
  let text = ''
  const pipe = supervised.pipe(STATUS)
  const first = new Promise<number | null>((resolve) => {
    pipe.on('data', (bytes: Buffer) => {
      if (text.length < STATUS_BYTES_MAX) text += bytes.toString('latin1')
      const pid = /"child-pid":\s*(\d+)/.exec(text)?.[1]
      if (pid !== undefined) resolve(Number(pid))
    })
    pipe.once('close', () => resolve(null))
    pipe.on('error', () => resolve(null))
  })
  const block = supervised.pipe(BLOCK)
  // A box that ended before it was released reads nothing any more.
  block.on('error', () => block.destroy())
  return { first, begun: () => text.includes('"exit-code"'), release: () => block.end('1') }
}

function bubblewrapVersion(program: string): string {
  const { stdout, error } = spawnSync(program, ['--version'], { env: {}, encoding: 'utf8', timeout: VERSION_MS_MAX })
  const version = /(\d+\.\d+\.\d+)/.exec(stdout ?? '')?.[1]
  if (version !== undefined) return version
  throw new MeshError('SANDBOX_UNAVAILABLE', `bubblewrap is missing or does not run (${program})`, {
    hint: existsSync(program) ? READ_ON : installAdvice('bubblewrap'),
    cause: error
  })
}

function systemArguments(): string[] {
  const folders = SYSTEM_FOLDERS.filter((path) => existsSync(path)).flatMap((path) =>
    lstatSync(path).isSymbolicLink() ? ['--symlink', readlinkSync(path), path] : ['--ro-bind', path, path]
  )
  const files = HOST_FILES.filter((path) => existsSync(path)).flatMap((path) => ['--ro-bind', path, path])
  return ['--ro-bind', '/usr', '/usr', ...folders, ...files, '--proc', '/proc', '--dev', '/dev']
}

/** A file that has no name: each box opens it again, so that each reads from the start. */
function openUnnamed(bytes: Buffer): number {
  const path = join(tmpdir(), `.pmesh-filter-${randomUUID()}`)
  writeFileSync(path, bytes, { flag: 'wx', mode: 0o600 })
  try {
    return openSync(path, 'r')
  } finally {
    unlinkSync(path)
  }
}
