// pmesh task show: one task with every call, its stages, who voted and what came out.

import type { CallRecord, TaskDetail } from '../../rpc/methods.ts'
import type { CommandContext } from '../command-context.ts'
import { escapeExact } from '../escape-text.ts'
import { indentJson } from '../exact-json.ts'
import { formatBytes, formatTime } from '../human-text.ts'
import { taskId } from '../id-prefix.ts'
import type { Output, Piece } from '../output.ts'
import { isToldByJudge, shortHex, stageLine, statePiece, usageText, workText } from '../run-text.ts'
import { blockLines } from '../table.ts'

export async function showTask(context: CommandContext, [id]: readonly [string]): Promise<number> {
  const task = await context.call('task/show', { task: await taskId(context, id) })
  if (context.out.json) context.out.value(task)
  else printTask(context.out, task)
  return 0
}

function printTask(out: Output, task: TaskDetail): void {
  out.line({ text: workText(task), style: 'bold' }, `   ${task.id}   `, statePiece(task.state))
  const usage = usageText(task)
  const rows: (readonly [string, Piece])[] = [
    ...(task.reason === '' ? [] : [['reason', task.reason] as const]),
    ['from', task.submitter.name],
    ['on', (task.executor ?? task.on)?.name ?? 'any member'],
    ['submitted', formatTime(task.submittedAt)],
    ...(task.finishedAt === null ? [] : [['finished', formatTime(task.finishedAt)] as const]),
    ['attempts', String(task.attempt)],
    ...(usage === '' ? [] : [['models', usage] as const]),
    ...task.runs.map((run) => ['run', run] as const)
  ]
  for (const line of blockLines(rows)) out.line(...line)
  out.line('input')
  for (const line of task.kind === 'tool' ? indentJson(task.input) : task.input.split('\n'))
    out.line({ text: '  │ ', style: 'dim' }, escapeExact(line))
  for (const stage of task.stages) out.line('  ', ...stageLine(stage, false))
  for (const call of task.callRecords) printCall(out, call, task.callRecords.length > 1 || task.kind === 'agent')
  // A tool's answer is the output of its call, which stands right above.
  if (task.answer === '' || (task.kind === 'tool' && task.callRecords.some(({ output }) => output === task.answer)))
    return
  out.line('answer')
  for (const line of task.answer.split('\n')) out.line(`  ${line}`)
}

function printCall(out: Output, call: CallRecord, withArguments: boolean): void {
  out.line(
    { text: `call ${call.call}`, style: 'bold' },
    `   ${call.tool}   ${call.tier ?? 'irreversible'}   ${call.status ?? 'open'}`
  )
  if (withArguments)
    for (const line of indentJson(call.arguments)) out.line({ text: '  │ ', style: 'dim' }, escapeExact(line))
  const judged = call.stages.some(({ stage }) => stage === 'judge')
  for (const stage of call.stages) if (!(judged && isToldByJudge(stage))) out.line('  ', ...stageLine(stage, false))
  if (call.request !== null) out.line(`    request ${shortHex(call.request)}`)
  for (const { member, vote, counted } of call.votes)
    out.line(`    ${member.name} ${vote === 'approve' ? 'approves' : 'denies'}${counted ? '' : '   (not counted)'}`)
  for (const { operation, path, size } of call.changes)
    out.line(`    ${operation.padEnd(6)}  ${escapeExact(path)}   ${formatBytes(size)}`)
  if (call.status === null) return
  const exit = call.exitCode === null ? '' : `, exit code ${call.exitCode}`
  out.line(`    output ${formatBytes(call.outputBytes)}${call.truncated ? ', cut' : ''}${exit}`)
  if (call.output === '') return
  for (const line of call.output.replace(/\n$/, '').split('\n')) out.line({ text: '    │ ', style: 'dim' }, line)
}
