// config.toml, merged with variables and flags. Every value knows where it came from; a security setting comes from the file alone.

import { inspect } from 'node:util'
import { utf8 } from '../base/bytes.ts'
import { LIMITS } from '../base/limits.ts'
import { MeshError } from '../base/mesh-error.ts'
import { createFile, readPrivateFile, replaceFile } from '../identity/atomic-file.ts'
import { CONFIG_KEYS, type ConfigValues, configSchema, SECURITY_SECTIONS } from './config-schema.ts'
import { hasReference, substitute } from './substitution.ts'
import { parseToml, type TomlTable, tomlStrings, tomlValueAt, withoutTomlKey, withTomlValues } from './toml-document.ts'

export type ConfigOrigin = 'default' | 'file' | 'env' | 'flag'

export interface ConfigRow {
  /** Dotted, as `network.listen`. */
  readonly key: string
  /** As written: references to variables are not resolved here, they may be secrets. */
  readonly shown: unknown
  readonly origin: ConfigOrigin
  /** The variable that sets it; null for a security setting. */
  readonly variable: string | null
}

export interface ConfigSources {
  readonly env?: NodeJS.ProcessEnv
  /** By dotted key, already of the right type. */
  readonly flags?: Readonly<Record<string, unknown>>
}

/** Merged settings. Inspection and JSON show them as written, references unresolved. */
export interface Config {
  readonly values: ConfigValues
  readonly rows: readonly ConfigRow[]
  originOf(key: string): ConfigOrigin
}

/** `PMESH_NETWORK_LISTEN` for `network.listen`; null for a security setting. */
export function configVariable(key: string): string | null {
  if (SECURITY_SECTIONS.has(key.split('.')[0] ?? '')) return null
  return `PMESH_${key.replaceAll('.', '_').toUpperCase()}`
}

/** Reads and merges. CONFIG_INVALID, CONFIG_KEY_UNKNOWN and CONFIG_EXPOSED name key and place. */
export function loadConfig(path: string, sources: ConfigSources = {}): Config {
  const env = sources.env ?? process.env
  const table = parseToml(readConfigText(path) ?? '', path)
  checkValues(structuredClone(withoutReferences(table)), path)
  refuseSecurityOutsideFile(table, sources, env, path)
  const merged: Record<string, unknown> = {}
  const rows = CONFIG_KEYS.map((key) => mergeOne(key, { table, env, flags: sources.flags ?? {}, merged }))
  const values = checkValues(merged, path)
  const complete = rows.map((row) => (row.origin === 'default' ? { ...row, shown: valueAt(values, row.key) } : row))
  const config: Config = {
    values,
    rows: complete,
    originOf: (key) => complete.find((row) => row.key === key)?.origin ?? 'default'
  }
  const shown = () => Object.fromEntries(complete.map((row) => [row.key, row.shown]))
  return Object.defineProperties(config, {
    values: { value: values, enumerable: false },
    toJSON: { value: shown, enumerable: false },
    [inspect.custom]: { value: shown, enumerable: false }
  })
}

interface MergeSources {
  readonly table: TomlTable
  readonly env: NodeJS.ProcessEnv
  readonly flags: Readonly<Record<string, unknown>>
  readonly merged: Record<string, unknown>
}

function mergeOne(key: string, { table, env, flags, merged }: MergeSources): ConfigRow {
  const path = key.split('.')
  const variable = configVariable(key)
  const fromEnv = variable === null ? undefined : env[variable]
  const fromFile = tomlValueAt(table, path)
  if (Object.hasOwn(flags, key)) {
    setAt(merged, path, flags[key])
    return { key, shown: flags[key], origin: 'flag', variable }
  }
  if (fromEnv !== undefined) {
    const value = parseConfigText(key, fromEnv)
    setAt(merged, path, value)
    return { key, shown: value, origin: 'env', variable }
  }
  if (fromFile === undefined) return { key, shown: undefined, origin: 'default', variable }
  setAt(merged, path, resolved(fromFile, key, env))
  return { key, shown: fromFile, origin: 'file', variable }
}

function resolved(value: unknown, key: string, env: NodeJS.ProcessEnv): unknown {
  if (typeof value === 'string') return substitute(value, key, env)
  if (Array.isArray(value)) return value.map((item, index) => resolved(item, `${key}.${index}`, env))
  return value
}

