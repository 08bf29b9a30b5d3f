// JSON-RPC 2.0 messages: requests out of parsed JSON, error objects out of anything thrown. Knows nothing of sockets or methods.

import { ERRORS, type ErrorCode } from '../base/errors.ts'
import { isMeshError, MeshError } from '../base/mesh-error.ts'

export type RequestId = string | number | null

export interface RpcRequest {
  /** Absent in a notification. */
  readonly id: RequestId | undefined
  readonly method: string
  readonly params: unknown
}

export interface RpcErrorObject {
  readonly code: number
  readonly message: string
  readonly data: {
    readonly code: ErrorCode
    readonly hint: string
    readonly details: Readonly<Record<string, string | number>>
  }
}

export type RpcAnswer =
  | { readonly jsonrpc: '2.0'; readonly id: RequestId; readonly result: unknown }
  | { readonly jsonrpc: '2.0'; readonly id: RequestId; readonly error: RpcErrorObject }

const MEMBERS = new Set(['jsonrpc', 'id', 'method', 'params'])

/** Numbers that JSON keeps as they are: an id must come back as it was sent. */
function isRequestId(value: unknown): value is RequestId {
  if (value === null || typeof value === 'string') return true
  return typeof value === 'number' && Math.abs(value) <= Number.MAX_SAFE_INTEGER
}

function invalid(id: RequestId, message: string): { readonly id: RequestId; readonly error: MeshError } {
  return { id, error: new MeshError('RPC_INVALID_REQUEST', `cannot read the request: ${message}`) }
}

/** One request, or the error and the id that it is answered with (null when the id cannot be told). */
export function readRequest(value: unknown): RpcRequest | { readonly id: RequestId; readonly error: MeshError } {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return invalid(null, 'not an object')
  const message = value as Readonly<Record<string, unknown>>
  const named = Object.hasOwn(message, 'id')
  const id = named && isRequestId(message.id) ? message.id : null
  if (named && !isRequestId(message.id)) return invalid(null, 'id is not a string, a safe number or null')
  if (message.jsonrpc !== '2.0') return invalid(id, 'jsonrpc is not "2.0"')
  if (typeof message.method !== 'string') return invalid(id, 'method is not a string')
  if (Object.hasOwn(message, 'params') && (typeof message.params !== 'object' || message.params === null)) {
    return invalid(id, 'params is not an object')
  }
  const stranger = Object.keys(message).find((key) => !MEMBERS.has(key))
  if (stranger !== undefined) return invalid(id, 'a member that JSON-RPC does not know')
  return { id: named ? id : undefined, method: message.method, params: message.params }
}

/** What the other side is told: a MeshError as it is, anything else as INTERNAL without a word of its own. */
export function errorObject(error: unknown): RpcErrorObject {
  if (isMeshError(error)) {
    return {
      code: error.rpcCode,
      message: error.message,
      data: { code: error.code, hint: error.hint, details: error.details }
    }
  }
  return {
    code: ERRORS.INTERNAL.rpc,
    message: 'internal error',
    data: { code: 'INTERNAL', hint: ERRORS.INTERNAL.hint, details: {} }
  }
}

/** JSON pointer (RFC 6901) of a path of keys. */
export function jsonPointer(path: readonly PropertyKey[]): string {
  return path.map((key) => `/${String(key).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('')
}
