import assert from 'node:assert/strict'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { fakeStatus } from '../rpc/fake-node-api.ts'
import { temporaryHome } from '../rpc/socket-harness.ts'
import { createCli, createServedCli, jsonLines } from './cli-harness.ts'

test('policy show lists the rules with their places, and says when there is no file', async (context) => {
  const cli = await createServedCli(context)
  const { code, stdout } = await cli.run('policy', 'show')
  assert.equal(code, 0)
  assert.match(stdout, /^file {2}\/home\/p\/\.phantom-mesh\/policy\.toml\nmode {2}rules\nhash {2}(dd){32}\n\nEFFECT/)
  assert.match(stdout, /allow {3}calc-is-fine {2}policy\.toml:12 {2}tool = calc\n$/)
  const policy = await cli.api.policy()
  cli.api.policy = async () => ({ ...policy, exists: false, rules: [], mode: 'confirm' })
  assert.match((await cli.run('policy', 'show')).stdout, /\(none: every call asks\)\nmode {2}confirm/)
  assert.equal(JSON.parse((await cli.run('--json', 'policy', 'show')).stdout).exists, false)
})

test('POLICY-4 policy explain gives the decision with the rule and its place, for any taint and member', async (context) => {
  const cli = await createServedCli(context)
  const { code, stdout } = await cli.run(
    'policy',
    'explain',
    'calc',
    '--input',
    '{"a":1}',
    '--taint',
    'web',
    '--taint',
    'peer',
    '--member',
    'pi'
  )
  assert.equal(code, 0)
  assert.match(
    stdout,
    /^allow {3}calc\n {2}rule {5}calc-is-fine \(policy\.toml:12\)\n {2}tier {5}internal\n {2}because {2}because a test says so\n/
  )
  assert.deepEqual(cli.api.calls, ['policyExplain calc {"a":1} web,peer pi'])
  assert.match((await cli.run('policy', 'explain', 'command')).stdout, /^ask {3}command[\s\S]*votes {4}1\n/)
  assert.equal((await cli.run('policy', 'explain', 'calc', '--taint', 'moon')).code, 2)
  assert.equal((await cli.run('policy', 'explain')).code, 2)
  const json = JSON.parse((await cli.run('--json', 'policy', 'explain', 'fetch')).stdout)
  assert.deepEqual([json.decision, json.rule, json.place], ['deny', 'calc-is-fine', 'policy.toml:12'])
})

test('policy test prints each difference and ends with exit code 14; a wrong line tests nothing', async (context) => {
  const cli = await createServedCli(context)
  const file = join(temporaryHome(context), 'calls.jsonl')
  writeFileSync(
    file,
    '{"tool":"calc","input":{"expression":"1+1"},"expect":"allow"}\n\n{"tool":"fetch","expect":"deny"}\n'
  )
  assert.deepEqual(await cli.run('policy', 'test', file), { code: 0, stdout: '2 calls, all as expected\n', stderr: '' })
  assert.equal(cli.api.calls[0], 'policyExplain calc {"expression":"1+1"}')
  writeFileSync(file, '{"tool":"calc","expect":"deny"}\n{"tool":"command","expect":"ask"}\n')
  const differs = await cli.run('policy', 'test', file)
  assert.equal(differs.code, 14)
  assert.equal(
    differs.stdout,
    '✗ line 1   calc   expected deny, got allow   calc-is-fine (policy.toml:12)\n1 of 2 calls differ\n'
  )
  assert.equal(JSON.parse((await cli.run('--json', 'policy', 'test', file)).stdout).differences[0].line, 1)
  const before = cli.api.calls.length
  for (const [text, pattern] of [
    ['{"tool":"calc","expect":"allow"}\n{"tool":"calc"}', /cannot read line 2: expect/],
    ['{"tool":"calc","expect":"maybe"}', /cannot read line 1/],
    ['{"tool":"calc","expect":"allow","more":1}', /cannot read line 1/],
    ['{', /cannot read line 1/],
    ['', /there is no call in the file/]
  ] as const) {
    writeFileSync(file, text)
    const { code, stderr } = await cli.run('policy', 'test', file)
    assert.equal(code, 2, text)
    assert.match(stderr, pattern)
  }
  assert.equal((await cli.run('policy', 'test', `${file}.no`)).code, 2)
  assert.equal(cli.api.calls.length, before)
})

