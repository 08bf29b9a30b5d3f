// One reading of a text for matching: NFKC, lower case, look-alikes folded, invisible characters dropped, white space collapsed.
// Linear in the text; the result is at most four times as long. Knows nothing of attacks or encodings (decode.ts, text-forms.ts).

import { LATIN_LOOKALIKES, SCRIPT_LOOKALIKES } from './confusables.ts'

export interface NormalisedText {
  readonly text: string
  /** For each UTF-16 unit of `text` the offset in the source where it comes from; null when the source had to be composed first. */
  readonly offsets: Uint32Array | null
}

/** Characters that no reader sees: zero-width, bidirectional controls, soft hyphen, variation selectors, tag characters. */
const INVISIBLE = /[\p{Default_Ignorable_Code_Point}\ufff9-\ufffb]/u
const ALL_INVISIBLE = new RegExp(INVISIBLE.source, 'gu')
/** Marks that NFC may join with the letter before: only then the text is composed, which costs the offsets. */
const COMPOSABLE = /[\u0300-\u036f\u0653-\u0655\u093c\u1160-\u11ff\u3099\u309a]/u
const MARKS = /[\u0300-\u036f]/gu
/** A single character becomes at most this many: some ligatures stand for whole phrases. */
const EXPANSION_MAX = 4
const MEMO_MAX = 16_384
const SPACE = 0x20
const NEWLINE = 0x0a

const memo = new Map<number, string>()

/** `text` without the characters that nobody sees. */
export function stripInvisible(text: string): string {
  return INVISIBLE.test(text) ? text.replaceAll(ALL_INVISIBLE, '') : text
}

/** The reading of `text` that patterns are matched against. */
export function normalise(text: string): NormalisedText {
  const source = COMPOSABLE.test(text) ? text.normalize('NFC') : text
  const writer = new FoldWriter(mostlyLatin(source))
  for (let index = 0; index < source.length; index++) {
    const code = source.codePointAt(index) ?? 0
    if (code < 0x80) writer.ascii(code, index)
    else writer.other(fold(code), index)
    if (code > 0xffff) index++
  }
  return { text: writer.finish(), offsets: source === text ? writer.offsets() : null }
}

class FoldWriter {
  readonly #latin: boolean
  readonly #units: number[] = []
  readonly #places: number[] = []
  #wordStart = 0
  #wordHasAscii = false
  #wordIsLookalike = true
  #wordNeedsFold = false

  constructor(latin: boolean) {
    this.#latin = latin
  }

  ascii(code: number, place: number): void {
    if (code <= SPACE || code === 0x7f) return this.#space(code === NEWLINE || code === 0x0d, place)
    const lower = code >= 0x41 && code <= 0x5a ? code + SPACE : code
    if (lower >= 0x61 && lower <= 0x7a) this.#wordHasAscii = true
    else if (lower < 0x30 || lower > 0x39) this.#endWord()
    this.#push(lower, place)
  }

  other(folded: string, place: number): void {
    for (let index = 0; index < folded.length; index++) {
      const unit = folded.charCodeAt(index)
      if (unit < 0x80) this.ascii(unit, place)
      else {
        if (SCRIPT_LOOKALIKES.has(folded)) this.#wordNeedsFold = true
        else this.#wordIsLookalike = false
        this.#push(unit, place)
      }
    }
  }

  finish(): string {
    this.#endWord()
    const parts: string[] = []
    for (let start = 0; start < this.#units.length; start += 8192) {
      parts.push(String.fromCharCode(...this.#units.slice(start, start + 8192)))
    }
    return parts.join('')
  }

  offsets(): Uint32Array {
    return Uint32Array.from(this.#places)
  }

  #push(unit: number, place: number): void {
    this.#units.push(unit)
    this.#places.push(place)
  }

  #space(newline: boolean, place: number): void {
    this.#endWord()
    const last = this.#units.length - 1
    if (last < 0) return
    if (this.#units[last] === SPACE || this.#units[last] === NEWLINE) {
      if (newline) this.#units[last] = NEWLINE
    } else this.#push(newline ? NEWLINE : SPACE, place)
    this.#wordStart = this.#units.length
  }

  /** A word with Latin letters, or wholly of look-alikes in a Latin text, is read as Latin; a Russian or Greek word stays. */
  #endWord(): void {
    if (this.#wordNeedsFold && (this.#wordHasAscii || (this.#wordIsLookalike && this.#latin))) {
      for (let index = this.#wordStart; index < this.#units.length; index++) {
        const letter = SCRIPT_LOOKALIKES.get(String.fromCharCode(this.#units[index] ?? 0))
        if (letter !== undefined) this.#units[index] = letter.charCodeAt(0)
      }
    }
    this.#wordStart = this.#units.length
    this.#wordHasAscii = false
    this.#wordIsLookalike = true
    this.#wordNeedsFold = false
  }
}

function fold(code: number): string {
  const known = memo.get(code)
  if (known !== undefined) return known
  const folded = foldCharacter(code)
  if (memo.size >= MEMO_MAX) memo.clear()
  memo.set(code, folded)
  return folded
}

function foldCharacter(code: number): string {
  if (code >= 0x1f1e6 && code <= 0x1f1ff) return String.fromCharCode(0x61 + code - 0x1f1e6)
  if (code >= 0x1f150 && code <= 0x1f169) return String.fromCharCode(0x61 + code - 0x1f150)
  if (code >= 0x1f170 && code <= 0x1f189) return String.fromCharCode(0x61 + code - 0x1f170)
  const character = String.fromCodePoint(code)
  if (INVISIBLE.test(character) || (code >= 0x300 && code <= 0x36f)) return ''
  if (code === 0x85 || code === 0x2028 || code === 0x2029) return '\n'
  const apart = character.normalize('NFKD')
  const first = apart.charCodeAt(0)
  const folded = (first < 0x80 ? apart.replaceAll(MARKS, '') : character.normalize('NFKC')).toLowerCase()
  return (LATIN_LOOKALIKES.get(folded) ?? folded).slice(0, EXPANSION_MAX)
}

function mostlyLatin(text: string): boolean {
  let latin = 0
  let other = 0
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index) | 0x20
    if (unit >= 0x61 && unit <= 0x7a) latin++
    else if (unit >= 0x370 && unit <= 0x58f) other++
  }
  return latin >= other
}
