// One run while it runs: what it has recorded, what taints it, and the handle that an agent is given. Decides nothing by itself.

import { createHash } from 'node:crypto'
import { toHex, utf8 } from '../base/bytes.ts'
import { LIMITS } from '../base/limits.ts'
import { isMeshError, MeshError, messageOf } from '../base/mesh-error.ts'
import type { GuardOrigin } from '../guard/contract.ts'
import { redactSecrets } from '../guard/redact.ts'
import { TAGS } from '../identity/tags.ts'
import type { Policy, PolicyRequest, Taint } from '../policy/contract.ts'
import type { ToolDescriptor, ToolOutcome, ToolTouch } from './contract.ts'
import type { RecordedCall, RecordedMessage } from './recorded-run.ts'
import { runCall } from './run.ts'
import type { CallInput, CallResult, RunHandle, RunPorts, RunStart, RunUsage } from './run-contract.ts'
import { changeGroups, OUTCOMES, type Outcome, type RunEvent, type Stage, textPieces } from './run-events.ts'
import { RunJournal } from './run-journal.ts'
import { shownText } from './shown-text.ts'
import { describedBadly, type GuardedCall, guardFacts, sentence } from './stages/guardrail.ts'
import type { JudgedCall } from './stages/judge.ts'
import { isErrorCode, lostEffect, type Stopped, stopped, type Verdict, type VerdictFacts, word } from './verdict.ts'

const AUDIT_CHARACTERS = 200
const STATUSES: ReadonlySet<string> = new Set(OUTCOMES)

export class RunSession implements RunHandle {
  readonly ports: RunPorts
  readonly start: RunStart
  readonly journal: RunJournal
  /** The task's scope in hex. */
  readonly task: string
  readonly #taint: Set<Taint>
  readonly #policies = new Set<string>()
  readonly #salts = new Map<number, string>()
  readonly #begun = new Map<number, number>()
  readonly #durations = new Map<number, number>()
  readonly #descriptionsNoted = new Set<string>()
  /** Calls that came to their end, and what models cost: of earlier processes too. */
  calls = 0
  usage: RunUsage = { inputTokens: 0, outputTokens: 0, costMicros: 0 }

  constructor(ports: RunPorts, start: RunStart) {
    this.ports = ports
    this.start = start
    this.task = toHex(start.scope)
    this.journal = new RunJournal(start.scope, (drafts) => ports.append(drafts))
    this.#taint = new Set(start.taint.filter((taint) => taint !== 'peer' || !this.#trustsSubmitter()))
    for (const call of start.recorded.calls.values()) {
      for (const taint of call.finished?.taint ?? []) this.#taint.add(taint)
      if (call.audit !== null) this.calls++
    }
    for (const model of start.recorded.models) this.#spend(model)
  }

