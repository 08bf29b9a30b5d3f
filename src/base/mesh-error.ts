// The one error class for a user's fault or a failed environment. Codes, exit codes and hints live in errors.ts.
// A peer's fault is a verdict, never an exception; a programmer's error is an assertion.

import { ERRORS, type ErrorCode } from './errors.ts'

export interface MeshErrorOptions {
  /** What exactly: the file, the field, the member. Shown under the message. */
  readonly details?: Readonly<Record<string, string | number>>
  /** The command or act that mends it; the table's hint when left out. */
  readonly hint?: string
  readonly cause?: unknown
}

export class MeshError extends Error {
  readonly code: ErrorCode
  readonly hint: string
  readonly details: Readonly<Record<string, string | number>>

  constructor(code: ErrorCode, message: string, options: MeshErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'MeshError'
    this.code = code
    this.hint = options.hint ?? ERRORS[code].hint
    this.details = options.details ?? {}
  }

  get exitCode(): number {
    return ERRORS[this.code].exit
  }

  get rpcCode(): number {
    return ERRORS[this.code].rpc
  }
}

export function isMeshError(error: unknown): error is MeshError {
  return error instanceof MeshError
}

/** Message of anything thrown, on one line. */
export function messageOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).replaceAll(/\s*\n\s*/g, ' ')
}
