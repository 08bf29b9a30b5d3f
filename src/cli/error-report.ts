// Errors as people and programs read them: what failed, details, fix, code; or one JSON object. Decides the exit code.

import { inspect } from 'node:util'
import { isMeshError, MeshError, messageOf } from '../base/mesh-error.ts'
import { shortPath } from './human-text.ts'
import type { Output } from './output.ts'
import { blockLines } from './table.ts'

/** The same failure as a MeshError, so that it has a code. */
export function asMeshError(error: unknown, cancelled: boolean): MeshError {
  if (isMeshError(error)) return error
  if (cancelled) return new MeshError('CANCELLED', 'cancelled')
  return new MeshError('INTERNAL', messageOf(error), { cause: error })
}

/** One object: {code, message, hint, details?, cause?}. */
export function errorValue(error: MeshError): Record<string, unknown> {
  return {
    code: error.code,
    message: error.message,
    hint: error.hint,
    ...(Object.keys(error.details).length === 0 ? {} : { details: error.details }),
    ...(error.cause === undefined ? {} : { cause: messageOf(error.cause) })
  }
}

/** Writes the error to stderr and answers the exit code. `verbose` shows causes and stacks. */
export function reportError(
  out: Output,
  error: MeshError,
  options: { readonly userHome: string | undefined; readonly verbose: boolean }
): number {
  if (out.json) {
    out.errorValue(errorValue(error))
    return error.exitCode
  }
  if (error.code === 'CANCELLED') {
    out.note('pmesh: cancelled')
    return error.exitCode
  }
  out.warn({ text: 'pmesh: ', style: 'bold' }, error.message)
  const details = Object.entries(error.details).map(([key, value]): [string, string] => [
    key,
    shortPath(String(value), options.userHome)
  ])
  const fix = options.userHome === undefined ? error.hint : error.hint.replaceAll(`${options.userHome}/`, '~/')
  for (const line of blockLines([...details, ['fix', fix], ['code', error.code]])) out.warn(...line)
  if (options.verbose && error.cause !== undefined) {
    for (const line of inspect(error.cause).split('\n')) out.warn({ text: `  ${line}`, style: 'dim' })
  }
  return error.exitCode
}
