// Tasks, approvals and tools of a node that runs nothing: what a task does is decided by the tool's name (calc, file.write, slow, …).

import { MeshError } from '../../src/base/mesh-error.ts'
import type { MemberRef } from '../../src/node/node-api.ts'
import type {
  ApprovalDetail,
  ApprovalRecord,
  RunApi,
  StageRecord,
  TaskDetail,
  TaskRecord,
  TaskState,
  TaskUpdate,
  ToolRecord
} from '../../src/node/run-api.ts'

const START = Date.parse('2026-11-20T08:00:00.000Z')
const at = new Date(START).toISOString()
const ENDS: Readonly<Record<string, TaskState>> = {
  fails: 'failed',
  blocked: 'blocked',
  refused: 'denied',
  expires: 'expired',
  vanishes: 'unknown'
}

export interface FakeRun {
  readonly tasks: TaskDetail[]
  readonly approvals: ApprovalDetail[]
  readonly tools: ToolRecord[]
  /** Followers of the task see it; kept for those that come later. */
  push(task: string, ...updates: readonly TaskUpdate[]): void
  /** Puts a request there, and tells those that follow. */
  ask(changes?: Partial<ApprovalDetail>): ApprovalDetail
  /** Replaces a request's record, and tells those that follow. */
  change(id: string, changes: Partial<ApprovalDetail>): ApprovalDetail
  readonly api: RunApi
}

/** Items that are there and items to come, for any number of readers. */
class Feed<Item> {
  readonly items: Item[] = []
  readonly #waiting = new Set<() => void>()

