// The executor's part: which tasks this node takes, how many at once, and what becomes of what an earlier process began. What waits, waits in the
// log; here are only ids. One attempt under way is a task-run.ts.

import { fromHex } from '../base/bytes.ts'
import { LIMITS } from '../base/limits.ts'
import { isMeshError, messageOf } from '../base/mesh-error.ts'
import type { PublicKeyHex } from '../log/statement.ts'
import type { Approvals } from './approvals.ts'
import { fairPick, type QueuedTask } from './fair-pick.ts'
import type { Freshness } from './freshness.ts'
import { RunSlots } from './run-slots.ts'
import type { TaskBook } from './task-book.ts'
import { readTaskEvents } from './task-events.ts'
import { foldTask, hasEnded, isSettled, openEffects, type TaskFold } from './task-fold.ts'
import type { TaskPorts } from './task-ports.ts'
import { TaskRun } from './task-run.ts'

export interface ExecutorOptions extends TaskPorts {
  readonly book: TaskBook
  readonly freshness: Freshness
  readonly approvals: Approvals
  /** Hashes of the policies whose text the own chain holds. */
  readonly policies: Set<string>
  offers(kind: 'tool' | 'agent', name: string): boolean
  /** Live text of a run, for whoever follows the task here. */
  onText(task: string, text: string): void
}

interface Waiting {
  readonly submitter: PublicKeyHex
  readonly submittedMs: number
  failures: number
  /** Monotonic; before it the submitter is not asked again. */
  retryAtMs: number
}

const STOP_MS_MAX = 2 * LIMITS.toolGraceMs
const RETRY_MS_MIN = 1_000
const RETRY_MS_MAX = 60_000

export class Executor {
  readonly #options: ExecutorOptions
  readonly #waiting = new Map<string, Waiting>()
  readonly #active = new Map<string, TaskRun>()
  readonly #offered = new Set<string>()
  #cancelTimer: (() => void) | null = null
  readonly #slots = new RunSlots(LIMITS.runsMax)
  #pumping = false
  #stopped = false

  constructor(options: ExecutorOptions) {
    this.#options = options
  }

  /** Runs that work; those that wait for a person are not counted. */
  get running(): number {
    return this.#slots.taken
  }

  /** Whether one more task would begin at once. */
  get hasRoom(): boolean {
    return this.#waiting.size < this.#room()
  }

