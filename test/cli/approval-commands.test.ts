import assert from 'node:assert/strict'
import { test } from 'node:test'
import { until } from '../rpc/socket-harness.ts'
import { type Cli, createServedCli, jsonLines, type RunOptions } from './cli-harness.ts'

const PROMPT = /Type yes to approve, no to deny:/
const votes = (calls: readonly string[]) => calls.filter((call) => call.startsWith('approvalVote'))
const type = (...texts: readonly (string | null)[]): RunOptions => ({
  tty: true,
  keys: texts.map((text) => ({ when: PROMPT, text }))
})
const approveWith = (cli: Cli, ...texts: readonly (string | null)[]) =>
  cli.runWith(type(...texts), 'approval', 'approve', '0e0e0e')

test('APPROVE-6 Enter alone, another word and the end of the input approve nothing; yes or approve typed after the question does', async (context) => {
  const cli = await createServedCli(context)
  cli.api.run.ask()
  const keys = [
    { when: PROMPT, text: 'yes' },
    { when: /yes/, text: null }
  ]
  assert.equal((await cli.runWith({ tty: true, keys }, 'approval', 'approve', '0e0e0e')).code, 13)
  for (const keys of [['\r', null], ['\r', '\r', 'y\r', 'ok\r', 'yes please\r', null], [null]]) {
    const { code } = await approveWith(cli, ...keys)
    assert.equal(code, 13, JSON.stringify(keys))
  }
  assert.deepEqual(votes(cli.api.calls), [])
  const approved = await approveWith(cli, '\r', ' YES \r')
  assert.equal(approved.code, 0)
  assert.match(approved.stderr, /Neither yes nor no: nothing is decided\./)
  assert.equal(approved.stdout, `0e0e0e0e is approved   digest ${'cc'.repeat(32)}\n`)
  assert.deepEqual(votes(cli.api.calls), ['approvalVote 0e0e0e0e approve cccccccc'])
})

test('APPROVE-6 what was typed before the question was shown answers nothing', async (context) => {
  const cli = await createServedCli(context)
  cli.api.run.ask()
  const ahead = await cli.runWith(
    { tty: true, stdin: 'yes\ryes\r', keys: [{ when: PROMPT, text: null }] },
    'approval',
    'approve',
    '0e0e0e'
  )
  assert.equal(ahead.code, 13)
  assert.deepEqual(votes(cli.api.calls), [])
})

test('APPROVE-6 no or deny denies, Ctrl-C decides nothing', async (context) => {
  const cli = await createServedCli(context)
  cli.api.run.ask()
  assert.equal((await approveWith(cli, '\x03')).code, 13)
  assert.deepEqual(votes(cli.api.calls), [])
  assert.equal((await approveWith(cli, 'deny\r')).code, 12)
  assert.deepEqual(votes(cli.api.calls), ['approvalVote 0e0e0e0e deny cccccccc'])
  cli.api.run.ask()
  const denied = await cli.run('approval', 'deny', '1e1e1e')
  assert.deepEqual([denied.code, denied.stdout], [0, '1e1e1e1e is denied\n'])
  assert.match((await cli.run('approval', 'deny', '1e1e1e')).stderr, /code {2}APPROVAL_CLOSED/)
})

