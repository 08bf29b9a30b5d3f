// How the root keys in secret.key are kept: bare in a 0600 file, under a passphrase (argon2id), or under a key in the system's keyring.

import { argon2Sync } from 'node:crypto'
import { xchacha20poly1305 } from '@noble/ciphers/chacha.js'
import { concatBytes, toHex, tryParseHex, utf8 } from '../base/bytes.ts'
import { systemRandom } from '../base/clock.ts'
import { MeshError } from '../base/mesh-error.ts'

export type SealMethod = 'key-file' | 'passphrase' | 'keyring'

/** Cost of argon2id; parallelism is 1. */
export interface PassphraseCost {
  readonly memoryKib: number
  readonly passes: number
}

export const PASSPHRASE_COST: PassphraseCost = { memoryKib: 65_536, passes: 3 }
const MEMORY_KIB_MAX = 4 * 1024 * 1024
const PASSES_MAX = 1000
const PASSPHRASE_LENGTH_MIN = 8
const NONCE_BYTES = 24
const SALT_BYTES = 16
const KEYRING_SERVICE = 'pmesh'
const KEYRING_WAIT_MS_MAX = 30_000

/** The operating system's keyring. Rejects where there is none. */
export interface KeyringPort {
  get(account: string): Promise<string | null>
  set(account: string, value: string): Promise<void>
}

/** What unlocks the key ring. */
export interface UnlockOptions {
  readonly passphrase?: string
  /** The system's own when left out. */
  readonly keyring?: KeyringPort
}

export interface SealOptions extends UnlockOptions {
  readonly seal: SealMethod
  /** Only tests lower it. */
  readonly cost?: PassphraseCost
}

/** What secret.key says of the wrapping, beside the keys. */
export type WrappingHeader =
  | { readonly seal: 'key-file' }
  | { readonly seal: 'passphrase'; readonly salt: string; readonly memoryKib: number; readonly passes: number }
  | { readonly seal: 'keyring'; readonly account: string }

/** `key` is null for bare keys. */
export interface Wrapping {
  readonly header: WrappingHeader
  readonly key: Uint8Array | null
}

/** A fresh wrapping. USAGE for a short passphrase, IDENTITY_LOCKED without one, KEYRING_UNAVAILABLE. */
export async function createWrapping(options: SealOptions): Promise<Wrapping> {
  if (options.seal === 'key-file') return { header: { seal: 'key-file' }, key: null }
  if (options.seal === 'keyring') {
    const account = toHex(systemRandom.bytes(8))
    const key = systemRandom.bytes(32)
    await withKeyring(options.keyring, (keyring) => keyring.set(account, toHex(key)))
    return { header: { seal: 'keyring', account }, key }
  }
  const { memoryKib, passes } = options.cost ?? PASSPHRASE_COST
  const passphrase = options.passphrase ?? ''
  if (passphrase.length < PASSPHRASE_LENGTH_MIN) {
    throw new MeshError('USAGE', `a passphrase has at least ${PASSPHRASE_LENGTH_MIN} characters`)
  }
  const header = { seal: 'passphrase', salt: toHex(systemRandom.bytes(SALT_BYTES)), memoryKib, passes } as const
  return { header, key: derivePassphraseKey(passphrase, header) }
}

/** The wrapping that a file names. IDENTITY_LOCKED when the passphrase or the keyring's entry is missing. */
export async function openWrapping(header: WrappingHeader, options: UnlockOptions): Promise<Wrapping> {
  if (header.seal === 'key-file') return { header, key: null }
  if (header.seal === 'passphrase') {
    if (options.passphrase === undefined)
      throw new MeshError('IDENTITY_LOCKED', 'the identity is sealed by a passphrase')
    return { header, key: derivePassphraseKey(options.passphrase, header) }
  }
  const text = await withKeyring(options.keyring, (keyring) => keyring.get(header.account))
  const key = tryParseHex(text ?? '', 32)
  if (key === null)
    throw new MeshError('IDENTITY_LOCKED', 'the keyring does not hold this identity’s key', {
      details: { account: header.account }
    })
  return { header, key }
}

function derivePassphraseKey(passphrase: string, header: WrappingHeader & { seal: 'passphrase' }): Uint8Array {
  return argon2Sync('argon2id', {
    message: utf8(passphrase.normalize('NFC')),
    nonce: Buffer.from(header.salt, 'hex'),
    parallelism: 1,
    tagLength: 32,
    memory: header.memoryKib,
    passes: header.passes
  })
}

/** Text of one root key for the file. */
export function wrapKey(wrapping: Wrapping, id: string, key: Uint8Array): string {
  if (wrapping.key === null) return toHex(key)
  const nonce = systemRandom.bytes(NONCE_BYTES)
  const wrapped = xchacha20poly1305(wrapping.key, nonce, wrapData(wrapping, id)).encrypt(key)
  return toHex(concatBytes([nonce, wrapped]))
}

/** The root key; `malformed` for a damaged file, `locked` when the wrapping does not open it. */
export function unwrapKey(wrapping: Wrapping, id: string, text: string): Uint8Array | 'malformed' | 'locked' {
  if (wrapping.key === null) return tryParseHex(text, 32) ?? 'malformed'
  const bytes = tryParseHex(text, NONCE_BYTES + 32 + 16)
  if (bytes === null) return 'malformed'
  try {
    return xchacha20poly1305(wrapping.key, bytes.subarray(0, NONCE_BYTES), wrapData(wrapping, id)).decrypt(
      bytes.subarray(NONCE_BYTES)
    )
  } catch {
    // the library throws for a wrong tag and for nothing else: lengths were checked
    return 'locked'
  }
}

function wrapData(wrapping: Wrapping, id: string): Buffer {
  return utf8(['pmesh-secret', '1', wrapping.header.seal, id].join('\0'))
}

/** The header inside a parsed secret.key; null when it is none of ours. */
export function tryReadWrappingHeader(record: Readonly<Record<string, unknown>>): WrappingHeader | null {
  const { seal, salt, memoryKib, passes, account } = record
  if (seal === 'key-file') return { seal }
  if (seal === 'keyring')
    return typeof account === 'string' && /^[0-9a-f]{16}$/.test(account) ? { seal, account } : null
  if (seal !== 'passphrase' || typeof salt !== 'string' || tryParseHex(salt, SALT_BYTES) === null) return null
  if (!isCount(memoryKib, 8, MEMORY_KIB_MAX) || !isCount(passes, 1, PASSES_MAX)) return null
  return { seal, salt, memoryKib, passes }
}

function isCount(value: unknown, min: number, max: number): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max
}

async function withKeyring<Result>(
  given: KeyringPort | undefined,
  use: (keyring: KeyringPort) => Promise<Result>
): Promise<Result> {
  try {
    return await use(given ?? (await loadSystemKeyring()))
  } catch (cause) {
    throw new MeshError('KEYRING_UNAVAILABLE', 'the system offers no keyring', { cause })
  }
}

async function loadSystemKeyring(): Promise<KeyringPort> {
  const { AsyncEntry } = await import('@napi-rs/keyring')
  const entry = (account: string) => new AsyncEntry(KEYRING_SERVICE, account)
  return {
    get: async (account) => (await entry(account).getPassword(AbortSignal.timeout(KEYRING_WAIT_MS_MAX))) ?? null,
    set: (account, value) => entry(account).setPassword(value, AbortSignal.timeout(KEYRING_WAIT_MS_MAX))
  }
}
