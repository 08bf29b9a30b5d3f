// Encodings that hide a text inside a text. Every decoder is linear, gives at most as many characters as it was given, and null
// when it found nothing to decode. Decoded bytes count only when they read as text.

import { isUtf8 } from 'node:buffer'

export interface Decoder {
  readonly name: string
  /** True where nobody encodes a text by this for honest transport within prose. */
  readonly disguise: boolean
  readonly decode: (text: string) => string | null
}

const RUN_LENGTH_MIN = 16
/** Lines of wrapped base64 are at least this long. */
const WRAPPED_LINE_MIN = 40
const BYTES_MIN = 8
const ASCII_RUN = /[\t\n\r\x20-\x7e]{12,}/g
const UNPRINTABLE = /[\p{Cc}\p{Co}\p{Cn}]/u
const LETTERS = /\p{L}\P{L}{0,3}\p{L}/u
const NAMED_ENTITIES: Readonly<Record<string, string>> = {
  lt: '<',
  gt: '>',
  amp: '&',
  quot: '"',
  apos: "'",
  nbsp: ' ',
  lbrack: '[',
  rbrack: ']',
  vert: '|',
  colon: ':',
  newline: '\n',
  num: '#'
}
const ESCAPES =
  /%[0-9a-f]{2}|&#[0-9]{1,7};?|&#x[0-9a-f]{1,6};?|&[a-z]{2,8};|\\u\{[0-9a-f]{1,6}\}|\\u[0-9a-f]{4}|\\x[0-9a-f]{2}|\\[nrt"'/]/gi

const BASE64_CLASS = new Uint8Array(128)
for (const character of 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_') {
  BASE64_CLASS[character.charCodeAt(0)] = 1
}

export const DECODERS: readonly Decoder[] = [
  { name: 'escapes', disguise: false, decode: decodeEscapes },
  { name: 'base64', disguise: true, decode: decodeBase64 },
  { name: 'hex', disguise: true, decode: decodeHex },
  { name: 'binary', disguise: true, decode: decodeBinary },
  { name: 'tag-characters', disguise: true, decode: decodeTagCharacters },
  { name: 'variation-selectors', disguise: true, decode: decodeVariationSelectors }
]

/** Bytes as text when they are text: UTF-8, or UTF-16 as Windows tools write it; null for anything else. */
function textOf(bytes: Buffer): string | null {
  if (bytes.length < BYTES_MIN) return null
  if (bytes[1] === 0 && bytes[3] === 0) return textual(bytes.toString('utf16le'))
  return isUtf8(bytes) ? textual(bytes.toString('utf8')) : null
}

function textual(text: string): string | null {
  const shown = text.replaceAll(/[\t\n\r]/g, ' ')
  return UNPRINTABLE.test(shown) || !LETTERS.test(shown) ? null : text
}

function decodeBase64(text: string): string | null {
  const found: string[] = []
  let index = 0
  while (index < text.length) {
    const run = base64Run(text, index)
    if (run.length >= RUN_LENGTH_MIN) found.push(...decodeBase64Run(run.characters))
    index = run.end + 1
  }
  return found.length === 0 ? null : found.join('\n')
}

/** The run of base64 characters from `start`, over line ends where the lines are long enough to be wrapped. */
function base64Run(text: string, start: number): { characters: string; length: number; end: number } {
  const parts: string[] = []
  let length = 0
  let lineStart = start
  let index = start
  for (;;) {
    while (index < text.length && isBase64(text.charCodeAt(index))) index++
    parts.push(text.slice(lineStart, index))
    length += index - lineStart
    const feed = text.charCodeAt(index) === 0x0d ? index + 1 : index
    const wrapped = index - lineStart >= WRAPPED_LINE_MIN && text.charCodeAt(feed) === 0x0a
    if (!wrapped || !isBase64(text.charCodeAt(feed + 1))) break
    lineStart = feed + 1
    index = lineStart
  }
  return { characters: length < RUN_LENGTH_MIN ? '' : parts.join(''), length, end: index }
}

function isBase64(unit: number): boolean {
  return BASE64_CLASS[unit] === 1
}

/** A run may begin with characters that belong to the text around it: all four alignments are tried. */
function decodeBase64Run(run: string): string[] {
  const pieces: string[] = []
  for (let shift = 0; shift < 4; shift++) {
    const bytes = Buffer.from(run.slice(shift), 'base64')
    const whole = textOf(bytes)
    if (whole !== null) return [whole]
    pieces.push(...(bytes.toString('latin1').match(ASCII_RUN) ?? []))
  }
  return pieces
}

