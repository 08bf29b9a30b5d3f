// Payloads of the events of tasks and runs (PROTOCOL §12). Records hold ids, words and numbers; text stands in content events beside them,
// cut into pieces. A payload that does not fit its schema has no effect. Every event of a task carries the task's scope.

import { createHash } from 'node:crypto'
import { z } from 'zod'
import { utf8 } from '../base/bytes.ts'
import { MeshError } from '../base/mesh-error.ts'
import type { EventDraft } from '../log/append-builder.ts'
import { tryParseJsonObject } from '../log/strict-json.ts'
import { TIERS } from '../policy/contract.ts'

const hex = (bytes: number) => z.string().regex(new RegExp(`^[0-9a-f]{${bytes * 2}}$`))
const id = hex(32)
const key = hex(32)
const count = z.int().min(0)
const place = z.int().min(1).max(0xffff_ffff)
const word = z
  .string()
  .max(100)
  .regex(/^[A-Za-z0-9][A-Za-z0-9._:/-]*$/)
const words = z.array(word).max(32)
/** Events that the author had seen. */
const after = z.array(id).max(16)
const piece = { part: count, parts: place }
const taints = z.array(z.enum(['peer', 'web', 'file', 'tool', 'model'])).max(5)
/** A call of a run: number 0 is the run itself (its prompt and its answer). */
const call = { attempt: place, call: count }
export const STAGES = ['guardrail', 'policy', 'approval', 'tool', 'judge'] as const
export type Stage = (typeof STAGES)[number]
/** How a run or a call ends. */
export const OUTCOMES = [
  'done',
  'failed',
  'blocked',
  'denied',
  'expired',
  'cancelled',
  'interrupted',
  'unknown'
] as const
export type Outcome = (typeof OUTCOMES)[number]