  #trustsSubmitter(): boolean {
    return this.rules?.trust.member(this.start.submitter.peerId) === true
  }

  /** Null while the file is not usable: nothing is trusted, and the policy stage denies. */
  get rules(): Policy | null {
    try {
      return this.ports.policy()
    } catch (error) {
      if (isMeshError(error)) return null
      throw error
    }
  }

  get signal(): AbortSignal {
    return this.start.signal
  }

  get recorded(): RunStart['recorded'] {
    return this.start.recorded
  }

  get taint(): readonly Taint[] {
    return [...this.#taint].sort()
  }

  /** Unless everything that the call touched is on the owner's list. */
  taintBy(taint: ToolDescriptor['taints'], { paths, hosts }: ToolTouch): void {
    if (taint === null) return
    const trust = this.rules?.trust
    const trusted =
      (taint === 'web' && hosts.length > 0 && hosts.every((host) => trust?.host(host))) ||
      (taint === 'file' && paths.length > 0 && paths.every((path) => trust?.file(path)))
    if (!trusted) this.#taint.add(taint)
  }

  recordedCall(call: number): RecordedCall | null {
    return this.recorded.calls.get(call) ?? null
  }

  /** What an earlier process brought to its end. */
  earlierResult(call: number): CallResult | null {
    const earlier = this.recordedCall(call)
    if (earlier === null || earlier.audit === null || !STATUSES.has(earlier.audit.status)) return null
    const status = earlier.audit.status as Outcome
    const text = earlier.output === null ? earlier.audit.result : shownText(earlier.output, earlier.outputFile)
    return { call, status, text, reason: 'recorded' }
  }

  /** An effect that an earlier process began and whose result nobody has any more. Nothing of it runs again here. */
  begunBefore(call: number): Stopped | null {
    const started = this.recordedCall(call)?.started ?? null
    if (started === null) return null
    const text = 'the call was begun by an earlier process, and its result is not known'
    return lostEffect(started.tier, 'started-before', text)
  }

  /** Lets a stage decide and notes its verdict. What goes wrong inside denies. */
  async stage<Next>(input: CallInput, stage: Stage, decide: () => Promise<Verdict<Next>>): Promise<Verdict<Next>> {
    const { clock } = this.ports
    const begun = clock.monotonic()
    if (!this.#begun.has(input.call)) this.#begun.set(input.call, begun)
    let verdict: Verdict<Next>
    try {
      verdict = await within(STAGE_MS[stage], decide())
      this.noteStage(input.call, stage, verdict, clock.monotonic() - begun)
    } catch (error) {
      if (this.journal.failed || stopsQuietly(error)) throw error
      verdict = failedVerdict(stage, this.signal.aborted ? this.signal.reason : error)
      this.noteStage(input.call, stage, verdict, clock.monotonic() - begun)
    }
    return verdict
  }

  noteStage(call: number, stage: Stage, facts: VerdictFacts, durationMs: number): void {
    const { subject, verdict, rule, place, tier, reasons, text } = facts
    const earlier = this.recordedCall(call)?.stages ?? []
    if (earlier.some((decided) => decided.stage === stage && decided.subject === subject)) return
    const { attempt } = this.start
    const words = reasons.slice(0, 32).map((reason) => (isErrorCode(reason) ? reason : word(reason)))
    this.journal.note('stage-decided', {
      attempt,
      call,
      stage,
      subject,
      verdict,
      tier,
      rule,
      place,
      reasons: words,
      durationMs: Math.max(0, durationMs)
    })
    if (text !== '')
      this.journal.note('stage-explained', { attempt, call, stage, text: redactSecrets(text).slice(0, 2_000) })
  }

  noteText(form: 'given' | 'final', call: number, pieces: readonly string[]): void {
    const { attempt } = this.start
    for (const [part, text] of pieces.entries())
      this.journal.note('call-arguments', { attempt, call, part, parts: pieces.length, form, text })
  }

  /** The text of the rules before their first verdict in this chain. */
  notePolicy({ hash, text }: Policy): void {
    if (this.#policies.has(hash) || this.ports.policyRecorded(hash)) return
    this.#policies.add(hash)
    const pieces = textPieces(text)
    for (const [part, piece] of pieces.entries())
      this.journal.note('policy-recorded', { hash, part, parts: pieces.length, text: piece })
  }

  notePropose(
    call: GuardedCall,
    descriptor: ToolDescriptor,
    workspace: string,
    policy: string,
    request: PolicyRequest
  ): void {
    const { input, nonce, argumentText } = call
    if (this.recordedCall(input.call)?.proposed) return
    this.journal.note('call-proposed', {
      attempt: this.start.attempt,
      call: input.call,
      tool: descriptor.name,
      kind: descriptor.kind,
      toolHash: descriptor.hash,
      workspace,
      profile: descriptor.profile,
      nonce,
      tier: descriptor.tier,
      taint: [...request.taint],
      taints: descriptor.taints,
      argumentParts: textPieces(argumentText).length,
      policy,
      principal: request.principal,
      member: request.member.name,
      paths: request.paths.slice(0, 64),
      hosts: request.hosts.slice(0, 64),
      argv: request.argv === null ? null : [...request.argv]
    })
  }

  noteFinished(call: number, outcome: ToolOutcome, durationMs: number): void {
    const { attempt } = this.start
    const salt = this.ports.random.bytes(16)
    this.#salts.set(call, toHex(salt))
    this.#durations.set(call, durationMs)
    const { changes, status, code, exitCode, signal, output, truncated } = outcome
    const groups = changeGroups(changes)
    for (const [part, group] of groups.entries())
      this.journal.note('file-changed', { attempt, call, part, parts: groups.length, changes: group })
    this.journal.note('tool-finished', {
      attempt,
      call,
      status,
      code,
      exitCode,
      signal: signal === null ? null : word(signal),
      durationMs,
      outputBytes: output.length,
      truncated,
      commitment: createHash('sha256').update(TAGS.payload).update(salt).update(output).digest('hex'),
      filesChanged: changes.length,
      taint: [...this.taint]
    })
  }

  /** What passed every look at it: in pieces, or as a file of the run. */
  async noteOutput(call: number, text: string): Promise<RunEvent<'tool-output'>['file']> {
    const { attempt } = this.start
    const bytes = utf8(text)
    if (bytes.length > LIMITS.toolOutputEventBytesMax) {
      const name = await this.ports.keepResult(call, bytes)
      const file = { name, sha256: createHash('sha256').update(bytes).digest('hex'), size: bytes.length }
      this.journal.note('tool-output', { attempt, call, part: 0, parts: 1, text: '', file })
      return file
    }
    const pieces = textPieces(text)
    for (const [part, piece] of pieces.entries())
      this.journal.note('tool-output', { attempt, call, part, parts: pieces.length, text: piece, file: null })
    return null
  }

  /** The end of a call: the audit line, and what the caller may see. */
  close(input: CallInput, verdict: Verdict<JudgedCall> | Verdict<never>): CallResult {
    this.calls++
    const result = callResult(input, verdict)
    const begun = this.#begun.get(input.call) ?? this.ports.clock.monotonic()
    this.journal.note('call-recorded', {
      attempt: this.start.attempt,
      call: input.call,
      who: `${this.start.submitter.name} (${input.from === 'task' ? this.start.principal : 'agent'})`.slice(0, 200),
      method: 'tool/call',
      tool: input.tool.slice(0, 200),
      arguments: cut(redactSecrets(input.argumentText)),
      result: cut(redactSecrets(verdict.passes ? result.text : verdict.text)),
      status: result.status,
      salt: this.#salts.get(input.call) ?? toHex(this.ports.random.bytes(16)),
      durationMs: this.#durations.get(input.call) ?? this.ports.clock.monotonic() - begun,
      costMicros: null
    })
    return result
  }

  async offered(): Promise<readonly ToolDescriptor[]> {
    const offered: ToolDescriptor[] = []
    for (const tool of this.ports.tools.list()) {
      const { name } = tool.descriptor
      const bad = describedBadly(this.ports.guard, tool)
      if (bad === null) offered.push(tool.descriptor)
      else if (!this.#descriptionsNoted.has(name)) {
        this.#descriptionsNoted.add(name)
        const text = `the description of ${name}: ${sentence(bad)}`
        this.noteStage(0, 'guardrail', { ...guardFacts(bad), subject: 'description', place: name, tier: null, text }, 0)
      }
    }
    return offered
  }

  async guard(subject: 'prompt' | 'answer', origin: GuardOrigin, text: string): Promise<string | null> {
    const begun = this.ports.clock.monotonic()
    let verdict: ReturnType<RunPorts['guard']['inspect']>
    try {
      verdict = this.ports.guard.inspect(text, { subject, origin })
    } catch (error) {
      verdict = { action: 'block', text, score: 1, findings: [] }
      this.journal.note('stage-explained', {
        attempt: this.start.attempt,
        call: 0,
        stage: 'guardrail',
        text: messageOf(error)
      })
    }
    const explained = verdict.action === 'pass' ? '' : sentence(verdict)
    const facts = { ...guardFacts(verdict), subject, place: 'built-in', tier: null, text: explained }
    this.noteStage(0, 'guardrail', facts, this.ports.clock.monotonic() - begun)
    if (verdict.action === 'block') await this.journal.flush()
    return verdict.action === 'block' ? null : verdict.text
  }

  async call(input: CallInput): Promise<CallResult> {
    const result = await runCall(this, { ...input, from: 'model' })
    await this.journal.flush()
    return result
  }

  #spend(more: RunUsage): void {
    const { inputTokens, outputTokens, costMicros } = this.usage
    this.usage = {
      inputTokens: inputTokens + more.inputTokens,
      outputTokens: outputTokens + more.outputTokens,
      costMicros: costMicros === null || more.costMicros === null ? null : costMicros + more.costMicros
    }
  }

  async recordModel(entry: Omit<RunEvent<'model-called'>, 'attempt'>): Promise<void> {
    this.#spend(entry)
    this.journal.note('model-called', { attempt: this.start.attempt, ...entry })
    await this.journal.flush()
  }

  async recordMessage({ index, role, calls, text }: RecordedMessage): Promise<void> {
    // Many calls need an event of their own.
    const pieces = calls.length === 0 ? textPieces(text) : ['', ...textPieces(text)]
    for (const [part, piece] of pieces.entries()) {
      this.journal.note('message-added', {
        attempt: this.start.attempt,
        index,
        part,
        parts: pieces.length,
        role,
        text: piece,
        calls: part === 0 ? [...calls] : []
      })
    }
    await this.journal.flush()
  }

  onText(text: string): void {
    this.ports.onText(text)
  }
}

/** Stages that wait for a person or an effect have limits of their own. */
const STAGE_MS: Readonly<Record<Stage, number | null>> = {
  guardrail: 10_000,
  policy: 10_000,
  approval: null,
  tool: null,
  judge: 3 * LIMITS.judgeTimeMsMax
}

async function within<Result>(ms: number | null, work: Promise<Result>): Promise<Result> {
  if (ms === null) return work
  const { promise, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(new MeshError('TIMEOUT', `no verdict after ${ms} ms`)), ms)
  try {
    return await Promise.race([work, promise])
  } finally {
    clearTimeout(timer)
  }
}

function cut(text: string): string {
  return text.toWellFormed().slice(0, AUDIT_CHARACTERS).toWellFormed()
}

function callResult(input: CallInput, verdict: Verdict<JudgedCall> | Verdict<never>): CallResult {
  const { call } = input
  if (!verdict.passes) {
    const text = verdict.text === '' ? verdict.rule : verdict.text
    return {
      call,
      status: verdict.status,
      text: `${verdict.status}: ${text} (${verdict.place})`,
      reason: word(verdict.rule)
    }
  }
  const { text, file, outcome } = verdict.next
  const failed = outcome.status !== 'ok'
  const note = failed ? `${outcome.status}${outcome.message === '' ? '' : `: ${outcome.message}`}\n` : ''
  const reason = failed ? (outcome.code ?? outcome.status) : 'ok'
  return { call, status: failed ? 'failed' : 'done', text: `${note}${shownText(text, file)}`, reason }
}

/** The node stops: nothing is decided, the next process goes on here. */
function stopsQuietly(error: unknown): boolean {
  return isMeshError(error) && error.code === 'NODE_STOPPING'
}

function failedVerdict(stage: Stage, error: unknown): Verdict<never> {
  const code = isMeshError(error) ? error.code : 'stage-failed'
  const looks = stage === 'guardrail' || stage === 'judge'
  const status =
    code === 'CANCELLED' ? 'cancelled' : code === 'LEASE_LOST' ? 'interrupted' : looks ? 'blocked' : 'denied'
  const subject = stage === 'judge' ? 'result' : 'call'
  const text = `the ${stage} stage failed: ${messageOf(error)}`
  return stopped(status, { subject, verdict: looks ? 'block' : 'deny', rule: code, text })
}
