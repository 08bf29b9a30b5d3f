// Tasks of real nodes through their sockets: submitting, asking, voting, waiting, and what must hold afterwards on every node.

import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { isMeshError } from '../../src/base/mesh-error.ts'
import type { ApprovalDetail, EventRecord, TaskDetail } from '../../src/rpc/methods.ts'
import { type Canary, scanBytes, scanForCanaries } from '../canary.ts'
import { type NodeHome, type Ran, until } from './mesh-kit.ts'

export interface SubmitOptions {
  readonly on?: NodeHome | 'any'
  readonly expiresInMs?: number
}

export const ENDED: ReadonlySet<string> = new Set([
  'done',
  'failed',
  'blocked',
  'denied',
  'expired',
  'cancelled',
  'interrupted',
  'unknown'
])

/** Why commands cannot run here; false where they can. */
export const NO_COMMANDS: string | false =
  process.platform !== 'linux'
    ? 'commands run on Linux only'
    : existsSync('/usr/bin/bwrap')
      ? false
      : 'bubblewrap is not installed'

/** The file as its owner writes it; it counts from the next call on. */
export function writePolicy(node: NodeHome, ...lines: readonly string[]): void {
  writeFileSync(node.path('policy.toml'), `${lines.join('\n')}\n`, { mode: 0o600 })
}

/** One `[[rule]]`; `conditions` are lines of TOML. */
export function rule(id: string, effect: 'allow' | 'ask' | 'deny', ...conditions: readonly string[]): string {
  return ['[[rule]]', `id = "${id}"`, `effect = "${effect}"`, ...conditions, ''].join('\n')
}

/** Submits a tool call over the socket; its id. Where nothing is named it is for the node itself. */
export async function submit(
  node: NodeHome,
  tool: string,
  args: unknown,
  options: SubmitOptions = {}
): Promise<string> {
  const { on = node, expiresInMs = 600_000 } = options
  const params = { kind: 'tool' as const, name: tool, input: JSON.stringify(args), expiresInMs }
  const { id } = await node.call('task/submit', { ...params, on: on === 'any' ? null : await on.peerId() })
  return id
}

/** The task as the node knows it; null before it has heard of it. */
export async function tryShow(node: NodeHome, task: string): Promise<TaskDetail | null> {
  try {
    return await node.call('task/show', { task })
  } catch (error) {
    if (isMeshError(error) && error.code === 'TASK_UNKNOWN') return null
    throw error
  }
}

/** Waits until the node sees the task in one of the states. */
export async function inState(node: NodeHome, task: string, ...states: readonly string[]): Promise<TaskDetail> {
  let last: TaskDetail | null = null
  return until(`${node.name} sees ${task} in ${states.join(' or ')}`, async () => {
    last = await tryShow(node, task)
    return last !== null && states.includes(last.state) ? last : null
  }).catch((error: unknown) => {
    throw new Error(`${last === null ? 'unknown' : `${last.state} ${last.reason}`}, attempt ${last?.attempt}`, {
      cause: error
    })
  })
}

export function ended(node: NodeHome, task: string): Promise<TaskDetail> {
  return inState(node, task, ...ENDED)
}

/** Runs a tool call to its end. */
export async function perform(
  node: NodeHome,
  tool: string,
  args: unknown,
  options: SubmitOptions = {}
): Promise<TaskDetail> {
  return ended(node, await submit(node, tool, args, options))
}

/** The open request of a task, once it has reached the node; of that attempt where one is named. */
export function asked(node: NodeHome, task: string, attempt?: number): Promise<ApprovalDetail> {
  return until(`${node.name} sees the request`, async () => {
    const { items } = await node.call('approval/list', {})
    const open = items.find(
      (item) => item.task === task && item.state === 'open' && (attempt === undefined || item.attempt === attempt)
    )
    return open === undefined ? null : node.call('approval/show', { approval: open.id })
  })
}

