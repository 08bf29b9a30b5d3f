// The last look at arguments before they are used: strict JSON, then the tool's schema, without coercion or defaults (SCHEMA-1).
// A schema may come from a stranger, and so may the text: work that could explode runs under a watchdog, and nothing is ever fetched.

import { createContext, Script } from 'node:vm'
import { Ajv2020, type ErrorObject, type ValidateFunction } from 'ajv/dist/2020.js'
import { asBuffer } from '../base/bytes.ts'
import { LIMITS } from '../base/limits.ts'
import { MeshError } from '../base/mesh-error.ts'
import { jsonObjectFault } from '../log/strict-json.ts'
import { closeSchema } from './closed-schema.ts'

export type JsonObject = Readonly<Record<string, unknown>>

export type ArgumentVerdict =
  | { readonly ok: true; readonly value: JsonObject }
  | {
      readonly ok: false
      /** JSON pointer to what is wrong; '' is the whole. */
      readonly pointer: string
      /** Why, without values of the arguments. */
      readonly message: string
    }

export interface ArgumentCheck {
  /** `bytes`: the JSON text that was approved. */
  check(bytes: Uint8Array): ArgumentVerdict
}

const compiled = new WeakMap<object, ArgumentCheck>()

/** The check for one schema, made once per schema object. TOOL_SCHEMA_INVALID. */
export function compileArguments(schema: JsonObject): ArgumentCheck {
  const known = compiled.get(schema)
  if (known !== undefined) return known
  const { schema: closed, needsWatch } = closeSchema(schema)
  const validate = compileClosed(closed)
  const argumentCheck: ArgumentCheck = { check: (bytes) => check(bytes, validate, needsWatch) }
  compiled.set(schema, argumentCheck)
  return argumentCheck
}

let shared: Ajv2020 | null = null

function compiler(): Ajv2020 {
  if (shared !== null) return shared
  shared = new Ajv2020({
    strictSchema: true,
    strictNumbers: true,
    strictTypes: false,
    strictTuples: false,
    strictRequired: false,
    allErrors: false,
    validateFormats: false,
    ownProperties: true,
    // Inlining copies a referenced schema to every place: a small text could become a huge function.
    inlineRefs: false,
    logger: false
  })
  shared.compile({ type: 'object' })
  return shared
}

function compileClosed(schema: JsonObject): ValidateFunction {
  const ajv = compiler()
  try {
    return watched(() => ajv.compile(schema))
  } catch (cause) {
    // What was cut off may have left half of its work behind.
    shared = null
    const message = isTimeout(cause) ? 'it takes too long to compile' : 'it is not valid JSON Schema 2020-12'
    throw new MeshError('TOOL_SCHEMA_INVALID', `the schema of the tool: ${message}`, { cause })
  } finally {
    ajv.removeSchema(schema)
  }
}

function check(bytes: Uint8Array, validate: ValidateFunction, needsWatch: boolean): ArgumentVerdict {
  if (bytes.length > LIMITS.toolInputBytesMax) return refused('', `larger than ${LIMITS.toolInputBytesMax} bytes`)
  const fault = jsonObjectFault(bytes)
  if (fault !== null) return refused('', fault)
  const value: JsonObject = JSON.parse(asBuffer(bytes).toString('utf8'))
  const place = prototypeKey(value)
  if (place !== null) return refused(place, 'a key that is not allowed')
  try {
    const isValid = needsWatch ? watched(() => validate(value)) : validate(value)
    if (isValid === true) return { ok: true, value }
  } catch (cause) {
    // RangeError: a schema that refers to itself for the same value.
    if (isTimeout(cause) || cause instanceof RangeError) return refused('', 'cannot be held against the schema in time')
    throw cause
  }
  return refusedBy(validate.errors ?? [])
}

/** Pointer to the first own key `__proto__`: harmless here, a trap for whatever copies the value. */
function prototypeKey(value: unknown): string | null {
  if (typeof value !== 'object' || value === null) return null
  for (const [key, item] of Object.entries(value)) {
    if (key === '__proto__') return '/__proto__'
    const place = prototypeKey(item)
    if (place !== null) return `/${escaped(key)}${place}`
  }
  return null
}

/** The outermost decision: of alternatives that all failed, the one between them. */
function refusedBy(errors: readonly ErrorObject[]): ArgumentVerdict {
  const error = errors.findLast(({ keyword }) => keyword !== 'if') ?? errors[0]
  const { additionalProperty, unevaluatedProperty, missingProperty, propertyName } = error?.params ?? {}
  const key = additionalProperty ?? unevaluatedProperty ?? missingProperty ?? propertyName
  const pointer = `${error?.instancePath ?? ''}${key === undefined ? '' : `/${escaped(String(key))}`}`
  return refused(pointer, error?.message ?? 'does not fit the schema')
}

const SHOWN_LENGTH_MAX = 200

function refused(pointer: string, message: string): ArgumentVerdict {
  return { ok: false, pointer: cut(pointer), message: cut(message) }
}

function cut(text: string): string {
  return text.length > SHOWN_LENGTH_MAX ? `${text.slice(0, SHOWN_LENGTH_MAX).toWellFormed()}…` : text
}

function escaped(key: string): string {
  return key.replaceAll('~', '~0').replaceAll('/', '~1')
}

const frame = createContext({ work: null })
const entry = new Script('work()')

/** Runs `work` and stops it when its time is over: the engine interrupts loops and regular expressions alike. */
function watched<Result>(work: () => Result): Result {
  frame.work = work
  try {
    return entry.runInContext(frame, { timeout: LIMITS.schemaTimeMsMax })
  } finally {
    frame.work = null
  }
}

function isTimeout(error: unknown): boolean {
  // The error is of another realm: not an instance of our Error.
  return typeof error === 'object' && error !== null && 'code' in error && error.code === 'ERR_SCRIPT_EXECUTION_TIMEOUT'
}
