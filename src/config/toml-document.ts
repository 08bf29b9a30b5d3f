// Reading TOML and changing single values in it without touching comments or layout.
// Parser messages quote the file, credentials included: only line and column leave this module.

import { isDeepStrictEqual } from 'node:util'
import { parse as parsePatchable, patch, stringify } from '@decimalturn/toml-patch'
import { parse, TomlError } from 'smol-toml'
import { LIMITS } from '../base/limits.ts'
import { MeshError } from '../base/mesh-error.ts'

export type TomlTable = Readonly<Record<string, unknown>>

/** Keys from the root; array elements by their number. */
export type TomlPath = readonly string[]

/** CONFIG_INVALID with the file's name, the line, and for a table or key that is there twice its name. */
export function parseToml(text: string, file: string): TomlTable {
  if (Buffer.byteLength(text) > LIMITS.configBytesMax) {
    throw new MeshError('CONFIG_INVALID', `the file is larger than ${LIMITS.configBytesMax} bytes`, {
      details: { file }
    })
  }
  const twice = findDuplicateTables(text)[0]
  if (twice !== undefined) {
    throw new MeshError('CONFIG_INVALID', `the table [${twice.table}] is there twice`, {
      details: { file, line: twice.line }
    })
  }
  try {
    return parse(text)
  } catch (error) {
    if (!(error instanceof TomlError)) throw error
    // no cause: the parser's message holds a piece of the file
    throw new MeshError('CONFIG_INVALID', 'this is not TOML', {
      details: { file, line: error.line, column: error.column }
    })
  }
}

export interface DuplicateTable {
  readonly table: string
  /** From 1, of the second header. */
  readonly line: number
}

/** Tables whose header stands twice. Arrays of tables may repeat; headers under one are of its newest element. */
export function findDuplicateTables(text: string): DuplicateTable[] {
  const seen = new Set<string>()
  const duplicates: DuplicateTable[] = []
  for (const { table, line, array } of tableHeaders(text)) {
    if (array) {
      for (const name of seen) if (name.startsWith(`${table}.`)) seen.delete(name)
    } else if (seen.has(table)) {
      duplicates.push({ table, line })
    } else {
      seen.add(table)
    }
  }
  return duplicates
}

interface TableHeader {
  readonly table: string
  readonly line: number
  readonly array: boolean
}

