// Follows one task to its end: stages on stderr as they come, what it says on stdout, requests asked about where this person may answer.
// With --json every update is a line of stdout and nobody is asked.

import type { ErrorCode } from '../base/errors.ts'
import { MeshError } from '../base/mesh-error.ts'
import type { ApprovalRecord, StageRecord, TaskRecord, TaskUpdate } from '../rpc/methods.ts'
import { ApprovalAsker } from './approval-asker.ts'
import type { CommandContext } from './command-context.ts'
import { exitOfTask, isToldByJudge, shortHex, stageLine, statePiece, usageText, workText } from './run-text.ts'

const WAITS_EXIT = 13
const CANCELLED_EXIT = 130

export interface FollowOptions {
  /** False: an approval that this person cannot give here ends the following with exit code 13. */
  readonly wait: boolean
}

/** The exit code of the task's end; 130 when the person stopped looking. TIMEOUT after --timeout; the task goes on without us. */
export async function followTask(context: CommandContext, task: string, options: FollowOptions): Promise<number> {
  const client = await context.client()
  const { timeoutMs } = context.options
  const late = timeoutMs === undefined ? null : AbortSignal.timeout(timeoutMs)
  const waits = new AbortController()
  const give = () => {
    if (!options.wait) waits.abort()
  }
  const asker = context.canAsk ? new ApprovalAsker(context, give) : null
  const view = new TaskView(context)
  const signal = AbortSignal.any([context.signal, waits.signal, ...(late === null ? [] : [late])])
  try {
    for await (const { update } of client.stream('task/subscribe', { task }, { signal })) {
      view.show(update)
      if (update.kind === 'end') return exitOfTask(update.task.state)
      if (update.kind === 'approval') {
        const asked = asker?.offer(update.approval) === true
        if (update.approval.state === 'open' && !asked) give()
      }
      await context.out.drained()
    }
  } finally {
    await asker?.close()
    view.end()
  }
  return endWithout(context, task, { waits: waits.signal.aborted, late: late?.aborted === true })
}

/** The task goes on: says how to come back to it. */
function endWithout(context: CommandContext, task: string, why: { waits: boolean; late: boolean }): number {
  const { out } = context
  const id = shortHex(task)
  if (context.signal.aborted) {
    if (!out.json) out.note(`the task goes on: pmesh task follow ${id}, or pmesh task cancel ${id}`)
    return CANCELLED_EXIT
  }
  if (why.waits) return WAITS_EXIT
  if (why.late) throw new MeshError('TIMEOUT', 'the task has not ended yet', { hint: `pmesh task follow ${id}` })
  throw new MeshError('NODE_STOPPING', 'the node ended the stream before the task', {
    hint: `pmesh task follow ${id}`
  })
}

class TaskView {
  readonly #context: CommandContext
  readonly #shownApprovals = new Map<string, string>()
  #state = ''
  #isAgent = false
  /** A tool's output that may be the answer to come: it is shown once. */
  #heldOutput = ''
  /** What was streamed and is not ended by a line end. */
  #streamed = ''
  #half = ''

  constructor(context: CommandContext) {
    this.#context = context
  }

  show(update: TaskUpdate): void {
    const { out } = this.#context
    if (out.json) {
      out.value(update)
      return
    }
    if (update.kind === 'text') {
      this.#stream(update.text)
      return
    }
    this.#endLine()
    if (update.kind === 'state') this.#showState(update.task)
    else if (update.kind === 'stage') this.#showStage(update.stage)
    else if (update.kind === 'approval') this.#showApproval(update.approval)
    else if (update.kind === 'output') this.#takeOutput(update.text)
    else this.#showEnd(update.task, update.answer)
  }

  /** Ends a line that text was streamed to, and shows what was held back. */
  end(): void {
    this.#endLine()
    this.#showOutput()
  }