test('policy check reads a file without a node, and names what is wrong', async (context) => {
  const cli = createCli(context)
  mkdirSync(cli.home, { mode: 0o700 })
  assert.match((await cli.run('policy', 'check')).stdout, /policy\.toml is empty or not there: every call asks/)
  writeFileSync(join(cli.home, 'policy.toml'), 'this is [ not TOML', { mode: 0o600 })
  const wrong = await cli.run('policy', 'check')
  assert.equal(wrong.code, 2)
  assert.match(wrong.stderr, /code {2,}POLICY_INVALID/)
  assert.match((await cli.run('policy', 'check', join(cli.home, 'no.toml'))).stderr, /code {2,}USAGE/)
})

test('tool list and show tell tier, schema and why a tool cannot run', async (context) => {
  const cli = await createServedCli(context)
  const { stdout } = await cli.run('tool', 'list')
  assert.match(stdout, /^TOOL {8}KIND {5}TIER/)
  assert.match(stdout, /command {5}command {2}irreversible {2}laptop {2}✗ {2}no bubblewrap\n/)
  assert.equal(JSON.parse((await cli.run('--json', 'tool', 'list', '--member', 'laptop')).stdout).items.length, 3)
  const shown = await cli.run('tool', 'show', 'calc')
  assert.match(shown.stdout, /^calc {3}builtin\n {2}what {7}does calc\n {2}tier {7}read-only\n[\s\S]*"expression": \{/)
  assert.match(
    (await cli.run('tool', 'show', 'command')).stdout,
    /not declared, so irreversible[\s\S]*no: no bubblewrap/
  )
  assert.match((await cli.run('tool', 'show', 'nothing')).stderr, /TOOL_UNKNOWN/)
})

test('TOOL-2 tool register sends the file’s exact bytes, tells wasm from script, and replaces only when told to', async (context) => {
  const cli = await createServedCli(context)
  const folder = temporaryHome(context)
  const [code, module, schema] = ['tool.js', 'tool.wasm', 'schema.json'].map((name) => join(folder, name)) as [
    string,
    string,
    string
  ]
  writeFileSync(code, 'export default () => "é"\n')
  writeFileSync(module, '\0asm\x01\0\0\0')
  writeFileSync(schema, '{"type":"object","properties":{"a":{"type":"string"}}}')
  const register = ['tool', 'register', 'mine', '--code', code]
  const first = await cli.run(...register, '--schema', schema, '--tier', 'internal', '--description', 'mine')
  assert.equal(first.code, 0)
  assert.match(first.stdout, /^mine {3}script\n/)
  const [call] = cli.api.calls
  assert.ok(call?.endsWith(' export default () => "é"\n'))
  assert.deepEqual(JSON.parse(call?.slice('toolRegister '.length, call.indexOf(' export')) ?? ''), {
    name: 'mine',
    kind: 'script',
    description: 'mine',
    parameters: { type: 'object', properties: { a: { type: 'string' } } },
    tier: 'internal',
    scope: 'operator',
    permissions: [],
    replace: false
  })
  assert.match((await cli.run(...register)).stderr, /TOOL_EXISTS[\s\S]*/)
  const replaced = await cli.run(...register, '--replace', '--permission', 'net', '--scope', 'admin')
  assert.match(replaced.stderr, /no --tier: it counts as irreversible/)
  assert.match(cli.api.calls.at(-1) ?? '', /"tier":null,"scope":"admin","permissions":\["net"\],"replace":true/)
  assert.match((await cli.run('tool', 'register', 'other', '--code', module)).stdout, /^other {3}wasm\n/)
  for (const args of [
    ['tool', 'register', 'mine'],
    ['tool', 'register', 'mine', '--code', join(folder, 'none')],
    ['tool', 'register', 'mine', '--code', folder],
    [...register, '--schema', code],
    [...register, '--tier', 'harmless'],
    ['tool', 'register', 'Not A Name', '--code', code]
  ])
    assert.equal((await cli.run(...args)).code, 2, args.join(' '))
  assert.equal((await cli.run('tool', 'remove', 'mine')).stdout, 'removed mine\n')
  assert.match((await cli.run('tool', 'remove', 'mine')).stderr, /TOOL_UNKNOWN/)
})

test('agents are listed and tested by the node, added, shown and removed in agents.toml', async (context) => {
  const cli = await createServedCli(context)
  assert.match((await cli.run('agent', 'list')).stdout, /default {2}local {5}tiny {3}none {2}calc file\.\*\n$/)
  assert.deepEqual(await cli.run('agent', 'test', 'default'), {
    code: 0,
    stdout: '✓ default   pong   12 ms\n',
    stderr: ''
  })
  assert.equal((await cli.run('agent', 'test', 'nobody')).code, 2)
  cli.api.agentTest = async () => ({ ok: false, text: 'refused', ms: 3 })
  assert.equal((await cli.run('agent', 'test', 'default')).code, 1)
  await cli.run('-q', 'init')
  const add = ['agent', 'add', 'helper', '--provider', 'local', '--model', 'tiny:1b']
  assert.match((await cli.run(...add)).stderr, /no provider local[\s\S]*--type ollama\|[\s\S]*AGENT_INVALID/)
  assert.equal((await cli.run(...add, '--type', 'ollama', '--tools', 'calc', '--tools', 'file.*')).code, 0)
  assert.match((await cli.run(...add)).stderr, /AGENT_EXISTS/)
  const twice = await cli.run('agent', 'add', 'two', '--provider', 'local', '--model', 'x', '--type', 'anthropic')
  assert.match(twice.stderr, /there is a provider local already/)
  const shown = await cli.run('agent', 'show', 'helper')
  assert.match(
    shown.stdout,
    /^helper\n {2}provider {2}local \(ollama\) http:\/\/127\.0\.0\.1:11434\/v1\n[\s\S]*tools {5}calc file\.\*\n/
  )
  assert.equal(JSON.parse((await cli.run('--json', 'agent', 'show', 'helper')).stdout).model, 'tiny:1b')
  assert.match(readFileSync(join(cli.home, 'agents.toml'), 'utf8'), /\[agents\.helper\]/)
  assert.equal((await cli.run('agent', 'remove', 'helper')).stdout, 'removed helper\n')
  assert.match((await cli.run('agent', 'show', 'helper')).stderr, /AGENT_UNKNOWN/)
})

test('SANDBOX-6 status counts what runs and what waits for this person, and says what isolates', async (context) => {
  const cli = await createServedCli(context)
  const shown = async (running: number, waitingApprovals: number, boxed = true) => {
    cli.api.status = async () => ({
      ...fakeStatus([]),
      health: [],
      run: { running, waitingApprovals, boxed, sandbox: 'wasm ✓ · script ✓ · command ✗ (no bubblewrap)' }
    })
    return (await cli.run('status')).stdout.split('\n').slice(3).join('\n')
  }
  const boxes = 'sandbox  wasm ✓ · script ✓ · command ✗ (no bubblewrap)\n'
  assert.equal(await shown(2, 1), `\n2 tasks running · 1 approval waits for you   pmesh approval list\n${boxes}`)
  assert.equal(await shown(1, 0), `\n1 task running\n${boxes}`)
  assert.equal(await shown(0, 2), `\n2 approvals wait for you   pmesh approval list\n${boxes}`)
  assert.equal(await shown(0, 0), `\n${boxes}`)
  assert.match(await shown(0, 0, false), /\(no bubblewrap\) {3}pmesh doctor\n$/)
  assert.equal(jsonLines((await cli.run('--json', 'status')).stdout)[0].run.running, 0)
})

test('help and completion know the commands of tasks, approvals and rules', async (context) => {
  const cli = createCli(context)
  assert.match((await cli.run('help', 'approvals')).stdout, /Enter alone[\s\S]*approve nothing/)
  assert.match((await cli.run('help', 'policy')).stdout, /policy explain TOOL/)
  assert.match((await cli.run('help', 'task', 'submit')).stdout, /--tool <name>[\s\S]*--no-wait/)
  for (const shell of ['bash', 'fish']) {
    const { stdout } = await cli.run('completion', shell)
    for (const word of ['submit', 'retry', 'ask', 'approve', '--digest', 'explain', 'register', 'replay', 'approvals'])
      assert.ok(stdout.includes(word), `${shell} ${word}`)
  }
})
