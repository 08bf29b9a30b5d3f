// The submitter's part of a task: it alone writes who may run it. An attempt is given once, to one member; it is given again without a person only
// where no effect above "internal" can have happened (PROTOCOL §14). It knows nothing of what runs.

import { fromHex, toHex } from '../base/bytes.ts'
import { LIMITS } from '../base/limits.ts'
import { MeshError, messageOf } from '../base/mesh-error.ts'
import type { EventDraft } from '../log/append-builder.ts'
import { hasRoleNow } from '../log/current-grant.ts'
import type { PublicKeyHex } from '../log/statement.ts'
import { type RunEvent, runEvent, textPieces } from '../pipeline/run-events.ts'
import { isInside, type Principal, type Taint, type Tier } from '../policy/contract.ts'
import type { Freshness } from './freshness.ts'
import { KeyedLock } from './keyed-lock.ts'
import { GrantedLease } from './lease.ts'
import type { TaskBook } from './task-book.ts'
import { readTaskEvents, STATE_TYPES } from './task-events.ts'
import { foldTask, hasEnded, mayRepeat, type TaskFold, withoutOutsideEffect } from './task-fold.ts'
import type { TaskPorts } from './task-ports.ts'
import type { Grant, TaskRequest } from './task-requests.ts'
import { taskScope } from './task-scope.ts'

export interface Submission {
  readonly kind: 'tool' | 'agent'
  readonly name: string
  readonly input: string
  /** Null: any member. */
  readonly on: PublicKeyHex | null
  readonly conversation: string | null
  readonly expiresInMs: number
  readonly principal?: Principal
  readonly tierMax?: Tier
  readonly taint?: readonly Taint[]
}

export interface SubmitterOptions extends TaskPorts {
  readonly book: TaskBook
  readonly freshness: Freshness
  /** A task may be claimed again, also by this node. */
  offeredHere(task: TaskFold): void
  /** Whether this node has room for one more run at once. */
  hasRoom(): boolean
  offers(kind: 'tool' | 'agent', name: string): boolean
}

interface Watch {
  lease: GrantedLease
  readonly attempt: number
  /** Not granted by this process. */
  readonly assumed: boolean
  /** Beacon of the executor behind the end of its lease, when it was first seen with a complete chain. */
  sawMs: number | null
}

const LOOK_MS = 2_000

export class Submitter {
  readonly #options: SubmitterOptions
  readonly #lock = new KeyedLock()
  /** Attempts of other members that are under way. */
  readonly #watched = new Map<string, Watch>()
  /** Tasks that may be claimed although they are assigned: the attempt before is certainly over. */
  readonly #reopened = new Set<string>()
  #cancelTimer: (() => void) | null = null
  #stopped = false

  constructor(options: SubmitterOptions) {
    this.#options = options
  }

  start(): void {
    this.#arm()
  }

  stop(): void {
    this.#stopped = true
    this.#cancelTimer?.()
  }

  /** Records the task; durable when it resolves. TASK_INPUT_TOO_LARGE, TASK_QUEUE_FULL, USAGE, LOG_…. The id is the scope in hex. */
  async submit(task: Submission): Promise<string> {
    const { log, clock, random, book, freshness } = this.#options
    if (Buffer.byteLength(task.input) > LIMITS.toolInputBytesMax)
      throw new MeshError('TASK_INPUT_TOO_LARGE', `the input has more than ${LIMITS.toolInputBytesMax} bytes`)
    if (!(task.expiresInMs > 0) || task.expiresInMs > LIMITS.taskLifeMsMax)
      throw new MeshError('USAGE', `a task lives up to ${LIMITS.taskLifeMsMax} ms`)
    if (book.open().filter(({ submitter }) => submitter === log.self).length >= LIMITS.tasksOpenMax)
      throw new MeshError('TASK_QUEUE_FULL', 'too many tasks are open')
    const nonce = toHex(random.bytes(16))
    const scope = taskScope(log.self, nonce)
    const pieces = textPieces(task.input)
    const submitted: RunEvent<'task-submitted'> = {
      nonce,
      kind: task.kind,
      name: task.name,
      on: task.on ?? 'any',
      principal: task.principal ?? 'owner',
      tierMax: task.tierMax ?? 'irreversible',
      inputParts: pieces.length,
      expiresAtMs: Math.floor(clock.now() + task.expiresInMs),
      conversation: task.conversation,
      taint: [...(task.taint ?? [])]
    }
    const drafts = pieces.map((text, part) => runEvent('task-input', { part, parts: pieces.length, text }, scope))
    // All but the last pieces may lie in appends before: the submission comes after its input, and only it makes a task of it.
    while (drafts.length > PIECES_PER_APPEND) await log.append(drafts.splice(0, PIECES_PER_APPEND))
    drafts.push(runEvent('task-submitted', submitted, scope))
    if (this.#runsHere(task)) drafts.push(assignment(scope, 1, log.self, nonce, false))
    const events = await log.append(drafts)
    freshness.note(events.map(({ id }) => toHex(id)))
    return toHex(scope)
  }

  #runsHere(task: Submission): boolean {
    const { log, offers, hasRoom } = this.#options
    if (task.on !== null) return task.on === log.self
    return offers(task.kind, task.name) && hasRoom()
  }