  #room(): number {
    // While the own log recovers nobody knows its epoch.
    if (this.#options.log.writeMode !== 'open') return 0
    return Math.min(this.#slots.free, LIMITS.runsMax + LIMITS.runsWaitingMax - this.#active.size)
  }

  /**
   * Ends what runs: an effect under way is killed and recorded, everything else goes on at the next start. A tool that does not end is left behind
   * after a while; its call then reads unknown.
   */
  async stop(): Promise<void> {
    this.#stopped = true
    this.#cancelTimer?.()
    const runs = [...this.#active.values()]
    for (const run of runs) run.stop()
    const { promise: late, resolve } = Promise.withResolvers<void>()
    const cancel = this.#options.timers.set(STOP_MS_MAX, resolve)
    await Promise.race([Promise.all(runs.map((run) => run.ended)), late])
    cancel()
  }

  /** The book's change of a task. */
  changed(fold: TaskFold): void {
    if (isSettled(fold)) this.#offered.delete(fold.id)
    const run = this.#active.get(fold.id)
    if (run !== undefined) run.changed(fold)
    else if (!this.#wants(fold)) this.#waiting.delete(fold.id)
    else if (!this.#waiting.has(fold.id))
      this.#waiting.set(fold.id, {
        submitter: fold.submitter,
        submittedMs: fold.submitted.timeMs,
        failures: 0,
        retryAtMs: 0
      })
    this.kick()
  }

  /** The submitter says that the task may be claimed again. */
  offered(fold: TaskFold): void {
    this.#offered.add(fold.id)
    this.changed(fold)
  }

  /** A member is up, the own head is confirmed, tools have changed: looks again at everything. */
  lookAgain(): void {
    for (const waiting of this.#waiting.values()) waiting.retryAtMs = 0
    for (const fold of this.#options.book.open()) if (!this.#active.has(fold.id)) this.changed(fold)
  }

  #wants(fold: TaskFold): boolean {
    const { log, clock, offers } = this.#options
    const { submitted, assigned } = fold
    if (isSettled(fold)) return false
    const mine = assigned?.executor === log.self && !hasEnded(fold.state)
    if (mine) return true
    if (clock.now() >= submitted.expiresAtMs) return false
    const free = assigned === null || this.#offered.has(fold.id)
    return free && (submitted.on === log.self || (submitted.on === 'any' && offers(submitted.kind, submitted.name)))
  }

  kick(): void {
    if (this.#pumping || this.#stopped) return
    this.#pumping = true
    queueMicrotask(() => {
      this.#pumping = false
      this.#pump()
    })
  }

  #pump(): void {
    if (this.#stopped || this.#waiting.size === 0) return
    for (const id of this.#ready(this.#room())) this.#begin(id)
    if (this.#waiting.size > 0 && this.#room() > 0) this.#arm()
  }

  /** Those that can begin now, each submitter in turn. */
  #ready(count: number): string[] {
    if (count <= 0) return []
    const { clock, connected, log } = this.#options
    const now = clock.monotonic()
    const up = connected()
    const queued: QueuedTask[] = []
    for (const [id, waiting] of this.#waiting)
      if (waiting.retryAtMs <= now && this.#reachable(id, up)) queued.push({ id, ...waiting })
    const underWay = new Map<PublicKeyHex, number>()
    for (const { submitter } of this.#active.values()) underWay.set(submitter, (underWay.get(submitter) ?? 0) + 1)
    return fairPick(
      queued,
      underWay,
      (submitter) => (submitter === log.self ? Number.POSITIVE_INFINITY : LIMITS.runsPerMemberMax),
      count
    )
  }

  #reachable(id: string, up: ReadonlySet<PublicKeyHex>): boolean {
    const { book, log, freshness } = this.#options
    const fold = book.get(id)
    if (fold === null) return false
    const mine = fold.assigned?.executor === log.self
    if (!freshness.usable(mine ? fold.assigned.id : fold.submitted.id)) return false
    // What an earlier process left open is closed whether the submitter is there or not.
    if (mine && fold.run !== null && openEffects(fold.run).length > 0) return true
    return fold.submitter === log.self || up.has(fold.submitter)
  }

  #arm(): void {
    if (this.#cancelTimer !== null) return
    this.#cancelTimer = this.#options.timers.set(RETRY_MS_MIN, () => {
      this.#cancelTimer = null
      this.#pump()
    })
  }

  #begin(id: string): void {
    const waiting = this.#waiting.get(id)
    const known = this.#options.book.get(id)
    if (waiting === undefined || known === null || !this.#slots.tryTake()) return
    this.#waiting.delete(id)
    this.#offered.delete(id)
    const aside = <Result>(wait: () => Promise<Result>, signal: AbortSignal): Promise<Result> =>
      this.#aside(wait, signal)
    const run = new TaskRun({ ...this.#options, task: known, read: () => this.#read(id), aside })
    this.#active.set(id, run)
    run
      .perform()
      .then(
        () => this.#ended(id, null, waiting),
        (error: unknown) => this.#ended(id, error, waiting)
      )
      .catch((error: unknown) => this.#options.logger.error('a run was not put away', { message: messageOf(error) }))
  }

  /** Lets another run have the place while this one waits. */
  async #aside<Result>(wait: () => Promise<Result>, signal: AbortSignal): Promise<Result> {
    this.#slots.give()
    this.kick()
    try {
      return await wait()
    } finally {
      await this.#slots.take(signal)
    }
  }

  async #read(id: string): Promise<TaskFold | null> {
    const { log } = this.#options
    return foldTask(id, await readTaskEvents(log, fromHex(id)))
  }

  #ended(id: string, error: unknown, waiting: Waiting): void {
    this.#active.delete(id)
    this.#slots.give()
    const fold = this.#options.book.get(id)
    if (!this.#stopped && error !== null) this.#note(id, error)
    if (!this.#stopped && fold !== null && this.#wants(fold)) {
      const failures = error === null ? 0 : waiting.failures + 1
      const pause = error === null ? 0 : Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** Math.min(failures, 10))
      const retryAtMs = this.#options.clock.monotonic() + pause
      this.#waiting.set(id, { ...waiting, failures, retryAtMs })
    }
    this.kick()
  }

  #note(task: string, error: unknown): void {
    const code = isMeshError(error) ? error.code : null
    this.#options.logger.info('a task was not run to its end', { task, code, message: messageOf(error) })
  }
}
