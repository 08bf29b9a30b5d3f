// A tool's JSON Schema as it is compiled: a checked copy in which an object takes no properties but those that it declares, unless the schema
// says otherwise (SCHEMA-1). Schemas may come from strangers: only known keywords, only references inside the same schema, bounded size.

import { LIMITS } from '../base/limits.ts'
import { MeshError } from '../base/mesh-error.ts'

type JsonSchema = Readonly<Record<string, unknown>>

export interface ClosedSchema {
  readonly schema: JsonSchema
  /** True when the work of one check may grow faster than schema times data: patterns, references, unique items. */
  readonly needsWatch: boolean
}

const DIALECTS = /^https?:\/\/json-schema\.org\/(?:draft-0[67]|draft\/2019-09|draft\/2020-12)\/schema#?$/
/** Say nothing about validity, or are not looked at: dropped from the copy. */
const ANNOTATIONS: ReadonlySet<string> = new Set(
  '$schema $comment title description default examples deprecated readOnly writeOnly format contentEncoding contentMediaType contentSchema'.split(
    ' '
  )
)
const VALUES: ReadonlySet<string> = new Set(
  (
    'type enum const nullable multipleOf maximum minimum exclusiveMaximum exclusiveMinimum maxLength minLength maxItems minItems ' +
    'maxContains minContains maxProperties minProperties required dependentRequired uniqueItems pattern $ref'
  ).split(' ')
)
/** Hold for the same value as the schema around them. */
const IN_PLACE_LISTS = ['allOf', 'anyOf', 'oneOf']
const IN_PLACE = ['then', 'else']
const IN_PLACE_MAPS = ['dependentSchemas', 'dependencies']
/** Only ask: closing what they hold would turn their answer round. */
const QUESTIONS = ['if', 'not']
/** Hold for parts of the value. */
const PARTS = [
  'additionalProperties',
  'unevaluatedProperties',
  'propertyNames',
  'items',
  'additionalItems',
  'contains',
  'unevaluatedItems'
]
const PART_LISTS = ['prefixItems']
const PART_MAPS = ['properties', 'patternProperties']
const DEFINITIONS = ['$defs', 'definitions']

/** The copy to compile. TOOL_SCHEMA_INVALID names the place. */
export function closeSchema(schema: JsonSchema): ClosedSchema {
  checkPlain(schema, '', 0)
  if (Buffer.byteLength(JSON.stringify(schema)) > LIMITS.schemaBytesMax)
    throw invalid(`larger than ${LIMITS.schemaBytesMax} bytes`, '')
  if (Object.hasOwn(schema, '$schema') && !DIALECTS.test(String(schema.$schema)))
    throw invalid('a dialect that is not known', '/$schema')
  const { $id: _, ...root } = schema
  const closer = new SchemaCloser(root)
  return { schema: closer.close(), needsWatch: closer.needsWatch }
}

/** JSON alone, of bounded depth, without a key that would change a prototype. */
function checkPlain(value: unknown, place: string, depth: number): void {
  if (depth > LIMITS.jsonDepthMax) throw invalid(`nested deeper than ${LIMITS.jsonDepthMax}`, '')
  if (value === null || ['string', 'boolean'].includes(typeof value) || Number.isFinite(value)) return
  if (typeof value !== 'object') throw invalid('not JSON', place)
  for (const [key, inner] of Object.entries(value)) {
    if (key === '__proto__') throw invalid('a key that is not allowed', `${place}/__proto__`)
    checkPlain(inner, `${place}/${escaped(key)}`, depth + 1)
  }
}

interface Place {
  readonly at: string
  readonly depth: number
  /** Objects here take declared properties alone. */
  readonly isClosed: boolean
  /** The schema describes a value of its own, not one that the schema around it describes too. */
  readonly isLevel: boolean
}

class SchemaCloser {
  needsWatch = false
  readonly #root: JsonSchema
  readonly #schemas = new Set<unknown>()
  readonly #targets: { readonly target: unknown; readonly at: string }[] = []

  constructor(root: JsonSchema) {
    this.#root = root
  }

  close(): JsonSchema {
    const copy = this.#copy(this.#root, { at: '', depth: 0, isClosed: true, isLevel: true })
    for (const { target, at } of this.#targets)
      if (!this.#schemas.has(target)) throw invalid('a reference to what is no schema', at)
    return copy
  }

  #any(value: unknown, place: Place): unknown {
    if (typeof value === 'boolean') return value
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalid('not a schema', place.at)
    return this.#copy(value as JsonSchema, place)
  }

  #copy(schema: JsonSchema, place: Place): JsonSchema {
    if (place.depth > LIMITS.schemaDepthMax) throw invalid(`nested deeper than ${LIMITS.schemaDepthMax}`, place.at)
    this.#schemas.add(schema)
    const copy: Record<string, unknown> = {}
    for (const [keyword, value] of Object.entries(schema)) {
      if (ANNOTATIONS.has(keyword) || keyword.startsWith('x-')) continue
      if (keyword === 'items' && Array.isArray(value)) copy.prefixItems = this.#list(value, inner(place, keyword, true))
      else if (keyword === 'additionalItems') {
        if (Array.isArray(schema.items)) copy.items = this.#any(value, inner(place, keyword, true))
      } else copy[keyword] = this.#keyword(keyword, value, place)
    }
    if (place.isClosed && place.isLevel) this.#shut(schema, copy, place.depth === 0)
    return copy
  }

