// Tasks, runs and approvals as the local API shows them: plain JSON values.

import type { Outcome } from '../pipeline/run-events.ts'

/** A member for people: its peer id and its name. */
export interface MemberRef {
  readonly peerId: string
  readonly name: string
}

export type TaskState = 'submitted' | 'assigned' | 'running' | 'waiting-approval' | Outcome
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
  /** As they were written, but for credentials; the digests are of the true bytes. */
  readonly arguments: string
  /** Places of the arguments that are masked here, and the size of the true ones. */
  readonly masked: number
  readonly argumentBytes: number
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