/** Header lines outside multi-line strings. Lines of a multi-line array look like headers only if they hold a lone `[name]`. */
function* tableHeaders(text: string): Generator<TableHeader> {
  let quote: string | null = null
  let brackets = 0
  for (const [index, line] of text.split('\n').entries()) {
    const header = /^\s*(\[\[?)\s*([^[\]#=,]+?)\s*(\]\]?)\s*(?:#.*)?\r?$/.exec(line)
    if (quote === null && brackets === 0 && header?.[2] !== undefined) {
      yield {
        table: header[2].replaceAll(/\s*\.\s*/g, '.').replaceAll(/["']/g, ''),
        line: index + 1,
        array: header[1] === '[['
      }
      continue
    }
    for (const [token] of line.matchAll(/"""|'''|\\.|"(?:[^"\\]|\\.)*"|'[^']*'|#.*|[[\]]/g)) {
      if (quote !== null) quote = token === quote ? null : quote
      else if (token === '"""' || token === "'''") quote = token
      else if (token === '[') brackets++
      else if (token === ']') brackets = Math.max(0, brackets - 1)
    }
  }
}

/** The value at `path`; undefined where there is none. Own properties only. */
export function tomlValueAt(table: TomlTable, path: TomlPath): unknown {
  let value: unknown = table
  for (const key of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined
    value = (value as Record<string, unknown>)[key]
  }
  return value
}

/** Every string value with its path, in the file's order. */
export function* tomlStrings(
  value: unknown,
  path: TomlPath = []
): Generator<{ readonly path: TomlPath; readonly text: string }> {
  if (typeof value === 'string') yield { path, text: value }
  if (typeof value !== 'object' || value === null || value instanceof Date) return
  for (const [key, inner] of Object.entries(value)) yield* tomlStrings(inner, [...path, key])
}

/** The text with these values set. A missing table is added at the end. CONFIG_INVALID when the file's form does not allow it. */
export function withTomlValues(
  text: string,
  changes: readonly { readonly path: TomlPath; readonly value: unknown }[],
  file: string
): string {
  let edited = text
  for (const { path, value } of changes) edited = withTomlValue(edited, path, value, file)
  return edited
}

function withTomlValue(text: string, path: TomlPath, value: unknown, file: string): string {
  const updated = parsePatchable(text) as Record<string, unknown>
  setAt(updated, path, value, file)
  const table = path.slice(0, -1)
  const missing = table.length > 0 && ![...tableHeaders(text)].some((header) => header.table === table.join('.'))
  const appended = missing ? tryAppendTable(text, table, path.at(-1) ?? '', value) : null
  return checkedEdit(appended ?? patch(text, updated), path, value, file)
}

/** toml-patch would write a new nested table as a dotted key above all tables; people expect it at the end. */
function tryAppendTable(text: string, table: TomlPath, key: string, value: unknown): string | null {
  const header = table.map((part) => (/^[A-Za-z0-9_-]+$/.test(part) ? part : JSON.stringify(part))).join('.')
  const separator = text === '' ? '' : text.endsWith('\n') ? '\n' : '\n\n'
  const edited = `${text}${separator}[${header}]\n${stringify({ [key]: value }).trim()}\n`
  try {
    return tomlValueAt(parse(edited), table) === undefined ? null : edited
  } catch (error) {
    if (error instanceof TomlError) return null
    throw error
  }
}

/** The text without the key at `path`; as it is where there is none. */
export function withoutTomlKey(text: string, path: TomlPath, file: string): string {
  const key = path.at(-1)
  const updated = parsePatchable(text) as Record<string, unknown>
  const parent = tomlValueAt(updated, path.slice(0, -1))
  if (key === undefined || typeof parent !== 'object' || parent === null || !Object.hasOwn(parent, key)) return text
  delete (parent as Record<string, unknown>)[key]
  return checkedEdit(patch(text, updated), path, undefined, file)
}

/** The text without the table at `path` and the tables inside it; comments above its header and above the next one stay. */
export function withoutTomlTable(text: string, path: TomlPath, file: string): string {
  const name = path.join('.')
  const lines = text.split('\n')
  const headers = [...tableHeaders(text)]
  const kept = new Set(lines.keys())
  for (const [index, { table, line }] of headers.entries()) {
    if (table !== name && !table.startsWith(`${name}.`)) continue
    let end = (headers[index + 1]?.line ?? lines.length + 1) - 1
    while (end > line && /^\s*(?:#.*)?$/.test(lines[end - 1] ?? '')) end--
    for (let number = line - 1; number < end; number++) kept.delete(number)
  }
  if (kept.size === lines.length) return withoutTomlKey(text, path, file)
  const edited = lines.filter((_, number) => kept.has(number)).join('\n')
  return checkedEdit(edited, path, undefined, file)
}

function setAt(root: Record<string, unknown>, path: TomlPath, value: unknown, file: string): void {
  let table = root
  for (const key of path.slice(0, -1)) {
    const inner = Object.hasOwn(table, key) ? table[key] : undefined
    if (inner !== undefined && (typeof inner !== 'object' || inner === null)) {
      throw new MeshError('CONFIG_INVALID', `${path.join('.')} does not fit: ${key} is no table`, { details: { file } })
    }
    if (inner === undefined) table[key] = {}
    table = table[key] as Record<string, unknown>
  }
  table[path.at(-1) ?? ''] = value
}

function checkedEdit(edited: string, path: TomlPath, value: unknown, file: string): string {
  if (isDeepStrictEqual(plain(tomlValueAt(parseToml(edited, file), path)), plain(value))) return edited
  throw new MeshError('INTERNAL', `the edit of ${path.join('.')} did not take`, { details: { file } })
}

function plain(value: unknown): unknown {
  return value === undefined ? undefined : JSON.parse(JSON.stringify(value))
}
