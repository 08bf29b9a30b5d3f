import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LAPTOP } from '../rpc/fake-node-api.ts'
import { fakeStage, fakeTask } from '../rpc/fake-run-api.ts'
import { until } from '../rpc/socket-harness.ts'
import { createServedCli, jsonLines } from './cli-harness.ts'

const submitted = (calls: readonly string[]) => JSON.parse((calls.at(-1) ?? '').slice('taskSubmit '.length))
const HOSTILE = 'x\x1b]0;owned\x07\x1b[2J\u202e\u009b31m\r\n✓ fake line\u200b\u{e0041}'
// biome-ignore lint/suspicious/noControlCharactersInRegex: that is what is looked for
const UNSAFE = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e\u200b]/

test('task submit prints the answer alone to stdout, its stages to stderr, and runs on this node unless told otherwise', async (context) => {
  const cli = await createServedCli(context)
  const { code, stdout, stderr } = await cli.run('task', 'submit', '--tool', 'calc', '--input', '{"expression": "2+2"}')
  assert.deepEqual([code, stdout], [0, '4\n'])
  assert.equal(
    stderr,
    `· task a0777777   calc   running on laptop
✓ guardrail  arguments pass   0.4 ms
✓ policy     allow by calc-is-fine (policy.toml:12)   0.4 ms
✓ done
`
  )
  assert.deepEqual(submitted(cli.api.calls), {
    kind: 'tool',
    name: 'calc',
    input: '{"expression": "2+2"}',
    on: LAPTOP.peerId,
    conversation: null,
    expiresInMs: 3_600_000
  })
  assert.deepEqual(await cli.run('-q', 'task', 'submit', '--tool', 'calc'), { code: 0, stdout: '4\n', stderr: '' })
})

test('task submit takes its input from stdin as it is, a member or any, an expiry, and lets go with --detach', async (context) => {
  const cli = await createServedCli(context)
  const input = '{"b": 1e21,\n "a": "é"}'
  const submit = ['task', 'submit', '--tool', 'calc', '--detach', '--on', 'any', '--expires', '2h']
  const { code, stdout } = await cli.runWith({ stdin: input }, ...submit, '--input', '-')
  assert.equal(code, 0)
  assert.match(stdout, /^[0-9a-f]{32}\n$/)
  const sent = submitted(cli.api.calls)
  assert.deepEqual([sent.input, sent.on, sent.expiresInMs], [input, null, 7_200_000])
  await cli.run('task', 'submit', '--tool', 'calc', '--on', 'server')
  assert.equal(submitted(cli.api.calls).on, 'server')
  const [json] = jsonLines((await cli.run('--json', ...submit)).stdout)
  assert.deepEqual([json.name, json.state], ['calc', 'submitted'])
})

test('the exit code tells how a task ended', async (context) => {
  const cli = await createServedCli(context)
  for (const [tool, exit] of [
    ['calc', 0],
    ['fails', 1],
    ['blocked', 12],
    ['refused', 12],
    ['vanishes', 13],
    ['expires', 15]
  ] as const) {
    const ran = await cli.run('task', 'submit', '--tool', tool)
    assert.equal(ran.code, exit, tool)
    assert.equal(ran.stdout, exit === 0 ? '4\n' : '', tool)
    if (exit !== 0) assert.match(ran.stderr, /✗ \w+: a test says so/)
  }
  assert.match(
    (await cli.run('task', 'submit', '--tool', 'vanishes')).stderr,
    /pmesh task retry \w{8} or pmesh task cancel/
  )
})