  /** A member asks for the task. LOG_RECOVERING, TASK_UNKNOWN, TASK_CLOSED, MEMBER_FORBIDDEN, LEASE_LOST. */
  claim(peer: PublicKeyHex, { task, nonce, sentMs }: TaskRequest<'task/claim'>): Promise<Grant> {
    return this.#lock.run(task, async () => {
      const fold = this.#openTask(task, peer)
      const { assigned } = fold
      if (assigned?.executor === peer && !this.#reopened.has(task))
        return this.#grant(fold, peer, assigned.attempt, sentMs)
      if (assigned !== null && !this.#reopened.has(task))
        throw new MeshError('LEASE_LOST', 'another member has the task')
      if (fold.submitted.on !== 'any' && fold.submitted.on !== peer)
        throw new MeshError('MEMBER_FORBIDDEN', 'the task is for another member')
      if (this.#options.clock.now() >= fold.submitted.expiresAtMs)
        throw new MeshError('TASK_CLOSED', 'the task has expired')
      const attempt = (assigned?.attempt ?? 0) + 1
      await this.#assign(fold, attempt, peer, nonce, false)
      return this.#grant(fold, peer, attempt, sentMs)
    })
  }

  /** The executor of an attempt wants to keep it. Codes as of `claim`. */
  renew(peer: PublicKeyHex, { task, attempt, sentMs }: TaskRequest<'task/renew'>): Promise<Grant> {
    return this.#lock.run(task, async () => {
      const fold = this.#openTask(task, peer)
      if (fold.assigned?.executor !== peer || fold.assigned.attempt !== attempt)
        throw new MeshError('LEASE_LOST', 'another attempt has the task')
      if (hasEnded(fold.state)) throw new MeshError('TASK_CLOSED', 'the attempt has ended')
      return this.#grant(fold, peer, attempt, sentMs)
    })
  }

  #openTask(task: string, peer: PublicKeyHex): TaskFold {
    const { book, log, freshness } = this.#options
    const fold = book.get(task)
    if (fold === null || fold.submitter !== log.self)
      throw new MeshError('TASK_UNKNOWN', 'no open task of this node has that id')
    if (!freshness.usable(fold.assigned?.id ?? fold.submitted.id))
      throw new MeshError('LOG_RECOVERING', 'this node does not know yet whether it has forgotten something')
    if (!hasRoleNow(log, peer, 'member')) throw new MeshError('MEMBER_FORBIDDEN', 'only members run tasks')
    if (hasEnded(fold.state) && !this.#reopened.has(task)) throw new MeshError('TASK_CLOSED', 'the task has ended')
    return fold
  }

  #grant(fold: TaskFold, peer: PublicKeyHex, attempt: number, sentMs: number): Grant {
    const { clock, log } = this.#options
    this.#reopened.delete(fold.id)
    const earlier = this.#watched.get(fold.id)
    // Requests may overtake each other: the end that the executor may believe in is the latest one.
    const latestMs =
      earlier?.attempt === attempt && !earlier.assumed ? Math.max(sentMs, earlier.lease.executorSentMs) : sentMs
    const lease = new GrantedLease(clock, LIMITS.leaseMs, latestMs)
    if (peer !== log.self) this.#watched.set(fold.id, { lease, attempt, assumed: false, sawMs: null })
    this.#arm()
    return { attempt, leaseMs: LIMITS.leaseMs }
  }

  async #assign(
    fold: TaskFold,
    attempt: number,
    executor: PublicKeyHex,
    nonce: string,
    confirmed: boolean
  ): Promise<void> {
    const { log, freshness } = this.#options
    const after = [
      fold.submitted.id,
      ...(fold.run?.finished === null || fold.run === null ? [] : [fold.run.finished.id])
    ]
    const draft = assignment(fromHex(fold.id), attempt, executor, nonce, confirmed, after)
    const events = await log.append([draft])
    freshness.note(events.map(({ id }) => toHex(id)))
    this.#reopened.delete(fold.id)
  }

  /** A person ends the task. TASK_UNKNOWN, TASK_NOT_YOURS, TASK_CLOSED. */
  cancel(id: string): Promise<void> {
    return this.#lock.run(id, async () => {
      const task = await this.#ownTask(id)
      if (hasEnded(task.state) && task.state !== 'unknown' && task.state !== 'interrupted')
        throw new MeshError('TASK_CLOSED', `the task is ${task.state} already`)
      await this.#cancel(task, 'person')
    })
  }

  async #cancel(fold: TaskFold, reason: RunEvent<'task-cancelled'>['reason']): Promise<void> {
    const { log } = this.#options
    const payload = { attempt: fold.assigned?.attempt ?? 0, reason, after: [fold.submitted.id] }
    await log.append([runEvent('task-cancelled', payload, fromHex(fold.id))])
  }

  /**
   * A person wants another attempt, whatever the one before may have done. TASK_UNKNOWN, TASK_NOT_YOURS; TASK_CLOSED when it is done or runs
   * still; TASK_NO_EXECUTOR when nobody is there for it.
   */
  retry(id: string, chooseExecutor: (task: TaskFold) => Promise<PublicKeyHex | null>): Promise<void> {
    return this.#lock.run(id, async () => {
      const task = await this.#ownTask(id)
      if (task.state === 'done') throw new MeshError('TASK_CLOSED', 'the task is done')
      if (!hasEnded(task.state) && !this.isStuck(task))
        throw new MeshError('TASK_CLOSED', 'the task has not ended', { hint: 'pmesh task cancel ends it.' })
      const executor = await chooseExecutor(task)
      if (executor === null)
        throw new MeshError('TASK_NO_EXECUTOR', 'no member that is here offers what the task needs')
      this.#watched.delete(id)
      const nonce = toHex(this.#options.random.bytes(16))
      await this.#assign(task, (task.assigned?.attempt ?? 0) + 1, executor, nonce, true)
    })
  }

  /** As the log has it now: the book forgets what has ended. */
  async #ownTask(id: string): Promise<TaskFold> {
    const { log } = this.#options
    const fold = foldTask(id, await readTaskEvents(log, fromHex(id), STATE_TYPES))
    if (fold === null) throw new MeshError('TASK_UNKNOWN', 'there is no such task')
    if (fold.submitter !== log.self) throw new MeshError('TASK_NOT_YOURS', 'another member submitted the task')
    return fold
  }

  /** The executor's lease is over and nobody can know what it did: a person decides. */
  isStuck(fold: TaskFold): boolean {
    const watch = this.#watched.get(fold.id)
    return (
      watch !== undefined &&
      watch.attempt === fold.assigned?.attempt &&
      watch.lease.remainingMs() < 0 &&
      !hasEnded(fold.state) &&
      !this.#reopened.has(fold.id) &&
      !(isInside(fold.submitted.tierMax) && withoutOutsideEffect(fold.run))
    )
  }

  /** The book's change of an own task. */
  changed(fold: TaskFold): void {
    if (fold.submitter !== this.#options.log.self || this.#stopped) return
    const { assigned } = fold
    const watch = this.#watched.get(fold.id)
    const over = hasEnded(fold.state)
    if (over || assigned === null || (watch !== undefined && watch.attempt !== assigned.attempt)) {
      this.#watched.delete(fold.id)
      this.#reopened.delete(fold.id)
    }
    if (!over && assigned !== null && assigned.executor !== this.#options.log.self && !this.#watched.has(fold.id)) {
      // After a restart, and for what a person assigned: as if it had just been renewed, by a clock that is as wrong as one may be.
      const lease = new GrantedLease(
        this.#options.clock,
        assigned.leaseMs,
        this.#options.clock.now() + LIMITS.clockSkewMsMax
      )
      this.#watched.set(fold.id, { lease, attempt: assigned.attempt, assumed: true, sawMs: null })
    }
    if (mayRepeat(fold)) this.#reopen(fold)
    this.#arm()
  }

  /** Makes a task free for the next claim, and tells the members that are here. */
  #reopen(fold: TaskFold): void {
    const { freshness, clock } = this.#options
    const known = fold.assigned?.id ?? fold.submitted.id
    if (clock.now() >= fold.submitted.expiresAtMs || !freshness.usable(known)) return
    this.#reopened.add(fold.id)
    this.#watched.delete(fold.id)
    this.#offer(fold)
  }

  #offer(fold: TaskFold): void {
    const { id, submitted } = fold
    const { log, connected, ask, logger } = this.#options
    this.#options.offeredHere(fold)
    const peers = submitted.on === 'any' ? [...connected()] : connected().has(submitted.on) ? [submitted.on] : []
    for (const peer of peers) {
      if (peer === log.self) continue
      ask(peer, 'task/offer', { task: id }).catch((error: unknown) =>
        logger.debug('a task was not offered', { task: id, peer, message: messageOf(error) })
      )
    }
  }

  #arm(): void {
    if (this.#cancelTimer !== null || this.#stopped) return
    this.#cancelTimer = this.#options.timers.set(LOOK_MS, () => {
      this.#cancelTimer = null
      this.#look().catch((error: unknown) =>
        this.#options.logger.warn('tasks could not be looked after', { message: messageOf(error) })
      )
    })
  }

  /** Ends what has expired, opens again what certainly did nothing. */
  async #look(): Promise<void> {
    const { book, log, freshness } = this.#options
    let own = 0
    for (const { id } of book.open()) {
      // A claim may have been granted while one before was ended.
      const fold = book.get(id)
      if (fold?.submitter !== log.self) continue
      own++
      if (!freshness.usable(fold.assigned?.id ?? fold.submitted.id)) continue
      if (this.#hasExpired(fold)) await this.#lock.run(fold.id, () => this.#expire(fold.id))
      else if (mayRepeat(fold) || this.#reopened.has(fold.id)) this.#reopen(fold)
      else if (this.#certainlyDidNothing(fold)) this.#reopen(fold)
    }
    if (own > 0) this.#arm()
  }

  async #expire(id: string): Promise<void> {
    const fold = this.#options.book.get(id)
    if (fold !== null && this.#hasExpired(fold)) await this.#cancel(fold, 'expired')
  }

  /** An effect that is under way is left to end; an attempt that a person wanted has no end. */
  #hasExpired({ submitted, assigned, cancelled, run }: TaskFold): boolean {
    if (this.#options.clock.now() < submitted.expiresAtMs || assigned?.confirmed === true || cancelled !== null)
      return false
    return run === null || [...run.calls.values()].every((call) => call.started === null || call.finished !== null)
  }

  /**
   * The lease is over, and either no effect above "internal" was allowed, or a beacon of the executor behind the end, with all of its chain
   * here, shows that none began. Looked at twice: what a beacon newly tells of is noted before the second look.
   */
  #certainlyDidNothing(fold: TaskFold): boolean {
    const { assigned, submitted, run } = fold
    const watch = this.#watched.get(fold.id)
    if (assigned === null || watch === undefined || watch.lease.remainingMs() > 0) return false
    const automatic = fold.assignments.filter(({ confirmed }) => !confirmed).length
    if (automatic >= LIMITS.taskAttemptsMax || !withoutOutsideEffect(run)) return false
    if (isInside(submitted.tierMax)) return true
    const status = this.#options.chainStatus(assigned.executor)
    const beaconMs = status?.beaconMs ?? null
    if (status?.state !== 'complete' || beaconMs === null || beaconMs <= watch.lease.executorEndMs) {
      watch.sawMs = null
      return false
    }
    if (watch.sawMs !== null) return true
    watch.sawMs = beaconMs
    return false
  }
}

const PIECES_PER_APPEND = 3

function assignment(
  scope: Uint8Array,
  attempt: number,
  executor: PublicKeyHex,
  claim: string,
  confirmed: boolean,
  after: string[] = []
): EventDraft {
  return runEvent('task-assigned', { attempt, executor, leaseMs: LIMITS.leaseMs, claim, confirmed, after }, scope)
}
