// JSON for a person's eyes with every token as it was written: parsing and printing again would show another number than the one that runs.

import { isJson } from '../base/json-text.ts'

const TOKEN = /"(?:[^"\\]+|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g
const INDENT_MAX = 40

/** Lines of the same JSON text; the text's own lines when it is not JSON. */
export function indentJson(text: string): string[] {
  if (!isJson(text)) return text.split('\n')
  const lines: string[] = []
  let line = ''
  let depth = 0
  let before = ''
  const breakLine = () => {
    lines.push(line)
    line = ' '.repeat(Math.min(INDENT_MAX, depth * 2))
  }
  for (const [token] of text.matchAll(TOKEN)) {
    const opened = before === '{' || before === '['
    if (token === '}' || token === ']') {
      depth--
      if (!opened) breakLine()
    } else if (opened || before === ',') breakLine()
    if (token === '{' || token === '[') depth++
    line += token === ':' ? ': ' : token
    before = token
  }
  lines.push(line)
  return lines
}
