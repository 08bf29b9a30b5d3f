// The tasks that are open, in memory: folded again whenever a commit brings a record of theirs, told to whoever listens. Everything else about
// tasks is read from the log when it is asked for. Bounded: what does not fit waits in the log and is looked for again once there is room.

import { setImmediate as nextTurn } from 'node:timers/promises'
import { fromHex, toHex } from '../base/bytes.ts'
import type { Clock } from '../base/clock.ts'
import { LIMITS } from '../base/limits.ts'
import type { Logger } from '../base/logger.ts'
import { messageOf } from '../base/mesh-error.ts'
import type { StoredAppend } from '../log/batch.ts'
import type { EventLog, LogCommit } from '../log/event-log.ts'
import { countedFilter, queryEvents } from '../log/event-query.ts'
import { loggedEvents } from '../log/logged-event.ts'
import type { PublicKeyHex } from '../log/statement.ts'
import type { TaskEvent } from '../pipeline/recorded-run.ts'
import { readTaskEvents, STATE_TYPES, taskEvent } from './task-events.ts'
import { foldTask, isSettled, type TaskFold } from './task-fold.ts'

/** Looks for more once so much of a full book is left. */
const REFILL_BELOW = 0.9

export interface TaskBookOptions {
  readonly log: EventLog
  readonly clock: Clock
  readonly logger: Logger
  /** Open tasks that are kept in memory. */
  readonly tasksMax?: number
}

/** `task`: as it stands after the change; records only, its input and texts are in the log. */
export type TaskListener = (task: TaskFold) => void

interface Entry {
  readonly events: Map<string, TaskEvent>
  readonly submitter: PublicKeyHex
  /** By author. */
  readonly counts: Map<string, number>
  /** Null once events came that it does not know. */
  fold: TaskFold | null
}

export class TaskBook {
  readonly #options: TaskBookOptions
  readonly #tasksMax: number
  /** Open tasks of each submitter. */
  readonly #perSubmitter = new Map<PublicKeyHex, number>()
  /** Those of whom some were left out. */
  readonly #capped = new Set<PublicKeyHex>()
  readonly #entries = new Map<string, Entry>()
  readonly #listeners = new Set<TaskListener>()
  readonly #loading = new Set<string>()
  #reading: { readonly id: string; readonly arrived: TaskEvent[] } | null = null
  #overflown = false
  readonly #changed = new Set<string>()
  #telling: NodeJS.Immediate | null = null
  #unlisten: (() => void) | null = null
  #worker: Promise<void> | null = null
  #scanWanted = false
  #stopped = false

  constructor(options: TaskBookOptions) {
    this.#options = options
    this.#tasksMax = options.tasksMax ?? LIMITS.tasksOpenMax
  }

  /** Follows the log from here on, and finds the open tasks that it holds already. */
  start(): void {
    this.#unlisten = this.#options.log.onCommit((commit) => this.#committed(commit))
    this.rescan()
  }

