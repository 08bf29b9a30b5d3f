// JSON as pmesh accepts it in payloads (CHAIN-8): one object, UTF-8, no duplicate keys, no lone surrogates, no −0, integers within ±(2^53 − 1),
// finite numbers, bounded depth. The bytes are checked, never rewritten: key order and Unicode normalisation stay as written.

import { isUtf8 } from 'node:buffer'
import { asBuffer } from '../base/bytes.ts'
import { LIMITS } from '../base/limits.ts'

const SPACE = 0x20
const QUOTE = 0x22
const BACKSLASH = 0x5c
const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d
const OPEN_ARRAY = 0x5b
const CLOSE_ARRAY = 0x5d
const COMMA = 0x2c
const COLON = 0x3a
const MINUS = 0x2d

class JsonFault extends Error {}

/** Null when `bytes` are one acceptable JSON object with optional white space around it; else the reason. */
export function jsonObjectFault(bytes: Uint8Array): string | null {
  if (!isUtf8(bytes)) return 'not valid UTF-8'
  const scanner = new JsonScanner(asBuffer(bytes))
  try {
    scanner.document()
    return null
  } catch (error) {
    if (error instanceof JsonFault) return error.message
    throw error
  }
}

/** Parses bytes that passed `jsonObjectFault`; null when they do not pass. */
export function tryParseJsonObject(bytes: Uint8Array): Readonly<Record<string, unknown>> | null {
  if (jsonObjectFault(bytes) !== null) return null
  const value: unknown = JSON.parse(asBuffer(bytes).toString('utf8'))
  return value as Record<string, unknown>
}

/** Keys of one object beyond this are looked up in a set. */
const KEYS_COMPARED_MAX = 16

class JsonScanner {
  readonly #bytes: Buffer
  #at = 0
  #depth = 0
  /** Beginnings and ends of the keys of the objects that are open, outermost first. */
  readonly #keyFrom: number[] = []
  readonly #keyTo: number[] = []

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  document(): void {
    this.#space()
    if (this.#bytes[this.#at] !== OPEN_OBJECT) throw new JsonFault('not a JSON object')
    this.#value()
    this.#space()
    if (this.#at !== this.#bytes.length) throw new JsonFault(`unexpected text at byte ${this.#at}`)
  }

  #space(): void {
    const bytes = this.#bytes
    let at = this.#at
    for (;;) {
      const byte = bytes[at]
      if (byte !== SPACE && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) break
      at++
    }
    this.#at = at
  }

  #value(): void {
    switch (this.#bytes[this.#at]) {
      case OPEN_OBJECT:
        return this.#object()
      case OPEN_ARRAY:
        return this.#array()
      case QUOTE:
        this.#string()
        return
      case 0x74:
        return this.#word('true')
      case 0x66:
        return this.#word('false')
      case 0x6e:
        return this.#word('null')
      default:
        return this.#number()
    }
  }

  #enter(): void {
    this.#at++
    this.#depth++
    if (this.#depth > LIMITS.jsonDepthMax) throw new JsonFault(`nested deeper than ${LIMITS.jsonDepthMax}`)
    this.#space()
  }

