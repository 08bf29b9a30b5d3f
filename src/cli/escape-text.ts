// Makes foreign text safe to show: control characters, terminal escapes, marks that turn the direction of writing and half
// characters come out as \x1b or \u202e. The log's types, texts and names are written by others.

const UNSAFE = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]/gu
const UNSAFE_IN_JSON = /[\u007f-\u009f\p{Zl}\p{Zp}\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]/gu
/** What cannot be seen or is not what it looks like: blanks of every width, marks without a shape, private and unassigned characters. */
const UNSEEN = /[\p{Cf}\p{Co}\p{Cn}\p{Zs}\p{Default_Ignorable_Code_Point}\u2800]/gu
const NAMED: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' }

const hex = (character: string, length: number) => character.charCodeAt(0).toString(16).padStart(length, '0')

/** One line of harmless text. Applying it twice changes nothing more. */
export function escapeText(text: string): string {
  return text.replaceAll(UNSAFE, (character) => {
    const code = character.charCodeAt(0)
    return NAMED[character] ?? (code < 0x100 ? `\\x${hex(character, 2)}` : `\\u${hex(character, 4)}`)
  })
}

/** JSON text of the same value with nothing in it that a terminal obeys. */
export function escapeJson(json: string): string {
  return json.replaceAll(UNSAFE_IN_JSON, (character) => `\\u${hex(character, 4)}`)
}

/** Several lines of harmless text: line ends and tabs stay. */
export function escapeLines(text: string): string {
  return text
    .replaceAll('\r\n', '\n')
    .replaceAll(UNSAFE, (character) => (character === '\n' || character === '\t' ? character : escapeText(character)))
}

/** One line of JSON, or of anything that a person must be able to read exactly: also what nobody would see is shown, as \u2800. */
export function escapeExact(text: string): string {
  return escapeJson(text).replaceAll(UNSEEN, (character) => (character === ' ' ? ' ' : unitsOf(character)))
}

function unitsOf(character: string): string {
  return Array.from({ length: character.length }, (_, index) => `\\u${hex(character[index] ?? '', 4)}`).join('')
}