  async stop(): Promise<void> {
    this.#stopped = true
    this.#unlisten?.()
    if (this.#telling !== null) clearImmediate(this.#telling)
    await this.#worker
  }

  get size(): number {
    return this.#entries.size
  }

  /** Never behind what is durable. */
  get(id: string): TaskFold | null {
    const entry = this.#entries.get(id)
    if (entry === undefined) return null
    entry.fold ??= foldTask(id, [...entry.events.values()])
    return entry.fold
  }

  open(): TaskFold[] {
    return [...this.#entries.keys()].flatMap((id) => this.get(id) ?? [])
  }

  onChange(listener: TaskListener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Resolves when everything noticed so far is folded. */
  async settled(): Promise<void> {
    while (this.#worker !== null || this.#changed.size > 0) await (this.#worker ?? nextTurn())
  }

  /** Looks through the log for open tasks that are not here. */
  rescan(): void {
    this.#scanWanted = true
    this.#work()
  }

  #committed({ stored, view }: LogCommit): void {
    const { log } = this.#options
    const counts = countedFilter(log.state)
    for (const append of stored)
      if (append.blocks.types.some((type) => STATE_TYPES.has(type)) && counts(append)) this.#take(append)
    // Who waits for this commit goes on first: an effect begins before anybody is told of it.
    if (this.#changed.size > 0) this.#telling ??= setImmediate(() => this.#tellChanged())
    // Membership decides what is authorised, also of what is here already.
    if (view !== null) for (const id of this.#entries.keys()) this.#loading.add(id)
    this.#work()
  }

  #take({ head, blocks, own }: StoredAppend): void {
    const { log } = this.#options
    for (const logged of loggedEvents(log.mesh, log.view, head, blocks)) {
      const event = STATE_TYPES.has(logged.type) ? taskEvent(logged) : null
      if (event === null) continue
      const id = toHex(logged.scope)
      if (this.#reading?.id === id) this.#reading.arrived.push(event)
      // The nonce is new: nothing else of an own task can be here before it.
      if (own && event.type === 'task-submitted') this.#insert(id, [event])
      const entry = this.#entries.get(id)
      if (entry !== undefined) {
        if (this.#note(entry, event)) this.#changed.add(id)
      } else if (event.type === 'task-submitted' || event.type === 'task-assigned') this.#loadSoon(id, event.timeMs)
    }
  }

  /** False for what is left out: no author says more of one task, and any member may name any task. */
  #note(entry: Entry, event: TaskEvent): boolean {
    const count = (entry.counts.get(event.author) ?? 0) + 1
    if (count > LIMITS.taskStateEventsPerAuthorMax) return false
    entry.counts.set(event.author, count)
    entry.events.set(event.id, event)
    entry.fold = null
    return true
  }

  /** What is too old to be open is left alone: a joiner reads years of tasks. */
  #loadSoon(id: string, timeMs: number): void {
    if (timeMs < this.#oldestMs()) return
    if (this.#loading.size < this.#tasksMax) this.#loading.add(id)
    else this.#scanWanted = true
  }

  #oldestMs(): number {
    return Math.max(0, this.#options.clock.now() - LIMITS.taskLifeMsMax - LIMITS.clockSkewMsMax)
  }

  #insert(id: string, events: readonly TaskEvent[]): void {
    const fold = foldTask(id, events)
    if (fold === null || isSettled(fold)) return
    const { submitter } = fold
    const ofSubmitter = this.#perSubmitter.get(submitter) ?? 0
    const own = submitter === this.#options.log.self
    // One member's tasks do not keep the others' out.
    if (!own && ofSubmitter >= this.#tasksMax / 2) {
      this.#capped.add(submitter)
      return
    }
    if (!own && this.#entries.size >= this.#tasksMax) {
      this.#overflown = true
      return
    }
    this.#perSubmitter.set(submitter, ofSubmitter + 1)
    const counts = new Map<string, number>()
    for (const { author } of events) counts.set(author, (counts.get(author) ?? 0) + 1)
    this.#entries.set(id, { submitter, events: new Map(events.map((event) => [event.id, event])), counts, fold })
  }

  #tellChanged(): void {
    this.#telling = null
    for (const id of this.#changed) {
      this.#changed.delete(id)
      if (!this.#entries.has(id)) continue
      const fold = this.get(id)
      if (fold === null || isSettled(fold)) this.#remove(id)
      if (fold !== null) this.#tell(fold)
    }
  }

  #forget(id: string): boolean {
    const entry = this.#entries.get(id)
    if (entry === undefined) return false
    const left = (this.#perSubmitter.get(entry.submitter) ?? 1) - 1
    if (left === 0) this.#perSubmitter.delete(entry.submitter)
    else this.#perSubmitter.set(entry.submitter, left)
    if (left <= (this.#tasksMax / 2) * REFILL_BELOW && this.#capped.delete(entry.submitter)) this.#scanWanted = true
    return this.#entries.delete(id)
  }

  #remove(id: string): void {
    this.#forget(id)
    if (!this.#overflown || this.#entries.size > this.#tasksMax * REFILL_BELOW) return
    this.#overflown = false
    this.rescan()
  }

  #tell(fold: TaskFold): void {
    for (const listener of this.#listeners) {
      try {
        listener(fold)
      } catch (error) {
        this.#options.logger.error('a listener of the tasks failed', { task: fold.id, message: messageOf(error) })
      }
    }
  }

  #work(): void {
    if (this.#stopped || this.#worker !== null || (!this.#scanWanted && this.#loading.size === 0)) return
    this.#worker = this.#run().finally(() => {
      this.#worker = null
      this.#work()
    })
  }

  async #run(): Promise<void> {
    try {
      while (!this.#stopped) {
        const [id] = this.#loading
        if (id !== undefined) await this.#load(id)
        else if (this.#scanWanted) await this.#scan()
        else return
      }
    } catch (error) {
      this.#options.log.noteDamage(error)
      this.#options.logger.error('tasks cannot be read', { message: messageOf(error) })
    }
  }

  /** Reads one task anew, with what commits bring meanwhile. */
  async #load(id: string): Promise<void> {
    this.#loading.delete(id)
    const reading = { id, arrived: [] as TaskEvent[] }
    this.#reading = reading
    let read: TaskEvent[]
    try {
      read = await readTaskEvents(this.#options.log, fromHex(id), STATE_TYPES)
    } finally {
      // In one turn with what follows: between them no commit may come.
      this.#reading = null
    }
    const events = [...new Map([...read, ...reading.arrived].map((event) => [event.id, event])).values()]
    const known = this.#forget(id)
    this.#insert(id, events)
    const fold = this.#entries.get(id)?.fold ?? (known ? foldTask(id, events) : null)
    if (fold !== null) this.#tell(fold)
  }

  /** Newest first, as far back as a task may be open. */
  async #scan(): Promise<void> {
    this.#scanWanted = false
    const query = { type: 'task-submitted', fromMs: this.#oldestMs(), newestFirst: true }
    for await (const { scope } of queryEvents(this.#options.log, query)) {
      if (this.#stopped) return
      if (this.#entries.size >= this.#tasksMax) {
        this.#overflown = true
        return
      }
      const id = toHex(scope)
      if (!this.#entries.has(id)) await this.#load(id)
    }
  }
}
