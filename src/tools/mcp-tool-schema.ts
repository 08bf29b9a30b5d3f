// Schemas that MCP servers send: untrusted data that would be compiled here. What could make this process search for long or look elsewhere
// is taken out; the server checks its own arguments. Too large or too deep: no schema at all.

import { LIMITS } from '../base/limits.ts'
import type { JsonSchema } from '../pipeline/contract.ts'

/** Regular expressions of a stranger, formats, and names that reach beyond the schema. */
const LEFT_OUT: ReadonlySet<string> = new Set([
  'pattern',
  'patternProperties',
  'format',
  '$schema',
  '$id',
  '$anchor',
  '$dynamicAnchor',
  '$dynamicRef',
  '$vocabulary'
])
/** Keywords whose keys are names and not keywords. */
const NAMED: ReadonlySet<string> = new Set(['properties', '$defs', 'definitions', 'dependentSchemas'])
/** Keywords whose values are data. */
const DATA: ReadonlySet<string> = new Set(['const', 'enum', 'default', 'examples'])

/** The schema without what is left out; null when it is not one of an object, too large, too deep, or refers elsewhere. */
export function trySafeSchema(schema: JsonSchema): JsonSchema | null {
  if (schema.type !== 'object' || Buffer.byteLength(JSON.stringify(schema)) > LIMITS.mcpDescriptionBytesMax) return null
  try {
    return schemaOf(schema, 0) as JsonSchema
  } catch (error) {
    if (error instanceof SchemaFault) return null
    throw error
  }
}

class SchemaFault extends Error {}

function schemaOf(value: unknown, depth: number): unknown {
  if (depth > LIMITS.jsonDepthMax) throw new SchemaFault()
  if (Array.isArray(value)) return value.map((item) => schemaOf(item, depth + 1))
  if (typeof value !== 'object' || value === null) return value
  const kept: [string, unknown][] = []
  for (const [key, inner] of Object.entries(value)) {
    if (LEFT_OUT.has(key)) continue
    if (key === '$ref' && !(typeof inner === 'string' && inner.startsWith('#'))) throw new SchemaFault()
    kept.push([key, DATA.has(key) ? inner : NAMED.has(key) ? namedOf(inner, depth + 1) : schemaOf(inner, depth + 1)])
  }
  return Object.fromEntries(kept)
}

function namedOf(value: unknown, depth: number): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return schemaOf(value, depth)
  return Object.fromEntries(Object.entries(value).map(([name, schema]) => [name, schemaOf(schema, depth + 1)]))
}
