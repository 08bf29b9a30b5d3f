// Masks credentials in JSON text for a person who must see everything else as it was written: each string by itself, together with the name that
// it stands behind, so that no mask hides a neighbour. What holds no credential keeps every character.

import { isJson } from '../base/json-text.ts'
import { redactSecrets } from './redact.ts'

export interface RedactedJson {
  readonly text: string
  /** Places that are masked. */
  readonly places: number
}

/** A string, or a member's name with its string value. */
const STRINGS = /("(?:[^"\\]|\\.)*")(?:(\s*:\s*)("(?:[^"\\]|\\.)*"))?/g
const MASK = /\[redacted:[a-z-]+\]/g

/** JSON text stays JSON text; anything else is masked line by line. */
export function redactJson(text: string): RedactedJson {
  let places = 0
  const masked = (given: string, front = ''): string => {
    const whole = redactSecrets(front + given, { exact: true })
    const text = whole.startsWith(front) ? whole.slice(front.length) : redactSecrets(given, { exact: true })
    if (text !== given) places += Math.max(1, masksIn(text) - masksIn(given))
    return text
  }
  const literal = (written: string, front = ''): { readonly value: string; readonly written: string } => {
    const given = JSON.parse(written) as string
    const value = masked(given, front)
    return { value, written: value === given ? written : JSON.stringify(value) }
  }
  if (!isJson(text)) {
    const lines = text.split('\n').map((line) => masked(line))
    return { text: lines.join('\n'), places }
  }
  const redacted = text.replaceAll(STRINGS, (_found, first: string, between?: string, second?: string) => {
    const name = literal(first)
    return second === undefined ? name.written : `${name.written}${between}${literal(second, `${name.value}:`).written}`
  })
  return { text: redacted, places }
}

function masksIn(text: string): number {
  return text.match(MASK)?.length ?? 0
}
