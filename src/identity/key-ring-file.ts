// secret.key: the key ring on disk. Rotation is two writes of it: first with the new key as current and the old one beside it,
// then, once nothing is sealed by the old one any more, without it. Every value names its key, so a crash in between hurts nothing.

import { toHex } from '../base/bytes.ts'
import { systemRandom } from '../base/clock.ts'
import { MeshError } from '../base/mesh-error.ts'
import { createFile, type FilePort, hasErrno, readPrivateFile, replaceFile, systemFiles } from './atomic-file.ts'
import { parseRecord } from './json-record.ts'
import {
  createWrapping,
  openWrapping,
  type SealMethod,
  type SealOptions,
  tryReadWrappingHeader,
  type UnlockOptions,
  unwrapKey,
  type Wrapping,
  wrapKey
} from './key-wrapping.ts'
import { KeyRing, ROOT_KEY_BYTES, type RootKey } from './seal.ts'

const FORMAT = 'pmesh-secret'
const VERSION = 1
const KEYS_MAX = 8
const FILE_BYTES_MAX = 65_536

interface KeyRow {
  readonly id: string
  readonly key: string
}

/** An opened secret.key. */
export interface KeyRingFile {
  readonly path: string
  readonly ring: KeyRing
  readonly seal: SealMethod
  /** Whether an earlier rotation did not come to its end. */
  readonly rotating: boolean
  /** Adds a key and makes it current; the earlier ones still open what they sealed. */
  beginRotation(files?: FilePort): KeyRingFile
  /** Forgets the earlier keys. What they sealed is lost: the caller has re-sealed everything. */
  endRotation(files?: FilePort): KeyRingFile
}

/** Creates secret.key with one random key; never over an existing one. USAGE, KEYRING_UNAVAILABLE. */
export async function createKeyRing(
  path: string,
  options: SealOptions,
  files: FilePort = systemFiles
): Promise<KeyRingFile> {
  const wrapping = await createWrapping(options)
  const ring = new KeyRing(newRootKey())
  try {
    createFile(path, encode(wrapping, ring), files)
  } catch (cause) {
    if (!hasErrno(cause, 'EEXIST')) throw cause
    throw invalid(path, 'a key file is already there', cause)
  }
  return opened(path, wrapping, ring)
}

/** Reads secret.key; null when there is none. IDENTITY_KEY_INVALID, IDENTITY_KEY_EXPOSED, IDENTITY_LOCKED, KEYRING_UNAVAILABLE. */
export async function loadKeyRing(path: string, options: UnlockOptions = {}): Promise<KeyRingFile | null> {
  const text = readPrivateFile(path, {
    bytesMax: FILE_BYTES_MAX,
    exposed: 'IDENTITY_KEY_EXPOSED',
    invalid: 'IDENTITY_KEY_INVALID'
  })
  if (text === null) return null
  const record = parseRecord(text)
  if (record === null) throw invalid(path, 'the key file is cut or damaged')
  if (record.format !== FORMAT || record.version !== VERSION)
    throw invalid(path, 'the key file is of another program or version')
  const header = tryReadWrappingHeader(record)
  const rows = tryReadRows(record.keys)
  if (header === null || rows === null) throw invalid(path, 'the key file is damaged')
  const wrapping = await openWrapping(header, options)
  const keys = rows.map(({ id, key }) => ({ id, bytes: unwrapped(path, wrapping, id, key) }))
  const [current, ...earlier] = keys
  if (current === undefined) throw invalid(path, 'the key file holds no key')
  return opened(path, wrapping, new KeyRing(current, earlier))
}

function opened(path: string, wrapping: Wrapping, ring: KeyRing): KeyRingFile {
  const write = (next: KeyRing, files: FilePort): KeyRingFile => {
    replaceFile(path, encode(wrapping, next), files)
    return opened(path, wrapping, next)
  }
  return {
    path,
    ring,
    seal: wrapping.header.seal,
    rotating: ring.keyIds.length > 1,
    beginRotation: (files = systemFiles) => write(new KeyRing(newRootKey(), ring.exportKeys()), files),
    endRotation(files = systemFiles) {
      const current = ring.exportKeys().find((key) => key.id === ring.currentId)
      if (current === undefined) throw new MeshError('INTERNAL', 'the key ring lacks its current key')
      return write(new KeyRing(current), files)
    }
  }
}

function newRootKey(): RootKey {
  return { id: toHex(systemRandom.bytes(4)), bytes: systemRandom.bytes(ROOT_KEY_BYTES) }
}

function encode(wrapping: Wrapping, ring: KeyRing): Buffer {
  const keys = ring.exportKeys().map(({ id, bytes }) => ({ id, key: wrapKey(wrapping, id, bytes) }))
  return Buffer.from(`${JSON.stringify({ format: FORMAT, version: VERSION, ...wrapping.header, keys }, null, 2)}\n`)
}

function unwrapped(path: string, wrapping: Wrapping, id: string, text: string): Uint8Array {
  const key = unwrapKey(wrapping, id, text)
  if (key === 'malformed') throw invalid(path, 'the key file is damaged')
  if (key !== 'locked') return key
  const what =
    wrapping.header.seal === 'passphrase'
      ? 'the passphrase does not open the key file'
      : 'the keyring’s key does not open the key file'
  throw new MeshError('IDENTITY_LOCKED', what, { details: { file: path } })
}

function tryReadRows(value: unknown): KeyRow[] | null {
  if (!Array.isArray(value) || value.length === 0 || value.length > KEYS_MAX) return null
  const rows: KeyRow[] = []
  for (const row of value as unknown[]) {
    if (typeof row !== 'object' || row === null || !('id' in row) || !('key' in row)) return null
    const { id, key } = row
    if (typeof id !== 'string' || !/^[0-9a-f]{8}$/.test(id) || typeof key !== 'string') return null
    rows.push({ id, key })
  }
  return rows
}

function invalid(file: string, message: string, cause?: unknown): MeshError {
  return new MeshError('IDENTITY_KEY_INVALID', message, { details: { file }, cause })
}
