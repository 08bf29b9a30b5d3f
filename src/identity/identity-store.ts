// identity/ed25519.key: the node's key, sealed by secret.key (ID-1, ID-2, ID-3). It is created once, by a link that never replaces,
// and a file that is there but wrong is an error that names it: a new key would be another node.

import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { equalBytes, toHex, tryParseHex } from '../base/bytes.ts'
import { MeshError } from '../base/mesh-error.ts'
import { createFile, type FilePort, hasErrno, readPrivateFile, replaceFile, systemFiles } from './atomic-file.ts'
import { generateSigningKey, type SigningKey, signingKeyFromSeed } from './ed25519.ts'
import { parseRecord } from './json-record.ts'
import { createKeyRing, type KeyRingFile, loadKeyRing } from './key-ring-file.ts'
import type { SealOptions, UnlockOptions } from './key-wrapping.ts'
import type { KeyRing, SealPlace } from './seal.ts'

const FORMAT = 'pmesh-identity'
const VERSION = 1
const FILE_BYTES_MAX = 16_384
const RULES = { bytesMax: FILE_BYTES_MAX, exposed: 'IDENTITY_KEY_EXPOSED', invalid: 'IDENTITY_KEY_INVALID' } as const

/** Absolute paths; a `HomePaths` fits. */
export interface IdentityPlaces {
  readonly identityKey: string
  readonly secretKey: string
  readonly meshFile: string
}

/** The node's key and the ring that seals it and everything else at rest. */
export interface Identity {
  readonly key: SigningKey
  readonly keyRing: KeyRingFile
}

/** Whether there is a key file, sound or not. */
export function identityExists(places: IdentityPlaces): boolean {
  return readPrivateFile(places.identityKey, RULES) !== null
}

/**
 * Makes secret.key, unless it is there, and the identity key. `seed` only for a restore.
 * IDENTITY_KEY_INVALID when a key file is there, IDENTITY_MISSING when a mesh file is there without its key: that key is to be restored.
 */
export async function createIdentity(
  places: IdentityPlaces,
  options: SealOptions & { readonly seed?: Uint8Array },
  files: FilePort = systemFiles
): Promise<Identity> {
  if (
    options.seed === undefined &&
    readPrivateFile(places.meshFile, { ...RULES, bytesMax: Number.MAX_SAFE_INTEGER }) !== null
  ) {
    throw new MeshError('IDENTITY_MISSING', 'the mesh file is there, but the identity key is gone', {
      details: { file: places.identityKey },
      hint: 'Restore the key from a backup, or choose another --home.'
    })
  }
  mkdirSync(dirname(places.identityKey), { recursive: true, mode: 0o700 })
  const keyRing =
    (await loadKeyRing(places.secretKey, options)) ?? (await createKeyRing(places.secretKey, options, files))
  const key = options.seed === undefined ? generateSigningKey() : signingKeyFromSeed(options.seed)
  try {
    createFile(places.identityKey, encode(key, keyRing.ring), files)
  } catch (cause) {
    if (!hasErrno(cause, 'EEXIST')) throw cause
    throw invalid(places.identityKey, 'an identity key is already there', cause)
  }
  return { key, keyRing }
}

/** Reads the identity. IDENTITY_MISSING, IDENTITY_KEY_INVALID, IDENTITY_KEY_EXPOSED, IDENTITY_LOCKED, KEYRING_UNAVAILABLE. */
export async function loadIdentity(places: IdentityPlaces, options: UnlockOptions = {}): Promise<Identity> {
  const bytes = readPrivateFile(places.identityKey, RULES)
  if (bytes === null)
    throw new MeshError('IDENTITY_MISSING', 'there is no identity key', { details: { file: places.identityKey } })
  const record = parseRecord(bytes)
  if (record === null) throw invalid(places.identityKey, 'the key file is cut or damaged')
  if (record.format !== FORMAT || record.version !== VERSION) {
    throw invalid(places.identityKey, 'the key file is of another program or version')
  }
  const publicKey = typeof record.publicKey === 'string' ? tryParseHex(record.publicKey, 32) : null
  if (publicKey === null || typeof record.sealed !== 'string')
    throw invalid(places.identityKey, 'the key file is damaged')
  const keyRing = await loadKeyRing(places.secretKey, options)
  if (keyRing === null) {
    throw new MeshError('IDENTITY_LOCKED', 'the file that opens the identity key is missing', {
      details: { file: places.secretKey }
    })
  }
  const key = openKey(places, keyRing.ring, record.sealed, publicKey)
  if (!equalBytes(key.publicKey, publicKey))
    throw invalid(places.identityKey, 'the key file’s public key is another key’s')
  return { key, keyRing }
}

/** Loads the identity, or creates it where there is no key file at all. */
export async function openOrCreateIdentity(
  places: IdentityPlaces,
  options: SealOptions
): Promise<Identity & { readonly created: boolean }> {
  if (identityExists(places)) return { ...(await loadIdentity(places, options)), created: false }
  return { ...(await createIdentity(places, options)), created: true }
}

/** Writes the key file again, sealed by the ring's current key: a step of a rotation. */
export function resealIdentity(
  places: IdentityPlaces,
  key: SigningKey,
  ring: KeyRing,
  files: FilePort = systemFiles
): void {
  replaceFile(places.identityKey, encode(key, ring), files)
}

function placeOf(publicKeyHex: string): SealPlace {
  return { purpose: 'identity', name: [publicKeyHex] }
}

function encode(key: SigningKey, ring: KeyRing): Buffer {
  const seed = key.seed
  const sealed = ring.seal(placeOf(key.publicKeyHex), seed)
  seed.fill(0)
  return Buffer.from(
    `${JSON.stringify({ format: FORMAT, version: VERSION, publicKey: key.publicKeyHex, sealed }, null, 2)}\n`
  )
}

function openKey(places: IdentityPlaces, ring: KeyRing, sealed: string, publicKey: Uint8Array): SigningKey {
  const verdict = ring.open(placeOf(toHex(publicKey)), sealed)
  if (verdict.ok) {
    if (verdict.bytes.length !== 32) throw invalid(places.identityKey, 'the key file is damaged')
    return signingKeyFromSeed(verdict.bytes)
  }
  if (verdict.reason !== 'key-unknown') throw invalid(places.identityKey, 'the key file is cut or damaged')
  throw new MeshError('IDENTITY_LOCKED', 'the identity key was sealed by another secret.key', {
    details: { file: places.identityKey, secret: places.secretKey }
  })
}

function invalid(file: string, message: string, cause?: unknown): MeshError {
  return new MeshError('IDENTITY_KEY_INVALID', message, { details: { file }, cause })
}
