// Schemas of what methods answer, each checked by the compiler against the interface in node-api.ts. Unknown keys are dropped, not sent.

import { z } from 'zod'
import type {
  AppendReceipt,
  ChainHead,
  ChainReport,
  DoctorLine,
  EventRecord,
  InviteRecord,
  MemberDetail,
  MemberRef,
  MemberStatus,
  NodeStatus,
  Page,
  PeerRecord,
  VerifyReport,
  WhyStep
} from '../node/node-api.ts'

const count = z.int().nonnegative()
const milliseconds = z.number().nonnegative()
const time = z.iso.datetime({ offset: true })

const memberRefShape = { peerId: z.string(), name: z.string() }
export const memberRef: z.ZodType<MemberRef> = z.object(memberRefShape)

const memberStatusShape = {
  ...memberRefShape,
  self: z.boolean(),
  role: z.string(),
  removed: z.boolean(),
  connected: z.boolean(),
  address: z.string(),
  relayed: z.boolean(),
  rttMs: milliseconds.nullable(),
  lastSeenAt: time.nullable(),
  events: count,
  behind: count,
  chain: z.enum(['complete', 'behind', 'contradicted', 'forked', 'unknown', 'unconfirmed'])
}
export const memberStatus: z.ZodType<MemberStatus> = z.object(memberStatusShape)

export const memberDetail: z.ZodType<MemberDetail> = z.object({
  ...memberStatusShape,
  fingerprint: z.string(),
  rank: z.number(),
  rights: z.array(z.string()),
  admittedBy: memberRef.nullable(),
  admittedAt: time.nullable(),
  removedBy: memberRef.nullable(),
  addresses: z.array(z.string()),
  flags: z.array(z.string())
})

export const nodeStatus: z.ZodType<NodeStatus> = z.object({
  version: z.string(),
  name: z.string(),
  peerId: z.string(),
  fingerprint: z.string(),
  state: z.enum(['starting', 'recovering', 'ready', 'identity-in-use-twice', 'removed', 'stopping']),
  stateDetail: z.string(),
  startedAt: time,
  uptimeMs: milliseconds,
  home: z.string(),
  socket: z.string(),
  mesh: z.object({ id: z.string(), name: z.string(), members: count, role: z.string(), founder: z.string() }),
  listening: z.object({ main: z.array(z.string()), door: z.array(z.string()), mdns: z.boolean() }),
  log: z.object({ events: count, openedInMs: milliseconds, synced: z.boolean(), behind: count }),
  members: z.array(memberStatus),
  health: z.array(z.object({ level: z.enum(['warn', 'error']), text: z.string(), hint: z.string() })),
  run: z
    .object({ running: count, waitingApprovals: count, sandbox: z.string(), boxed: z.boolean().optional() })
    .optional()
})

export const eventRecord: z.ZodType<EventRecord> = z.object({
  id: z.string(),
  author: memberRef,
  chain: count,
  epoch: count,
  seq: count,
  time: time,
  type: z.string(),
  scope: z.string().nullable(),
  authorised: z.boolean(),
  payload: z.enum(['present', 'erased', 'pending', 'none']),
  json: z.string().nullable()
})

export const eventPage: z.ZodType<Page<EventRecord>> = z.object({
  items: z.array(eventRecord),
  next: z.string().nullable()
})

export const chainHead: z.ZodType<ChainHead> = z.object({
  author: memberRef,
  chain: count,
  epoch: count,
  seq: count,
  id: z.string(),
  link: z.string(),
  seal: z.string(),
  witnessedSeq: count,
  state: z.enum(['complete', 'behind', 'contradicted', 'forked', 'quarantined', 'unconfirmed'])
})

const chainReport: z.ZodType<ChainReport> = z.object({
  author: memberRef,
  events: count,
  chains: count,
  ok: z.boolean(),
  sealsValid: z.boolean(),
  erased: count,
  pending: count,
  code: z.string().nullable(),
  message: z.string().nullable()
})

export const verifyReport: z.ZodType<VerifyReport> = z.object({
  events: count,
  ok: z.boolean(),
  elapsedMs: milliseconds,
  chains: z.array(chainReport)
})

export const appendReceipt: z.ZodType<AppendReceipt> = z.object({ id: z.string(), epoch: count, seq: count })

export const inviteRecord: z.ZodType<InviteRecord> = z.object({
  id: z.string(),
  role: z.string(),
  name: z.string(),
  createdAt: time,
  expiresAt: time,
  state: z.enum(['open', 'used', 'expired', 'revoked']),
  usedBy: z.string().nullable()
})

export const peerRecord: z.ZodType<PeerRecord> = z.object({
  ...memberRefShape,
  address: z.string(),
  direction: z.enum(['inbound', 'outbound']),
  relayed: z.boolean(),
  connectedAt: time,
  rttMs: milliseconds.nullable(),
  gossip: z.boolean(),
  sendBacklogBytes: count
})

const whyStep: z.ZodType<WhyStep> = z.object({
  question: z.string(),
  ok: z.boolean().nullable(),
  answer: z.string(),
  hint: z.string()
})

export const whyReport: z.ZodType<{ readonly member: MemberRef; readonly steps: readonly WhyStep[] }> = z.object({
  member: memberRef,
  steps: z.array(whyStep)
})

export const doctorLine: z.ZodType<DoctorLine> = z.object({
  section: z.string(),
  level: z.enum(['ok', 'warn', 'error']),
  text: z.string(),
  hint: z.string()
})

export const identity = z.object({
  peerId: z.string(),
  publicKey: z.string(),
  fingerprint: z.string(),
  name: z.string(),
  sealedBy: z.string()
})

/** A list that fits in one page. */
export function listOf<Item>(item: z.ZodType<Item>): z.ZodType<{ items: Item[]; next: null }> {
  return z.object({ items: z.array(item), next: z.null() })
}
