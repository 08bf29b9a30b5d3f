// One attempt of one task on this node: claims it, keeps its lease, and hands it to the pipeline with what an earlier process recorded. An effect
// begins only under a lease that outlives it and is killed at the lease's end (PROTOCOL §14). What the pipeline does is not known here.

import { fromHex, toHex } from '../base/bytes.ts'
import { LIMITS } from '../base/limits.ts'
import { isMeshError, MeshError, messageOf } from '../base/mesh-error.ts'
import type { EventDraft } from '../log/append-builder.ts'
import type { PublicKeyHex } from '../log/statement.ts'
import { foldRun, type RecordedRun } from '../pipeline/recorded-run.ts'
import type { OpenRequest, RunStart } from '../pipeline/run-contract.ts'
import { runEvent, tryParseRunEvent } from '../pipeline/run-events.ts'
import type { Taint } from '../policy/contract.ts'
import { isInside } from '../policy/contract.ts'
import { conversationHistory, NO_HISTORY } from './conversation.ts'
import type { ExecutorOptions } from './executor.ts'
import { HeldLease } from './lease.ts'
import { hasEnded, openEffects, type TaskFold } from './task-fold.ts'
import { GRANT, type Grant } from './task-requests.ts'

export interface TaskRunOptions extends ExecutorOptions {
  readonly task: TaskFold
  /** The task with its texts, as the log has it now. */
  read(): Promise<TaskFold | null>
  /** Waits without taking the place of a run that works. */
  aside<Result>(wait: () => Promise<Result>, signal: AbortSignal): Promise<Result>
}

const ASSIGNMENT_WAIT_MS = 30_000
const RENEW_RETRY_MS = 2_000

export class TaskRun {
  readonly #options: TaskRunOptions
  readonly #task: TaskFold
  readonly #abort = new AbortController()
  readonly #ended = Promise.withResolvers<void>()
  readonly #aborted = Promise.withResolvers<never>()
  readonly #effects = new Set<number>()
  readonly #wakers = new Set<() => void>()
  #lease: HeldLease | null = null
  #attempt = 0
  #cancelTimer: (() => void) | null = null
  #renewing: Promise<void> | null = null
  #stopping = false
  #over = false

  constructor(options: TaskRunOptions) {
    this.#options = options
    this.#task = options.task
    this.#aborted.promise.catch(() => undefined)
  }

  get submitter(): PublicKeyHex {
    return this.#task.submitter
  }

  /** Resolves when nothing of the attempt runs any more. */
  get ended(): Promise<void> {
    return this.#ended.promise
  }

  stop(): void {
    this.#stopping = true
    this.#end('NODE_STOPPING', 'the node is stopping')
  }

