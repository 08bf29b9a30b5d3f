// All readings of a text that the patterns look at: normalised, split words joined, leetspeak, rot13, reversed, and the same again for
// whatever is encoded inside, two layers deep. Linear; the readings together stay within a constant times the text.

import { DECODERS } from './decode.ts'
import { normalise, stripInvisible } from './normalise.ts'

export interface TextForm {
  /** How the text was read: `normalised`, `split-words`, `base64`, `base64+reversed`, … */
  readonly name: string
  readonly text: string
  /** True where an honest text is not written so: an instruction found only here is an attack. */
  readonly disguise: boolean
  /** Offsets in the text as given for each unit of `text`; null where only the whole text can be pointed at. */
  readonly offsets: Uint32Array | null
}

const LAYERS_MAX = 2
const SPLIT_LETTERS_MIN = 5
const LEET_WORDS_MIN = 3
const LEET_WORD = /[a-z][013457@$!]{1,4}[a-z]/g
const LEET: Readonly<Record<string, string>> = {
  0: 'o',
  1: 'i',
  3: 'e',
  4: 'a',
  5: 's',
  7: 't',
  '@': 'a',
  $: 's',
  '!': 'i'
}
const LETTERS_MIN = 12

/** Every reading of `text`, the normalised one first. */
export function textForms(text: string): readonly TextForm[] {
  const forms: TextForm[] = []
  collect(forms, text, '', false, LAYERS_MAX)
  return forms
}

function collect(forms: TextForm[], text: string, path: string, disguise: boolean, layers: number): void {
  const plain = normalise(text)
  const name = (reading: string) => (path === '' ? reading : `${path}+${reading}`)
  const outermost = path === ''
  forms.push({
    name: outermost ? 'normalised' : path,
    text: plain.text,
    disguise,
    offsets: outermost ? plain.offsets : null
  })
  if (layers === 0) return
  const visible = stripInvisible(text)
  for (const [reading, read] of READINGS) {
    const other = read(reading === 'split-words' ? visible : plain.text)
    if (other !== null) forms.push({ name: name(reading), text: other, disguise: true, offsets: null })
  }
  for (const decoder of DECODERS) {
    const decoded = decoder.decode(decoder.name === 'base64' || decoder.name === 'hex' ? visible : text)
    if (decoded !== null) collect(forms, decoded, name(decoder.name), disguise || decoder.disguise, layers - 1)
  }
}

const READINGS: readonly (readonly [string, (text: string) => string | null])[] = [
  ['split-words', joinSplitWords],
  ['leetspeak', readLeetspeak],
  ['rot13', rot13],
  ['reversed', reversed]
]

/** `i g n o r e   a l l` and `i.g.n.o.r.e a.l.l` as words; null when nothing is split so. */
function joinSplitWords(text: string): string | null {
  const out: string[] = []
  let run: string[] = []
  let letters = 0
  let joined = false
  const flush = () => {
    if (letters >= SPLIT_LETTERS_MIN) {
      out.push(run.map((part) => part.replaceAll(/^\s$/gu, '').replaceAll(/\s{2,}/gu, ' ')).join(''))
      joined = true
    } else out.push(...run)
    run = []
    letters = 0
  }
  for (const [part] of text.matchAll(/\s+|\S+/gu)) {
    const dotted = undot(part)
    if (dotted !== null) {
      flush()
      out.push(dotted)
      joined = true
    } else if (/^\s/u.test(part) || [...part.slice(0, 3)].length === 1) {
      run.push(part)
      if (!/^\s/u.test(part)) letters++
    } else {
      flush()
      out.push(part)
    }
  }
  flush()
  return joined ? normalise(out.join('')).text : null
}

/** `i.g.n.o.r.e` without its dots; null when every second character is not the same mark. */
function undot(word: string): string | null {
  const mark = word.charAt(1)
  if (word.length < 3 || !'.-_*|/·,'.includes(mark)) return null
  let letters = ''
  let index = 0
  for (; index < word.length; index += 2) {
    letters += word.charAt(index)
    if (index + 1 < word.length && word.charAt(index + 1) !== mark)
      return index < 4 ? null : letters + word.slice(index + 1)
  }
  return letters
}

function readLeetspeak(text: string): string | null {
  const words = text.match(LEET_WORD)
  if (words === null || words.length < LEET_WORDS_MIN) return null
  return text.replaceAll(/[a-z0-9@$!]+/g, (word) => {
    if (!/[a-z]/.test(word) && word.length > 3) return word
    return word.replaceAll(/[013457@$]|!(?=[a-z0-9])/g, (sign) => LEET[sign] ?? sign)
  })
}

function rot13(text: string): string | null {
  if (!hasLetters(text)) return null
  const units = Buffer.from(text, 'utf16le')
  for (let index = 0; index < units.length; index += 2) {
    const unit = units[index] ?? 0
    if (units[index + 1] === 0 && unit >= 0x61 && unit <= 0x7a) units[index] = unit < 0x6e ? unit + 13 : unit - 13
  }
  return units.toString('utf16le')
}

function reversed(text: string): string | null {
  return hasLetters(text) ? Buffer.from(text, 'utf16le').swap16().reverse().toString('utf16le') : null
}

function hasLetters(text: string): boolean {
  let letters = 0
  for (let index = 0; index < text.length && letters < LETTERS_MIN; index++) {
    const unit = text.charCodeAt(index)
    if (unit >= 0x61 && unit <= 0x7a) letters++
  }
  return letters >= LETTERS_MIN
}
