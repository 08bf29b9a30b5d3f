// The socket's place on disk: its folder is this user's alone, a stale socket is removed, a live one never is (RPC-1).

import { lstat, mkdir, unlink } from 'node:fs/promises'
import { connect } from 'node:net'
import { dirname } from 'node:path'
import { MeshError } from '../base/mesh-error.ts'

/** Bytes of a socket path that the kernel takes: sun_path without its terminator. */
export const SOCKET_PATH_BYTES_MAX = process.platform === 'linux' ? 107 : 103

const PROBE_TIMEOUT_MS = 2_000
const GONE = new Set(['ENOENT', 'ECONNREFUSED'])

/** System error code of anything thrown, '' when it has none. */
export function systemCode(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''
}

/** SOCKET_FAILED when the kernel would cut the path short. */
export function checkSocketPath(path: string): void {
  const bytes = Buffer.byteLength(path)
  if (bytes <= SOCKET_PATH_BYTES_MAX) return
  throw new MeshError(
    'SOCKET_FAILED',
    `cannot use the socket: its path has ${bytes} bytes, ${SOCKET_PATH_BYTES_MAX} are possible`,
    {
      details: { socket: path }
    }
  )
}

/** Makes the folder (0700) when missing; SOCKET_EXPOSED when it is not a folder of this user's alone. */
export async function prepareSocketFolder(path: string): Promise<void> {
  const folder = dirname(path)
  await mkdir(folder, { recursive: true, mode: 0o700 })
  if (process.platform === 'win32') return
  const found = await lstat(folder)
  const mode = found.mode & 0o777
  const exposed = (why: string, hint: string) =>
    new MeshError('SOCKET_EXPOSED', `cannot open the socket: its folder ${why}`, { details: { folder }, hint })
  if (!found.isDirectory()) throw exposed('is not a folder', 'Remove it, or choose another path with --socket.')
  if (found.uid !== process.getuid?.())
    throw exposed('belongs to another user', 'Choose a folder of your own with --socket.')
  if ((mode & 0o077) !== 0)
    throw exposed(`is open to others (mode ${mode.toString(8).padStart(4, '0')})`, `chmod 700 ${folder}`)
}

/** True when something listens; false when nothing does or nothing is there. A listener that does not accept in time counts as live. */
export function isSocketLive(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect({ path })
    const answer = (live: boolean) => {
      clearTimeout(timer)
      probe.destroy()
      resolve(live)
    }
    const timer = setTimeout(() => answer(true), PROBE_TIMEOUT_MS)
    probe.once('connect', () => answer(true))
    probe.once('error', (error) => answer(!GONE.has(systemCode(error))))
  })
}

/** Removes a stale socket. NODE_RUNNING when it is live; SOCKET_FAILED when the path holds something else. */
export async function clearStaleSocket(path: string): Promise<void> {
  let found: Awaited<ReturnType<typeof lstat>>
  try {
    found = await lstat(path)
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return
    throw new MeshError('SOCKET_FAILED', 'cannot open the socket: its path cannot be read', {
      details: { socket: path },
      cause: error
    })
  }
  if (!found.isSocket()) {
    throw new MeshError('SOCKET_FAILED', 'cannot open the socket: a file that is not a socket is in its place', {
      details: { socket: path },
      hint: 'Move the file away, or choose another path with --socket.'
    })
  }
  if (await isSocketLive(path)) {
    throw new MeshError('NODE_RUNNING', 'cannot open the socket: a node listens on it', { details: { socket: path } })
  }
  await unlink(path).catch((error: unknown) => {
    if (systemCode(error) !== 'ENOENT') throw error
  })
}
