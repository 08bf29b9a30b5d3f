// Ids by their beginning: at least six hex characters that only one of the node's tasks or requests has.

import { LIMITS } from '../base/limits.ts'
import { MeshError } from '../base/mesh-error.ts'
import type { CommandContext } from './command-context.ts'

const PREFIX = /^[0-9a-f]{6,}$/
const TASK_CHARACTERS = 32
const APPROVAL_CHARACTERS = 64

/** The task's whole id. USAGE, TASK_UNKNOWN. */
export async function taskId(context: CommandContext, text: string): Promise<string> {
  const begin = prefixOf(text, 'task', TASK_CHARACTERS)
  if (begin.length === TASK_CHARACTERS) return begin
  const found = new Set<string>()
  let cursor: string | undefined
  do {
    const page = await context.call('task/list', {
      limit: LIMITS.pageRowsMax,
      ...(cursor === undefined ? {} : { cursor })
    })
    for (const { id } of page.items) if (id.startsWith(begin)) found.add(id)
    cursor = page.next ?? undefined
  } while (cursor !== undefined && found.size < 2)
  const id = onlyOne([...found], 'task', begin)
  if (id === null) throw new MeshError('TASK_UNKNOWN', `cannot find the task ${begin}: no id begins so`)
  return id
}

/** The request's whole id. USAGE, APPROVAL_UNKNOWN. */
export async function approvalId(context: CommandContext, text: string): Promise<string> {
  const begin = prefixOf(text, 'request', APPROVAL_CHARACTERS)
  if (begin.length === APPROVAL_CHARACTERS) return begin
  const { items } = await context.call('approval/list', { all: true })
  const found = items.map(({ id }) => id).filter((id) => id.startsWith(begin))
  const id = onlyOne(found, 'request', begin)
  if (id === null) throw new MeshError('APPROVAL_UNKNOWN', `cannot find the request ${begin}: no id begins so`)
  return id
}

function prefixOf(text: string, what: string, characters: number): string {
  const begin = text.trim().toLowerCase()
  if (PREFIX.test(begin) && begin.length <= characters) return begin
  throw new MeshError('USAGE', `a ${what} is named by its id, or by 6 or more of its first characters`, {
    hint: `pmesh ${what === 'task' ? 'task' : 'approval'} list`
  })
}

function onlyOne(found: readonly string[], what: string, begin: string): string | null {
  if (found.length > 1) throw new MeshError('USAGE', `several ${what}s begin with ${begin}: give more characters`)
  return found[0] ?? null
}
