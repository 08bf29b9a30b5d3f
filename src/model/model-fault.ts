// What went wrong with a model call, in our codes. Messages and bodies of the SDK’s errors hold prompts and headers: of a server’s words only
// a short, cleaned sentence leaves this module, without the credential, and no cause.

import { APICallError } from 'ai'
import { isMeshError, MeshError } from '../base/mesh-error.ts'

export interface FaultContext {
  readonly model: string
  /** Taken out of whatever the server says; null without one. */
  readonly secret: string | null
}

const SENTENCE_CHARACTERS = 200
const BUSY: ReadonlySet<number> = new Set([429, 503, 529])
const CONTROLS = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu

/** Whether nothing of an answer had begun and another try may help. */
export function mayTryAgain(error: unknown): boolean {
  if (!APICallError.isInstance(error)) return isMeshError(error) && error.code === 'FETCH_FAILED'
  const { statusCode } = error
  return statusCode === undefined
    ? networkCode(error) !== null
    : statusCode === 408 || statusCode === 429 || statusCode >= 500
}

/** Milliseconds that the server asks to wait; null when it does not say. */
export function retryAfterMs(error: unknown, nowMs: number): number | null {
  if (!APICallError.isInstance(error)) return null
  const text = error.responseHeaders?.['retry-after']
  if (text === undefined) return null
  const ms = /^\d{1,9}$/.test(text) ? Number(text) * 1000 : Date.parse(text) - nowMs
  return Number.isFinite(ms) ? Math.max(0, ms) : null
}

/** Before an answer began. */
export function refusal(error: unknown, context: FaultContext): MeshError {
  const { model } = context
  if (!APICallError.isInstance(error) || error.statusCode === undefined)
    return new MeshError('MODEL_UNREACHABLE', `the model ${model} cannot be reached: ${networkWord(error)}`, {
      details: { model }
    })
  const { statusCode } = error
  const said = saidBy(error, context)
  const details = { model, status: statusCode }
  const text = `the model ${model} answered ${statusCode}${said}`
  if (BUSY.has(statusCode)) return new MeshError('MODEL_OVERLOADED', text, { details })
  if (statusCode >= 500 || statusCode === 408) return new MeshError('MODEL_UNREACHABLE', text, { details })
  if (statusCode === 401 || statusCode === 403) return new MeshError('MODEL_REFUSED', text, { details })
  return new MeshError('MODEL_REFUSED', text, { details, hint: 'Check model, base_url and type in agents.toml.' })
}

/** An answer that began and did not come to its end: it is not asked for again. */
export function brokenOff({ model }: FaultContext, what = 'the answer was broken off'): MeshError {
  return new MeshError('MODEL_ANSWER_INVALID', `the model ${model}: ${what}`, { details: { model } })
}

/** Of the innermost fault that has one: `ECONNREFUSED`, `UND_ERR_SOCKET`, … */
function networkCode(error: unknown): string | null {
  let found: string | null = null
  for (let at = error, depth = 0; at instanceof Error && depth < 8; at = causeOf(at), depth++) {
    const { code } = at as Error & { code?: unknown }
    if (!isMeshError(at) && typeof code === 'string' && /^[A-Z][A-Z0-9_]{2,40}$/.test(code)) found = code
  }
  return found
}

function causeOf(error: Error): unknown {
  return error instanceof AggregateError ? error.errors[0] : error.cause
}

function networkWord(error: unknown): string {
  return networkCode(error) ?? (isMeshError(error) ? error.message : 'the connection failed')
}

function saidBy(error: APICallError, { secret }: FaultContext): string {
  const hidden = secret === null ? error.message : error.message.replaceAll(secret, '…')
  const sentence = hidden.replaceAll(CONTROLS, ' ').toWellFormed().trim().slice(0, SENTENCE_CHARACTERS)
  return sentence === '' ? '' : `: ${sentence}`
}
