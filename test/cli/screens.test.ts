import assert from 'node:assert/strict'
import { test } from 'node:test'
import { printStarted } from '../../src/cli/commands/node-start.ts'
import { Output } from '../../src/cli/output.ts'
import type { Terminal } from '../../src/cli/terminal.ts'
import { createFakeNode, fakeStatus } from '../rpc/fake-node-api.ts'
import { createServedCli, jsonLines, type RunOptions } from './cli-harness.ts'

function statusOf(agoMs: readonly number[]) {
  return async () => {
    const members = await createFakeNode().members()
    return fakeStatus(
      members.map((member, index) => ({
        ...member,
        lastSeenAt: new Date(Date.now() - (agoMs[index] ?? 0)).toISOString()
      }))
    )
  }
}

const STATUS = `laptop   12D3KooWQ4…f7Zp   up 3 h 12 m   log 1 204 events, in sync

MEMBER   PEER ID          LINK                          SEEN      EVENTS  BEHIND
laptop*  12D3KooWQ4…f7Zp  this node                     now          604       0
server   12D3KooWBn…x2Lk  direct 192.168.1.7:4701 4 ms  now          511       0
pi       12D3KooWTz…9uQa  relay via server 31 ms        12 s ago      89       3

! pi’s clock is 48 s behind (limit 60 s)     pmesh doctor
`

test('status prints one row per member, self first, and health with its command', async (context) => {
  const relayed = '/ip4/192.168.1.7/tcp/4701/p2p/12D3KooWBnbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbx2Lk/p2p-circuit'
  const status = statusOf([0, 0, 12_500])
  const api = createFakeNode({
    status: async () => {
      const found = await status()
      return {
        ...found,
        members: found.members.map((member) => (member.relayed ? { ...member, address: relayed } : member))
      }
    }
  })
  const cli = await createServedCli(context, api)
  assert.deepEqual(await cli.run('status'), { code: 0, stdout: STATUS, stderr: '' })
  assert.equal((await cli.run()).stdout, STATUS)
})

test('status --json is the node’s own answer', async (context) => {
  const cli = await createServedCli(context)
  const { stdout } = await cli.run('--json', 'status')
  assert.deepEqual(JSON.parse(stdout), JSON.parse(JSON.stringify(await cli.api.status())))
})

const VERIFY = `✓ laptop   604 events   chain unbroken   seals valid
✓ server   511 events   chain unbroken   seals valid   2 erased (signed)
✗ pi        89 events   event 71 does not continue event 70
  code LOG_PREVIOUS_MISMATCH   keep the evidence: pmesh log export --member pi pi.jsonl, then pmesh why pi
1 of 3 chains failed
`

test('log verify prints one line per chain and ends with exit code 14 when one fails, 0 when all hold', async (context) => {
  const cli = await createServedCli(context)
  assert.deepEqual(await cli.run('log', 'verify'), { code: 14, stdout: VERIFY, stderr: '' })
  const sound = createFakeNode().verify
  cli.api.verify = async (...args) => {
    const report = await sound(...args)
    return { ...report, ok: true, chains: report.chains.filter(({ ok }) => ok) }
  }
  const good = await cli.run('log', 'verify')
  assert.equal(good.code, 0)
  assert.equal(good.stdout.split('\n').at(-2), '2 chains verified: 1 204 events in 41 ms')
})

test('a log that nothing is known of is not called verified', async (context) => {
  const cli = await createServedCli(
    context,
    createFakeNode({ verify: async () => ({ events: 0, ok: false, elapsedMs: 1, chains: [] }) })
  )
  const { code, stdout } = await cli.run('log', 'verify')
  assert.equal(code, 14)
  assert.match(stdout, /does not count as verified/)
})

test('the block of a started node is aligned and names what listens where', async () => {
  let text = ''
  const stream = { write: (part: string) => (text += part), on: () => stream, isTTY: false }
  const terminal = { stdout: stream, stderr: stream, env: {} } as unknown as Terminal
  const out = new Output(terminal, { json: false, quiet: false, color: 'auto' }, () => undefined)
  printStarted(out, fakeStatus([]), 400, '/home/p')
  assert.equal(
    text,
    `pmesh 0.2.0   node laptop   12D3KooWQ4…f7Zp
  mesh        home (3 members)
  listening   /ip4/0.0.0.0/tcp/4701 · door 4702 · mDNS on
  socket      ~/.phantom-mesh/run/pmesh.sock
  log         1 204 events, opened in 41 ms
ready in 0.4 s — Ctrl-C to stop
next: pmesh status
`
  )
})

