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

/** `✓ policy     allow by calc-is-fine (policy.toml:12)   0.4 ms`. */
export function stageLine(stage: StageRecord, withCall: boolean): Piece[] {
  const [mark, style] = MARKS[stage.verdict] ?? ['·', 'dim']
  const subject = stage.subject === 'call' || stage.subject === '' ? '' : `${stage.subject} `
  const place = stage.place === '' || stage.verdict === 'pass' ? '' : ` (${stage.place})`
  const by = stage.stage === 'policy' ? ` by ${stage.rule}` : stage.verdict === 'pass' ? '' : `   ${stage.rule}`
  const rule = stage.rule === '' ? '' : `${by}${place}`
  const why = stage.text === '' ? stage.reasons.join(', ') : stage.text
  return [
    { text: mark, style },
    ` ${withCall && stage.call > 0 ? `#${stage.call} ` : ''}${stage.stage.padEnd(9)}  ${subject}${stage.verdict}${rule}`,
    { text: `${why === '' ? '' : `   ${why}`}   ${formatStageTime(stage.durationMs)}`, style: 'dim' }
  ]
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