  push(...items: readonly Item[]): void {
    this.items.push(...items)
    for (const wake of [...this.#waiting]) wake()
  }

  async *read(signal: AbortSignal, from = 0): AsyncGenerator<Item> {
    let index = from
    while (!signal.aborted) {
      const item = this.items[index]
      if (item !== undefined) {
        index++
        yield item
        continue
      }
      await new Promise<void>((resolve) => {
        const wake = () => {
          this.#waiting.delete(wake)
          signal.removeEventListener('abort', wake)
          resolve()
        }
        this.#waiting.add(wake)
        signal.addEventListener('abort', wake)
      })
    }
  }
}

export function fakeTask(id: string, changes: Partial<TaskDetail>, self: MemberRef): TaskDetail {
  return {
    id,
    kind: 'tool',
    name: 'calc',
    state: 'running',
    submitter: self,
    on: self,
    executor: self,
    attempt: 1,
    submittedAt: at,
    finishedAt: null,
    reason: '',
    calls: 1,
    inputTokens: 0,
    outputTokens: 0,
    costMicros: null,
    input: '{}',
    stages: [],
    callRecords: [],
    answer: '',
    runs: [`${id}.1`],
    ...changes
  }
}

export function fakeStage(changes: Partial<StageRecord>): StageRecord {
  return {
    call: 1,
    stage: 'policy',
    subject: 'call',
    verdict: 'allow',
    rule: 'calc-is-fine',
    place: 'policy.toml:12',
    reasons: [],
    text: '',
    durationMs: 0.4,
    at,
    ...changes
  }
}

function fakeApproval(id: string, task: string, members: readonly [MemberRef, MemberRef]): ApprovalDetail {
  return {
    id,
    task,
    attempt: 1,
    call: 1,
    tool: 'file.write',
    tier: 'internal',
    state: 'open',
    executor: members[1],
    submitter: members[0],
    requestedAt: at,
    expiresAt: new Date(Date.now() + 15 * 60_000).toISOString(),
    votesNeeded: 1,
    anotherKey: false,
    votes: [],
    reasons: ['no rule allows it'],
    mayVote: true,
    mayNotBecause: '',
    arguments: '{"path":"a.txt","text":"hello"}',
    masked: 0,
    argumentBytes: 31,
    workspace: '/home/p/.phantom-mesh/workspaces/x',
    paths: ['a.txt'],
    hosts: [],
    taint: [],
    toolHash: 'aa'.repeat(32),
    profile: 'bb'.repeat(32),
    digest: 'cc'.repeat(32),
    recomputedDigest: 'cc'.repeat(32),
    explanation: 'With no policy file every call asks.'
  }
}

export function createFakeRun(calls: string[], members: readonly [MemberRef, MemberRef]): FakeRun {
  const [self] = members
  const tasks: TaskDetail[] = []
  const approvals: ApprovalDetail[] = []
  const tools = fakeTools(self)
  const updates = new Map<string, Feed<TaskUpdate>>()
  const approvalFeed = new Feed<ApprovalRecord>()
  const feed = (task: string) => {
    const known = updates.get(task) ?? new Feed<TaskUpdate>()
    updates.set(task, known)
    return known
  }
  const find = (id: string): TaskDetail => {
    const found = tasks.find((task) => task.id === id)
    if (found === undefined) throw new MeshError('TASK_UNKNOWN', 'cannot find the task', { details: { task: id } })
    return found
  }
  const findApproval = (id: string): ApprovalDetail => {
    const found = approvals.find((approval) => approval.id === id)
    if (found === undefined) throw new MeshError('APPROVAL_UNKNOWN', 'there is no such request')
    return found
  }
  const update = (id: string, changes: Partial<TaskDetail>): TaskRecord => {
    const index = tasks.indexOf(find(id))
    const task = { ...find(id), ...changes }
    tasks[index] = task
    return task
  }
  const end = (id: string, state: TaskState, reason: string, answer: string) => {
    const task = update(id, { state, reason, answer, finishedAt: at })
    feed(id).push({ kind: 'end', task, answer })
  }
  const ask = (changes: Partial<ApprovalDetail> = {}) => {
    const id = `${'0123456789abcdef'[approvals.length % 16]}e`.repeat(32)
    const approval = { ...fakeApproval(id, changes.task ?? '0'.repeat(32), members), ...changes }
    approvals.push(approval)
    approvalFeed.push(approval)
    if (changes.task !== undefined) feed(changes.task).push({ kind: 'approval', approval })
    return approval
  }
  const change = (id: string, changes: Partial<ApprovalDetail>) => {
    const approval = { ...findApproval(id), ...changes }
    approvals[approvals.findIndex((one) => one.id === id)] = approval
    approvalFeed.push(approval)
    feed(approval.task).push({ kind: 'approval', approval })
    return approval
  }
  const begin = (task: TaskDetail) => {
    const { id, name } = task
    feed(id).push({ kind: 'state', task: update(id, { state: 'running' }) })
    if (name === 'slow') return
    feed(id).push({
      kind: 'stage',
      stage: fakeStage({ stage: 'guardrail', subject: 'arguments', verdict: 'pass', rule: 'none', place: '' })
    })
    const asks = name === 'file.write'
    feed(id).push({
      kind: 'stage',
      stage: fakeStage(asks ? { verdict: 'ask', rule: 'default', place: 'built-in' } : {})
    })
    if (asks) {
      feed(id).push({ kind: 'state', task: update(id, { state: 'waiting-approval' }) })
      ask({ task: id, arguments: task.input })
      return
    }
    if (task.kind === 'agent') feed(id).push({ kind: 'text', text: 'Hel' }, { kind: 'text', text: 'lo' })
    const state = ENDS[name] ?? 'done'
    end(id, state, state === 'done' ? 'ok' : 'a test says so', state === 'done' ? answerOf(task) : '')
  }
  const submit = async (given: Parameters<RunApi['taskSubmit']>[0]): Promise<TaskRecord> => {
    calls.push(`taskSubmit ${JSON.stringify(given)}`)
    if (given.name === 'nothing') throw new MeshError('TOOL_UNKNOWN', 'cannot submit: there is no tool nothing')
    const id = `${'abcdef0123456789'[tasks.length % 16]}${tasks.length}`.padEnd(32, '7')
    const { kind, name, input } = given
    const usage = kind === 'agent' ? { inputTokens: 1204, outputTokens: 310, costMicros: 12_345, calls: 2 } : {}
    const task = fakeTask(id, { kind, name, input, state: 'submitted', ...usage }, self)
    tasks.push(task)
    setImmediate(() => begin(task))
    return task
  }
  const vote: RunApi['approvalVote'] = async (id, word, digest) => {
    const approval = findApproval(id)
    calls.push(`approvalVote ${id.slice(0, 8)} ${word} ${digest.slice(0, 8)}`)
    if (approval.state !== 'open') throw new MeshError('APPROVAL_CLOSED', `cannot vote: it is ${approval.state}`)
    const votes = [...approval.votes, { member: self, vote: word, at }]
    const decided = word === 'deny' || votes.length >= approval.votesNeeded
    const state = !decided ? 'open' : word === 'deny' ? 'denied' : 'approved'
    const voted = change(id, { votes, state, mayVote: false, mayNotBecause: 'this node has voted' })
    if (decided && tasks.some(({ id: task }) => task === approval.task))
      end(approval.task, word === 'deny' ? 'denied' : 'done', word === 'deny' ? 'denied' : 'ok', 'written')
    return voted
  }
  const api: RunApi = {
    taskSubmit: submit,
    tasks: async (query) => {
      const fits = tasks.filter(({ state }) => query.state === undefined || state === query.state).reverse()
      const from = Number(query.cursor ?? 0)
      const to = from + (query.limit ?? 100)
      return { items: fits.slice(from, to), next: to < fits.length ? String(to) : null }
    },
    task: async (id) => find(id),
    taskFollow: async function* (id, signal) {
      find(id)
      for await (const item of feed(id).read(signal)) {
        yield item
        if (item.kind === 'end') return
      }
    },
    taskCancel: async (id) => {
      calls.push(`taskCancel ${id}`)
      if (find(id).finishedAt !== null) throw new MeshError('TASK_CLOSED', 'cannot cancel: the task has ended')
      end(id, 'cancelled', 'person', '')
      return find(id)
    },
    taskRetry: async (id) => {
      calls.push(`taskRetry ${id}`)
      return update(id, { state: 'assigned', attempt: find(id).attempt + 1, finishedAt: null })
    },
    approvals: async (all) => approvals.filter(({ state }) => all || state === 'open'),
    approval: async (id) => findApproval(id),
    approvalVote: vote,
    approvalFollow: async function* (signal) {
      yield* approvalFeed.read(signal)
    },
    ...fakeRules(calls, tools)
  }
  return { tasks, approvals, tools, push: (task, ...items) => feed(task).push(...items), ask, change, api }
}

function answerOf(task: TaskDetail): string {
  return task.kind === 'agent' ? 'Hello' : task.name === 'calc' ? '4' : 'ok'
}

function fakeTools(self: MemberRef): ToolRecord[] {
  const tool = (name: string, changes: Partial<ToolRecord> = {}): ToolRecord => ({
    name,
    kind: 'builtin',
    description: `does ${name}`,
    tier: 'read-only',
    hash: 'ab'.repeat(32),
    member: self,
    parameters: { type: 'object', properties: { expression: { type: 'string' } } },
    available: true,
    why: '',
    ...changes
  })
  return [
    tool('calc'),
    tool('command', { tier: null, kind: 'command', available: false, why: 'no bubblewrap' }),
    tool('file.write', { tier: 'internal' })
  ]
}

function fakeRules(calls: string[], tools: ToolRecord[]) {
  const tool = (name: string): ToolRecord => {
    const found = tools.find((one) => one.name === name)
    if (found === undefined) throw new MeshError('TOOL_UNKNOWN', `there is no tool ${name}`)
    return found
  }
  return {
    tools: async () => tools,
    tool: async (name) => tool(name),
    toolRegister: async (given) => {
      const { code, ...rest } = given
      calls.push(`toolRegister ${JSON.stringify(rest)} ${Buffer.from(code, 'base64').toString()}`)
      if (!/^[a-z][a-z0-9_]{0,99}$/.test(given.name)) throw new MeshError('TOOL_NAME_INVALID', 'cannot register')
      if (tools.some(({ name }) => name === given.name) && !given.replace)
        throw new MeshError('TOOL_EXISTS', 'cannot register: there is one of that name')
      const { name, kind, description, tier, parameters } = given
      const before = tools.findIndex((one) => one.name === given.name)
      if (before !== -1) tools.splice(before, 1)
      const added = { ...tool('calc'), name, kind, description, tier, parameters, hash: 'ef'.repeat(32) }
      tools.push(added)
      return added
    },
    toolRemove: async (name) => {
      tools.splice(tools.indexOf(tool(name)), 1)
      calls.push(`toolRemove ${name}`)
    },
    policy: async () => ({
      file: '/home/p/.phantom-mesh/policy.toml',
      exists: true,
      hash: 'dd'.repeat(32),
      mode: 'rules',
      rules: [
        { id: 'no-network', effect: 'deny', place: 'policy.toml:3', text: 'tool = fetch' },
        { id: 'calc-is-fine', effect: 'allow', place: 'policy.toml:12', text: 'tool = calc' }
      ]
    }),
    policyExplain: async ({ tool: name, input, taint, member }) => {
      calls.push(`policyExplain ${name} ${input} ${taint.join(',')} ${member ?? ''}`.trim())
      const decision = name === 'calc' ? 'allow' : name === 'fetch' ? 'deny' : 'ask'
      return {
        decision,
        tier: 'internal',
        rule: decision === 'ask' ? 'default' : 'calc-is-fine',
        place: decision === 'ask' ? 'built-in' : 'policy.toml:12',
        reasons: ['because a test says so'],
        votes: 1,
        anotherKey: false,
        judges: 1
      }
    },
    agents: async () => [
      { name: 'default', provider: 'local', model: 'tiny', tools: ['calc', 'file.*'], hasKey: false }
    ],
    agentTest: async (name) => {
      if (name !== 'default') throw new MeshError('AGENT_UNKNOWN', `there is no agent ${name}`)
      return { ok: true, text: 'pong', ms: 12 }
    },
    replay: async (run) => ({
      run: run.includes('.') ? run : `${run}.1`,
      equal: true,
      stages: [
        {
          call: 1,
          stage: 'guardrail',
          subject: 'arguments',
          recorded: 'pass',
          replayed: 'pass',
          equal: true,
          note: ''
        },
        { call: 1, stage: 'policy', subject: 'call', recorded: 'allow', replayed: 'allow', equal: true, note: '' }
      ]
    })
  } satisfies Partial<RunApi>
}
