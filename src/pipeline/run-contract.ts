// What a run is given, and what it gives back. The task layer makes the ports on the real log and mesh; tests and replays make others.

import type { Clock, Random } from '../base/clock.ts'
import type { Guard, GuardOrigin } from '../guard/contract.ts'
import type { EventDraft } from '../log/append-builder.ts'
import type { Policy, Principal, Taint, Tier } from '../policy/contract.ts'
import type { JudgePanel, ToolBox, ToolDescriptor } from './contract.ts'
import type { RecordedMessage, RecordedRun } from './recorded-run.ts'
import type { Outcome, RunEvent } from './run-events.ts'

/** An approval that was asked for and is not decided. */
export interface OpenRequest {
  /** Hex id of the `approval-requested` event. */
  readonly id: string
  readonly call: number
  readonly digest: string
  readonly epoch: number
  readonly expiresAtMs: number
  readonly votes: number
  readonly anotherKey: boolean
}

export type ApprovalDecision =
  | { readonly kind: 'approved'; readonly votes: readonly string[] }
  | { readonly kind: 'denied'; readonly votes: readonly string[] }
  | { readonly kind: 'expired' }
  /** A new epoch, or recovery by override: the request can no longer be used. */
  | { readonly kind: 'void' }

export interface RunPorts {
  readonly clock: Clock
  readonly random: Random
  readonly guard: Guard
  /** Read anew for every call: a changed file counts from the next call on. */
  policy(): Policy
  readonly tools: ToolBox
  readonly judges: JudgePanel
  /** Durable when it resolves; hex ids in order. A failure ends the run: nothing happens that is not recorded (AUDIT-2). */
  append(drafts: readonly EventDraft[]): Promise<readonly string[]>
  /** Waits for votes: N different members that may, one of another key where demanded; any deny decides; never longer than the expiry. */
  approval(request: OpenRequest, signal: AbortSignal): Promise<ApprovalDecision>
  /** Whether an effect that takes up to `ms` may begin: the lease outlives it (renewed when it would not), and the attempt is the current one. */
  mayStart(ms: number): Promise<boolean>
  /** Whether an external or irreversible effect may happen now: the own marker fits or the own head is confirmed. */
  mayAffectOutside(): boolean
  /** Hashes of policies whose text this node's chain holds already. */
  policyRecorded(hash: string): boolean
  /** The folder of this run, made unless nothing but its name is needed. */
  workspace(make: boolean): Promise<string>
  /** Keeps a result that is too long for events as a file of the run; its name. */
  keepResult(call: number, bytes: Uint8Array): Promise<string>
  /** Live text of a model or a tool, for whoever follows here; not recorded. */
  onText(text: string): void
}

export interface RunStart {
  /** 32 bytes. */
  readonly mesh: Uint8Array
  /** Hex key of this node. */
  readonly executor: string
  readonly epoch: number
  /** 16 bytes: the task's scope. */
  readonly scope: Uint8Array
  readonly attempt: number
  readonly submitter: { readonly name: string; readonly peerId: string; readonly self: boolean }
  readonly principal: Principal
  readonly tierMax: Tier
  /** What the run is tainted with before it begins: `peer` for a task from elsewhere. */
  readonly taint: readonly Taint[]
  /** What an earlier process recorded of this attempt; an empty run otherwise. */
  readonly recorded: RecordedRun
  /** Ends the run: cancelled, lease over, node stopping. */
  readonly signal: AbortSignal
}

/** What one call came to. `text` is what the caller (a person or a model) may see. */
export interface CallResult {
  readonly call: number
  readonly status: Outcome
  readonly text: string
  /** A word: the rule, the code or `ok`. */
  readonly reason: string
}

/** One tool call on its way through the five stages. */
export interface CallInput {
  readonly call: number
  readonly tool: string
  /** JSON text as it was given. */
  readonly argumentText: string
  /** For the judge: what it is for. */
  readonly purpose: string
  /** Whose words the arguments are; a model's unless said otherwise. */
  readonly from?: 'task' | 'model'
  /** False: the agent was not given this tool, whatever the rules would say. */
  readonly granted?: boolean
}

export interface RunUsage {
  readonly inputTokens: number
  readonly outputTokens: number
  readonly costMicros: number | null
}

export interface RunEnd extends RunUsage {
  readonly outcome: Outcome
  readonly reason: string
  /** What the person gets: the tool's output or the agent's answer; '' when nothing may be shown. */
  readonly answer: string
}

/** A run as an agent sees it: there is no other way from a model to a tool. Each method records before it returns. */
export interface RunHandle {
  readonly signal: AbortSignal
  readonly recorded: RecordedRun
  /** Tools that may be offered to a model, with descriptions that passed the guard. */
  offered(): Promise<readonly ToolDescriptor[]>
  /** The guardrail over text that is no call's; the text to go on with, null when it is blocked. */
  guard(subject: 'prompt' | 'answer', origin: GuardOrigin, text: string): Promise<string | null>
  /** All five stages. Never throws for what the call came to. */
  call(input: CallInput): Promise<CallResult>
  recordModel(entry: Omit<RunEvent<'model-called'>, 'attempt'>): Promise<void>
  recordMessage(message: RecordedMessage): Promise<void>
  onText(text: string): void
}

export interface AgentTask {
  readonly agent: string
  readonly prompt: string
  /** Messages of the conversation before this task, oldest first. */
  readonly history: readonly RecordedMessage[]
  /** Where the prompt comes from. */
  readonly origin: 'owner' | 'peer'
}

/** Runs an agent's task to its end: the model proposes, the run disposes. Throws MeshError AGENT_UNKNOWN, MODEL_…. */
export type AgentRunner = (run: RunHandle, task: AgentTask) => Promise<RunEnd>
