// The part of the local API that is about tasks, runs, approvals, tools, policy, agents and judges. Plain JSON values as in node-api.ts.

import type { MemberRef, Page } from './node-api.ts'

export type TaskState =
  | 'submitted'
  | 'assigned'
  | 'running'
  | 'waiting-approval'
  | 'done'
  | 'failed'
  | 'blocked'
  | 'denied'
  | 'expired'
  | 'cancelled'
  | 'interrupted'
  | 'unknown'
export type TierName = 'read-only' | 'internal' | 'external' | 'irreversible'

export interface TaskRecord {
  /** 32 hex characters: the scope of all its events. */
  readonly id: string
  readonly kind: 'tool' | 'agent'
  /** Tool or agent. */
  readonly name: string
  readonly state: TaskState
  readonly submitter: MemberRef
  /** Member that it is for; null for any. */
  readonly on: MemberRef | null
  readonly executor: MemberRef | null
  readonly attempt: number
  readonly submittedAt: string
  readonly finishedAt: string | null
  readonly reason: string
  readonly calls: number
  readonly inputTokens: number
  readonly outputTokens: number
  readonly costMicros: number | null
}

export interface StageRecord {
  readonly call: number
  readonly stage: 'guardrail' | 'policy' | 'approval' | 'tool' | 'judge'
  readonly subject: string
  readonly verdict: string
  readonly rule: string
  readonly place: string
  readonly reasons: readonly string[]
  readonly text: string
  readonly durationMs: number
  readonly at: string
}

export interface CallRecord {
  readonly call: number
  readonly tool: string
  readonly tier: TierName | null
  readonly arguments: string
  readonly workspace: string
  readonly stages: readonly StageRecord[]
  readonly status: string | null
  readonly output: string
  readonly outputBytes: number
  readonly truncated: boolean
  readonly exitCode: number | null
  readonly changes: readonly { readonly operation: string; readonly path: string; readonly size: number }[]
  readonly request: string | null
  readonly votes: readonly {
    readonly id: string
    readonly member: MemberRef
    readonly vote: string
    readonly counted: boolean
  }[]
}

export interface TaskDetail extends TaskRecord {
  readonly input: string
  readonly stages: readonly StageRecord[]
  readonly callRecords: readonly CallRecord[]
  /** The last text of an agent, or the tool's output as the judge let it pass; '' before. */
  readonly answer: string
  /** Run ids, one per attempt: `TASK.ATTEMPT`. */
  readonly runs: readonly string[]
}

/** One line of a followed task. `text` parts are live only where the run is on this node. */
export type TaskUpdate =
  | { readonly kind: 'state'; readonly task: TaskRecord }
  | { readonly kind: 'stage'; readonly stage: StageRecord }
  | { readonly kind: 'approval'; readonly approval: ApprovalRecord }
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'output'; readonly call: number; readonly text: string }
  | { readonly kind: 'end'; readonly task: TaskRecord; readonly answer: string }

export interface ApprovalRecord {
  /** Hex id of the request's event. */
  readonly id: string
  readonly task: string
  readonly attempt: number
  readonly call: number
  readonly tool: string
  readonly tier: TierName
  readonly state: 'open' | 'approved' | 'denied' | 'expired' | 'used' | 'void'
  readonly executor: MemberRef
  readonly submitter: MemberRef
  readonly requestedAt: string
  readonly expiresAt: string
  readonly votesNeeded: number
  readonly anotherKey: boolean
  readonly votes: readonly { readonly member: MemberRef; readonly vote: 'approve' | 'deny'; readonly at: string }[]
  readonly reasons: readonly string[]
  /** Whether this node may vote, and why not. */
  readonly mayVote: boolean
  readonly mayNotBecause: string
}

export interface ApprovalDetail extends ApprovalRecord {
  readonly arguments: string
  readonly workspace: string
  readonly paths: readonly string[]
  readonly hosts: readonly string[]
  readonly taint: readonly string[]
  readonly toolHash: string
  readonly profile: string
  /** As the request says it, and as this node computed it from what it shows: a vote is refused unless they are equal. */
  readonly digest: string
  readonly recomputedDigest: string
  readonly explanation: string
}

