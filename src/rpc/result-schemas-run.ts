// Schemas of what the methods of tasks, approvals, tools, policy and agents answer, each checked by the compiler against run-api.ts.

import { z } from 'zod'
import type { Page } from '../node/node-api.ts'
import type {
  AgentRecord,
  ApprovalDetail,
  ApprovalRecord,
  CallRecord,
  PolicyExplanation,
  PolicyView,
  ReplayReport,
  StageRecord,
  TaskDetail,
  TaskRecord,
  TaskState,
  TaskUpdate,
  TierName,
  ToolRecord
} from '../node/run-api.ts'
import { OUTCOMES } from '../pipeline/run-events.ts'
import { memberRef } from './result-schemas.ts'

const count = z.int().nonnegative()
const milliseconds = z.number().nonnegative()
const time = z.iso.datetime({ offset: true })
const texts = z.array(z.string())

export const TASK_STATES = [
  'submitted',
  'assigned',
  'running',
  'waiting-approval',
  ...OUTCOMES
] as const satisfies readonly TaskState[]
export const TIER_NAMES = ['read-only', 'internal', 'external', 'irreversible'] as const satisfies readonly TierName[]
const tier: z.ZodType<TierName> = z.enum(TIER_NAMES)

const taskShape = {
  id: z.string(),
  kind: z.enum(['tool', 'agent']),
  name: z.string(),
  state: z.enum(TASK_STATES),
  submitter: memberRef,
  on: memberRef.nullable(),
  executor: memberRef.nullable(),
  attempt: count,
  submittedAt: time,
  finishedAt: time.nullable(),
  reason: z.string(),
  calls: count,
  inputTokens: count,
  outputTokens: count,
  costMicros: count.nullable()
}
export const taskRecord: z.ZodType<TaskRecord> = z.object(taskShape)

export const taskPage: z.ZodType<Page<TaskRecord>> = z.object({
  items: z.array(taskRecord),
  next: z.string().nullable()
})

const stageRecord: z.ZodType<StageRecord> = z.object({
  call: count,
  stage: z.enum(['guardrail', 'policy', 'approval', 'tool', 'judge']),
  subject: z.string(),
  verdict: z.string(),
  rule: z.string(),
  place: z.string(),
  reasons: texts,
  text: z.string(),
  durationMs: milliseconds,
  at: time
})

const callRecord: z.ZodType<CallRecord> = z.object({
  call: count,
  tool: z.string(),
  tier: tier.nullable(),
  arguments: z.string(),
  workspace: z.string(),
  stages: z.array(stageRecord),
  status: z.string().nullable(),
  output: z.string(),
  outputBytes: count,
  truncated: z.boolean(),
  exitCode: z.int().nullable(),
  changes: z.array(z.object({ operation: z.string(), path: z.string(), size: count })),
  request: z.string().nullable(),
  votes: z.array(z.object({ id: z.string(), member: memberRef, vote: z.string(), counted: z.boolean() }))
})

export const taskDetail: z.ZodType<TaskDetail> = z.object({
  ...taskShape,
  input: z.string(),
  stages: z.array(stageRecord),
  callRecords: z.array(callRecord),
  answer: z.string(),
  runs: texts
})

const approvalShape = {
  id: z.string(),
  task: z.string(),
  attempt: count,
  call: count,
  tool: z.string(),
  tier,
  state: z.enum(['open', 'approved', 'denied', 'expired', 'used', 'void']),
  executor: memberRef,
  submitter: memberRef,
  requestedAt: time,
  expiresAt: time,
  votesNeeded: count,
  anotherKey: z.boolean(),
  votes: z.array(z.object({ member: memberRef, vote: z.enum(['approve', 'deny']), at: time })),
  reasons: texts,
  mayVote: z.boolean(),
  mayNotBecause: z.string()
}
export const approvalRecord: z.ZodType<ApprovalRecord> = z.object(approvalShape)

export const approvalDetail: z.ZodType<ApprovalDetail> = z.object({
  ...approvalShape,
  arguments: z.string(),
  masked: count,
  argumentBytes: count,
  workspace: z.string(),
  paths: texts,
  hosts: texts,
  taint: texts,
  toolHash: z.string(),
  profile: z.string(),
  digest: z.string(),
  recomputedDigest: z.string(),
  explanation: z.string()
})

/** Items of the streams are checked as answers are. */
export const taskUpdate: z.ZodType<TaskUpdate> = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('state'), task: z.object(taskShape) }),
  z.object({ kind: z.literal('stage'), stage: stageRecord }),
  z.object({ kind: z.literal('approval'), approval: approvalRecord }),
  z.object({ kind: z.literal('text'), text: z.string() }),
  z.object({ kind: z.literal('output'), call: count, text: z.string() }),
  z.object({ kind: z.literal('end'), task: z.object(taskShape), answer: z.string() })
])

export const toolRecord: z.ZodType<ToolRecord> = z.object({
  name: z.string(),
  kind: z.string(),
  description: z.string(),
  tier: tier.nullable(),
  hash: z.string(),
  member: memberRef,
  parameters: z.record(z.string(), z.unknown()).nullable(),
  available: z.boolean(),
  why: z.string()
})

export const policyView: z.ZodType<PolicyView> = z.object({
  file: z.string(),
  exists: z.boolean(),
  hash: z.string(),
  mode: z.string(),
  rules: z.array(z.object({ id: z.string(), effect: z.string(), place: z.string(), text: z.string() }))
})

export const policyExplanation: z.ZodType<PolicyExplanation> = z.object({
  decision: z.enum(['allow', 'ask', 'deny']),
  tier,
  rule: z.string(),
  place: z.string(),
  reasons: texts,
  votes: count,
  anotherKey: z.boolean(),
  judges: count
})

export const agentRecord: z.ZodType<AgentRecord> = z.object({
  name: z.string(),
  provider: z.string(),
  model: z.string(),
  tools: texts,
  hasKey: z.boolean()
})

export const agentTest = z.object({ ok: z.boolean(), text: z.string(), ms: milliseconds })

export const replayReport: z.ZodType<ReplayReport> = z.object({
  run: z.string(),
  equal: z.boolean(),
  stages: z.array(
    z.object({
      call: count,
      stage: z.string(),
      subject: z.string(),
      recorded: z.string(),
      replayed: z.string(),
      equal: z.boolean(),
      note: z.string()
    })
  )
})