export function vote(
  node: NodeHome,
  approval: Pick<ApprovalDetail, 'id' | 'digest'>,
  answer: 'approve' | 'deny'
): Promise<unknown> {
  return node.call('approval/vote', { approval: approval.id, vote: answer, digest: approval.digest })
}

/** Waits for the request, and answers it as it is shown there. */
export async function answer(
  node: NodeHome,
  task: string,
  word: 'approve' | 'deny',
  attempt?: number
): Promise<ApprovalDetail> {
  const approval = await asked(node, task, attempt)
  await vote(node, approval, word)
  return approval
}

/** The code that a call is refused with; `none` when it is not. */
export async function codeOf(call: Promise<unknown>): Promise<string> {
  try {
    await call
    return 'none'
  } catch (error) {
    if (isMeshError(error)) return error.code
    throw error
  }
}

/** Authorised events of one task, parsed, in the order of the node's log. */
export async function taskEvents(
  node: NodeHome,
  task: string,
  type?: string
): Promise<{ type: string; author: string; id: string; payload: Record<string, unknown> }[]> {
  const found: EventRecord[] = []
  let cursor: string | undefined
  do {
    const page = await node.call('log/query', {
      scope: task,
      order: 'oldest',
      limit: 1000,
      ...(type === undefined ? {} : { type }),
      ...(cursor === undefined ? {} : { cursor })
    })
    found.push(...page.items)
    cursor = page.next ?? undefined
  } while (cursor !== undefined)
  return found
    .filter(({ authorised }) => authorised)
    .map(({ type: name, author, id, json }) => ({
      type: name,
      author: author.name,
      id,
      payload: JSON.parse(json ?? '{}') as Record<string, unknown>
    }))
}

/** How often an effect of the task was begun, over all attempts. */
export async function timesStarted(node: NodeHome, task: string): Promise<number> {
  return (await taskEvents(node, task, 'tool-started')).length
}

/** All nodes tell the same history of the task, to the last stage and vote. */
export async function toldAlike(nodes: readonly NodeHome[], task: string): Promise<TaskDetail> {
  const ends = await Promise.all(nodes.map((node) => ended(node, task)))
  const [first, ...others] = ends
  assert.ok(first)
  for (const other of others) assert.deepEqual(other, first)
  return first
}

/** Rule of the stage that decided, by stage and subject; `none` where it has not. */
export function ruleOf(task: TaskDetail, stage: string, subject?: string): string {
  const stages = [...task.stages, ...task.callRecords.flatMap((call) => call.stages)]
  const decided = stages.find((one) => one.stage === stage && (subject === undefined || one.subject === subject))
  return decided === undefined ? 'none' : `${decided.verdict} ${decided.rule}`
}

/** All that the calls put out; the answer of a task that failed is empty. */
export function outputOf(task: TaskDetail): string {
  return task.callRecords.map(({ output }) => output).join('\n')
}

/** What a command printed with --json as one value. */
export function jsonOf<Value = Record<string, unknown>>(ran: Ran): Value {
  return JSON.parse(ran.stdout) as Value
}

/** What a command printed with --json as lines. */
export function linesOf(ran: Ran): Record<string, unknown>[] {
  return ran.stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
}

/** Whether a secret or a text stands in what the node wrote: in its whole log as it exports it (the store is compressed), or in any file. */
export async function homeHolds(node: NodeHome, ...texts: readonly Canary[]): Promise<string[]> {
  const file = join(dirname(node.folder), `${node.name}.jsonl`)
  const ran = await node.cli('log', 'export', file, '--force')
  assert.equal(ran.code, 0, ran.stderr)
  const lines = readFileSync(file)
  rmSync(file)
  const exported = scanBytes(lines, texts).map(({ encoding }) => `the log: ${encoding}`)
  return [...exported, ...scanForCanaries(node.folder, texts).map(({ file: name, encoding }) => `${name}: ${encoding}`)]
}

/** Command lines of every process that this user may see, arguments between zero bytes. */
export function commandLines(): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8')
      } catch {
        // it ended meanwhile
        return ''
      }
    })
}
