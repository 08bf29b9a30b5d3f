// Requests between two members (PROTOCOL §6 "small rpc"), to bytes and back. Decoding never throws.

import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import { copyBytes } from '../../base/bytes.ts'
import { ERRORS, type ErrorCode } from '../../base/errors.ts'
import { RequestSchema, ResponseSchema } from './gen/rpc_pb.js'

export interface PeerRequest {
  /** noun/verb */
  readonly method: string
  /** JSON text of the parameters, not looked at here. */
  readonly params: Uint8Array
}

export type PeerResponse = { readonly result: Uint8Array } | { readonly error: ErrorCode }

const BYTES_MAX = 64 * 1024
const METHOD = /^[a-z][a-z0-9-]{0,31}\/[a-z][a-z0-9-]{0,31}$/

export function encodePeerRequest(request: PeerRequest): Uint8Array {
  return toBinary(RequestSchema, create(RequestSchema, request))
}

export function tryDecodePeerRequest(bytes: Uint8Array): PeerRequest | null {
  if (bytes.length > BYTES_MAX) return null
  try {
    const { method, params } = fromBinary(RequestSchema, bytes, { readUnknownFields: false })
    return METHOD.test(method) ? { method, params: copyBytes(params) } : null
  } catch {
    // protobuf-es has no other way to say "malformed"
    return null
  }
}

export function encodePeerResponse(response: PeerResponse): Uint8Array {
  const body =
    'error' in response
      ? { case: 'error' as const, value: response.error }
      : { case: 'result' as const, value: response.result }
  return toBinary(ResponseSchema, create(ResponseSchema, { body }))
}

export function tryDecodePeerResponse(bytes: Uint8Array): PeerResponse | null {
  if (bytes.length > BYTES_MAX) return null
  try {
    const { body } = fromBinary(ResponseSchema, bytes, { readUnknownFields: false })
    if (body.case === 'result') return { result: copyBytes(body.value) }
    if (body.case !== 'error') return null
    return { error: Object.hasOwn(ERRORS, body.value) ? (body.value as ErrorCode) : 'INTERNAL' }
  } catch {
    // protobuf-es has no other way to say "malformed"
    return null
  }
}
