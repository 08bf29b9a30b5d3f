// pmesh task list: tasks of the mesh, the newest first.

import type { TaskState } from '../../rpc/methods.ts'
import type { CommandContext } from '../command-context.ts'
import { formatAgo } from '../human-text.ts'
import type { Piece } from '../output.ts'
import { shortHex, statePiece, workText } from '../run-text.ts'
import { tableLines } from '../table.ts'

const PAGE_ROWS = 20

export interface TaskListOptions {
  readonly state?: TaskState
  readonly limit?: number
  readonly cursor?: string
}

export async function listTasks(
  context: CommandContext,
  _args: readonly [],
  options: TaskListOptions
): Promise<number> {
  const page = await context.call('task/list', { ...options, limit: options.limit ?? PAGE_ROWS })
  const { out } = context
  if (out.json) {
    out.value(page)
    return 0
  }
  if (page.items.length === 0) {
    out.note(
      options.state === undefined
        ? `no tasks   pmesh task submit --tool calc --input '{"expression": "6*7"}'`
        : 'no such tasks   pmesh task list'
    )
    return 0
  }
  const columns = [
    { title: 'TASK' },
    { title: 'WORK' },
    { title: 'STATE' },
    { title: 'FROM' },
    { title: 'ON' },
    { title: 'SUBMITTED' },
    { title: 'REASON' }
  ]
  const now = Date.now()
  const rows = page.items.map((task): Piece[] => [
    shortHex(task.id),
    workText(task),
    statePiece(task.state),
    task.submitter.name,
    (task.executor ?? task.on)?.name ?? 'any',
    formatAgo(task.submittedAt, now),
    task.reason
  ])
  for (const line of tableLines(columns, rows, '  ', 'dim')) out.line(...line)
  if (page.next !== null) out.note({ text: `more: pmesh task list --cursor ${page.next}`, style: 'dim' })
  return 0
}