test('APPROVE-6 the screen shows who, the exact arguments in full, where, why and what it can touch', async (context) => {
  const cli = await createServedCli(context)
  const long = 'x'.repeat(5_000)
  const text = `{"amount":12345678901234567890.10,"b":{"2":1,"1":2},"text":"${long}","empty":{},"list":[1,[]]}`
  cli.api.run.ask({
    arguments: text,
    paths: ['a.txt', 'b/c.txt'],
    hosts: ['example.org'],
    taint: ['web', 'peer'],
    votesNeeded: 2,
    anotherKey: true
  })
  const { code, stdout } = await cli.run('approval', 'show', '0e0e0e')
  assert.equal(code, 0)
  assert.ok(stdout.startsWith('⏸ A call waits for an approval\n  arguments of file.write, complete:\n  │ {\n'))
  assert.match(
    stdout,
    / {2}│ {3}"amount": 12345678901234567890\.10,\n {2}│ {3}"b": \{\n {2}│ {5}"2": 1,\n {2}│ {5}"1": 2\n/
  )
  assert.ok(
    stdout.includes(
      `  │   "text": "${long}",\n  │   "empty": {},\n  │   "list": [\n  │     1,\n  │     []\n  │   ]\n  │ }\n`
    )
  )
  for (const line of [
    /tool {8}file\.write\n/,
    /tier {8}internal\n/,
    /who {9}laptop asks, server runs it\n/,
    /where {7}server: \/home\/p\/\.phantom-mesh\/workspaces\/x\n/,
    /why asked {3}no rule allows it\n {14}With no policy file every call asks\.\n/,
    /paths {7}a\.txt\n {14}b\/c\.txt\n/,
    /hosts {7}example\.org\n/,
    /tainted by {2}web, peer\n/,
    /votes {7}0 of 2; one by another key than laptop’s\n/,
    /expires {5}in 1[45] m/
  ])
    assert.match(stdout, line)
  for (const hash of ['aa', 'bb', 'cc']) assert.ok(stdout.includes(hash.repeat(32)))
})

test('APPROVE-6 the screen tells how many places of the arguments are masked, and how long the true ones are', async (context) => {
  const cli = await createServedCli(context)
  const shown = async (masked: number) => {
    const { id } = cli.api.run.ask({ arguments: '{"token":"[redacted:api-key]"}', masked, argumentBytes: 4_321 })
    return (await cli.run('approval', 'show', id)).stdout
  }
  assert.match(await shown(0), /arguments of file\.write, complete:\n[\s\S]*size {8}arguments of 4\.3 kB\n/)
  assert.match(
    await shown(2),
    /complete, but for 2 masked places that look like secrets:\n[\s\S]*size {8}arguments of 4\.3 kB, 2 masked places included\n/
  )
  assert.match(await shown(1), /complete, but for one masked place that looks like a secret:\n/)
})

test('APPROVE-6 what a terminal would obey or nobody would see stands in the arguments as text, behind a bar that it cannot leave', async (context) => {
  const cli = await createServedCli(context)
  const hostile = '\x9b2J\u202e\u200b\u00a0\u2800\u{e0041}\u3164\u2028'
  for (const [args, found] of [
    [JSON.stringify({ text: hostile }), '"\\u009b2J\\u202e\\u200b\\u00a0\\u2800\\udb40\\udc41\\u3164\\u2028"'],
    ['not JSON\n  tool        calc\x1b[2J', '  │ not JSON\n  │   tool        calc\\x1b[2J\n']
  ] as const) {
    const { id } = cli.api.run.ask({ arguments: args, workspace: hostile, paths: [hostile], explanation: hostile })
    const { stdout } = await cli.run('approval', 'show', id)
    assert.ok(stdout.includes(found), stdout)
    // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what is looked for
    assert.doesNotMatch(stdout, /[\x00-\x09\x0b-\x1f\x7f-\xa0\u202e\u200b\u2800\u3164\u2028]|\udb40/)
    assert.equal(stdout.match(/^ {2}tool {8}/gm)?.length, 1)
  }
})

test('APPROVE-1 a digest that is not the one of what is shown is never approved, here or by another’s word', async (context) => {
  const cli = await createServedCli(context)
  cli.api.run.ask({ recomputedDigest: 'dd'.repeat(32) })
  const shown = await cli.run('approval', 'show', '0e0e0e')
  assert.equal(shown.code, 14)
  assert.match(shown.stdout, /✗ what is shown here is not what would run: do not approve it/)
  for (const args of [['--yes'], ['--yes', '--digest', 'cc'.repeat(32)], ['--yes', '--digest', 'dd'.repeat(32)]]) {
    const { code, stderr } = await cli.run('approval', 'approve', '0e0e0e', ...args)
    assert.equal(code, 14)
    assert.match(stderr, /code {7}APPROVAL_DIGEST_MISMATCH/)
  }
  assert.equal((await approveWith(cli, 'yes\r')).code, 14)
  const asked = await cli.runWith(
    type('yes\r'),
    '--timeout',
    '2s',
    'task',
    'follow',
    await openTask(cli, { recomputedDigest: 'dd'.repeat(32) })
  )
  assert.match(asked.stderr, /cannot approve: what is shown is not what would run/)
  assert.deepEqual(votes(cli.api.calls), [])
  cli.api.run.ask()
  const id = cli.api.run.approvals.at(-1)?.id ?? ''
  assert.equal((await cli.run('approval', 'approve', id, '--yes', '--digest', 'ab'.repeat(32))).code, 14)
  assert.deepEqual(votes(cli.api.calls), [])
  assert.equal((await cli.run('approval', 'approve', id, '--yes', '--digest', 'CC'.repeat(32))).code, 0)
})

async function openTask(cli: Awaited<ReturnType<typeof createServedCli>>, changes: object): Promise<string> {
  const { stdout } = await cli.run('task', 'submit', '--tool', 'slow', '--detach')
  cli.api.run.ask({ task: stdout.trim(), ...changes })
  return stdout.trim()
}

test('APPROVE-6 without a terminal an approval takes --yes, and tells the digest that it was for', async (context) => {
  const cli = await createServedCli(context)
  cli.api.run.ask()
  for (const options of [{}, { tty: true, stdin: 'yes\r' }]) {
    const refused = await cli.runWith({ ...options, tty: false, stdin: 'yes\n' }, 'approval', 'approve', '0e0e0e')
    assert.equal(refused.code, 2)
    assert.match(refused.stderr, /without a terminal an approval takes --yes\n {2}digest {2}(cc){32}\n/)
  }
  assert.equal((await cli.runWith({ tty: true }, '--no-input', 'approval', 'approve', '0e0e0e')).code, 2)
  assert.deepEqual(votes(cli.api.calls), [])
  const [json] = jsonLines((await cli.run('--json', 'approval', 'approve', '0e0e0e', '--yes')).stdout)
  assert.deepEqual([json.state, json.digest], ['approved', 'cc'.repeat(32)])
})

test('a request that is closed, expired, unknown or not this node’s to answer is refused with its code', async (context) => {
  const cli = await createServedCli(context)
  for (const [changes, exit, code] of [
    [{ state: 'used' }, 1, 'APPROVAL_CLOSED'],
    [{ state: 'expired' }, 15, 'APPROVAL_EXPIRED'],
    [{ mayVote: false, mayNotBecause: 'this node has no approve right' }, 12, 'APPROVAL_FORBIDDEN']
  ] as const) {
    const { id } = cli.api.run.ask(changes)
    for (const verb of ['approve', 'deny']) {
      const ran = await cli.run('approval', verb, id, ...(verb === 'approve' ? ['--yes'] : []))
      assert.equal(ran.code, exit)
      assert.match(ran.stderr, new RegExp(`code {2,}${code}`))
    }
  }
  assert.match((await cli.run('approval', 'show', 'ffffff')).stderr, /APPROVAL_UNKNOWN/)
  assert.equal((await cli.run('approval', 'show', 'zz')).code, 2)
  assert.deepEqual(votes(cli.api.calls), [])
})

test('who approved may still deny, until the call begins', async (context) => {
  const cli = await createServedCli(context)
  cli.api.run.ask({ votesNeeded: 2 })
  const approve = ['approval', 'approve', '0e0e0e', '--yes']
  assert.equal((await cli.run(...approve)).code, 0)
  assert.match((await cli.run(...approve)).stderr, /this node has voted[\s\S]*APPROVAL_FORBIDDEN/)
  assert.deepEqual(await cli.run('approval', 'deny', '0e0e0e'), { code: 0, stdout: '0e0e0e0e is denied\n', stderr: '' })
  assert.match((await cli.run('approval', 'deny', '0e0e0e')).stderr, /was denied already[\s\S]*pmesh task show/)
})

test('approval list shows what waits, --all what was decided', async (context) => {
  const cli = await createServedCli(context)
  assert.deepEqual(await cli.run('approval', 'list'), {
    code: 0,
    stdout: '',
    stderr: 'nothing waits for an approval   pmesh approval list --all\n'
  })
  cli.api.run.ask()
  cli.api.run.ask({ state: 'denied' })
  const open = await cli.run('approval', 'list')
  assert.match(
    open.stdout,
    /0e0e0e0e {2}file\.write {2}internal {2}laptop {2}server {2}open {3}0\/1 {4}in 1[45] m[ \d]*s? {2,}may answer\n/
  )
  assert.match(open.stdout, /next: pmesh approval show 0e0e0e0e\n$/)
  assert.doesNotMatch(open.stdout, /1e1e1e1e/)
  assert.match(
    (await cli.run('approval', 'list', '--all')).stdout,
    /1e1e1e1e {2}file\.write {2}internal {2}laptop {2}server {2}denied/
  )
  assert.equal(JSON.parse((await cli.run('--json', 'approval', 'list')).stdout).items.length, 1)
})

test('task submit asks inline when this person may approve, and the answer releases the call', async (context) => {
  const cli = await createServedCli(context)
  const submit = ['task', 'submit', '--tool', 'file.write', '--input', '{"path":"x"}']
  const done = await cli.runWith(type('\r', 'approve\r'), ...submit)
  assert.deepEqual([done.code, done.stdout], [0, 'written\n'])
  assert.match(done.stderr, /"path": "x"/)
  const denied = await cli.runWith(type('no\r'), ...submit)
  assert.equal(denied.code, 12)
  const silent = await cli.runWith(type(null), ...submit, '--no-wait')
  assert.equal(silent.code, 13)
  assert.match(silent.stderr, /no answer for 2e2e2e2e: nothing was decided here/)
  assert.equal(votes(cli.api.calls).length, 2)
})

test('a question is taken back when the request is decided elsewhere', async (context) => {
  const cli = await createServedCli(context)
  const elsewhere = () => void cli.api.approvalVote('0e'.repeat(32), 'approve', 'cc'.repeat(32))
  const { code, stdout, stderr } = await cli.runWith(
    { tty: true, keys: [{ when: PROMPT, text: elsewhere }] },
    'task',
    'submit',
    '--tool',
    'file.write'
  )
  assert.deepEqual([code, stdout], [0, 'written\n'])
  assert.match(stderr, /no answer for 0e0e0e0e: nothing was decided here/)
})

test('a question ends with the request’s expiry, and nothing is decided', async (context) => {
  const cli = await createServedCli(context)
  cli.api.run.ask({ expiresAt: new Date(Date.now() + 400).toISOString() })
  const { code, stderr } = await cli.runWith({ tty: true, keys: [] }, 'approval', 'approve', '0e0e0e')
  assert.equal(code, 13)
  assert.match(stderr, /no answer: nothing was decided/)
  assert.deepEqual(votes(cli.api.calls), [])
})

test('approval watch asks about each request on a terminal, and prints lines elsewhere', async (context) => {
  const cli = await createServedCli(context)
  cli.api.run.ask()
  cli.api.run.ask()
  const watching = cli.runWith(type('no\r', '\r', 'yes\r', '\x03'), 'approval', 'watch')
  await until(() => votes(cli.api.calls).length === 2)
  assert.deepEqual(votes(cli.api.calls), [
    'approvalVote 0e0e0e0e deny cccccccc',
    'approvalVote 1e1e1e1e approve cccccccc'
  ])
  cli.api.run.ask()
  assert.equal((await watching).code, 130)
  const lines = await cli.runWith({ stopWhen: (stdout) => stdout.includes('2e2e2e2e') }, 'approval', 'watch')
  assert.equal(lines.code, 130)
  assert.match(
    lines.stdout,
    /2e2e2e2e {2}open {2}file\.write \(internal\) {2}laptop asks, server runs it {2}expires in/
  )
  const json = await cli.runWith({ stopWhen: (stdout) => stdout.split('\n').length > 2 }, '--json', 'approval', 'watch')
  assert.equal(jsonLines(json.stdout)[0].id, '0e'.repeat(32))
})
