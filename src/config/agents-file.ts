// agents.toml: providers, agents and their credentials. Credentials are sealed where they stand (`enc2:`), each bound to its place.
// Nothing here returns a ciphertext as a value, and plaintext keys are refused unless security.allow_plaintext names their place.

import { inspect } from 'node:util'
import { utf8 } from '../base/bytes.ts'
import { LIMITS } from '../base/limits.ts'
import { MeshError } from '../base/mesh-error.ts'
import { createFile, type FilePort, readPrivateFile, replaceFile, systemFiles } from '../identity/atomic-file.ts'
import { isSealed, type KeyRing, openSealedV01, type SealPlace, sealedKeyId } from '../identity/seal.ts'
import { isReference, substitute } from './substitution.ts'
import {
  parseToml,
  type TomlPath,
  type TomlTable,
  tomlStrings,
  tomlValueAt,
  withoutTomlKey,
  withTomlValues
} from './toml-document.ts'

/** Tables that hold credentials and are no provider: `credential set cluster cluster_secret`. */
const SECTIONS: ReadonlySet<string> = new Set(['core', 'cluster', 'telegram', 'slack', 'email', 'discord', 'webhook'])
const SECRET_FIELD = /^(?:.*_)?(?:api_?key|token|secret|password|passphrase|private_key)$/i
const NAME = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/

/** `sealed`: ours; `sealed-v01`: v0.1's; `plaintext`: to be sealed; `reference`: a `${NAME}`; `foreign`: another program's `enc:`. */
export type CredentialState = 'sealed' | 'sealed-v01' | 'plaintext' | 'reference' | 'foreign'

export interface CredentialRow {
  readonly provider: string
  readonly field: string
  /** Dotted path in the file, as security.allow_plaintext names it. */
  readonly place: string
  readonly state: CredentialState
}

export interface AgentsFileOptions {
  /** Places whose plaintext is allowed, from security.allow_plaintext. */
  readonly allowPlaintext?: readonly string[]
  /** 32 bytes of v0.1's `.secret_key`. */
  readonly keyV01?: Uint8Array | null
  readonly env?: NodeJS.ProcessEnv
  readonly files?: FilePort
}

/** Credentials at rest in `text`, in the file's order: sealed values anywhere, and fields named like a key, token, secret or password. */
export function scanCredentials(table: TomlTable): CredentialRow[] {
  const rows: CredentialRow[] = []
  for (const { path, text } of tomlStrings(table)) {
    const field = path.at(-1) ?? ''
    const named = SECRET_FIELD.test(field) && text !== ''
    const marked = text.startsWith('enc:') || isSealed(text)
    if (named || marked) rows.push({ provider: providerOf(path), field, place: path.join('.'), state: stateOf(text) })
  }
  return rows
}

function stateOf(text: string): CredentialState {
  if (text.startsWith('enc:')) return 'foreign'
  if (isSealed(text)) return sealedKeyId(text) === null ? 'sealed-v01' : 'sealed'
  return isReference(text) ? 'reference' : 'plaintext'
}

function providerOf(path: TomlPath): string {
  return path[0] === 'providers' && path.length === 3 ? (path[1] ?? '') : path.slice(0, -1).join('.')
}

/** Plaintext credentials that no name allows, for doctor (ID-8). */
export function countPlaintext(table: TomlTable, allowPlaintext: readonly string[] = []): number {
  return scanCredentials(table).filter((row) => row.state === 'plaintext' && !allowPlaintext.includes(row.place)).length
}

function pathOf(provider: string, field: string): TomlPath {
  if (!NAME.test(provider) || !NAME.test(field))
    throw new MeshError('USAGE', 'a provider and a field are words of letters, digits, - and _')
  return SECTIONS.has(provider) ? [provider, field] : ['providers', provider, field]
}

function sealPlaceOf(path: TomlPath): SealPlace {
  return { purpose: 'credential', name: path }
}

/** One agents.toml, read when it is asked. Shows no value in inspection or JSON. */
export class AgentsFile {
  readonly path: string
  readonly #ring: KeyRing
  readonly #options: AgentsFileOptions
  readonly #files: FilePort

  constructor(path: string, ring: KeyRing, options: AgentsFileOptions = {}) {
    this.path = path
    this.#ring = ring
    this.#options = options
    this.#files = options.files ?? systemFiles
  }

  /** The file's text; null when there is none. CONFIG_EXPOSED, CONFIG_INVALID. */
  readText(): string | null {
    const rules = { bytesMax: LIMITS.configBytesMax, exposed: 'CONFIG_EXPOSED', invalid: 'CONFIG_INVALID' } as const
    return readPrivateFile(this.path, rules)?.toString('utf8') ?? null
  }

  /** The parsed file; empty when there is none. Values are as they stand: sealed ones stay sealed. */
  readTable(): TomlTable {
    return parseToml(this.readText() ?? '', this.path)
  }

  /** Refuses plaintext keys (ID-8): CREDENTIAL_PLAINTEXT names the first place. */
  check(): void {
    for (const row of this.list()) if (row.state === 'plaintext') this.#refusePlaintext(row.place)
  }

  list(): CredentialRow[] {
    return scanCredentials(this.readTable())
  }

