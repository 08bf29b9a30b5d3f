// What one method of the local socket is: schemas, scope and handler. The tables are methods.ts and methods-run.ts.

import type { z } from 'zod'
import type { NodeApi, Progress } from '../node/node-api.ts'
import type { RequestId } from './json-rpc.ts'

/**
 * read: looks only. operator: appends, connects, submits. admin: decides who is in, which tools there are and whether the node runs.
 * approve: answers for a person; it is in no other scope, and programs never get it (SCOPE-1).
 */
export const SCOPES = ['read', 'operator', 'admin', 'approve'] as const
export type Scope = (typeof SCOPES)[number]

/** Notification that carries the items of a stream; it ends with `NOUN/ended {subscription, error}`. */
export type StreamName = 'log/event' | 'task/update' | 'approval/update'

export interface MethodContext {
  /** Aborted when the client is gone or has cancelled. */
  readonly signal: AbortSignal
  /** Sends `progress/update {request, done, total}`; nothing for a notification. */
  progress(progress: Progress): void
  /** Opens a stream of params that starts after the answer; returns its id. RPC_OVERLOADED above the limit. */
  subscribe(stream: StreamName, open: (signal: AbortSignal) => AsyncIterable<object>): string
  /** False when there is no such stream. */
  unsubscribe(subscription: string): boolean
  /** False when no such request is running. */
  cancel(request: RequestId): boolean
}

export interface Method<Params extends z.ZodType = z.ZodType, Result extends z.ZodType = z.ZodType> {
  readonly summary: string
  readonly params: Params
  readonly result: Result
  readonly scope: Scope
  handler(api: NodeApi, params: z.output<Params>, context: MethodContext): Promise<z.output<Result>>
}

/** Infers the schemas of a table's entry. */
export function method<Params extends z.ZodType, Result extends z.ZodType>(
  definition: Method<Params, Result>
): Method<Params, Result> {
  return definition
}
