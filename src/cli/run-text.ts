// Tasks and stages as people read them.

import type { StageRecord, TaskRecord, TaskState } from '../rpc/methods.ts'
import { formatCount, formatDuration } from './human-text.ts'
import type { Piece, Style } from './output.ts'

const SHORT_HEX = 8

/** Every state, for options and completion; the schemas have their own list and are not loaded here. */
export const TASK_STATES = Object.keys({
  submitted: true,
  assigned: true,
  running: true,
  'waiting-approval': true,
  done: true,
  failed: true,
  blocked: true,
  denied: true,
  expired: true,
  cancelled: true,
  interrupted: true,
  unknown: true
} satisfies Record<TaskState, true>) as readonly TaskState[]

/** What `pmesh task …` and `pmesh approval …` take for a whole id. */
export function shortHex(id: string): string {
  return id.slice(0, SHORT_HEX)
}

const MARKS: Readonly<Record<string, readonly [string, Style]>> = {
  pass: ['✓', 'green'],
  allow: ['✓', 'green'],
  change: ['~', 'yellow'],
  ask: ['?', 'yellow'],
  block: ['✗', 'red'],
  deny: ['✗', 'red']
}

/** How a tool ended that was let run: its stage allows, and the rule's place has the outcome. */
const OUTCOME_MARKS: Readonly<Record<string, readonly [string, Style]>> = {
  ok: ['✓', 'green'],
  timeout: ['!', 'yellow'],
  memory: ['!', 'yellow'],
  output: ['!', 'yellow']
}
const FAILED_MARK = ['✗', 'red'] as const

/** `✓ policy     allow by calc-is-fine (policy.toml:12)   0.4 ms`, `✗ tool       error   division by zero   0.1 ms`. */
export function stageLine(stage: StageRecord, withCall: boolean): Piece[] {
  const ran = stage.stage === 'tool' && stage.verdict === 'allow'
  const [mark, style] = ran ? (OUTCOME_MARKS[stage.rule] ?? FAILED_MARK) : (MARKS[stage.verdict] ?? ['·', 'dim'])
  const why = stage.text === '' ? stage.reasons.join(', ') : stage.text
  return [
    { text: mark, style },
    ` ${withCall && stage.call > 0 ? `#${stage.call} ` : ''}${stage.stage.padEnd(9)}  ${ran ? stage.rule : decisionText(stage)}`,
    { text: `${why === '' ? '' : `   ${why}`}   ${formatStageTime(stage.durationMs)}`, style: 'dim' }
  ]
}

/** `arguments pass`, `ask by default (built-in)`. */
function decisionText({ stage, subject, verdict, rule, place }: StageRecord): string {
  const what = subject === 'call' || subject === '' ? verdict : `${subject} ${verdict}`
  if (rule === '') return what
  const where = place === '' || verdict === 'pass' ? '' : ` (${place})`
  return stage === 'policy' ? `${what} by ${rule}${where}` : verdict === 'pass' ? what : `${what}   ${rule}${where}`
}

/** A result that the guardrail blocks is told by the stage that it ends, with the pattern's place: one cause, one line. */
export function isToldByJudge({ stage, subject, verdict }: StageRecord): boolean {
  return stage === 'guardrail' && subject === 'result' && verdict === 'block'
}

function formatStageTime(ms: number): string {
  return ms < 10 ? `${ms.toFixed(1)} ms` : formatDuration(ms)
}

const STATE_STYLES: Readonly<Partial<Record<TaskState, Style>>> = {
  done: 'green',
  failed: 'red',
  blocked: 'red',
  denied: 'red',
  expired: 'red',
  interrupted: 'red',
  unknown: 'red',
  'waiting-approval': 'yellow',
  cancelled: 'dim'
}

export function statePiece(state: TaskState): Piece {
  const style = STATE_STYLES[state]
  const text = state.replaceAll('-', ' ')
  return style === undefined ? text : { text, style }
}

/** `calc`, `ask default`. */
export function workText(task: TaskRecord): string {
  return task.kind === 'agent' ? `ask ${task.name}` : task.name
}

/** `1 204 tokens in, 310 out, $0.0123`; '' where no model was called. */
export function usageText(task: TaskRecord): string {
  if (task.inputTokens + task.outputTokens === 0) return ''
  const cost = task.costMicros === null ? 'price not known' : `$${(task.costMicros / 1e6).toFixed(4)}`
  return `${formatCount(task.inputTokens)} tokens in, ${formatCount(task.outputTokens)} out, ${cost}`
}

const EXITS: Readonly<Partial<Record<TaskState, number>>> = {
  done: 0,
  failed: 1,
  interrupted: 1,
  blocked: 12,
  denied: 12,
  unknown: 13,
  'waiting-approval': 13,
  expired: 15,
  cancelled: 130
}

/** Exit code of a task that ended, or that waits. */
export function exitOfTask(state: TaskState): number {
  return EXITS[state] ?? 0
}
