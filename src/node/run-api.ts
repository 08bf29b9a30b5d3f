// The part of the local API that is about tasks, runs, approvals, tools, policy, agents and judges. Plain JSON values as in node-api.ts.

import type {
  ApprovalDetail,
  ApprovalRecord,
  TaskDetail,
  TaskRecord,
  TaskState,
  TaskUpdate,
  TierName
} from '../task/task-records.ts'
import type { MemberRef, Page } from './node-api.ts'

export type {
  ApprovalDetail,
  ApprovalRecord,
  CallRecord,
  StageRecord,
  TaskDetail,
  TaskRecord,
  TaskState,
  TaskUpdate,
  TierName
} from '../task/task-records.ts'

export interface ToolRecord {
  readonly name: string
  readonly kind: string
  readonly description: string
  readonly tier: TierName | null
  /** '' for a built-in tool that this machine cannot isolate. */
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