  #object(): void {
    this.#enter()
    if (this.#bytes[this.#at] === CLOSE_OBJECT) return this.#leave()
    const open = this.#keyFrom.length
    let texts: Set<string> | null = null
    for (;;) {
      const from = this.#at + 1
      const escaped = this.#key()
      const to = this.#at - 1
      if (texts === null && (escaped || this.#keyFrom.length - open >= KEYS_COMPARED_MAX)) texts = this.#keyTexts(open)
      if (texts === null ? this.#knowsKey(open, from, to) : texts.has(this.#keyText(from, to))) {
        throw new JsonFault(`duplicate key at byte ${from}`)
      }
      if (texts === null) {
        this.#keyFrom.push(from)
        this.#keyTo.push(to)
      } else texts.add(this.#keyText(from, to))
      this.#space()
      this.#expect(COLON)
      this.#space()
      this.#value()
      this.#space()
      if (this.#bytes[this.#at] === CLOSE_OBJECT) break
      this.#expect(COMMA)
      this.#space()
    }
    this.#keyFrom.length = open
    this.#keyTo.length = open
    this.#leave()
  }

  /** Compares with the keys so far without making text of them: most objects are small. */
  #knowsKey(open: number, from: number, to: number): boolean {
    const bytes = this.#bytes
    for (let index = open; index < this.#keyFrom.length; index++) {
      const other = this.#keyFrom[index] as number
      if ((this.#keyTo[index] as number) - other !== to - from) continue
      let at = from
      while (at < to && bytes[at] === bytes[other + at - from]) at++
      if (at === to) return true
    }
    return false
  }

  #keyTexts(open: number): Set<string> {
    const texts = new Set<string>()
    for (let index = open; index < this.#keyFrom.length; index++) {
      texts.add(this.#keyText(this.#keyFrom[index] as number, this.#keyTo[index] as number))
    }
    return texts
  }

  /** A key in one spelling: the latin1 text of its UTF-8 bytes after escapes. */
  #keyText(from: number, to: number): string {
    const raw = this.#bytes.toString('latin1', from, to)
    if (!raw.includes('\\')) return raw
    const text: unknown = JSON.parse(this.#bytes.toString('utf8', from - 1, to + 1))
    return Buffer.from(String(text), 'utf8').toString('latin1')
  }

  #leave(): void {
    this.#at++
    this.#depth--
  }

  #array(): void {
    this.#enter()
    if (this.#bytes[this.#at] === CLOSE_ARRAY) return this.#leave()
    for (;;) {
      this.#value()
      this.#space()
      if (this.#bytes[this.#at] === CLOSE_ARRAY) return this.#leave()
      this.#expect(COMMA)
      this.#space()
    }
  }

  /** True when it holds escapes. */
  #key(): boolean {
    if (this.#bytes[this.#at] !== QUOTE) throw new JsonFault(`expected a key at byte ${this.#at}`)
    return this.#string()
  }

  /** True when it holds escapes. */
  #string(): boolean {
    const bytes = this.#bytes
    let escaped = false
    let at = this.#at + 1
    for (;;) {
      const byte = bytes[at]
      if (byte === undefined || byte < SPACE) throw new JsonFault(`broken string at byte ${at}`)
      at++
      if (byte === QUOTE) break
      if (byte === BACKSLASH) {
        escaped = true
        this.#at = at
        this.#escape()
        at = this.#at
      }
    }
    this.#at = at
    return escaped
  }

  #escape(): void {
    const byte = this.#bytes[this.#at++]
    if (byte === 0x75) {
      const unit = this.#hex4()
      if (unit >= 0xdc00 && unit <= 0xdfff) throw new JsonFault(`lone surrogate at byte ${this.#at}`)
      if (unit >= 0xd800 && unit <= 0xdbff) {
        const low = this.#bytes[this.#at] === BACKSLASH && this.#bytes[this.#at + 1] === 0x75
        if (!low) throw new JsonFault(`lone surrogate at byte ${this.#at}`)
        this.#at += 2
        const second = this.#hex4()
        if (second < 0xdc00 || second > 0xdfff) throw new JsonFault(`lone surrogate at byte ${this.#at}`)
      }
      return
    }
    if (byte === undefined || !'"\\/bfnrt'.includes(String.fromCharCode(byte)))
      throw new JsonFault(`unknown escape at byte ${this.#at}`)
  }

  #hex4(): number {
    const text = this.#bytes.toString('latin1', this.#at, this.#at + 4)
    if (!/^[0-9a-fA-F]{4}$/.test(text)) throw new JsonFault(`broken escape at byte ${this.#at}`)
    this.#at += 4
    return Number.parseInt(text, 16)
  }

  #word(word: string): void {
    if (this.#bytes.toString('latin1', this.#at, this.#at + word.length) !== word)
      throw new JsonFault(`unexpected text at byte ${this.#at}`)
    this.#at += word.length
  }

  #digits(): number {
    const bytes = this.#bytes
    let at = this.#at
    for (;;) {
      const byte = bytes[at]
      if (byte === undefined || byte < 0x30 || byte > 0x39) break
      at++
    }
    const count = at - this.#at
    this.#at = at
    return count
  }

  #number(): void {
    const start = this.#at
    const bytes = this.#bytes
    if (bytes[this.#at] === MINUS) this.#at++
    const leadingZero = bytes[this.#at] === 0x30
    const whole = this.#digits()
    if (whole === 0 || (leadingZero && whole > 1)) throw new JsonFault(`unexpected text at byte ${start}`)
    let simple = true
    if (bytes[this.#at] === 0x2e) {
      simple = false
      this.#at++
      if (this.#digits() === 0) throw new JsonFault(`broken number at byte ${start}`)
    }
    if (bytes[this.#at] === 0x65 || bytes[this.#at] === 0x45) {
      simple = false
      this.#at++
      if (bytes[this.#at] === 0x2b || bytes[this.#at] === MINUS) this.#at++
      if (this.#digits() === 0) throw new JsonFault(`broken number at byte ${start}`)
    }
    if (simple && whole < 16 && !(leadingZero && bytes[start] === MINUS)) return
    const value = Number(bytes.toString('latin1', start, this.#at))
    if (Object.is(value, -0)) throw new JsonFault(`negative zero at byte ${start}`)
    if (!Number.isFinite(value)) throw new JsonFault(`number out of range at byte ${start}`)
    if (Number.isInteger(value) && !Number.isSafeInteger(value))
      throw new JsonFault(`integer above 2^53 − 1 at byte ${start}`)
  }

  #expect(byte: number): void {
    if (this.#bytes[this.#at] !== byte) throw new JsonFault(`expected ${String.fromCharCode(byte)} at byte ${this.#at}`)
    this.#at++
  }
}
