// Where everything of one node lies: the home folder, its files, and the local socket.
// A home is 0700 and owned by the user who runs the node; anything else is refused, never mended silently.

import { createHash } from 'node:crypto'
import { chmodSync, lstatSync, mkdirSync, type Stats, statSync } from 'node:fs'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { MeshError } from '../base/mesh-error.ts'

/** Absolute paths of one home (DESIGN §9). Nothing is created by naming them. */
export interface HomePaths {
  readonly home: string
  /** config.toml */
  readonly config: string
  /** agents.toml, with the sealed credentials. */
  readonly agents: string
  /** policy.toml */
  readonly policy: string
  readonly identityFolder: string
  /** identity/ed25519.key, sealed. */
  readonly identityKey: string
  /** identity/mesh.json */
  readonly meshFile: string
  /** secret.key: the key ring that seals the identity and the credentials. */
  readonly secretKey: string
  /** .secret_key of v0.1, only read. */
  readonly secretKeyV01: string
  readonly runFolder: string
  /** The socket's place when its path is short enough; `socketPath` decides. */
  readonly socket: string
  readonly store: string
  /** Own head beside the store (PROTOCOL §4). */
  readonly marker: string
  readonly workspaces: string
  readonly backups: string
  readonly logFile: string
}

/** The home of `--home`, else PMESH_HOME, else ~/.phantom-mesh. */
export function homePaths(override?: string, env: NodeJS.ProcessEnv = process.env): HomePaths {
  const home = resolve(override || env.PMESH_HOME || join(env.HOME || homedir(), '.phantom-mesh'))
  const identityFolder = join(home, 'identity')
  const runFolder = join(home, 'run')
  return {
    home,
    config: join(home, 'config.toml'),
    agents: join(home, 'agents.toml'),
    policy: join(home, 'policy.toml'),
    identityFolder,
    identityKey: join(identityFolder, 'ed25519.key'),
    meshFile: join(identityFolder, 'mesh.json'),
    secretKey: join(home, 'secret.key'),
    secretKeyV01: join(home, '.secret_key'),
    runFolder,
    socket: join(runFolder, 'pmesh.sock'),
    store: join(home, 'store'),
    marker: join(home, 'store.marker'),
    workspaces: join(home, 'workspaces'),
    backups: join(home, 'backups'),
    logFile: join(home, 'pmesh.log')
  }
}

/** Creates what is missing of the home (0700) and checks it. HOME_INVALID, HOME_EXPOSED. */
export function prepareHome(paths: HomePaths): void {
  makePrivateFolder(paths.home)
  for (const folder of [paths.identityFolder, paths.runFolder]) makePrivateFolder(folder)
}

/** Checks an existing home without creating anything; true when it is there. HOME_INVALID, HOME_EXPOSED. */
export function checkHome(paths: HomePaths): boolean {
  const stats = statSync(paths.home, { throwIfNoEntry: false })
  if (stats === undefined) return false
  checkPrivateFolder(paths.home, stats)
  return true
}

function makePrivateFolder(folder: string): void {
  try {
    const created = mkdirSync(folder, { recursive: true, mode: 0o700 })
    if (created !== undefined) chmodSync(folder, 0o700)
  } catch (cause) {
    throw new MeshError('HOME_INVALID', 'cannot create the folder', { details: { folder }, cause })
  }
  checkPrivateFolder(folder, statSync(folder))
}

function checkPrivateFolder(folder: string, stats: Stats): void {
  if (!stats.isDirectory()) throw new MeshError('HOME_INVALID', 'this is not a folder', { details: { folder } })
  if (process.platform === 'win32') return
  if (stats.uid !== process.getuid?.()) {
    throw new MeshError('HOME_INVALID', 'the folder belongs to another user', { details: { folder, owner: stats.uid } })
  }
  if ((stats.mode & 0o077) !== 0) {
    const mode = (stats.mode & 0o777).toString(8).padStart(4, '0')
    throw new MeshError('HOME_EXPOSED', `the folder is open to others (mode ${mode})`, {
      details: { folder },
      hint: `chmod 700 ${folder}`
    })
  }
}

export interface SocketPlace {
  readonly path: string
  /** True when the home's own path is too long for a socket and the runtime folder is used: say so. */
  readonly moved: boolean
}

/** sun_path without its NUL: 108 bytes on Linux, 104 on macOS and the BSDs. */
const SOCKET_PATH_BYTES_MAX = process.platform === 'linux' ? 107 : 103

/** The local socket: `override`, else the home's, else a name made of the home's hash in the runtime folder. SOCKET_FAILED, SOCKET_EXPOSED. */
export function socketPath(paths: HomePaths, override?: string, env: NodeJS.ProcessEnv = process.env): SocketPlace {
  if (override !== undefined && override !== '') {
    const path = resolve(override)
    if (!fitsSocket(path))
      throw new MeshError('SOCKET_FAILED', 'the path is too long for a socket', { details: { path } })
    return { path, moved: false }
  }
  if (fitsSocket(paths.socket)) return { path: paths.socket, moved: false }
  const name = `pmesh-${createHash('sha256').update(paths.home).digest('hex').slice(0, 16)}.sock`
  const path = join(runtimeFolder(name, env), name)
  if (!fitsSocket(path))
    throw new MeshError('SOCKET_FAILED', 'the path is too long for a socket', { details: { path } })
  return { path, moved: true }
}

function fitsSocket(path: string): boolean {
  return Buffer.byteLength(path) <= SOCKET_PATH_BYTES_MAX
}

function runtimeFolder(name: string, env: NodeJS.ProcessEnv): string {
  const runtime = env.XDG_RUNTIME_DIR
  if (runtime && fitsSocket(join(runtime, name)) && isPrivate(runtime)) return runtime
  const folder = `/tmp/pmesh-${process.getuid?.() ?? 0}`
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 })
  } catch (cause) {
    throw new MeshError('SOCKET_FAILED', 'cannot create the folder of the socket', { details: { folder }, cause })
  }
  // /tmp is everybody's: a folder or link that somebody else put there is refused, not followed.
  if (!isPrivate(folder)) {
    throw new MeshError('SOCKET_EXPOSED', 'the folder of the socket is not yours alone', { details: { folder } })
  }
  return folder
}

function isPrivate(folder: string): boolean {
  const stats = lstatSync(folder, { throwIfNoEntry: false })
  return stats?.isDirectory() === true && stats.uid === (process.getuid?.() ?? stats.uid) && (stats.mode & 0o077) === 0
}
