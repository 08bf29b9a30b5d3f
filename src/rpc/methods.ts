// The one method table of the local socket: noun/verb → schemas, scope and handler. The CLI, rpc/methods and the docs are made from it.
// Params are strict objects, results are checked before they are sent. Knows NodeApi only, nothing of sockets.

import { isAbsolute } from 'node:path'
import { z } from 'zod'
import { LIMITS } from '../base/limits.ts'
import { MeshError } from '../base/mesh-error.ts'
import type { EventRecord, LogQuery, NodeApi, Page } from '../node/node-api.ts'
import { type Method, method, SCOPES } from './method.ts'
import { RUN_METHODS } from './methods-run.ts'
import * as results from './result-schemas.ts'

const none = z.strictObject({})
const done = z.object({})
const text = z.string().min(1).max(256)
const role = z.enum(['observer', 'member', 'admin'])
const time = z.iso.datetime({ offset: true })
const cursor = z.string().min(1).max(512)
const author = text.optional()
const appended = z.object({ id: z.string() })

const logQuery = z.strictObject({
  author,
  type: z.string().min(1).max(LIMITS.typeBytesMax).optional(),
  scope: z
    .string()
    .regex(/^[0-9a-f]{32}$/)
    .optional(),
  from: time.optional(),
  to: time.optional(),
  limit: z.int().min(1).max(LIMITS.pageRowsMax).optional(),
  cursor: cursor.optional(),
  order: z.enum(['oldest', 'newest']).optional()
})

const appendItem = z.strictObject({
  type: z.string(),
  json: z.string(),
  scope: z
    .string()
    .regex(/^[0-9a-f]{32}$/)
    .optional()
})

const methodRecord = z.object({
  name: z.string(),
  summary: z.string(),
  scope: z.enum(SCOPES),
  params: z.record(z.string(), z.unknown()),
  result: z.record(z.string(), z.unknown())
})
export type MethodRecord = z.output<typeof methodRecord>

/** Rows of which the texts fit in one answer; the page is asked again with fewer rows when they do not. */
async function queryWithinLine(api: NodeApi, query: LogQuery): Promise<Page<EventRecord>> {
  const page = await api.query({ ...query, limit: query.limit ?? 100 })
  const rowBytes = 700
  let bytes = 0
  const fit = page.items.findIndex((event) => {
    bytes += rowBytes + Buffer.byteLength(event.json ?? '') * 2
    return bytes > LIMITS.rpcLineBytesMax
  })
  return fit === -1 ? page : api.query({ ...query, limit: Math.max(fit, 1) })
}

