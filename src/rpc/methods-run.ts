// The methods of tasks, approvals, tools, policy, agents and replays: the part of the table that methods.ts spreads.
// Voting has a scope of its own. What the node decides (who may vote, whose task it is) is not decided again here.

import { z } from 'zod'
import { LIMITS } from '../base/limits.ts'
import type { TaskDetail } from '../node/run-api.ts'
import { type Method, type MethodContext, method } from './method.ts'
import { listOf } from './result-schemas.ts'
import * as results from './result-schemas-run.ts'

const none = z.strictObject({})
const done = z.object({})
const subscribed = z.object({ subscription: z.string() })
const name = z.string().min(1).max(256)
const task = z.string().regex(/^[0-9a-f]{32}$/)
const id = z.string().regex(/^[0-9a-f]{64}$/)
const member = z.string().min(1).max(256).nullable().default(null)
const input = z
  .string()
  .refine(
    (text) => Buffer.byteLength(text) <= LIMITS.toolInputBytesMax,
    `longer than ${LIMITS.toolInputBytesMax} bytes`
  )
const taint = z.array(z.enum(['peer', 'web', 'file', 'tool', 'model'])).max(5)
/** Room for the envelope and the schema on one line. */
const CODE_CHARACTERS_MAX = LIMITS.rpcLineBytesMax - 64 * 1024

/** What one call shows in an answer that would be too long; the log has the rest. */
const CALL_TEXT_CHARACTERS = 2_000

/** The task as one answer can carry it: where its calls hold more, each shows the beginning of its texts. */
function withinAnswer(task: TaskDetail): TaskDetail {
  const bytes = task.callRecords.reduce((sum, call) => sum + Buffer.byteLength(call.arguments + call.output) * 2, 0)
  if (bytes <= LIMITS.rpcLineBytesMax) return task
  const cut = (text: string) => (text.length > CALL_TEXT_CHARACTERS ? `${text.slice(0, CALL_TEXT_CHARACTERS)}…` : text)
  const callRecords = task.callRecords.map((call) => ({
    ...call,
    arguments: cut(call.arguments),
    output: cut(call.output),
    truncated: call.truncated || call.output.length > CALL_TEXT_CHARACTERS
  }))
  return { ...task, callRecords }
}

/** A stream's items under their name, each held to its schema. */
async function* checked<Item>(
  name: string,
  schema: z.ZodType<Item>,
  items: AsyncIterable<Item>
): AsyncGenerator<Readonly<Record<string, Item>>> {
  for await (const item of items) yield { [name]: schema.parse(item) }
}

const TASK_METHODS = {
  'task/submit': method({
    summary: 'Submits a tool call or an agent’s prompt; it runs through all five stages where it is assigned.',
    params: z.strictObject({
      kind: z.enum(['tool', 'agent']),
      name,
      input,
      on: member,
      conversation: task.nullable().default(null),
      expiresInMs: z.int().min(1_000).max(LIMITS.taskLifeMsMax).default(3_600_000)
    }),
    result: results.taskRecord,
    scope: 'operator',
    handler: (api, params) => api.taskSubmit(params)
  }),
  'task/list': method({
    summary: 'A page of tasks, the newest first; `next` continues it.',
    params: z.strictObject({
      state: z.enum(results.TASK_STATES).optional(),
      limit: z.int().min(1).max(LIMITS.pageRowsMax).optional(),
      cursor: z.string().min(1).max(512).optional()
    }),
    result: results.taskPage,
    scope: 'read',
    handler: (api, params) => api.tasks(params)
  }),
  'task/show': method({
    summary: 'One task with its calls, stages and answer.',
    params: z.strictObject({ task }),
    result: results.taskDetail,
    scope: 'read',
    handler: async (api, params) => withinAnswer(await api.task(params.task))
  }),
  'task/subscribe': method({
    summary: 'What is known of a task, then what comes until its end, as task/update {subscription, update}.',
    params: z.strictObject({ task }),
    result: subscribed,
    scope: 'read',
    handler: async (api, params, context) => ({
      subscription: context.subscribe('task/update', (signal) =>
        checked('update', results.taskUpdate, api.taskFollow(params.task, signal))
      )
    })
  }),
  'task/cancel': method({
    summary: 'Cancels a task; a call that runs is killed.',
    params: z.strictObject({ task }),
    result: results.taskRecord,
    scope: 'operator',
    handler: (api, params) => api.taskCancel(params.task)
  }),
  'task/retry': method({
    summary: 'Another attempt by a person’s word, although the one before may have had an effect.',
    params: z.strictObject({ task }),
    result: results.taskRecord,
    scope: 'operator',
    handler: (api, params) => api.taskRetry(params.task)
  }),
  'run/replay': method({
    summary: 'Repeats the deterministic stages of a run from the log alone, and no effect.',
    params: z.strictObject({ run: z.string().regex(/^[0-9a-f]{32}(\.[1-9]\d{0,8})?$/) }),
    result: results.replayReport,
    scope: 'read',
    handler: (api, params) => api.replay(params.run)
  })
} satisfies Readonly<Record<`${string}/${string}`, Method>>