/** A value in its textual form: true/false, a number, a comma-separated list, or text. CONFIG_KEY_UNKNOWN, CONFIG_INVALID. */
export function parseConfigText(key: string, text: string): unknown {
  const example = valueAt(configSchema.parse({}), knownKey(key))
  if (typeof example === 'boolean') {
    if (text !== 'true' && text !== 'false')
      throw new MeshError('CONFIG_INVALID', `${key} is true or false`, { details: { key } })
    return text === 'true'
  }
  if (!Array.isArray(example)) return text
  return text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '')
}

/** Sets one value in the file, comments kept; the file is created where there is none. `text` as for `parseConfigText`. */
export function setConfigValue(path: string, key: string, text: string): void {
  const value = parseConfigText(key, text)
  const current = readConfigText(path)
  const edited = withTomlValues(current ?? '', [{ path: key.split('.'), value }], path)
  checkValues(withoutReferences(parseToml(edited, path)), path)
  if (current === null) createFile(path, utf8(edited))
  else replaceFile(path, utf8(edited))
}

/** Takes one value out of the file, so that its default counts again. */
export function unsetConfigValue(path: string, key: string): void {
  const current = readConfigText(path)
  if (current !== null) replaceFile(path, utf8(withoutTomlKey(current, knownKey(key).split('.'), path)))
}

/** Text of a commented config.toml for a fresh home: every setting with its default, all commented out. */
export function configTemplate(): string {
  const defaults = configSchema.parse({})
  const lines = ['# pmesh settings. Defaults are commented out; pmesh config show tells what counts and from where.']
  let section = ''
  for (const key of CONFIG_KEYS) {
    const table = key.slice(0, key.lastIndexOf('.'))
    if (table !== section) lines.push('', `[${table}]`)
    section = table
    lines.push(`# ${key.slice(table.length + 1)} = ${JSON.stringify(valueAt(defaults, key))}`)
  }
  return `${lines.join('\n')}\n`
}

function readConfigText(path: string): string | null {
  const rules = {
    bytesMax: LIMITS.configBytesMax,
    exposed: 'CONFIG_EXPOSED',
    invalid: 'CONFIG_INVALID',
    othersMayRead: true
  } as const
  return readPrivateFile(path, rules)?.toString('utf8') ?? null
}

function knownKey(key: string): string {
  if (CONFIG_KEYS.includes(key)) return key
  throw new MeshError('CONFIG_KEY_UNKNOWN', `there is no setting ${key}`, { details: { key } })
}

function checkValues(table: unknown, file: string): ConfigValues {
  const result = configSchema.safeParse(table)
  if (result.success) return result.data
  const issue = result.error.issues[0]
  const unknown = issue?.code === 'unrecognized_keys' ? issue.keys[0] : undefined
  const key = [...(issue?.path ?? []).map(String), ...(unknown === undefined ? [] : [unknown])].join('.')
  if (unknown !== undefined)
    throw new MeshError('CONFIG_KEY_UNKNOWN', `there is no setting ${key}`, { details: { file, key } })
  throw new MeshError('CONFIG_INVALID', `${key}: ${issue?.message ?? 'not valid'}`, { details: { file, key } })
}

/** For the check of the file alone, before variables are known: strings with references pass as their type's default would. */
function withoutReferences(table: TomlTable): unknown {
  const copy = structuredClone(table) as Record<string, unknown>
  for (const { path, text } of tomlStrings(table)) {
    if (hasReference(text)) setAt(copy, path, valueAt(configSchema.parse({}), path.join('.')) ?? '/reference')
  }
  return copy
}

function refuseSecurityOutsideFile(
  table: TomlTable,
  sources: ConfigSources,
  env: NodeJS.ProcessEnv,
  file: string
): void {
  for (const key of CONFIG_KEYS.filter((name) => configVariable(name) === null)) {
    const variable = `PMESH_${key.replaceAll('.', '_').toUpperCase()}`
    const referenced = [...tomlStrings(tomlValueAt(table, key.split('.')))].some(({ text }) => hasReference(text))
    if (env[variable] === undefined && !referenced && !Object.hasOwn(sources.flags ?? {}, key)) continue
    throw new MeshError('CONFIG_INVALID', `${key} is a security setting: only the file sets it`, {
      details: { file, key }
    })
  }
}

function valueAt(table: object, key: string): unknown {
  return tomlValueAt(table as TomlTable, key.split('.'))
}

function setAt(root: Record<string, unknown>, path: readonly string[], value: unknown): void {
  let table = root
  for (const key of path.slice(0, -1)) {
    if (typeof table[key] !== 'object' || table[key] === null) table[key] = {}
    table = table[key] as Record<string, unknown>
  }
  table[path.at(-1) ?? ''] = value
}