  /** The book's change of this task. */
  changed(fold: TaskFold): void {
    this.#wake()
    if (this.#attempt === 0) return
    if (fold.cancelled !== null) this.#end('CANCELLED', 'the task was cancelled')
    else if (fold.assigned?.executor !== this.#options.log.self || fold.assigned.attempt !== this.#attempt)
      this.#end('LEASE_LOST', 'another attempt has the task')
  }

  /** Runs the attempt to its recorded end. A throw leaves it to be taken up again. */
  async perform(): Promise<void> {
    try {
      const fold = await this.#take()
      if (fold === null) return
      const recorded = foldRun([], this.#options.log.self, this.#attempt)
      await this.#execute(fold, fold.run ?? recorded)
    } finally {
      this.#over = true
      this.#cancelTimer?.()
      this.#ended.resolve()
    }
  }

  /** Claims or renews, and waits until the log itself says that the attempt is this node's. Null when nothing is to be run. */
  async #take(): Promise<TaskFold | null> {
    const { log, random } = this.#options
    const { id, assigned } = this.#task
    const mine = assigned?.executor === log.self && !hasEnded(this.#task.state)
    // An effect that an earlier process began is closed without anybody's leave: the submitter may be away for long. Nothing begins without a lease.
    if (mine && this.#task.run !== null && openEffects(this.#task.run).length > 0) return this.#closeBroken()
    const grant = mine
      ? await this.#ask('task/renew', { task: id, attempt: assigned.attempt })
      : await this.#ask('task/claim', { task: id, nonce: toHex(random.bytes(16)) })
    await this.#until(ASSIGNMENT_WAIT_MS, () => {
      const now = this.#options.book.get(id)
      return now?.assigned?.executor === log.self && now.assigned.attempt >= grant.attempt
    })
    const fold = await this.#options.read()
    if (fold === null || fold.assigned?.executor !== log.self || hasEnded(fold.state)) return null
    this.#attempt = fold.assigned.attempt
    // What came while the texts were read.
    const now = this.#options.book.get(this.#task.id)
    if (now !== null) this.changed(now)
    this.#keepLease()
    return fold
  }

  /** A tool's task is closed by the pipeline, which knows the call; an agent is not asked how to go on. */
  async #closeBroken(): Promise<TaskFold | null> {
    const fold = await this.#options.read()
    const run = fold?.run ?? null
    if (fold === null || run === null || run.finished !== null) return null
    this.#attempt = run.attempt
    if (fold.submitted.kind === 'tool') return fold
    const unknown = openEffects(run).some(({ started }) => started !== null && !isInside(started.tier))
    await this.#finish(fold, run, unknown ? 'unknown' : 'interrupted', 'node-ended-in-between')
    return null
  }

  async #finish(
    fold: TaskFold,
    run: RecordedRun,
    outcome: 'unknown' | 'interrupted' | 'failed',
    reason: string
  ): Promise<void> {
    const sum = (pick: (model: RecordedRun['models'][number]) => number): number =>
      run.models.reduce((total, model) => total + pick(model), 0)
    const payload = {
      attempt: run.attempt,
      outcome,
      reason,
      calls: [...run.calls.keys()].filter((call) => call > 0).length,
      durationMs: 0,
      inputTokens: sum((model) => model.inputTokens),
      outputTokens: sum((model) => model.outputTokens),
      costMicros: run.models.some((model) => model.costMicros === null) ? null : sum((model) => model.costMicros ?? 0)
    }
    await this.#options.log.append([runEvent('run-finished', payload, fromHex(fold.id))])
  }