test('wrong input of a task is refused before anything is submitted', async (context) => {
  const cli = await createServedCli(context)
  const submit = ['task', 'submit', '--tool', 'calc', '--input']
  for (const [args, stdin, pattern] of [
    [[...submit, '{"a":'], '', /the input is not JSON\n {2}input {2}\{"a":\n[\s\S]*code {3}USAGE/],
    [
      [...submit, '{expression:6*7}'],
      '',
      /not JSON: its quotes are missing, the shell takes them[\s\S]*in single quotes/
    ],
    [[...submit, '-'], '', /the input is not JSON/],
    [[...submit, '-'], Buffer.from([0x22, 0xff, 0x22]), /the input is not UTF-8/],
    [[...submit, '-'], `"${'x'.repeat(262_144)}"`, /TASK_INPUT_TOO_LARGE/],
    [['task', 'submit'], '', /required option '--tool <name>'/],
    [['task', 'submit', '--tool', 'calc', '--expires', 'soon'], '', /Not a duration/],
    [['task', 'list', '--state', 'lost'], '', /Allowed choices/],
    [['task', 'show', '12345'], '', /6 or more of its first characters/],
    [['task', 'show', 'nothex!!'], '', /6 or more/],
    [['ask', ' '], '', /there is no question/],
    [['ask', 'hi', '--conversation', 'abc'], '', /32 hex characters/]
  ] as const) {
    const { code, stdout, stderr } = await cli.runWith({ stdin }, ...args)
    assert.equal(code, 2, args.join(' '))
    assert.equal(stdout, '')
    assert.match(stderr, pattern)
  }
  assert.deepEqual(cli.api.calls, [])
  const unknown = await cli.run('task', 'submit', '--tool', 'nothing')
  assert.match(unknown.stderr, /code {2}TOOL_UNKNOWN/)
})

test('--json gives every update of a task as a line, and asks nobody', async (context) => {
  const cli = await createServedCli(context)
  const ran = await cli.runWith({ tty: true }, '--json', 'task', 'submit', '--tool', 'calc')
  assert.equal(ran.code, 0)
  assert.deepEqual(
    jsonLines(ran.stdout).map(({ kind }) => kind),
    ['state', 'stage', 'stage', 'end']
  )
  assert.equal(ran.stderr, '')
  const waits = await cli.runWith(
    { tty: true, stdin: 'yes\n' },
    '--json',
    'task',
    'submit',
    '--tool',
    'file.write',
    '--no-wait'
  )
  assert.equal(waits.code, 13)
  assert.equal(jsonLines(waits.stdout).at(-1).approval.state, 'open')
  assert.ok(cli.api.calls.every((call) => !call.startsWith('approvalVote')))
})

test('a task that waits for somebody else goes on when they answer; --no-wait, --timeout and Ctrl-C stop looking', async (context) => {
  const cli = await createServedCli(context)
  const submit = ['task', 'submit', '--tool', 'file.write']
  const waiting = cli.run(...submit)
  await until(() => cli.api.run.approvals.length === 1)
  const [approval] = await cli.api.approvals(false)
  await cli.api.approvalVote(approval?.id ?? '', 'approve', 'cc'.repeat(32))
  const done = await waiting
  assert.deepEqual([done.code, done.stdout], [0, 'written\n'])
  assert.match(done.stderr, /⏸ approval {3}waits: pmesh approval show 0e0e0e0e\n· approval {3}0e0e0e0e is approved\n/)
  assert.equal((await cli.run(...submit, '--no-wait')).code, 13)
  const late = await cli.run('--timeout', '200ms', ...submit)
  assert.equal(late.code, 15)
  assert.match(late.stderr, /the task has not ended yet[\s\S]*pmesh task follow/)
  const stopped = await cli.runWith({ stopWhen: (stdout) => stdout.includes('"approval"') }, '--json', ...submit)
  assert.equal(stopped.code, 130)
  assert.equal((await cli.api.tasks({ state: 'waiting-approval' })).items.length, 3)
})

test('an answer that is denied elsewhere ends the task with exit code 12', async (context) => {
  const cli = await createServedCli(context)
  const waiting = cli.run('task', 'submit', '--tool', 'file.write')
  await until(() => cli.api.run.approvals.length === 1)
  await cli.api.approvalVote(cli.api.run.approvals[0]?.id ?? '', 'deny', 'cc'.repeat(32))
  assert.equal((await waiting).code, 12)
})

test('ask streams what the agent says to stdout and goes on with a conversation', async (context) => {
  const cli = await createServedCli(context)
  const first = await cli.run('ask', 'how', 'are', 'you')
  assert.deepEqual([first.code, first.stdout], [0, 'Hello\n'])
  assert.match(first.stderr, /✓ done {3}2 calls, 1 204 tokens in, 310 out, \$0\.0123\n/)
  const { conversation, kind, name, input } = submitted(cli.api.calls)
  assert.deepEqual([kind, name, input], ['agent', 'default', 'how are you'])
  assert.match(first.stderr, new RegExp(`pmesh ask --conversation ${conversation}`))
  await cli.runWith({ stdin: 'and now\n' }, 'ask', '-', '--conversation', conversation, '--agent', 'other')
  assert.deepEqual(
    [submitted(cli.api.calls).conversation, submitted(cli.api.calls).name, submitted(cli.api.calls).input],
    [conversation, 'other', 'and now']
  )
})

test('ask shows the whole answer of an agent that ran elsewhere or said something else last', async (context) => {
  const cli = await createServedCli(context)
  const follow = cli.api.taskFollow
  cli.api.taskFollow = async function* (id, signal) {
    for await (const update of follow(id, signal)) {
      if (update.kind === 'text') yield { kind: 'text', text: '\ud83d' }
      if (update.kind === 'text') yield { kind: 'text', text: '\ude00 thinking' }
      yield update.kind === 'end' ? { ...update, answer: 'the answer' } : update
    }
  }
  assert.match((await cli.run('ask', 'hi')).stdout, /^😀 thinking[\s\S]*\nthe answer\n$/u)
  cli.api.agents = async () => []
  assert.match((await cli.run('ask', 'hi')).stderr, /there is no agent yet[\s\S]*pmesh agent add/)
  const agent = { provider: 'x', model: 'y', tools: [], hasKey: true }
  cli.api.agents = async () => [
    { ...agent, name: 'one' },
    { ...agent, name: 'two' }
  ]
  assert.match((await cli.run('ask', 'hi')).stderr, /there are several agents: one, two/)
})

test('task list and task show name tasks, and take the beginning of an id', async (context) => {
  const cli = await createServedCli(context)
  await cli.run('task', 'submit', '--tool', 'calc')
  await cli.run('task', 'submit', '--tool', 'fails')
  const { stdout } = await cli.run('task', 'list')
  assert.match(stdout, /^TASK {6}WORK {3}STATE {3}FROM {4}ON {6}SUBMITTED[^\n]*\nb1777777 {2}fails {2}failed/)
  assert.match((await cli.run('task', 'list', '--state', 'done')).stdout, /^TASK[^\n]*\na0777777 {2}calc[^\n]*\n$/)
  const page = JSON.parse((await cli.run('--json', 'task', 'list', '--limit', '1')).stdout)
  assert.deepEqual([page.items.length, page.next], [1, '1'])
  const shown = await cli.run('task', 'show', 'a07777')
  assert.match(shown.stdout, /^calc {3}a0777777777777777777777777777777 {3}done\n/)
  assert.match((await cli.run('task', 'show', 'ffffff')).stderr, /code {2}TASK_UNKNOWN/)
  cli.api.run.tasks.push(fakeTask(`a07777${'0'.repeat(26)}`, {}, LAPTOP))
  assert.match((await cli.run('task', 'show', 'a07777')).stderr, /several tasks begin with a07777/)
  assert.equal((await cli.run('task', 'follow', 'b17777')).code, 1)
})

test('task cancel and task retry; a retry without a terminal takes --yes', async (context) => {
  const cli = await createServedCli(context)
  await cli.run('task', 'submit', '--tool', 'slow', '--detach')
  assert.equal((await cli.run('task', 'cancel', 'a07777')).stdout, 'task a0777777 is cancelled\n')
  assert.match((await cli.run('task', 'cancel', 'a07777')).stderr, /code {2}TASK_CLOSED/)
  await cli.run('task', 'submit', '--tool', 'vanishes')
  const refused = await cli.run('task', 'retry', 'b17777')
  assert.equal(refused.code, 2)
  assert.match(refused.stderr, /--yes/)
  const enter = await cli.runWith({ tty: true, keys: [{ when: /unknown/, text: '\r' }] }, 'task', 'retry', 'b17777')
  assert.equal(enter.code, 130, enter.stderr)
  assert.ok(cli.api.calls.every((call) => !call.startsWith('taskRetry')))
  assert.match((await cli.run('task', 'retry', 'b17777', '--yes')).stdout, /attempt 2/)
})

test('log replay shows recorded and replayed verdicts; exit code 14 when one differs', async (context) => {
  const cli = await createServedCli(context)
  await cli.run('task', 'submit', '--tool', 'calc')
  const same = await cli.run('log', 'replay', 'a07777')
  assert.equal(same.code, 0)
  assert.match(same.stdout, /✓ {5}1 {2}policy {5}call {7}allow {5}allow/)
  const replay = cli.api.replay
  cli.api.replay = async (run) => {
    const report = await replay(run)
    const stages = report.stages.map((stage) => ({ ...stage, replayed: 'deny', equal: stage.recorded === 'deny' }))
    return { ...report, equal: false, stages }
  }
  const other = await cli.run('log', 'replay', 'a07777.1')
  assert.equal(other.code, 14)
  assert.match(other.stdout, /2 of 2 verdicts differ/)
  assert.equal((await cli.run('--json', 'log', 'replay', 'a07777.1')).code, 14)
})

test('what tools, models and tasks say is shown, never obeyed', async (context) => {
  const cli = await createServedCli(context)
  const id = '5'.repeat(32)
  const call = {
    call: 1,
    tool: HOSTILE,
    tier: null,
    arguments: JSON.stringify({ text: HOSTILE }),
    workspace: HOSTILE,
    stages: [],
    status: 'done',
    output: HOSTILE,
    outputBytes: 9,
    truncated: true,
    exitCode: 1,
    changes: [{ operation: 'write', path: HOSTILE, size: 1 }],
    request: null,
    votes: []
  }
  const task = fakeTask(
    id,
    { name: HOSTILE, input: HOSTILE, answer: HOSTILE, reason: HOSTILE, callRecords: [call] },
    LAPTOP
  )
  cli.api.run.tasks.push(task)
  cli.api.run.push(
    id,
    { kind: 'state', task },
    { kind: 'stage', stage: fakeStage({ rule: HOSTILE, place: HOSTILE, text: HOSTILE, verdict: HOSTILE }) },
    { kind: 'output', call: 1, text: HOSTILE },
    { kind: 'text', text: HOSTILE },
    { kind: 'approval', approval: { ...cli.api.run.ask({ tool: HOSTILE, mayNotBecause: HOSTILE, mayVote: false }) } },
    { kind: 'end', task: { ...task, state: 'failed' }, answer: HOSTILE }
  )
  const approval = cli.api.run.approvals[0]?.id ?? ''
  for (const args of [
    ['task', 'follow', id],
    ['--json', 'task', 'follow', id],
    ['task', 'list'],
    ['task', 'show', id],
    ['approval', 'list'],
    ['approval', 'show', approval],
    ['ask', 'hi']
  ]) {
    const { stdout, stderr } = await cli.run(...args)
    assert.doesNotMatch(stdout.replaceAll('\t', ''), UNSAFE, args.join(' '))
    assert.doesNotMatch(stderr, UNSAFE, args.join(' '))
    if (args.includes('list') || args.includes('approval')) assert.doesNotMatch(stdout, /^✓ fake line/m)
  }
})

test('a tool’s output is shown once, as the answer; another one, and what an agent’s tools say, beside the stages', async (context) => {
  const cli = await createServedCli(context)
  const id = '6'.repeat(32)
  const show = async (kind: 'tool' | 'agent', state: 'done' | 'failed', answer: string) => {
    const task = fakeTask(id, { kind, name: 'calc', state, answer, callRecords: [] }, LAPTOP)
    cli.api.taskFollow = async function* () {
      yield { kind: 'state', task: { ...task, state: 'running', finishedAt: null } }
      yield { kind: 'output', call: 1, text: 'forty\ntwo\n' }
      yield { kind: 'end', task, answer }
    }
    const { stdout, stderr } = await cli.run('task', 'follow', id)
    return [stdout, stderr.includes('  │ forty\n  │ two\n')]
  }
  assert.deepEqual(await show('tool', 'done', 'forty\ntwo\n'), ['forty\ntwo\n', false])
  assert.deepEqual(await show('tool', 'failed', ''), ['', true])
  assert.deepEqual(await show('agent', 'done', 'It is 42.'), ['It is 42.\n', true])
})

test('task show prints the result of a tool once', async (context) => {
  const cli = await createServedCli(context)
  const id = '6'.repeat(32)
  const call = {
    call: 1,
    tool: 'calc',
    tier: null,
    arguments: '{}',
    workspace: '/w',
    stages: [],
    status: 'done',
    output: 'the result',
    outputBytes: 10,
    truncated: false,
    exitCode: null,
    changes: [],
    request: null,
    votes: []
  }
  cli.api.run.tasks.push(fakeTask(id, { kind: 'tool', answer: 'the result', callRecords: [call] }, LAPTOP))
  assert.equal((await cli.run('task', 'show', id)).stdout.match(/the result/g)?.length, 1)
  cli.api.run.tasks[0] = fakeTask(id, { kind: 'agent', answer: 'the answer', callRecords: [call] }, LAPTOP)
  assert.match((await cli.run('task', 'show', id)).stdout, /│ the result\nanswer\n {2}the answer\n$/)
})

test('a stage’s mark says what came of it: a tool that failed is no success, and one cause is one line', async (context) => {
  const cli = await createServedCli(context)
  const id = '6'.repeat(32)
  const task = fakeTask(id, { kind: 'tool', state: 'blocked', finishedAt: new Date().toISOString() }, LAPTOP)
  const tool = { stage: 'tool', verdict: 'allow', place: 'built-in' } as const
  const blocked = { subject: 'result', verdict: 'block', rule: 'role-token', place: 'built-in' } as const
  cli.api.taskFollow = async function* () {
    yield { kind: 'stage', stage: fakeStage({ ...tool, rule: 'ok' }) }
    yield { kind: 'stage', stage: fakeStage({ ...tool, rule: 'error', text: 'division by zero' }) }
    yield { kind: 'stage', stage: fakeStage({ ...tool, rule: 'timeout' }) }
    yield { kind: 'stage', stage: fakeStage({ ...tool, verdict: 'deny', rule: 'lease-over' }) }
    yield { kind: 'stage', stage: fakeStage({ ...blocked, stage: 'guardrail' }) }
    yield { kind: 'stage', stage: fakeStage({ ...blocked, stage: 'judge', text: 'by the guardrail' }) }
    yield { kind: 'end', task, answer: '' }
  }
  const { stderr } = await cli.run('task', 'follow', id)
  assert.equal(
    stderr.split('\n').slice(0, 5).join('\n'),
    `✓ tool       ok   0.4 ms
✗ tool       error   division by zero   0.4 ms
! tool       timeout   0.4 ms
✗ tool       deny   lease-over (built-in)   0.4 ms
✗ judge      result block   role-token (built-in)   by the guardrail   0.4 ms`
  )
})

test('an empty list of tasks, and a call whose arguments do not fit, name the command that helps', async (context) => {
  const cli = await createServedCli(context)
  assert.match((await cli.run('task', 'list')).stderr, /^no tasks {3}pmesh task submit --tool calc --input '/)
  assert.equal((await cli.run('task', 'list', '--state', 'done')).stderr, 'no such tasks   pmesh task list\n')
  const id = '6'.repeat(32)
  const task = fakeTask(id, { kind: 'tool', name: 'calc', state: 'denied', reason: 'arguments-invalid' }, LAPTOP)
  cli.api.taskFollow = async function* () {
    yield { kind: 'end', task, answer: '' }
  }
  assert.match((await cli.run('task', 'follow', id)).stderr, /arguments-invalid {3}pmesh tool show calc\n/)
})