export const METHODS = {
  'node/status': method({
    summary: 'State of the node, its log, its members and its health.',
    params: none,
    result: results.nodeStatus,
    scope: 'read',
    handler: (api) => api.status()
  }),
  'node/wait': method({
    summary: 'Answers when the node accepts appends.',
    params: z.strictObject({ timeoutMs: z.int().min(0).max(86_400_000).default(30_000) }),
    result: done,
    scope: 'read',
    handler: async (api, params, context) => {
      await api.waitReady(params.timeoutMs, context.signal)
      return {}
    }
  }),
  'node/stop': method({
    summary: 'Answers, then stops the node.',
    params: none,
    result: done,
    scope: 'admin',
    handler: async (api) => {
      await api.stop()
      return {}
    }
  }),
  'node/doctor': method({
    summary: 'Checks that need the running node.',
    params: none,
    result: results.listOf(results.doctorLine),
    scope: 'read',
    handler: async (api) => ({ items: [...(await api.doctor())], next: null })
  }),
  'node/why': method({
    summary: 'Why a member, or all of them, are not in sync.',
    params: z.strictObject({ member: text.optional() }),
    result: results.listOf(results.whyReport),
    scope: 'read',
    handler: async (api, params) => ({ items: [...(await api.why(params.member ?? null))], next: null })
  }),
  'identity/show': method({
    summary: 'Keys and fingerprint of this node.',
    params: none,
    result: results.identity,
    scope: 'read',
    handler: (api) => api.identity()
  }),
  'identity/claim': method({
    summary: 'Makes this instance the writer of an identity that is in use twice.',
    params: none,
    result: done,
    scope: 'admin',
    handler: async (api) => {
      await api.identityClaim()
      return {}
    }
  }),
  'recovery/override': method({
    summary: 'Opens a new epoch instead of waiting for the own log from peers.',
    params: none,
    result: done,
    scope: 'admin',
    handler: async (api) => {
      await api.recoveryOverride()
      return {}
    }
  }),
  'member/list': method({
    summary: 'Members, self first.',
    params: none,
    result: results.listOf(results.memberStatus),
    scope: 'read',
    handler: async (api) => ({ items: [...(await api.members())], next: null })
  }),
  'member/show': method({
    summary: 'One member in full.',
    params: z.strictObject({ member: text }),
    result: results.memberDetail,
    scope: 'read',
    handler: (api, params) => api.member(params.member)
  }),
  'member/remove': method({
    summary: 'Removes a member; its key never returns.',
    params: z.strictObject({ member: text }),
    result: appended,
    scope: 'admin',
    handler: (api, params) => api.memberRemove(params.member)
  }),
  'founder/name': method({
    summary: 'Names this node the founder by the recovery key; the founder before is removed.',
    params: z.strictObject({ recoveryWords: z.string().min(1).max(512) }),
    result: appended,
    scope: 'admin',
    handler: (api, params) => api.founderName(params.recoveryWords)
  }),
  'member/role': method({
    summary: 'Changes the role of a member.',
    params: z.strictObject({ member: text, role }),
    result: appended,
    scope: 'admin',
    handler: (api, params) => api.memberRole(params.member, params.role)
  }),
  'invite/list': method({
    summary: 'Invites made by this node.',
    params: none,
    result: results.listOf(results.inviteRecord),
    scope: 'read',
    handler: async (api) => ({ items: [...(await api.invites())], next: null })
  }),
  'invite/create': method({
    summary: 'Makes an invite for one node; its line is shown once.',
    params: z.strictObject({
      role: role.default('member'),
      name: z.string().max(64).default(''),
      expiresInMs: z.int().min(1_000).max(LIMITS.inviteLifeMsMax)
    }),
    result: z.object({ invite: results.inviteRecord, line: z.string() }),
    scope: 'admin',
    handler: (api, params) => api.inviteCreate(params)
  }),
  'invite/revoke': method({
    summary: 'Makes an open invite worthless.',
    params: z.strictObject({ id: text }),
    result: results.inviteRecord,
    scope: 'admin',
    handler: (api, params) => api.inviteRevoke(params.id)
  }),
  'mesh/join': method({
    summary: 'Leaves a mesh of one and enters the invite’s mesh.',
    params: z.strictObject({ line: z.string().min(1).max(8_192), name: z.string().min(1).max(64).optional() }),
    result: z.object({
      mesh: z.string(),
      inviter: z.object({ peerId: z.string(), name: z.string(), fingerprint: z.string() }),
      fingerprint: z.string()
    }),
    scope: 'admin',
    handler: (api, params) => api.join(params.line, params.name ?? null)
  }),
  'peer/list': method({
    summary: 'Open connections.',
    params: none,
    result: results.listOf(results.peerRecord),
    scope: 'read',
    handler: async (api) => ({ items: [...(await api.peers())], next: null })
  }),
  'peer/connect': method({
    summary: 'Connects to a member at the first address that answers.',
    params: z.strictObject({ addresses: z.array(z.string().min(1).max(512)).min(1).max(LIMITS.addressesPerMemberMax) }),
    result: results.memberRef,
    scope: 'operator',
    handler: (api, params) => api.peerConnect(params.addresses)
  }),
  'peer/ping': method({
    summary: 'Time to a member and back.',
    params: z.strictObject({ member: text }),
    result: z.object({ rttMs: z.number().nonnegative() }),
    scope: 'read',
    handler: (api, params) => api.peerPing(params.member)
  }),
  'event/append': method({
    summary: 'Appends app-… events; answers when they are durable.',
    params: z.strictObject({ items: z.array(appendItem).min(1).max(LIMITS.appendEventsMax) }),
    result: results.listOf(results.appendReceipt),
    scope: 'operator',
    handler: async (api, params) => ({ items: [...(await api.append(params.items))], next: null })
  }),
  'log/query': method({
    summary: 'A page of events; `next` continues it.',
    params: logQuery,
    result: results.eventPage,
    scope: 'read',
    handler: (api, params) => queryWithinLine(api, params)
  }),
  'log/heads': method({
    summary: 'The head of every chain.',
    params: none,
    result: results.listOf(results.chainHead),
    scope: 'read',
    handler: async (api) => ({ items: [...(await api.heads())], next: null })
  }),
  'log/verify': method({
    summary: 'Verifies all chains, or one author’s, from disk.',
    params: z.strictObject({ author }),
    result: results.verifyReport,
    scope: 'read',
    handler: (api, params, context) =>
      api.verify((progress) => context.progress(progress), context.signal, params.author ?? null)
  }),
  'log/export': method({
    summary: 'Writes all chains, or one author’s, to a new file.',
    params: z.strictObject({ path: z.string().min(1).max(4_096), author }),
    result: z.object({ events: z.int().nonnegative(), bytes: z.int().nonnegative() }),
    scope: 'operator',
    handler: async (api, params, context) => {
      if (!isAbsolute(params.path)) {
        throw new MeshError('RPC_PARAMS_INVALID', 'cannot export: the path is not absolute', {
          details: { place: '/path' }
        })
      }
      return api.exportTo(params.path, params.author ?? null, (progress) => context.progress(progress), context.signal)
    }
  }),
  'log/subscribe': method({
    summary: 'Events as they arrive, from a cursor or from now on, as log/event {subscription, event, cursor}.',
    params: z.strictObject({
      cursor: cursor.nullable().default(null),
      type: z.string().min(1).max(LIMITS.typeBytesMax).optional(),
      author
    }),
    result: z.object({ subscription: z.string() }),
    scope: 'read',
    handler: async (api, params, context) => ({
      subscription: context.subscribe('log/event', (signal) => api.follow(params, signal))
    })
  }),
  'log/unsubscribe': method({
    summary: 'Ends a subscription, whatever it is of.',
    params: z.strictObject({ subscription: text }),
    result: z.object({ ended: z.boolean() }),
    scope: 'read',
    handler: async (_api, params, context) => ({ ended: context.unsubscribe(params.subscription) })
  }),
  ...RUN_METHODS,
  'rpc/cancel': method({
    summary: 'Cancels a running request of this connection.',
    params: z.strictObject({ id: z.union([z.string(), z.number(), z.null()]) }),
    result: z.object({ cancelled: z.boolean() }),
    scope: 'read',
    handler: async (_api, params, context) => ({ cancelled: context.cancel(params.id) })
  }),
  'rpc/methods': method({
    summary: 'This table, with JSON Schemas.',
    params: none,
    result: results.listOf(methodRecord),
    scope: 'read',
    handler: async () => ({ items: describeMethods(), next: null })
  })
} satisfies Readonly<Record<`${string}/${string}`, Method>>

