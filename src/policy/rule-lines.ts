// Where the rules of a policy stand: the parser of TOML tells values but no lines.

/** Lines, from 1, of the `[[rule]]` headers, and of the key `mode` before the first table; strings, arrays and comments are skipped. */
export interface RuleLines {
  readonly rules: readonly number[]
  readonly mode: number | null
}

/** `text` is valid TOML. */
export function ruleLines(text: string): RuleLines {
  const rules: number[] = []
  let mode: number | null = null
  let isRoot = true
  for (const { start, line } of statements(text)) {
    const statement = text.slice(start, start + STATEMENT_LOOKED_AT)
    if (/^\[\[[ \t]*(?:rule|"rule"|'rule')[ \t]*\]\]/.test(statement)) rules.push(line)
    if (isRoot && /^(?:mode|"mode"|'mode')[ \t]*=/.test(statement)) mode = line
    if (statement.startsWith('[')) isRoot = false
  }
  return { rules, mode }
}

const STATEMENT_LOOKED_AT = 200

interface Statement {
  readonly start: number
  readonly line: number
}

/** First characters of the lines that begin a header or a key. */
function* statements(text: string): Generator<Statement> {
  let line = 1
  let isFresh = true
  let brackets = 0
  for (let at = 0; at < text.length; at++) {
    const unit = text[at] as string
    if (unit === '\n') {
      line++
      if (brackets === 0) isFresh = true
      continue
    }
    if (unit === ' ' || unit === '\t' || unit === '\r') continue
    if (unit === '#') {
      at = endOf(text, '\n', at) - 1
      continue
    }
    const isHeader = isFresh && unit === '['
    if (isFresh) yield { start: at, line }
    isFresh = false
    if (isHeader) {
      at = endOf(text, '\n', at) - 1
    } else if (unit === '"' || unit === "'") {
      const end = stringEnd(text, at)
      for (let inner = at; inner < end; inner++) if (text[inner] === '\n') line++
      at = end - 1
    } else if (unit === '[' || unit === '{') brackets++
    else if (unit === ']' || unit === '}') brackets--
  }
}

/** Place behind the string that begins at `from`. */
function stringEnd(text: string, from: number): number {
  const quote = text[from] as string
  const long = quote.repeat(3)
  const isLong = text.startsWith(long, from)
  for (let at = from + (isLong ? 3 : 1); at < text.length; at++) {
    if (quote === '"' && text[at] === '\\') at++
    else if (isLong && text.startsWith(long, at)) {
      let end = at + 3
      while (end < at + 5 && text[end] === quote) end++
      return end
    } else if (!isLong && text[at] === quote) return at + 1
  }
  return text.length
}

function endOf(text: string, part: string, from: number): number {
  const at = text.indexOf(part, from)
  return at === -1 ? text.length : at
}
