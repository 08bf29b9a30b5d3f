// The canary scan (ID-9): every byte of every file in a folder is searched for given secrets, raw and in the encodings that programs write.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

export interface CanaryHit {
  readonly file: string
  /** Which secret, by its place in the list: the hit itself must not print it. */
  readonly canary: number
  readonly encoding: string
}

/** A secret is found only whole: give at least 16 random bytes or letters. */
export type Canary = string | Uint8Array

const CANARY_BYTES_MIN = 8

/** Every hit in `folder` and below. `except` names files, relative to the folder, where a secret is meant to lie. */
export function scanForCanaries(
  folder: string,
  canaries: readonly Canary[],
  except: readonly string[] = []
): CanaryHit[] {
  const hits: CanaryHit[] = []
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name)
    const name = path.slice(folder.length + 1)
    for (const hit of scanBytes(Buffer.from(name), canaries)) hits.push({ file: `name of ${name}`, ...hit })
    if (!entry.isFile() || except.includes(name)) continue
    for (const hit of scanBytes(readFileSync(path), canaries)) hits.push({ file: name, ...hit })
  }
  return hits
}

/** Hits in one text or buffer: a log, an answer, an error. */
export function scanBytes(haystack: Uint8Array | string, canaries: readonly Canary[]): Omit<CanaryHit, 'file'>[] {
  const bytes = Buffer.from(haystack)
  const folded = Buffer.from(bytes.toString('latin1').toLowerCase(), 'latin1')
  return canaries.flatMap((canary, index) =>
    formsOf(canary)
      .filter(({ form, foldsCase }) => (foldsCase ? folded : bytes).includes(form))
      .map(({ encoding }) => ({ canary: index, encoding }))
  )
}

interface Form {
  readonly encoding: string
  readonly form: Buffer
  readonly foldsCase: boolean
}

function formsOf(canary: Canary): Form[] {
  const raw = Buffer.from(canary)
  if (raw.length < CANARY_BYTES_MIN) throw new RangeError('a canary this short is found everywhere')
  const form = (encoding: string, text: Buffer | string, foldsCase = false) => ({
    encoding,
    form: Buffer.from(text),
    foldsCase
  })
  const escaped = raw.toString('utf8').isWellFormed() ? JSON.stringify(raw.toString('utf8')).slice(1, -1) : ''
  return [
    form('raw', raw),
    form('hex', raw.toString('hex'), true),
    form('utf16', raw.toString('latin1').split('').join('\0')),
    form('percent', encodeURIComponent(raw.toString('latin1')), false),
    form('list of numbers', [...raw].join(',')),
    form('list of numbers, spaced', [...raw].join(', ')),
    ...(escaped === '' ? [] : [form('json', escaped)]),
    ...base64Forms(raw)
  ]
}

/** A secret inside a longer base64 text stands at one of three offsets; its first and last letters depend on the neighbours. */
function base64Forms(raw: Buffer): Form[] {
  const forms: Form[] = []
  for (const offset of [0, 1, 2]) {
    const text = Buffer.concat([Buffer.alloc(offset), raw])
      .toString('base64')
      .replaceAll('=', '')
    const inner = text.slice(Math.ceil((offset * 8) / 6), Math.floor(((offset + raw.length) * 8) / 6))
    const urlSafe = inner.replaceAll('+', '-').replaceAll('/', '_')
    for (const letters of new Set([inner, urlSafe])) {
      forms.push({ encoding: `base64 at offset ${offset}`, form: Buffer.from(letters), foldsCase: false })
    }
  }
  return forms
}