function decodeHex(text: string): string | null {
  const found: string[] = []
  let digits: string[] = []
  const flush = () => {
    if (digits.length >= BYTES_MIN) {
      const run = digits.join('')
      const decoded = textOf(Buffer.from(run, 'hex')) ?? textOf(Buffer.from(run.slice(1, -1), 'hex'))
      if (decoded !== null) found.push(decoded)
    }
    digits = []
  }
  let index = 0
  while (index < text.length) {
    const mark = text.charCodeAt(index + 1) | 0x20
    const prefixed = mark === 0x78 && (text[index] === '0' || text[index] === '\\')
    const at = prefixed ? index + 2 : index
    if (isHexDigit(text.charCodeAt(at)) && isHexDigit(text.charCodeAt(at + 1))) {
      digits.push(text.slice(at, at + 2))
      index = at + 2
      while (index < at + 4 && isSeparator(text.charCodeAt(index))) index++
    } else {
      flush()
      index++
    }
  }
  flush()
  return found.length === 0 ? null : found.join('\n')
}

function isHexDigit(unit: number): boolean {
  const lower = unit | 0x20
  return (unit >= 0x30 && unit <= 0x39) || (lower >= 0x61 && lower <= 0x66)
}

function isSeparator(unit: number): boolean {
  return unit === 0x20 || unit === 0x2c || unit === 0x3a || unit === 0x2d || unit === 0x0a
}

function decodeBinary(text: string): string | null {
  const found: string[] = []
  let bytes: number[] = []
  const flush = () => {
    const decoded = textOf(Buffer.from(bytes))
    if (decoded !== null) found.push(decoded)
    bytes = []
  }
  let index = 0
  while (index < text.length) {
    const bits = text.charCodeAt(index) >> 1 === 0x18 ? text.slice(index, index + 8) : ''
    if (/^[01]{8}$/.test(bits)) {
      bytes.push(Number.parseInt(bits, 2))
      index += isSeparator(text.charCodeAt(index + 8)) ? 9 : 8
    } else {
      if (bytes.length > 0) flush()
      index++
    }
  }
  flush()
  return found.length === 0 ? null : found.join('\n')
}

/** Percent, HTML and backslash escapes, wherever they stand: the whole text with them undone. */
function decodeEscapes(text: string): string | null {
  const runs = text.replaceAll(/(?:%[0-9a-f]{2})+/gi, (run) => {
    const bytes = Buffer.from(run.replaceAll('%', ''), 'hex')
    return isUtf8(bytes) ? bytes.toString('utf8') : run
  })
  const decoded = runs.replaceAll(ESCAPES, (sequence) => unescaped(sequence))
  return decoded === text ? null : decoded
}

function unescaped(sequence: string): string {
  if (sequence.startsWith('%')) return String.fromCharCode(Number.parseInt(sequence.slice(1), 16))
  if (sequence.startsWith('&#')) {
    const hexadecimal = (sequence.charCodeAt(2) | 0x20) === 0x78
    return character(Number.parseInt(sequence.slice(hexadecimal ? 3 : 2), hexadecimal ? 16 : 10), sequence)
  }
  if (sequence.startsWith('&')) return NAMED_ENTITIES[sequence.slice(1, -1).toLowerCase()] ?? sequence
  const kind = sequence.charAt(1)
  if (kind === 'n' || kind === 'r') return '\n'
  if (kind === 't') return '\t'
  if ((kind === 'u' || kind === 'x' || kind === 'U' || kind === 'X') && sequence.length > 2) {
    return character(Number.parseInt(sequence.slice(2).replaceAll(/[{}]/g, ''), 16), sequence)
  }
  return kind
}

function character(code: number, otherwise: string): string {
  return code <= 0x10ffff ? String.fromCodePoint(code) : otherwise
}

/** Unicode tag characters spell ASCII invisibly. Flags of regions (a black flag, few tags, an end tag) are honest. */
function decodeTagCharacters(text: string): string | null {
  if (!/[\u{e0020}-\u{e007e}]/u.test(text)) return null
  const foreign = text.replaceAll(REGION_FLAGS, '')
  const letters = foreign.match(/[\u{e0020}-\u{e007e}]/gu) ?? []
  return letters.length < 4
    ? null
    : letters.map((tag) => String.fromCharCode((tag.codePointAt(0) ?? 0) - 0xe0000)).join('')
}

/** A flag of a region as emoji write it: a black flag, up to six tag letters, the end tag. */
export const REGION_FLAGS = /\u{1f3f4}[\u{e0020}-\u{e007e}]{1,6}\u{e007f}/gu

/** Variation selectors can carry one byte each. */
function decodeVariationSelectors(text: string): string | null {
  if (!/[\ufe00-\ufe0f\u{e0100}-\u{e01ef}]{8}/u.test(text)) return null
  const bytes: number[] = []
  for (const [selector] of text.matchAll(/[\ufe00-\ufe0f\u{e0100}-\u{e01ef}]/gu)) {
    const code = selector.codePointAt(0) ?? 0
    bytes.push(code < 0xe0100 ? code - 0xfe00 : code - 0xe0100 + 16)
  }
  return textOf(Buffer.from(bytes))
}
