// The building blocks of patterns. A phrase is a sequence of short expressions, each within a bounded distance of the one before. The
// expressions repeat nothing without bound and hold no gap of their own; the distances are kept by one sweep over what they match.
// So a phrase costs time linear in the text, whatever the text is (GUARD-6 proves each expression and measures the whole).

/** A named rule: any of its phrases is a finding of this weight. Texts are matched as `normalise` leaves them. */
export interface GuardPattern {
  readonly rule: string
  /** 0…1: how sure one match alone is. */
  readonly weight: number
  /** True where a match blocks whoever wrote it, the owner included. */
  readonly always?: boolean
  readonly phrases: readonly Phrase[]
}

export type Phrase = readonly PhraseStep[]

export interface PhraseStep {
  readonly expression: RegExp
  /** UTF-16 units that may lie between the step before and this one. */
  readonly gapMax: number
}

export interface Span {
  readonly start: number
  readonly end: number
}

/** All matches of one expression in one text, in order; the caller keeps them, since phrases share expressions. */
export type SpansOf = (expression: RegExp) => readonly Span[]

type Part = string | { readonly gapMax: number }

const WORD_UNITS = 9
/** Only what begins or ends in a letter has a word border there. */
const OPENS_WITH_LETTER = /^(?:\(\?:)*(?:[a-z0-9]|\\[wdS])/
const ENDS_WITH_LETTER = /(?:[a-rt-z0-9]|[^\\]s|\\[wd])[)?]*$/

const interned = new Map<string, RegExp>()

/** One of `list`, which is separated by white space. An underscore stands for a space. */
export function oneOf(list: string): string {
  return `(?:${list.trim().split(/\s+/).join('|').replaceAll('_', '\\s')})`
}

/** Up to about `count` words between what stands before and after. */
export function gap(count: number): Part {
  return { gapMax: count * WORD_UNITS + 4 }
}

/** Up to `units` characters between what stands before and after. */
export function near(units: number): Part {
  return { gapMax: units }
}

/** A sequence of whole words. */
export function phrase(...parts: readonly Part[]): Phrase {
  return steps(parts, (source) => {
    const opened = OPENS_WITH_LETTER.test(source) ? `\\b${source}` : source
    return ENDS_WITH_LETTER.test(source) ? `${opened}\\b` : opened
  })
}

/** A sequence of expressions that may stand inside words: structure, and scripts without spaces. */
export function anywhere(...parts: readonly Part[]): Phrase {
  return steps(parts, (source) => source)
}

/** The first place where all steps of `phrase` follow each other; null when there is none. */
export function findPhrase(phrase: Phrase, spansOf: SpansOf): Span | null {
  let chains: readonly Span[] = []
  for (const [index, step] of phrase.entries()) {
    const spans = spansOf(step.expression)
    chains = index === 0 ? spans : extend(chains, spans, step.gapMax)
    if (chains.length === 0) return null
  }
  return chains[0] ?? null
}

/** Chains that `spans` continue. Both are ordered and free of overlaps, so the latest chain that ends before a span is the nearest. */
function extend(chains: readonly Span[], spans: readonly Span[], gapMax: number): readonly Span[] {
  const longer: Span[] = []
  let next = 0
  let latest: Span | undefined
  for (const span of spans) {
    for (let chain = chains[next]; chain !== undefined && chain.end <= span.start; chain = chains[next]) {
      latest = chain
      next++
    }
    if (latest !== undefined && span.start - latest.end <= gapMax) longer.push({ start: latest.start, end: span.end })
  }
  return longer
}

function steps(parts: readonly Part[], border: (source: string) => string): Phrase {
  const found: PhraseStep[] = []
  let source = ''
  let gapMax = 0
  const flush = () => {
    const trimmed = source.replace(/^(?:\\s|\\b)+/, '').replace(/(?:\\s|\\b)+$/, '')
    if (trimmed !== '') {
      found.push({ expression: intern(border(trimmed)), gapMax })
      gapMax = 0
    }
    source = ''
  }
  for (const part of parts) {
    if (typeof part === 'string') source += part.normalize('NFKC')
    else {
      flush()
      gapMax += part.gapMax
    }
  }
  flush()
  return found
}

function intern(source: string): RegExp {
  const known = interned.get(source) ?? new RegExp(source, 'gu')
  interned.set(source, known)
  return known
}