  #keyword(keyword: string, value: unknown, place: Place): unknown {
    if (VALUES.has(keyword)) return this.#value(keyword, value, place)
    if (IN_PLACE.includes(keyword)) return this.#any(value, inner(place, keyword, false))
    if (IN_PLACE_LISTS.includes(keyword)) return this.#list(value, inner(place, keyword, false))
    if (IN_PLACE_MAPS.includes(keyword) || DEFINITIONS.includes(keyword))
      return this.#map(value, inner(place, keyword, false))
    if (QUESTIONS.includes(keyword)) return this.#any(value, { ...inner(place, keyword, false), isClosed: false })
    if (PARTS.includes(keyword)) return this.#any(value, inner(place, keyword, true))
    if (PART_LISTS.includes(keyword)) return this.#list(value, inner(place, keyword, true))
    if (!PART_MAPS.includes(keyword)) throw invalid('a keyword that is not known', `${place.at}/${escaped(keyword)}`)
    if (keyword === 'patternProperties') this.#patterns(value, place)
    return this.#map(value, inner(place, keyword, true))
  }

  #value(keyword: string, value: unknown, place: Place): unknown {
    if (keyword === 'uniqueItems') this.needsWatch ||= value === true
    if (keyword === 'pattern') this.#patterns({ [String(value)]: true }, place)
    if (keyword !== '$ref') return value
    this.needsWatch = true
    if (!place.isClosed) throw invalid('a reference inside if or not', `${place.at}/$ref`)
    this.#targets.push({ target: this.#resolve(value, place.at), at: `${place.at}/$ref` })
    return value
  }

  #patterns(map: unknown, { at }: Place): void {
    this.needsWatch = true
    for (const pattern of Object.keys(Object(map)))
      if (pattern.length > LIMITS.policyPatternLengthMax)
        throw invalid(`a pattern longer than ${LIMITS.policyPatternLengthMax}`, at)
  }

  #list(value: unknown, place: Place): unknown[] {
    if (!Array.isArray(value)) throw invalid('not a list of schemas', place.at)
    return value.map((item, index) => this.#any(item, { ...place, at: `${place.at}/${index}` }))
  }

  #map(value: unknown, place: Place): Record<string, unknown> {
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw invalid('not a table of schemas', place.at)
    const entries = Object.entries(value).map(([key, item]) => {
      const isList = Array.isArray(item) && place.at.endsWith('/dependencies')
      return [key, isList ? item : this.#any(item, { ...place, at: `${place.at}/${escaped(key)}` })] as const
    })
    return Object.fromEntries(entries)
  }

  /** `unevaluatedProperties` where other schemas describe the same object: it knows what they declare. */
  #shut(schema: JsonSchema, copy: Record<string, unknown>, isRoot: boolean): void {
    if (Object.hasOwn(schema, 'additionalProperties') || Object.hasOwn(schema, 'unevaluatedProperties')) return
    if (!isRoot && !this.#declares(schema, new Set())) return
    const isAlone = ['$ref', ...IN_PLACE_LISTS, ...IN_PLACE, ...IN_PLACE_MAPS].every(
      (keyword) => !Object.hasOwn(schema, keyword)
    )
    copy[isAlone ? 'additionalProperties' : 'unevaluatedProperties'] = false
  }

  /** Whether the schema, or one that holds for the same value, declares properties. */
  #declares(schema: unknown, seen: Set<unknown>): boolean {
    if (typeof schema !== 'object' || schema === null || seen.has(schema)) return false
    seen.add(schema)
    const all = schema as JsonSchema
    if (PART_MAPS.some((keyword) => Object.hasOwn(all, keyword))) return true
    if (Object.hasOwn(all, '$ref') && this.#declares(this.#resolve(all.$ref, ''), seen)) return true
    const direct = [...IN_PLACE, ...IN_PLACE_LISTS, ...IN_PLACE_MAPS].flatMap((keyword) => {
      const value = Object.hasOwn(all, keyword) ? all[keyword] : undefined
      if (typeof value !== 'object' || value === null) return []
      return IN_PLACE.includes(keyword) ? [value] : Object.values(value)
    })
    return direct.some((item) => this.#declares(item, seen))
  }

  #resolve(reference: unknown, at: string): unknown {
    if (typeof reference !== 'string' || !/^#(?:\/|$)/.test(reference))
      throw invalid('only references inside the schema are followed', `${at}/$ref`)
    let target: unknown = this.#root
    for (const part of reference.split('/').slice(1)) {
      const key = unescaped(part)
      if (key === null || typeof target !== 'object' || target === null || !Object.hasOwn(target, key))
        throw invalid('a reference that leads nowhere', `${at}/$ref`)
      target = (target as JsonSchema)[key]
    }
    return target
  }
}

function inner(place: Place, keyword: string, isLevel: boolean): Place {
  return { at: `${place.at}/${keyword}`, depth: place.depth + 1, isClosed: place.isClosed, isLevel }
}

function escaped(key: string): string {
  return key.replaceAll('~', '~0').replaceAll('/', '~1')
}

function unescaped(part: string): string | null {
  try {
    return decodeURIComponent(part).replaceAll('~1', '/').replaceAll('~0', '~')
  } catch (error) {
    if (error instanceof URIError) return null
    throw error
  }
}

const PLACE_LENGTH_MAX = 200

function invalid(message: string, at: string): MeshError {
  const place = at === '' ? '/' : at.slice(0, PLACE_LENGTH_MAX)
  return new MeshError('TOOL_SCHEMA_INVALID', `the schema of the tool: ${message} (${place})`, { details: { place } })
}