  async #execute(fold: TaskFold, recorded: RecordedRun): Promise<void> {
    const { log, execute, approvals, memberRef, onText } = this.#options
    const { submitted, submitter, input } = fold
    if (input === null) return this.#finish(fold, recorded, 'failed', 'input-missing')
    const history = submitted.conversation === null ? NO_HISTORY : await conversationHistory(log, fold, log.self)
    const self = submitter === log.self
    const taint = new Set<Taint>([...submitted.taint, ...history.taint, ...(self ? [] : (['peer'] as const))])
    const start: RunStart = {
      mesh: log.mesh,
      executor: log.self,
      epoch: log.ownChain().epoch,
      scope: fromHex(fold.id),
      attempt: this.#attempt,
      submitter: { ...memberRef(submitter), self },
      principal: self ? submitted.principal : 'peer',
      tierMax: submitted.tierMax,
      taint: [...taint],
      recorded,
      signal: this.#abort.signal
    }
    const ports = {
      append: (drafts: readonly EventDraft[]) => this.#append(drafts),
      approval: (request: OpenRequest, signal: AbortSignal) =>
        this.#options.aside(() => approvals.waitFor(fold.id, request, signal), signal),
      mayStart: (ms: number) => this.#mayStart(ms),
      policyRecorded: (hash: string) => this.#options.policies.has(hash),
      onText: (text: string) => onText(fold.id, text)
    }
    await execute(ports, start, { kind: submitted.kind, name: submitted.name, input, history: history.messages })
  }

  /** What is said while the node stops stays unsaid, unless it tells how an effect ended: the run is taken up again where it was. */
  async #append(drafts: readonly EventDraft[]): Promise<readonly string[]> {
    const { log, freshness, policies } = this.#options
    if (this.#stopping && this.#effects.size === 0) throw new MeshError('NODE_STOPPING', 'the node is stopping')
    for (const draft of drafts) this.#noteEffect(draft)
    const ids = (await log.append(drafts)).map(({ id }) => toHex(id))
    freshness.note(ids)
    for (const { type, payload } of drafts) {
      const recorded = type === 'policy-recorded' ? tryParseRunEvent('policy-recorded', payload) : null
      if (recorded !== null) policies.add(recorded.hash)
    }
    return ids
  }

  #noteEffect({ type, payload }: EventDraft): void {
    if (type === 'tool-started') {
      const started = tryParseRunEvent('tool-started', payload)
      if (started !== null) this.#effects.add(started.call)
    } else if (type === 'tool-finished') {
      const finished = tryParseRunEvent('tool-finished', payload)
      if (finished !== null) this.#effects.delete(finished.call)
    }
  }

  /** True when the lease outlives `ms`, renewed if it does not; false once another attempt has the task, it was cancelled, or nobody renews. */
  async #mayStart(ms: number): Promise<boolean> {
    if (ms >= LIMITS.leaseMs) return false
    const tries = Math.ceil(LIMITS.leaseMs / RENEW_RETRY_MS)
    for (let attempt = 0; attempt < tries; attempt++) {
      if (this.#abort.signal.aborted || !this.#isCurrent()) return false
      if (this.#lease !== null && this.#lease.remainingMs() > ms) return true
      await this.#renew()
      if (this.#lease === null || this.#lease.remainingMs() <= ms) await this.#pause(RENEW_RETRY_MS)
    }
    return false
  }

  #isCurrent(): boolean {
    const fold = this.#options.book.get(this.#task.id)
    return (
      fold !== null &&
      fold.cancelled === null &&
      fold.assigned?.executor === this.#options.log.self &&
      fold.assigned.attempt === this.#attempt
    )
  }

  /** Renews at a third of the lease; at its end an effect under way is killed. */
  #keepLease(): void {
    this.#cancelTimer?.()
    if (this.#over || this.#abort.signal.aborted) return
    const remainingMs = this.#lease?.remainingMs() ?? 0
    if (remainingMs <= 0 && this.#effects.size > 0) return this.#end('LEASE_LOST', 'the lease is over')
    const due = remainingMs - (LIMITS.leaseMs * 2) / 3
    const ms = due > 0 ? due : Math.max(1, Math.min(RENEW_RETRY_MS, remainingMs > 0 ? remainingMs : RENEW_RETRY_MS))
    this.#cancelTimer = this.#options.timers.set(ms, () => {
      if ((this.#lease?.remainingMs() ?? 0) <= (LIMITS.leaseMs * 2) / 3) this.#renewInBackground()
      this.#keepLease()
    })
  }

  #renewInBackground(): void {
    this.#renew().catch((error: unknown) =>
      this.#options.logger.warn('a lease was not renewed', { task: this.#task.id, message: messageOf(error) })
    )
  }

  #renew(): Promise<void> {
    this.#renewing ??= this.#ask('task/renew', { task: this.#task.id, attempt: this.#attempt })
      .then(
        () => this.#keepLease(),
        (error: unknown) => {
          const code = isMeshError(error) ? error.code : null
          if (code === 'LEASE_LOST' || code === 'TASK_CLOSED') this.#end('LEASE_LOST', messageOf(error))
          else this.#options.logger.debug('a lease was not renewed', { task: this.#task.id, code })
        }
      )
      .finally(() => {
        this.#renewing = null
      })
    return this.#renewing
  }

  /** Counts the lease from before the request is sent. */
  async #ask(method: 'task/claim' | 'task/renew', params: Readonly<Record<string, unknown>>): Promise<Grant> {
    const { ask, clock } = this.#options
    const lease = new HeldLease(clock, LIMITS.leaseMs)
    const asked = ask(this.#task.submitter, method, { ...params, sentMs: lease.sentMs })
    const answer = GRANT.safeParse(await Promise.race([asked, this.#aborted.promise]))
    if (!answer.success || answer.data.leaseMs < LIMITS.leaseMs)
      throw new MeshError('LEASE_LOST', 'the submitter answered something else than a lease')
    this.#lease = lease
    return answer.data
  }

  #end(code: 'CANCELLED' | 'LEASE_LOST' | 'NODE_STOPPING', why: string): void {
    const reason = new MeshError(code, why)
    this.#abort.abort(reason)
    this.#aborted.reject(reason)
    this.#wake()
  }

  #wake(): void {
    for (const wake of this.#wakers) wake()
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#options.timers.set(ms, () => done())
      const done = (): void => {
        this.#wakers.delete(done)
        cancel()
        resolve()
      }
      this.#wakers.add(done)
    })
  }

  /** TIMEOUT when it does not come to hold. */
  async #until(ms: number, holds: () => boolean): Promise<void> {
    const { clock } = this.#options
    const endMs = clock.monotonic() + ms
    while (!holds()) {
      this.#abort.signal.throwIfAborted()
      const left = endMs - clock.monotonic()
      if (left <= 0) throw new MeshError('TIMEOUT', 'the assignment did not arrive')
      await this.#pause(left)
    }
  }
}