const APPROVAL_METHODS = {
  'approval/list': method({
    summary: 'Calls that wait for a person; with `all` the decided ones too.',
    params: z.strictObject({ all: z.boolean().default(false) }),
    result: listOf(results.approvalRecord),
    scope: 'read',
    handler: async (api, params) => ({ items: [...(await api.approvals(params.all))], next: null })
  }),
  'approval/show': method({
    summary: 'One request with the exact arguments, and the digest as it was asked and as this node computed it.',
    params: z.strictObject({ approval: id }),
    result: results.approvalDetail,
    scope: 'read',
    handler: (api, params) => api.approval(params.approval)
  }),
  'approval/subscribe': method({
    summary: 'Open requests, then each that opens or changes, as approval/update {subscription, approval}.',
    params: none,
    result: subscribed,
    scope: 'read',
    handler: async (api, _params, context) => ({
      subscription: context.subscribe('approval/update', (signal) =>
        checked('approval', results.approvalRecord, api.approvalFollow(signal))
      )
    })
  }),
  'approval/vote': method({
    summary: 'A person’s answer to the request of which this digest was shown.',
    params: z.strictObject({ approval: id, vote: z.enum(['approve', 'deny']), digest: id }),
    result: results.approvalRecord,
    scope: 'approve',
    handler: (api, params) => api.approvalVote(params.approval, params.vote, params.digest)
  })
} satisfies Readonly<Record<`${string}/${string}`, Method>>

const TOOL_METHODS = {
  'tool/list': method({
    summary: 'Tools of this node, or as a member announces them.',
    params: z.strictObject({ member }),
    result: listOf(results.toolRecord),
    scope: 'read',
    handler: async (api, params) => ({ items: [...(await api.tools(params.member))], next: null })
  }),
  'tool/show': method({
    summary: 'One tool of this node with the schema of its arguments.',
    params: z.strictObject({ name }),
    result: results.toolRecord,
    scope: 'read',
    handler: (api, params) => api.tool(params.name)
  }),
  'tool/register': method({
    summary: 'Registers code as a tool of this node: a signed event with the code’s hash.',
    params: z.strictObject({
      name,
      kind: z.enum(['script', 'wasm']),
      description: z.string().max(4_096).default(''),
      code: z.base64().min(1).max(CODE_CHARACTERS_MAX),
      parameters: z.record(z.string(), z.unknown()),
      tier: z.enum(results.TIER_NAMES).nullable().default(null),
      scope: z.enum(['operator', 'admin']).default('operator'),
      permissions: z.array(z.string().min(1).max(100)).max(32).default([]),
      replace: z.boolean().default(false)
    }),
    result: results.toolRecord,
    scope: 'admin',
    handler: (api, params) => api.toolRegister(params)
  }),
  'tool/remove': method({
    summary: 'Removes a registered tool.',
    params: z.strictObject({ name }),
    result: done,
    scope: 'admin',
    handler: async (api, params) => {
      await api.toolRemove(params.name)
      return {}
    }
  }),
  'policy/show': method({
    summary: 'The policy that decides here: file, mode and rules in the order they count.',
    params: none,
    result: results.policyView,
    scope: 'read',
    handler: (api) => api.policy()
  }),
  'policy/explain': method({
    summary: 'What the policy would say to a call, and by which rule; nothing runs.',
    params: z.strictObject({ tool: name, input, taint: taint.default([]), member }),
    result: results.policyExplanation,
    scope: 'read',
    handler: (api, params) => api.policyExplain(params)
  }),
  'agent/list': method({
    summary: 'Agents of agents.toml, without secrets.',
    params: none,
    result: listOf(results.agentRecord),
    scope: 'read',
    handler: async (api) => ({ items: [...(await api.agents())], next: null })
  }),
  'agent/test': method({
    summary: 'Asks the agent’s model for one word.',
    params: z.strictObject({ name }),
    result: results.agentTest,
    scope: 'operator',
    handler: (api, params, context: MethodContext) => api.agentTest(params.name, context.signal)
  })
} satisfies Readonly<Record<`${string}/${string}`, Method>>

export const RUN_METHODS = { ...TASK_METHODS, ...APPROVAL_METHODS, ...TOOL_METHODS }
