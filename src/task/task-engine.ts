// The task layer of one node: book, submitter, executor and approvals, and the part of the local API that is about them. The node gives it ports
// and tells it of peers; it starts with what the log says and keeps nothing that the log does not.

import type { ErrorCode } from '../base/errors.ts'
import { LIMITS } from '../base/limits.ts'
import { isMeshError, MeshError, messageOf } from '../base/mesh-error.ts'
import { hasRoleNow } from '../log/current-grant.ts'
import { queryEvents } from '../log/event-query.ts'
import type { PublicKeyHex } from '../log/statement.ts'
import { runEvent, tryParseRunEvent } from '../pipeline/run-events.ts'
import type { Principal, Taint, Tier } from '../policy/contract.ts'
import { type Announcement, announcementOf, announcements, offers } from './announcements.ts'
import { Approvals } from './approvals.ts'
import { Executor } from './executor.ts'
import { Freshness } from './freshness.ts'
import { Submitter } from './submitter.ts'
import { TaskBook } from './task-book.ts'
import type { TaskFold } from './task-fold.ts'
import { type FollowOptions, followApprovals, followTask } from './task-follow.ts'
import { findTaskId, listTasks, readTask } from './task-list.ts'
import type { TaskPorts } from './task-ports.ts'
import type { ApprovalDetail, ApprovalRecord, TaskDetail, TaskRecord, TaskState, TaskUpdate } from './task-records.ts'
import { TASK_REQUESTS } from './task-requests.ts'
import { approvalDetail, approvalRecord, taskDetail, taskRecord } from './task-view.ts'

export interface NewTask {
  readonly kind: 'tool' | 'agent'
  readonly name: string
  readonly input: string
  /** A member as people name it, or null for any. */
  readonly on: string | null
  readonly conversation: string | null
  readonly expiresInMs: number
  /** The owner when left out. */
  readonly principal?: Principal
  /** Calls above it are denied; nothing is above it when left out. */
  readonly tierMax?: Tier
  readonly taint?: readonly Taint[]
}

const LIST_LIMIT = 50

export class TaskEngine {
  readonly #ports: TaskPorts
  readonly book: TaskBook
  readonly #submitter: Submitter
  readonly #executor: Executor
  readonly #approvals: Approvals
  readonly #policies = new Set<string>()
  readonly #textListeners = new Set<(task: string, text: string) => void>()
  readonly #follow: FollowOptions
  readonly #unlisten: (() => void)[] = []
  #announced: string | null = null
  #announcing: Promise<void> = Promise.resolve()