/** What methods take and answer, for callers that know the socket only. */
export type {
  AppendItem,
  AppendReceipt,
  ChainReport,
  DoctorLine,
  EventRecord,
  LogQuery,
  MemberStatus,
  NodeStatus,
  VerifyReport
} from '../node/node-api.ts'
export type {
  ApprovalDetail,
  ApprovalRecord,
  CallRecord,
  PolicyExplanation,
  StageRecord,
  TaskDetail,
  TaskRecord,
  TaskState,
  TaskUpdate,
  ToolRecord
} from '../node/run-api.ts'
export type { Method } from './method.ts'

export type MethodName = keyof typeof METHODS
/** What a caller gives; fields with a default may be left out. */
export type ParamsOf<Name extends MethodName> = z.input<(typeof METHODS)[Name]['params']>
export type ResultOf<Name extends MethodName> = z.output<(typeof METHODS)[Name]['result']>

/** The method of that name; null for any other text, inherited names included. */
export function findMethod(name: string): Method | null {
  return Object.hasOwn(METHODS, name) ? (METHODS[name as MethodName] as unknown as Method) : null
}

/** Every method with its schemas as JSON Schema. */
export function describeMethods(): MethodRecord[] {
  return Object.entries(METHODS).map(([name, { summary, scope, params, result }]) => ({
    name,
    summary,
    scope,
    params: z.toJSONSchema(params, { io: 'input' }),
    result: z.toJSONSchema(result)
  }))
}