  /** Plaintext credentials that no name allows. */
  countPlaintext(): number {
    return countPlaintext(this.readTable(), this.#options.allowPlaintext)
  }

  /**
   * The opened value. CREDENTIAL_MISSING, CREDENTIAL_UNDECRYPTABLE, CREDENTIAL_FORMAT, CREDENTIAL_PLAINTEXT, each naming provider and field;
   * CONFIG_INVALID for a `${NAME}` that is not set.
   */
  credential(provider: string, field: string): string {
    const path = pathOf(provider, field)
    const text = tomlValueAt(this.readTable(), path)
    if (typeof text !== 'string' || text === '') {
      throw new MeshError('CREDENTIAL_MISSING', `there is no credential ${provider} ${field}`, {
        details: { provider, field }
      })
    }
    const state = stateOf(text)
    if (state === 'reference') return substitute(text, path.join('.'), this.#options.env ?? process.env)
    if (state !== 'plaintext') return this.#open(path, text)
    this.#refusePlaintext(path.join('.'))
    return text
  }

  /** Seals and writes a value, creating file and table where they are missing. */
  credentialSet(provider: string, field: string, value: string): void {
    const path = pathOf(provider, field)
    if (value === '' || Buffer.byteLength(value) > LIMITS.credentialBytesMax || !value.isWellFormed()) {
      throw new MeshError('USAGE', `a credential is 1 to ${LIMITS.credentialBytesMax} bytes of text`, {
        details: { provider, field }
      })
    }
    const sealed = this.#ring.seal(sealPlaceOf(path), utf8(value))
    this.edit((text) => withTomlValues(text, [{ path, value: sealed }], this.path))
  }

  /** Writes the file as `change` makes it from its text, '' where there is none yet. */
  edit(change: (text: string) => string): void {
    const text = this.readText()
    const edited = utf8(change(text ?? ''))
    if (text === null) createFile(this.path, edited, this.#files)
    else replaceFile(this.path, edited, this.#files)
  }

  /** Drops a value, sealed or not. CREDENTIAL_MISSING. */
  credentialRemove(provider: string, field: string): void {
    const path = pathOf(provider, field)
    const text = this.readText() ?? ''
    if (tomlValueAt(parseToml(text, this.path), path) === undefined) {
      throw new MeshError('CREDENTIAL_MISSING', `there is no credential ${provider} ${field}`, {
        details: { provider, field }
      })
    }
    replaceFile(this.path, utf8(withoutTomlKey(text, path, this.path)), this.#files)
  }

  /** Throws what opening any value would throw: before a rotation, which must not lose one. */
  openAll(): void {
    for (const { path, text } of tomlStrings(this.readTable())) if (isSealed(text)) this.#open(path, text)
  }

  /** Seals every sealed value, v0.1's too, with the ring's current key, in one rename. The number of values that changed. */
  resealAll(): number {
    const text = this.readText()
    if (text === null) return 0
    const changes: { path: TomlPath; value: string }[] = []
    for (const { path, text: value } of tomlStrings(parseToml(text, this.path))) {
      if (!isSealed(value) || sealedKeyId(value) === this.#ring.currentId) continue
      changes.push({ path, value: this.#ring.seal(sealPlaceOf(path), utf8(this.#open(path, value))) })
    }
    if (changes.length > 0) replaceFile(this.path, utf8(withTomlValues(text, changes, this.path)), this.#files)
    return changes.length
  }

  #open(path: TomlPath, text: string): string {
    const details = { provider: providerOf(path), field: path.at(-1) ?? '', file: this.path }
    const name = `${details.provider} ${details.field}`
    if (!isSealed(text))
      throw new MeshError('CREDENTIAL_FORMAT', `the credential ${name} is in another program’s form`, { details })
    const key = this.#options.keyV01
    const verdict =
      sealedKeyId(text) === null && key ? openSealedV01(text, key) : this.#ring.open(sealPlaceOf(path), text)
    if (verdict.ok) return Buffer.from(verdict.bytes).toString('utf8')
    throw new MeshError(
      'CREDENTIAL_UNDECRYPTABLE',
      `the credential ${name} does not open: ${REASONS[verdict.reason]}`,
      { details }
    )
  }

  #refusePlaintext(place: string): void {
    if (this.#options.allowPlaintext?.includes(place)) return
    throw new MeshError('CREDENTIAL_PLAINTEXT', `${place} holds a key in plain text`, {
      details: { place, file: this.path }
    })
  }

  [inspect.custom](): string {
    return `AgentsFile(${this.path})`
  }
}

const REASONS = {
  format: 'it is damaged, or sealed by v0.1 whose .secret_key is missing',
  'key-unknown': 'it was sealed by another secret.key',
  'not-authentic': 'it was changed, or moved from another place'
} as const

/** The 32 bytes of v0.1's `.secret_key`; null when there is none. CREDENTIAL_FORMAT when it is no 32 bytes of hex. */
export function readKeyV01(path: string): Uint8Array | null {
  const bytes = readPrivateFile(path, { bytesMax: 1024, exposed: 'CONFIG_EXPOSED', invalid: 'CREDENTIAL_FORMAT' })
  if (bytes === null) return null
  const text = bytes.toString('latin1').trim()
  if (!/^[0-9a-fA-F]{64}$/.test(text))
    throw new MeshError('CREDENTIAL_FORMAT', 'v0.1’s key file is not 32 bytes of hex', { details: { file: path } })
  return Buffer.from(text, 'hex')
}