  #showStage(stage: StageRecord): void {
    if (!isToldByJudge(stage)) this.#context.out.note(...stageLine(stage, this.#isAgent))
  }

  #takeOutput(text: string): void {
    this.#showOutput()
    this.#heldOutput = text
    if (this.#isAgent) this.#showOutput()
  }

  #showOutput(): void {
    if (this.#heldOutput === '') return
    for (const line of withoutLastEnd(this.#heldOutput).split('\n'))
      this.#context.out.note({ text: `  │ ${line}`, style: 'dim' })
    this.#heldOutput = ''
  }

  #showState(task: TaskRecord): void {
    this.#isAgent = task.kind === 'agent'
    const where = task.executor === null ? '' : ` on ${task.executor.name}`
    const again = task.attempt > 1 ? `, attempt ${task.attempt}` : ''
    const line = `${task.state}${where}${again}`
    if (line === this.#state || task.finishedAt !== null) return
    this.#state = line
    this.#context.out.note(
      { text: '· ', style: 'dim' },
      `task ${shortHex(task.id)}   ${workText(task)}   `,
      statePiece(task.state),
      `${where}${again}`
    )
  }

  #showApproval(approval: ApprovalRecord): void {
    const { out } = this.#context
    if (this.#shownApprovals.get(approval.id) === approval.state) return
    this.#shownApprovals.set(approval.id, approval.state)
    const id = shortHex(approval.id)
    const may = approval.mayVote || approval.mayNotBecause === '' ? '' : `   (${approval.mayNotBecause})`
    if (approval.state === 'open')
      out.note({ text: '⏸ ', style: 'yellow' }, `approval   waits: pmesh approval show ${id}${may}`)
    else if (approval.state !== 'used') out.note({ text: '· ', style: 'dim' }, `approval   ${id} is ${approval.state}`)
  }

  #showEnd(task: TaskRecord, answer: string): void {
    const { out } = this.#context
    if (this.#heldOutput === answer) this.#heldOutput = ''
    this.#showOutput()
    const said = this.#streamed.trim()
    if (answer !== '' && (said === '' || !said.endsWith(answer.trim())))
      out.text(answer.endsWith('\n') ? answer : `${answer}\n`)
    const usage = usageText(task)
    const facts = [...(task.calls > 1 ? [`${task.calls} calls`] : []), ...(usage === '' ? [] : [usage])].join(', ')
    if (task.state === 'done') {
      out.note({ text: '✓ ', style: 'green' }, statePiece('done'), facts === '' ? '' : `   ${facts}`)
      return
    }
    const reason = task.reason === '' ? '' : `: ${task.reason}`
    out.warn({ text: '✗ ', style: 'red' }, statePiece(task.state), `${reason}   ${nextStep(task)}`)
    if (facts !== '') out.note(`  ${facts}`)
  }

  /** A part may end inside a character; its other half comes with the next. */
  #stream(part: string): void {
    const text = this.#half + part
    const cut = /[\ud800-\udbff]$/.test(text) ? text.length - 1 : text.length
    this.#half = text.slice(cut)
    this.#streamed = (this.#streamed + text.slice(0, cut)).slice(-STREAMED_KEPT)
    this.#context.out.text(text.slice(0, cut))
  }

  #endLine(): void {
    if (this.#streamed === '' || this.#streamed.endsWith('\n')) return
    this.#context.out.text(`${this.#half}\n`)
    this.#half = ''
    this.#streamed += '\n'
  }
}

function nextStep(task: TaskRecord): string {
  const id = shortHex(task.id)
  if (task.state === 'unknown') return `look at what was done, then pmesh task retry ${id} or pmesh task cancel ${id}`
  if (task.kind === 'tool' && task.reason === 'arguments-invalid') return `pmesh tool show ${task.name}`
  if (task.kind === 'agent' && MODEL_FAULTS.has(task.reason)) return `pmesh agent test ${task.name}`
  return `pmesh task show ${id}`
}

const MODEL_FAULTS: ReadonlySet<string> = new Set<ErrorCode>(['MODEL_UNREACHABLE', 'MODEL_TIMEOUT', 'MODEL_REFUSED'])

/** Enough to tell whether the answer has been streamed already. */
const STREAMED_KEPT = 1_048_576

function withoutLastEnd(text: string): string {
  return text.endsWith('\n') ? text.slice(0, -1) : text
}