  constructor(ports: TaskPorts) {
    this.#ports = ports
    const freshness = new Freshness(() => ports.ownHeadConfirmed() || this.#isAlone())
    this.book = new TaskBook(ports)
    const inside = {
      ...ports,
      ask: (peer: PublicKeyHex, method: string, params: unknown) => this.#ask(peer, method, params),
      book: this.book,
      freshness,
      offers: (kind: 'tool' | 'agent', name: string) => this.#offersHere(kind, name)
    }
    this.#approvals = new Approvals(inside)
    this.#submitter = new Submitter({
      ...inside,
      hasRoom: () => this.#executor.hasRoom,
      offeredHere: (task) => this.#executor.offered(task)
    })
    this.#executor = new Executor({
      ...inside,
      approvals: this.#approvals,
      policies: this.#policies,
      onText: (task, text) => {
        for (const listener of this.#textListeners) listener(task, text)
      }
    })
    this.#follow = {
      ...inside,
      approvals: this.#approvals,
      read: (id) => readTask(ports.log, id),
      isStuck: (task) => this.#submitter.isStuck(task),
      onText: (listener) => {
        this.#textListeners.add(listener)
        return () => this.#textListeners.delete(listener)
      }
    }
  }

  /** Takes up what the log holds. Runs begin once the own log may be written. */
  async start(): Promise<void> {
    const { log } = this.#ports
    for await (const { payload } of queryEvents(log, { type: 'policy-recorded', author: log.self })) {
      const recorded = tryParseRunEvent('policy-recorded', payload)
      if (recorded !== null) this.#policies.add(recorded.hash)
    }
    this.#unlisten.push(
      this.book.onChange((task) => {
        this.#submitter.changed(task)
        this.#executor.changed(task)
      }),
      log.onCommit(({ view }) => {
        if (view === null) return
        this.lookAgain()
        this.announce()
      })
    )
    this.book.start()
    this.#submitter.start()
    this.announce()
  }

  /** Ends the runs; what they recorded is taken up at the next start. */
  async stop(): Promise<void> {
    for (const unlisten of this.#unlisten) unlisten()
    this.#submitter.stop()
    await this.#executor.stop()
    await this.book.stop()
  }

  /** Runs that work on this node; those that wait for a person are not counted. */
  get running(): number {
    return this.#executor.running
  }

  /** To be called when a member comes up and when the replication state changes. */
  lookAgain(): void {
    this.#approvals.lookAgain()
    this.#executor.lookAgain()
  }

  /**
   * To be called when tools, agents or the sandbox change: tells the members what this node offers, when that is something new. A mesh of one has
   * nobody to tell, and may still be left for another.
   */
  announce(): void {
    this.#executor.lookAgain()
    if (this.#isAlone()) return
    const offer = this.#ports.offer()
    this.#announcing = this.#announcing
      .then(() => this.#announce(offer))
      .catch((error: unknown) => this.#ports.logger.warn('the tools were not announced', { message: messageOf(error) }))
  }

  async #announce(offer: Announcement): Promise<void> {
    const { log } = this.#ports
    // An observer offers nothing.
    if (!this.#isExecutor(log.self)) return
    this.#announced ??= JSON.stringify(await announcementOf(log, log.self))
    const text = JSON.stringify(tryParseRunEvent('node-announced', Buffer.from(JSON.stringify(offer))))
    if (text === this.#announced) return
    await log.append([runEvent('node-announced', offer)])
    this.#announced = text
  }

  /** What a member last said that it offers; null when it never did. */
  announcementOf(member: PublicKeyHex): Promise<Announcement | null> {
    return announcementOf(this.#ports.log, member)
  }

  /** Answers a member's `task/…` request. Never throws. */
  async request(
    peer: PublicKeyHex,
    method: string,
    params: unknown
  ): Promise<{ readonly result: unknown } | { readonly error: ErrorCode }> {
    try {
      return { result: await this.#answer(peer, method, params) }
    } catch (error) {
      const code = isMeshError(error) ? error.code : 'INTERNAL'
      this.#ports.logger.debug('a request about a task was refused', { peer, method, code, message: messageOf(error) })
      return { error: code }
    }
  }

  async #answer(peer: PublicKeyHex, method: string, params: unknown): Promise<unknown> {
    if (!Object.hasOwn(TASK_REQUESTS, method)) throw new MeshError('RPC_METHOD_UNKNOWN', 'no such request')
    const schema = TASK_REQUESTS[method as keyof typeof TASK_REQUESTS]
    const parsed = schema.safeParse(params)
    if (!parsed.success) throw new MeshError('RPC_PARAMS_INVALID', 'the parameters do not fit')
    if (method === 'task/claim') return this.#submitter.claim(peer, parsed.data as never)
    if (method === 'task/renew') return this.#submitter.renew(peer, parsed.data as never)
    const task = this.book.get(parsed.data.task)
    if (task?.submitter === peer) this.#executor.offered(task)
    return {}
  }

  async #ask(peer: PublicKeyHex, method: string, params: unknown): Promise<unknown> {
    return peer === this.#ports.log.self ? this.#answer(peer, method, params) : this.#ports.ask(peer, method, params)
  }

  #isAlone(): boolean {
    const { log } = this.#ports
    return [...log.view.members.values()].every(({ key, removal }) => key === log.self || removal !== null)
  }

  /** MEMBER_…, TASK_NO_EXECUTOR, TASK_INPUT_TOO_LARGE, TASK_QUEUE_FULL, USAGE, LOG_…. */
  async taskSubmit(task: NewTask): Promise<TaskRecord> {
    const on = task.on === null ? null : this.#memberFor(task.on)
    if (!(await this.#someoneOffers(task, on)))
      throw new MeshError('TASK_NO_EXECUTOR', `no member that may run it offers the ${task.kind} ${task.name}`, {
        hint: hintWithout(task, on === null || on === this.#ports.log.self)
      })
    const id = await this.#submitter.submit({ ...task, on })
    return this.#record(await this.#known(id))
  }

  #memberFor(text: string): PublicKeyHex {
    const key = this.#ports.resolveMember(text)
    const member = this.#ports.log.view.members.get(key)
    if (member === undefined || member.removal !== null) throw new MeshError('MEMBER_REMOVED', 'the member was removed')
    if (!hasRoleNow(this.#ports.log, key, 'member'))
      throw new MeshError('TASK_NO_EXECUTOR', 'an observer runs no tasks')
    return key
  }

  /** A member that never said what it offers may offer it. */
  async #someoneOffers({ kind, name }: NewTask, on: PublicKeyHex | null): Promise<boolean> {
    const { log } = this.#ports
    if (on === log.self || on === null) {
      if (this.#offersHere(kind, name)) return true
      if (on !== null) return false
    }
    if (on !== null) {
      const announced = await announcementOf(log, on)
      return announced === null || offers(announced, kind, name)
    }
    for await (const { member, announced } of announcements(log))
      if (member !== log.self && this.#isExecutor(member) && offers(announced, kind, name)) return true
    return false
  }

  #offersHere(kind: 'tool' | 'agent', name: string): boolean {
    return this.#isExecutor(this.#ports.log.self) && offers(this.#ports.offer(), kind, name)
  }

  #isExecutor(key: PublicKeyHex): boolean {
    return hasRoleNow(this.#ports.log, key, 'member')
  }

  /** Newest first. */
  async tasks(query: {
    readonly state?: TaskState | undefined
    readonly limit?: number | undefined
    readonly cursor?: string | undefined
  }): Promise<{ readonly items: readonly TaskRecord[]; readonly next: string | null }> {
    const limit = Math.min(Math.max(1, query.limit ?? LIST_LIMIT), LIMITS.pageRowsMax)
    const { tasks, next } = await listTasks(
      this.#ports.log,
      { limit, cursor: query.cursor ?? null },
      (task) => query.state === undefined || this.#record(task).state === query.state
    )
    return { items: tasks.map((task) => this.#record(task)), next }
  }

  /** By its id or the beginning of it. TASK_UNKNOWN. */
  async task(id: string): Promise<TaskDetail> {
    const task = await this.#known(await findTaskId(this.#ports.log, id))
    return taskDetail(task, this.#ports.memberRef, this.#approvals, this.#submitter.isStuck(task))
  }

  async *taskFollow(id: string, signal: AbortSignal): AsyncGenerator<TaskUpdate> {
    yield* followTask(this.#follow, await findTaskId(this.#ports.log, id), signal)
  }

  /** TASK_UNKNOWN, TASK_NOT_YOURS, TASK_CLOSED. */
  async taskCancel(id: string): Promise<TaskRecord> {
    const task = await findTaskId(this.#ports.log, id)
    await this.#submitter.cancel(task)
    return this.#record(await this.#known(task))
  }

  /** TASK_UNKNOWN, TASK_NOT_YOURS, TASK_CLOSED, TASK_NO_EXECUTOR. */
  async taskRetry(id: string): Promise<TaskRecord> {
    const task = await findTaskId(this.#ports.log, id)
    await this.#submitter.retry(task, (fold) => this.#executorFor(fold))
    return this.#record(await this.#known(task))
  }

  /** Who makes another attempt: the member it is for; else who made the last one, this node, or anybody who is here and offers it. */
  async #executorFor({ submitted, assigned }: TaskFold): Promise<PublicKeyHex | null> {
    const { log, connected } = this.#ports
    const { kind, name, on } = submitted
    if (on !== 'any') return on
    const able = new Set<PublicKeyHex>()
    for await (const { member, announced } of announcements(log))
      if (connected().has(member) && this.#isExecutor(member) && offers(announced, kind, name)) able.add(member)
    if (this.#offersHere(kind, name)) able.add(log.self)
    const best = [assigned?.executor ?? log.self, log.self].find((member) => able.has(member))
    return best ?? [...able][0] ?? null
  }

  /** Open requests of all members; with `all`, closed ones too. Oldest first. */
  async approvals(all: boolean): Promise<readonly ApprovalRecord[]> {
    const requests = await this.#approvals.requests(all)
    return requests.map((requested) => approvalRecord(requested, this.#ports.memberRef, this.#approvals))
  }

  /** By the request's id or the beginning of it. APPROVAL_UNKNOWN. */
  async approval(id: string): Promise<ApprovalDetail> {
    return approvalDetail(await this.#approvals.find(id), this.#ports.memberRef, this.#approvals)
  }

  /** APPROVAL_…. `digest`: the one that the person was shown. `principal`: who asks for it; only the owner at the local socket may. */
  async approvalVote(
    id: string,
    vote: 'approve' | 'deny',
    digest: string,
    principal: Principal = 'owner'
  ): Promise<ApprovalRecord> {
    const requested = await this.#approvals.vote(id, vote, digest, principal)
    return approvalRecord(requested, this.#ports.memberRef, this.#approvals)
  }

  approvalFollow(signal: AbortSignal): AsyncGenerator<ApprovalRecord> {
    return followApprovals(this.#follow, signal)
  }

  #record(task: TaskFold): TaskRecord {
    return taskRecord(task, this.#ports.memberRef, this.#submitter.isStuck(task))
  }

  async #known(id: string): Promise<TaskFold> {
    const task = await readTask(this.#ports.log, id)
    if (task === null) throw new MeshError('TASK_UNKNOWN', 'there is no such task')
    return task
  }
}

function hintWithout({ kind, on }: NewTask, here: boolean): string {
  if (!here) return kind === 'agent' ? 'pmesh ask --on any' : `pmesh tool list --member ${on}`
  return kind === 'agent' ? 'pmesh agent list' : 'pmesh tool list; pmesh doctor tells what is missing here'
}