test('lists are {items, next} with --json and tables without', async (context) => {
  const cli = await createServedCli(context)
  for (const command of [
    ['peer', 'list'],
    ['member', 'list'],
    ['invite', 'list'],
    ['log', 'heads'],
    ['log', 'show'],
    ['why'],
    ['doctor'],
    ['credential', 'list'],
    ['config', 'show']
  ]) {
    const { stdout } = await cli.run('--json', ...command)
    const value = JSON.parse(stdout)
    assert.ok(Array.isArray(value.items), command.join(' '))
    assert.ok('next' in value, command.join(' '))
  }
  assert.match((await cli.run('member', 'list')).stdout, /^MEMBER {3}PEER ID {10}ROLE/)
  assert.match(
    (await cli.run('peer', 'list')).stdout,
    /server {2}12D3KooWBn…x2Lk {2}\/ip4\/192\.168\.1\.7\/tcp\/4701 {2}outbound/
  )
  assert.match(
    (await cli.run('why', 'pi')).stdout,
    /✓ {2}connected {2}relay via server\n {2}✗ {2}in sync {4}3 events missing {3}pmesh peer ping pi/
  )
})

test('invite create prints the line to paste, the words to compare, and a QR code on a terminal only', async (context) => {
  const cli = await createServedCli(context)
  const plain = await cli.run('invite', 'create', '--expires', '2h')
  assert.equal(plain.stdout.split('\n')[0], "pmesh join 'pmesh1:fakeinviteline'")
  assert.match(plain.stdout, /words {4}apple river stone cloud/)
  assert.match(plain.stdout, /expires {2}in 2 h \(/)
  assert.doesNotMatch(plain.stdout, /█/)
  const shown = await cli.runWith({ tty: true }, 'invite', 'create')
  assert.match(shown.stdout, /█/)
  assert.equal((await cli.run('-q', 'invite', 'create')).stdout, "pmesh join 'pmesh1:fakeinviteline'\n")
  const [json] = jsonLines((await cli.run('--json', 'invite', 'create', '--role', 'observer')).stdout)
  assert.deepEqual(
    [json.line, json.invite.role, json.fingerprint],
    ['pmesh1:fakeinviteline', 'observer', 'apple river stone cloud']
  )
})

test('join through the running node takes the pasted line with or without its wrapping', async (context) => {
  const cli = await createServedCli(context)
  for (const words of [['pmesh1:abc'], ["pmesh join 'pmesh1:abc'"], ['pmesh', 'join', 'pmesh1:abc']]) {
    const { code, stdout } = await cli.run('join', ...words, '--name', 'box')
    assert.equal(code, 0)
    assert.match(stdout, /^joined home\n {2}inviter {4}server {3}green apple long road/)
  }
  assert.equal((await cli.runWith({ stdin: "pmesh join 'pmesh1:abc'\n" }, 'join', '-')).code, 0)
  assert.deepEqual(new Set(cli.api.calls), new Set(['join box', 'join ']))
  const bad = await cli.run('join', 'nonsense')
  assert.equal(bad.code, 2)
  assert.match(bad.stderr, /code {2}INVITE_INVALID/)
})

test('colour appears on terminals only, NO_COLOR and --color win', async (context) => {
  const cli = await createServedCli(context)
  const isStyled = async (options: RunOptions, ...args: readonly string[]) =>
    (await cli.runWith(options, ...args, 'status')).stdout.includes('\x1b[')
  assert.equal(await isStyled({}), false)
  assert.equal(await isStyled({ tty: true }), true)
  assert.equal(await isStyled({ tty: true, env: { NO_COLOR: '1' } }), false)
  assert.equal(await isStyled({ tty: true }, '--color', 'never'), false)
  assert.equal(await isStyled({}, '--color', 'always'), true)
})

test('ID-9 control characters and terminal escapes of the log are shown, never obeyed', async (context) => {
  const evil = 'x\x1b]0;owned\x07\x1b[2J\u202e\u009b31m\nfake line'
  const status = fakeStatus([])
  const cli = await createServedCli(
    context,
    createFakeNode({
      status: async () => ({ ...status, name: evil, health: [{ level: 'warn', text: evil, hint: evil }] })
    })
  )
  cli.api.events.length = 0
  await cli.api.append([{ type: 'app-note', json: JSON.stringify({ text: evil }).replaceAll('\\u001b', '\x1b') }])
  for (const command of [
    ['status'],
    ['log', 'show'],
    ['--json', 'log', 'show'],
    ['--json', 'status'],
    ['log', 'show', '--all']
  ]) {
    const { stdout } = await cli.run(...command)
    // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what is looked for
    assert.doesNotMatch(stdout, /[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]/, command.join(' '))
    assert.doesNotMatch(stdout, /^fake line/m)
  }
  assert.match((await cli.run('status')).stdout, /x\\x1b\]0;owned\\x07\\x1b\[2J\\u202e\\x9b31m\\nfake line/)
  assert.equal(JSON.parse((await cli.run('--json', 'status')).stdout).name, evil)
})