export const RUN_EVENTS = {
  /** The submitter: `nonce` makes the scope; `on` is a member's key or `any`; calls above `tierMax` are denied. Comes after its `task-input`. */
  'task-submitted': z.strictObject({
    nonce: hex(16),
    kind: z.enum(['tool', 'agent']),
    name: word,
    on: z.union([key, z.literal('any')]),
    principal: z.enum(['owner', 'agent', 'token', 'peer']),
    tierMax: z.enum(TIERS),
    inputParts: place,
    expiresAtMs: count,
    conversation: hex(16).nullable(),
    taint: taints
  }),
  /** JSON text of a tool's arguments, or an agent's prompt. */
  'task-input': z.strictObject({ ...piece, text: z.string() }),
  /** The submitter: `confirmed` when a person allowed another attempt although the one before may have had an effect. */
  'task-assigned': z.strictObject({
    attempt: place,
    executor: key,
    leaseMs: place,
    claim: hex(16),
    confirmed: z.boolean(),
    after
  }),
  'task-cancelled': z.strictObject({ attempt: count, reason: z.enum(['person', 'expired', 'no-executor']), after }),

  'run-started': z.strictObject({ attempt: place, epoch: place, policy: hex(32), guard: word, principal: word }),
  /** What approvers are shown beside the arguments, and what the digest needs. */
  'call-proposed': z.strictObject({
    ...call,
    tool: word,
    kind: z.enum(['builtin', 'script', 'wasm', 'command', 'mcp']),
    toolHash: hex(32),
    workspace: z.string().max(4096),
    profile: hex(32),
    nonce: hex(16),
    tier: z.enum(TIERS).nullable(),
    taint: taints,
    /** What its result brings. */
    taints: z.enum(['web', 'file', 'tool']).nullable(),
    argumentParts: place,
    /** What the rules were asked, beside the arguments: with the policy's text a replay asks the same. */
    policy: hex(32),
    principal: z.enum(['owner', 'agent', 'token', 'peer']),
    member: z.string().max(128),
    paths: z.array(z.string().max(4096)).max(64),
    hosts: z.array(z.string().max(256)).max(64),
    argv: z.array(z.string()).max(1024).nullable()
  }),
  /** The exact argument text: `final` is what goes on behind the guardrail; `given` stands beside it where the guardrail changed or blocked it. */
  'call-arguments': z.strictObject({ ...call, ...piece, form: z.enum(['given', 'final']), text: z.string() }),
  'stage-decided': z.strictObject({
    ...call,
    stage: z.enum(STAGES),
    subject: z.enum(['prompt', 'arguments', 'result', 'description', 'answer', 'call']),
    verdict: z.enum(['pass', 'change', 'block', 'allow', 'ask', 'deny']),
    tier: z.enum(TIERS).nullable(),
    rule: word,
    place: z.string().max(120),
    reasons: words,
    durationMs: z.number().min(0)
  }),
  /** Sentences for a person. */
  'stage-explained': z.strictObject({ ...call, stage: z.enum(STAGES), text: z.string().max(8192) }),
  'approval-requested': z.strictObject({
    ...call,
    digest: hex(32),
    epoch: place,
    expiresAtMs: count,
    votes: place,
    anotherKey: z.boolean(),
    tier: z.enum(TIERS),
    reasons: words,
    after
  }),
  /** `request`: id of the `approval-requested` event. */
  'approval-voted': z.strictObject({
    request: id,
    digest: hex(32),
    vote: z.enum(['approve', 'deny']),
    principal: z.enum(['owner', 'agent', 'token', 'peer']),
    after
  }),
  /** Durable before the effect, once per call. */
  'tool-started': z.strictObject({
    ...call,
    digest: hex(32),
    request: id.nullable(),
    votes: z.array(id).max(64),
    tier: z.enum(TIERS),
    after
  }),
  /** What the judges let pass. `file`: a result above 1 MiB is a file of the run; the text is empty then. */
  'tool-output': z.strictObject({
    ...call,
    ...piece,
    text: z.string(),
    file: z.strictObject({ name: z.string().max(255), sha256: hex(32), size: count }).nullable()
  }),
  'file-changed': z.strictObject({
    ...call,
    ...piece,
    changes: z
      .array(
        z.strictObject({
          operation: z.enum(['read', 'create', 'write', 'delete', 'rename']),
          path: z.string().max(4096),
          from: z.string().max(4096).optional(),
          size: count,
          before: hex(32).nullable(),
          after: hex(32).nullable()
        })
      )
      .max(512)
  }),
  /**
   * `commitment`: SHA-256(payload tag ‖ salt ‖ output as the tool gave it), the salt in `call-recorded`; it is all that is kept of a blocked
   * output.
   */
  'tool-finished': z.strictObject({
    ...call,
    status: z.enum(['ok', 'error', 'timeout', 'memory', 'output', 'killed', 'refused']),
    code: word.nullable(),
    exitCode: z.int().nullable(),
    signal: word.nullable(),
    durationMs: z.number().min(0),
    outputBytes: count,
    truncated: z.boolean(),
    commitment: hex(32),
    filesChanged: count,
    taint: taints
  }),
  'judge-voted': z.strictObject({
    ...call,
    judge: word,
    offline: z.boolean(),
    verdict: z.enum(['safe', 'unsafe', 'invalid']),
    confidence: z.number().min(0).max(1),
    reason: word,
    durationMs: z.number().min(0),
    inputTokens: count,
    outputTokens: count,
    costMicros: count.nullable()
  }),
  'model-called': z.strictObject({
    attempt: place,
    step: place,
    model: word,
    status: word,
    durationMs: z.number().min(0),
    inputTokens: count,
    outputTokens: count,
    costMicros: count.nullable()
  }),
  /** One message of an agent's conversation; `calls` of an assistant's message are call numbers of the run. */
  'message-added': z.strictObject({
    attempt: place,
    index: count,
    ...piece,
    role: z.enum(['system', 'user', 'assistant', 'tool']),
    text: z.string(),
    calls: z.array(z.strictObject({ call: count, id: z.string().max(200), tool: z.string().max(200) })).max(64)
  }),
  /** The audit line of every allowed and denied call: arguments are redacted first, then cut to 200 characters. */
  'call-recorded': z.strictObject({
    ...call,
    who: z.string().max(200),
    method: word,
    tool: z.string().max(200),
    arguments: z.string().max(200),
    result: z.string().max(200),
    status: word,
    salt: hex(16),
    durationMs: z.number().min(0),
    costMicros: count.nullable()
  }),
  'run-finished': z.strictObject({
    attempt: place,
    outcome: z.enum(OUTCOMES),
    reason: word,
    calls: count,
    durationMs: z.number().min(0),
    inputTokens: count,
    outputTokens: count,
    costMicros: count.nullable()
  }),

  'node-announced': z.strictObject({
    tools: z.array(z.strictObject({ name: word, kind: word, tier: z.enum(TIERS).nullable(), hash: hex(32) })).max(256),
    agents: z.array(word).max(64),
    judges: count,
    sandbox: z.strictObject({ script: z.boolean(), wasm: z.boolean(), command: z.boolean(), line: z.string().max(300) })
  }),
  /** The exact text of a policy before its first verdict: a replay needs nothing but the log. */
  'policy-recorded': z.strictObject({ hash: hex(32), ...piece, text: z.string() }),
  'tool-registered': z.strictObject({
    name: word,
    kind: z.enum(['script', 'wasm', 'command', 'mcp']),
    codeHash: hex(32),
    scope: z.enum(['operator', 'admin']),
    tier: z.enum(TIERS).nullable(),
    description: z.string().max(4096),
    parameters: z.record(z.string(), z.unknown()),
    permissions: z.array(word).max(32),
    replaces: hex(32).nullable()
  }),
  'tool-removed': z.strictObject({ name: word, codeHash: hex(32) })
} as const

