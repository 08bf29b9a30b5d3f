// Small files that are wholly old or wholly new after a crash, and are nobody else's to read.
// The port is where tests let a process die between any two steps.

import {
  closeSync,
  fstatSync,
  fsyncSync,
  linkSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { toHex } from '../base/bytes.ts'
import { systemRandom } from '../base/clock.ts'
import type { ErrorCode } from '../base/errors.ts'
import { MeshError } from '../base/mesh-error.ts'

/** The steps of an atomic write, each one system call as far as a crash can tell. */
export interface FilePort {
  /** Creates a new 0600 file with these bytes and fsyncs it. */
  create(path: string, bytes: Uint8Array): void
  rename(from: string, to: string): void
  /** Like rename, but fails with EEXIST when `to` is there. */
  link(from: string, to: string): void
  remove(path: string): void
  syncFolder(folder: string): void
}

export const systemFiles: FilePort = {
  create(path, bytes) {
    const file = openSync(path, 'wx', 0o600)
    try {
      for (let offset = 0; offset < bytes.length; ) offset += writeSync(file, bytes, offset)
      fsyncSync(file)
    } finally {
      closeSync(file)
    }
  },
  rename: renameSync,
  link: linkSync,
  remove: (path) => rmSync(path, { force: true }),
  syncFolder(folder) {
    // Windows cannot open a folder; its rename is durable by itself.
    if (process.platform === 'win32') return
    const handle = openSync(folder, 'r')
    try {
      fsyncSync(handle)
    } finally {
      closeSync(handle)
    }
  }
}

/** A temporary file this old belongs to a process that died. */
const TEMPORARY_AGE_MS_MAX = 60_000

/** Replaces `path` by one rename. Throws the error of the file system. */
export function replaceFile(path: string, bytes: Uint8Array, files: FilePort = systemFiles): void {
  const temporary = writeTemporary(path, bytes, files)
  files.rename(temporary, path)
  files.syncFolder(dirname(path))
}

/** Creates `path`; throws EEXIST when it is there, and then leaves it as it is. */
export function createFile(path: string, bytes: Uint8Array, files: FilePort = systemFiles): void {
  const temporary = writeTemporary(path, bytes, files)
  try {
    files.link(temporary, path)
  } finally {
    files.remove(temporary)
  }
  files.syncFolder(dirname(path))
}

function writeTemporary(path: string, bytes: Uint8Array, files: FilePort): string {
  removeStaleTemporaries(path)
  const temporary = join(dirname(path), `.${basename(path)}.${toHex(systemRandom.bytes(6))}.tmp`)
  files.create(temporary, bytes)
  return temporary
}

function removeStaleTemporaries(path: string): void {
  const prefix = `.${basename(path)}.`
  for (const name of readdirSync(dirname(path))) {
    if (!name.startsWith(prefix) || !name.endsWith('.tmp')) continue
    const temporary = join(dirname(path), name)
    const stats = statSync(temporary, { throwIfNoEntry: false })
    if (stats !== undefined && Date.now() - stats.mtimeMs > TEMPORARY_AGE_MS_MAX) rmSync(temporary, { force: true })
  }
}

export interface PrivateFileRules {
  readonly bytesMax: number
  /** Code when others can read or write the file. */
  readonly exposed: ErrorCode
  /** Code when it cannot be read, is no file, or is too large. */
  readonly invalid: ErrorCode
  /** For files without secrets: only writing by others is refused. */
  readonly othersMayRead?: boolean
}

/** The bytes of a file that only its owner may read; null when there is none. */
export function readPrivateFile(path: string, rules: PrivateFileRules): Buffer | null {
  const file = tryOpen(path, rules)
  if (file === null) return null
  try {
    const stats = fstatSync(file)
    if (!stats.isFile()) throw new MeshError(rules.invalid, 'this is not a file', { details: { file: path } })
    if (process.platform !== 'win32' && (stats.mode & (rules.othersMayRead === true ? 0o022 : 0o077)) !== 0)
      throw exposedError(path, stats.mode, rules)
    if (stats.size > rules.bytesMax) {
      throw new MeshError(rules.invalid, `the file is larger than ${rules.bytesMax} bytes`, { details: { file: path } })
    }
    return readFileSync(file)
  } finally {
    closeSync(file)
  }
}

function exposedError(path: string, mode: number, rules: PrivateFileRules): MeshError {
  const octal = (mode & 0o777).toString(8).padStart(4, '0')
  return new MeshError(rules.exposed, `file is open to others (mode ${octal})`, {
    details: { file: path },
    hint: `chmod 600 ${path}`
  })
}

function tryOpen(path: string, rules: PrivateFileRules): number | null {
  try {
    return openSync(path, 'r')
  } catch (cause) {
    if (hasErrno(cause, 'ENOENT')) return null
    throw new MeshError(rules.invalid, 'the file cannot be opened', { details: { file: path }, cause })
  }
}

/** Whether `error` is the file system's error with that errno name. */
export function hasErrno(error: unknown, name: string): boolean {
  return error instanceof Error && 'code' in error && error.code === name
}