export interface ToolRecord {
  readonly name: string
  readonly kind: string
  readonly description: string
  readonly tier: TierName | null
  readonly hash: string
  readonly member: MemberRef
  readonly parameters: Readonly<Record<string, unknown>> | null
  readonly available: boolean
  readonly why: string
}

export interface ToolRegistration {
  readonly name: string
  readonly kind: 'script' | 'wasm'
  readonly description: string
  /** Base64 of the code. */
  readonly code: string
  readonly parameters: Readonly<Record<string, unknown>>
  readonly tier: TierName | null
  readonly scope: 'operator' | 'admin'
  readonly permissions: readonly string[]
  readonly replace: boolean
}

export interface PolicyView {
  readonly file: string
  readonly exists: boolean
  readonly hash: string
  readonly mode: string
  readonly rules: readonly {
    readonly id: string
    readonly effect: string
    readonly place: string
    readonly text: string
  }[]
}
export interface PolicyExplanation {
  readonly decision: 'allow' | 'ask' | 'deny'
  readonly tier: TierName
  readonly rule: string
  readonly place: string
  readonly reasons: readonly string[]
  readonly votes: number
  readonly anotherKey: boolean
  readonly judges: number
}

export interface ReplayReport {
  readonly run: string
  readonly equal: boolean
  readonly stages: readonly {
    readonly call: number
    readonly stage: string
    readonly subject: string
    readonly recorded: string
    readonly replayed: string
    readonly equal: boolean
    readonly note: string
  }[]
}

export interface AgentRecord {
  readonly name: string
  readonly provider: string
  readonly model: string
  readonly tools: readonly string[]
  readonly hasKey: boolean
}

export interface TaskQuery {
  readonly state?: TaskState | undefined
  readonly limit?: number | undefined
  readonly cursor?: string | undefined
}

export interface RunApi {
  /** `on`: a member, or null for any. `input`: JSON text for a tool, the prompt for an agent. */
  taskSubmit(task: {
    readonly kind: 'tool' | 'agent'
    readonly name: string
    readonly input: string
    readonly on: string | null
    readonly conversation: string | null
    readonly expiresInMs: number
  }): Promise<TaskRecord>
  tasks(query: TaskQuery): Promise<Page<TaskRecord>>
  task(id: string): Promise<TaskDetail>
  /** What is known, then what comes, until the task has ended or the signal aborts. */
  taskFollow(id: string, signal: AbortSignal): AsyncIterable<TaskUpdate>
  taskCancel(id: string): Promise<TaskRecord>
  /** Another attempt of a task whose outcome is unknown or that ended without success, by a person's word. */
  taskRetry(id: string): Promise<TaskRecord>

  approvals(all: boolean): Promise<readonly ApprovalRecord[]>
  approval(id: string): Promise<ApprovalDetail>
  /** `digest`: the one that the person was shown. */
  approvalVote(id: string, vote: 'approve' | 'deny', digest: string): Promise<ApprovalRecord>
  /** Open ones, then each that opens or changes. */
  approvalFollow(signal: AbortSignal): AsyncIterable<ApprovalRecord>

  /** Of this node, or as members announce them. */
  tools(member: string | null): Promise<readonly ToolRecord[]>
  tool(name: string): Promise<ToolRecord>
  toolRegister(tool: ToolRegistration): Promise<ToolRecord>
  toolRemove(name: string): Promise<void>

  policy(): Promise<PolicyView>
  policyExplain(request: {
    readonly tool: string
    readonly input: string
    readonly taint: readonly string[]
    readonly member: string | null
  }): Promise<PolicyExplanation>

  agents(): Promise<readonly AgentRecord[]>
  agentTest(
    name: string,
    signal: AbortSignal
  ): Promise<{ readonly ok: boolean; readonly text: string; readonly ms: number }>

  /** `TASK` or `TASK.ATTEMPT`. */
  replay(run: string): Promise<ReplayReport>
}
