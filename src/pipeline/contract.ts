// Ports of the run: tools, the sandbox behind them, models and judges. The pipeline knows these shapes and nothing of what
// implements them.

import type { ErrorCode } from '../base/errors.ts'
import type { Tier } from '../policy/contract.ts'

/** JSON Schema of an object; `additionalProperties` is false unless it says otherwise. */
export type JsonSchema = Readonly<Record<string, unknown>>
export type JsonObject = Readonly<Record<string, unknown>>

export interface ToolDescriptor {
  /** `^[a-z][a-z0-9_]{0,99}$`, or a built-in's dotted name such as `file.read`. */
  readonly name: string
  readonly kind: 'builtin' | 'script' | 'wasm' | 'command' | 'mcp'
  readonly description: string
  /** True when the description was not written by the owner (MCP): the guard looks at it before a model does. */
  readonly descriptionUntrusted: boolean
  readonly parameters: JsonSchema
  /** Null: not declared, that is irreversible. */
  readonly tier: Tier | null
  /** Hex of SHA-256 over what makes the tool what it is: its code, or name, version and schema of a built-in. */
  readonly hash: string
  /** Hex of SHA-256 over the profile of the sandbox that it runs in. */
  readonly profile: string
  /** Whether its output taints the run, and how; null: trusted. */
  readonly taints: 'web' | 'file' | 'tool' | null
  readonly limits: ToolLimits
  /** False: it touches nothing of the run's folder, which is then only named. */
  readonly usesWorkspace?: boolean
}

export interface ToolLimits {
  readonly timeMs: number
  readonly memoryBytes: number
  readonly outputBytes: number
  readonly processes: number
  readonly fileBytes: number
}

/** One call as it runs. The bytes are those that were approved; nothing is parsed again from anything else. */
export interface ToolInvocation {
  readonly arguments: JsonObject
  readonly argumentBytes: Uint8Array
  /** Absolute path of the run's folder; made before the call, owned by whom the sandbox runs as. */
  readonly workspace: string
  readonly limits: ToolLimits
  readonly signal: AbortSignal
}

/** One change in the workspace. Paths are relative to it. Hashes are lower-case hex of SHA-256, null where there is no file. */
export interface FileChange {
  readonly operation: 'read' | 'create' | 'write' | 'delete' | 'rename'
  readonly path: string
  readonly from?: string
  readonly size: number
  readonly before: string | null
  readonly after: string | null
}

export type ToolStatus = 'ok' | 'error' | 'timeout' | 'memory' | 'output' | 'killed' | 'refused'

export interface ToolOutcome {
  readonly status: ToolStatus
  /** At most `limits.outputBytes`. */
  readonly output: Uint8Array
  readonly truncated: boolean
  /** Of a process; null otherwise. */
  readonly exitCode: number | null
  readonly signal: string | null
  /** For `error` and `refused`: a code and one sentence without secrets. */
  readonly code: ErrorCode | null
  readonly message: string
  readonly changes: readonly FileChange[]
}

/** What a call would touch, for the rules; read from its arguments without any effect. */
export interface ToolTouch {
  readonly paths: readonly string[]
  readonly hosts: readonly string[]
  readonly argv: readonly string[] | null
}

export interface Tool {
  readonly descriptor: ToolDescriptor
  touches(args: JsonObject): ToolTouch
  /** Never throws for what the tool did; a throw is a defect and counts as `error`. */
  run(invocation: ToolInvocation): Promise<ToolOutcome>
}

/** The tools that this node offers. */
export interface ToolBox {
  /** Sorted by name. */
  list(): readonly Tool[]
  get(name: string): Tool | null
}

/** What isolates on this machine, probed with a real command at start. */
export interface SandboxReport {
  readonly script: SandboxState
  readonly wasm: SandboxState
  readonly command: SandboxState
  /** One honest line for status and doctor. */
  readonly line: string
}
export interface SandboxState {
  readonly available: boolean
  /** `bubblewrap 0.8 + seccomp, network off, memory by cgroup`, or why not. */
  readonly text: string
  /** What would make it available on this machine. */
  readonly advice?: string
}

export interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant' | 'tool'
  readonly text: string
  /** Of an assistant: calls that it wants. */
  readonly calls?: readonly ChatCall[]
  /** Of a tool: which call it answers. */
  readonly callId?: string
  readonly toolName?: string
}
export interface ChatCall {
  readonly id: string
  readonly tool: string
  /** JSON text of the arguments as the model wrote it; parsed and validated by the pipeline. */
  readonly argumentText: string
}
export interface ChatTool {
  readonly name: string
  readonly description: string
  readonly parameters: JsonSchema
}
export interface ChatRequest {
  readonly messages: readonly ChatMessage[]
  readonly tools: readonly ChatTool[]
  readonly outputTokensMax: number
}
export type ChatPart =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'call'; readonly call: ChatCall }
  | { readonly kind: 'end'; readonly reason: 'stop' | 'calls' | 'length'; readonly usage: ChatUsage }
export interface ChatUsage {
  readonly inputTokens: number
  readonly outputTokens: number
  /** Millionths of a US dollar; null when the price is not known. */
  readonly costMicros: number | null
}

/** A model. Throws MeshError MODEL_…; retries only what was not begun to be answered. */
export interface ChatModel {
  /** `PROVIDER/MODEL`. */
  readonly name: string
  /** Never leaves the process and never varies: labelled as such. */
  readonly offline: boolean
  stream(request: ChatRequest, signal: AbortSignal): AsyncIterable<ChatPart>
}

export interface JudgeRequest {
  /** What was asked for, and what came out; both are data. */
  readonly task: string
  readonly tool: string
  readonly argumentText: string
  readonly output: string
  /** How many different judges the verdict needs. */
  readonly judges: number
  /** The call in the log that it is about: a judge elsewhere votes there. */
  readonly place?: { readonly task: string; readonly attempt: number; readonly call: number }
}
export interface JudgeVote {
  /** `PROVIDER/MODEL` or `offline`. */
  readonly judge: string
  readonly offline: boolean
  /** Hex key of the member that judged. */
  readonly member: string
  readonly verdict: 'safe' | 'unsafe' | 'invalid'
  /** 0…1; 0 for `invalid`. */
  readonly confidence: number
  /** Why: `time-out`, `malformed`, `budget`, `minority-veto`, … or the judge's category. Words of [a-z-]. */
  readonly reason: string
  readonly durationMs: number
  readonly usage: ChatUsage | null
}
export interface JudgeVerdict {
  readonly verdict: 'safe' | 'unsafe'
  /** `unsafe`, `too-few-judges`, `budget-used-up`, `time-out`, … or `safe`. */
  readonly reason: string
  readonly votes: readonly JudgeVote[]
}
export interface JudgePanel {
  /** Answers without asking anybody: its verdict may share an append with the result. */
  readonly immediate?: boolean
  judge(request: JudgeRequest, signal: AbortSignal): Promise<JudgeVerdict>
}