export type RunEventType = keyof typeof RUN_EVENTS
export type RunEvent<Type extends RunEventType> = z.output<(typeof RUN_EVENTS)[Type]>

export function isRunEventType(type: string): type is RunEventType {
  return Object.hasOwn(RUN_EVENTS, type)
}

/** A draft whose payload fits its schema. INTERNAL when it does not: that is a defect of the caller. */
export function runEvent<Type extends RunEventType>(
  type: Type,
  payload: RunEvent<Type>,
  scope?: Uint8Array
): EventDraft {
  const parsed = RUN_EVENTS[type].safeParse(payload)
  if (!parsed.success) throw new MeshError('INTERNAL', `a ${type} does not fit its schema`, { cause: parsed.error })
  return { type, payload: utf8(wellFormedJson(payload)), ...(scope === undefined ? {} : { scope }) }
}

/** Half characters, as a cut or a model leaves them, are no JSON of the log: one would keep the whole run from being recorded. */
function wellFormedJson(payload: object): string {
  const text = JSON.stringify(payload)
  // Written out by JSON.stringify, and by nothing else but a text that says so.
  if (!text.includes('\\ud')) return text
  return JSON.stringify(payload, (_key, value: unknown) => (typeof value === 'string' ? value.toWellFormed() : value))
}

/** Null for a payload that is absent or does not fit. */
export function tryParseRunEvent<Type extends RunEventType>(
  type: Type,
  payload: Uint8Array | null
): RunEvent<Type> | null {
  const value = payload === null ? null : tryParseJsonObject(payload)
  if (value === null) return null
  const parsed = RUN_EVENTS[type].safeParse(value)
  return parsed.success ? (parsed.data as RunEvent<Type>) : null
}

/** Bytes that JSON needs for one piece: an event's payload has room for it and its envelope. */
const PIECE_JSON_BYTES = 48 * 1024

/** Cuts text between characters so that each piece fits one event; one empty piece for empty text. */
export function textPieces(text: string): string[] {
  const pieces: string[] = []
  let from = 0
  while (from < text.length) {
    let to = Math.min(text.length, from + PIECE_JSON_BYTES)
    while (Buffer.byteLength(JSON.stringify(text.slice(from, to))) > PIECE_JSON_BYTES) to = from + ((to - from) >> 1)
    if (to < text.length && isHighSurrogate(text.charCodeAt(to - 1)) && to - from > 1) to--
    pieces.push(text.slice(from, to))
    from = to
  }
  return pieces.length === 0 ? [''] : pieces
}

/** Changes as events can carry them: programs choose names, and many long ones are more than one event holds. */
export function changeGroups(changes: readonly FileChange[]): FileChange[][] {
  const groups: FileChange[][] = []
  let bytes = Number.POSITIVE_INFINITY
  for (const change of changes.map(withShortPaths)) {
    const size = Buffer.byteLength(JSON.stringify(change)) + 1
    if (bytes + size > PIECE_JSON_BYTES || groups.at(-1)?.length === CHANGES_PER_EVENT) {
      groups.push([])
      bytes = 0
    }
    groups.at(-1)?.push(change)
    bytes += size
  }
  return groups
}

type FileChange = RunEvent<'file-changed'>['changes'][number]

const CHANGES_PER_EVENT = 64
const PATH_CHARACTERS_MAX = 4096

function withShortPaths(change: Omit<FileChange, 'from'> & { readonly from?: string | undefined }): FileChange {
  const { from, ...rest } = change
  return { ...rest, path: shortPath(change.path), ...(from === undefined ? {} : { from: shortPath(from) }) }
}

/** A longer path is its beginning and its hash. */
function shortPath(path: string): string {
  if (path.length <= PATH_CHARACTERS_MAX) return path
  const hash = createHash('sha256').update(path).digest('hex')
  return `${path.slice(0, PATH_CHARACTERS_MAX - hash.length - 2).toWellFormed()}…#${hash}`.slice(0, PATH_CHARACTERS_MAX)
}

function isHighSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdbff
}
