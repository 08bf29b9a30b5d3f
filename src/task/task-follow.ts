// Followed tasks and approvals: what is known first, then each change, until the task has ended or the follower goes. A slow follower costs the
// newest state and a bounded piece of live text, nothing else.

import { LIMITS } from '../base/limits.ts'
import { MeshError } from '../base/mesh-error.ts'
import { type Approvals, requestsOf } from './approvals.ts'
import type { TaskBook } from './task-book.ts'
import { hasEnded, mayRepeat, type TaskFold } from './task-fold.ts'
import type { TaskPorts } from './task-ports.ts'
import type { ApprovalRecord, TaskRecord, TaskUpdate } from './task-records.ts'
import { answerOf, approvalRecord, shownOutput, stageRecord, taskRecord } from './task-view.ts'

export interface FollowOptions extends Pick<TaskPorts, 'memberRef' | 'timers'> {
  readonly book: TaskBook
  readonly approvals: Approvals
  /** With its texts; null when the log has none. */
  read(id: string): Promise<TaskFold | null>
  isStuck(task: TaskFold): boolean
  /** Live text of a run on this node. */
  onText(listener: (task: string, text: string) => void): () => void
}

const LOOK_MS = 5_000

/** TASK_UNKNOWN. */
export async function* followTask(options: FollowOptions, id: string, signal: AbortSignal): AsyncGenerator<TaskUpdate> {
  const bell = new Bell(options, signal)
  let text = ''
  const unlisten = [
    options.book.onChange((task) => {
      if (task.id === id) bell.ring()
    }),
    options.onText((task, piece) => {
      if (task !== id) return
      text = (text + piece).slice(-LIMITS.toolOutputShownBytesMax)
      bell.ring()
    })
  ]
  const news = new TaskNews(options)
  try {
    while (!signal.aborted) {
      if (text !== '') {
        const piece = text
        text = ''
        yield { kind: 'text', text: piece }
      }
      const task = await options.read(id)
      if (task === null) throw new MeshError('TASK_UNKNOWN', 'there is no such task')
      yield* news.of(task)
      if (news.ended) return
      await bell.rung()
    }
  } finally {
    for (const stop of unlisten) stop()
  }
}

/** Tells what of a task was not told before. */
class TaskNews {
  readonly #options: FollowOptions
  readonly #told = new Set<string>()
  #state = ''
  ended = false

  constructor(options: FollowOptions) {
    this.#options = options
  }

  *of(task: TaskFold): Generator<TaskUpdate> {
    const { memberRef, approvals, isStuck } = this.#options
    const record = taskRecord(task, memberRef, isStuck(task))
    for (const update of this.#updates(task, record)) yield update
    for (const requested of requestsOf(task)) {
      const approval = approvalRecord(requested, memberRef, approvals)
      if (this.#isNew(`${approval.id} ${approval.state} ${approval.votes.length}`)) yield { kind: 'approval', approval }
    }
    // What was broken off inside is tried again by itself.
    if (!hasEnded(record.state) || (record.state === 'interrupted' && mayRepeat(task))) return
    this.ended = true
    yield { kind: 'end', task: record, answer: answerOf(task) }
  }

  *#updates(task: TaskFold, record: TaskRecord): Generator<TaskUpdate> {
    const state = `${record.state} ${record.attempt}`
    if (state !== this.#state) {
      this.#state = state
      yield { kind: 'state', task: record }
    }
    for (const call of task.run?.calls.values() ?? []) {
      for (const decided of call.stages)
        if (this.#isNew(decided.id)) yield { kind: 'stage', stage: stageRecord(call, decided) }
      const output = shownOutput(call)
      if (output !== '' && this.#isNew(`output ${task.run?.attempt} ${call.call}`))
        yield { kind: 'output', call: call.call, text: output }
    }
  }

  #isNew(what: string): boolean {
    if (this.#told.has(what)) return false
    this.#told.add(what)
    return true
  }
}

/** Open requests, then each that opens or changes. */
export async function* followApprovals(options: FollowOptions, signal: AbortSignal): AsyncGenerator<ApprovalRecord> {
  const { approvals, book, memberRef, read } = options
  const bell = new Bell(options, signal)
  const changed = new Set<string>()
  const told = new Map<string, string>()
  const unlisten = book.onChange((task) => {
    if (requestsOf(task).length === 0) return
    changed.add(task.id)
    bell.ring()
  })
  const isNews = (record: ApprovalRecord): boolean => {
    const now = `${record.state} ${record.votes.length}`
    if (told.get(record.id) === now) return false
    told.delete(record.id)
    told.set(record.id, now)
    if (told.size > LIMITS.pageRowsMax) told.delete(told.keys().next().value ?? '')
    return true
  }
  try {
    for (const requested of await approvals.requests(false)) {
      const record = approvalRecord(requested, memberRef, approvals)
      if (isNews(record)) yield record
    }
    while (!signal.aborted) {
      for (const id of changed) {
        changed.delete(id)
        const task = await read(id)
        for (const requested of task === null ? [] : requestsOf(task)) {
          const record = approvalRecord(requested, memberRef, approvals)
          if (isNews(record)) yield record
        }
      }
      await bell.rung()
    }
  } finally {
    unlisten()
  }
}

/** Wakes a follower when it was rung, when some time has passed, or when it goes. */
class Bell {
  readonly #timers: FollowOptions['timers']
  readonly #signal: AbortSignal
  #rung = false
  #wake: (() => void) | null = null

  constructor({ timers }: FollowOptions, signal: AbortSignal) {
    this.#timers = timers
    this.#signal = signal
  }

  ring(): void {
    this.#rung = true
    this.#wake?.()
  }

  async rung(): Promise<void> {
    if (!this.#rung && !this.#signal.aborted) {
      await new Promise<void>((resolve) => {
        const cancel = this.#timers.set(LOOK_MS, () => this.#wake?.())
        this.#wake = () => {
          cancel()
          this.#signal.removeEventListener('abort', this.#wake as () => void)
          this.#wake = null
          resolve()
        }
        this.#signal.addEventListener('abort', this.#wake)
      })
    }
    this.#rung = false
  }
}
