// Who decides what may run: the rules in the owner’s own file, as the running node reads them for every call, and nothing else.

import assert from 'node:assert/strict'
import { chmodSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import { errorOf, MeshKit, type NodeHome, verified } from './mesh-kit.ts'
import {
  answer,
  ended,
  jsonOf,
  linesOf,
  perform,
  rule,
  ruleOf,
  submit,
  taskEvents,
  timesStarted,
  writePolicy
} from './task-kit.ts'

const ALLOW_ALL = rule('all', 'allow')

describe('the rules of one node in a mesh', () => {
  const kit = new MeshKit({ after })
  let alice: NodeHome
  let bob: NodeHome

  before(async () => {
    const nodes = await kit.mesh('alice', 'bob')
    ;[alice, bob] = nodes as [NodeHome, NodeHome]
  })

  const calc = (...more: readonly string[]) =>
    bob.cli('task', 'submit', '--tool', 'calc', '--input', '{"expression":"1+1"}', ...more)

  test('POLICY-1 APPROVE-4 without a policy every call asks; a rule allows it, and a deny beats every allow', async () => {
    rmSync(bob.path('policy.toml'), { force: true })
    const waits = await calc('--no-wait', '--json')
    assert.equal(waits.code, 13, waits.stderr)
    const last = linesOf(waits).at(-1)
    assert.equal(last?.kind, 'approval')
    const { task } = last.approval as { task: string }
    assert.match((await bob.cli('policy', 'show')).stdout, /every call asks/)
    assert.match(
      (await bob.cli('policy', 'explain', 'calc', '--input', '{"expression":"1"}')).stdout,
      /^ask .*default/s
    )
    await answer(alice, task, 'deny')

    writePolicy(bob, rule('sums', 'allow', 'tool = "calc"', 'tier = "read-only"'))
    const done = await calc()
    assert.equal(done.code, 0, done.stderr)
    assert.equal(done.stdout.trim(), '2')
    const shown = jsonOf<{ items: { id: string }[] }>(await bob.cli('task', 'list', '--limit', '1', '--json'))
    const detail = await bob.call('task/show', { task: shown.items[0]?.id ?? '' })
    assert.equal(ruleOf(detail, 'policy'), 'allow sums')
    assert.equal(detail.callRecords[0]?.request, null)
    assert.equal((await bob.cli('log', 'replay', detail.id)).code, 0)

    writePolicy(bob, rule('sums', 'allow', 'tool = "calc"'), rule('never', 'deny', 'tool = "calc"'))
    const denied = await calc('--json')
    assert.equal(denied.code, 12, denied.stderr)
    const end = linesOf(denied).at(-1) as { kind: string; task: { id: string; state: string; reason: string } }
    assert.deepEqual([end.kind, end.task.state, end.task.reason], ['end', 'denied', 'never'])
    assert.equal(await timesStarted(bob, end.task.id), 0)
    const [audit] = await taskEvents(alice, end.task.id, 'call-recorded')
    assert.deepEqual([audit?.payload.status, audit?.payload.tool], ['denied', 'calc'])
    assert.equal((await bob.cli('log', 'replay', end.task.id)).code, 0)
  })

  test('POLICY-1 POLICY-3 POLICY-4 policy show, explain, test and check tell what the running node decides, and by which rule', async () => {
    writePolicy(
      bob,
      rule('sums', 'allow', 'tool = "calc"', 'taint = "none"'),
      rule('writes', 'allow', 'tool = "file.*"'),
      rule('no-etc', 'deny', 'path = "secret/**"')
    )
    const shown = jsonOf<{ rules: { id: string; place: string }[] }>(await bob.cli('policy', 'show', '--json'))
    assert.deepEqual(
      shown.rules.map(({ id }) => id),
      ['sums', 'writes', 'no-etc']
    )
    const explain = async (tool: string, input: object, ...more: readonly string[]) => {
      const ran = await bob.cli('policy', 'explain', tool, '--input', JSON.stringify(input), ...more, '--json')
      const { decision, rule: by, place } = jsonOf<{ decision: string; rule: string; place: string }>(ran)
      return `${decision} ${by} ${place}`
    }
    assert.equal(await explain('calc', { expression: '1' }), 'allow sums policy.toml:1')
    assert.equal(await explain('calc', { expression: '1' }, '--taint', 'web'), 'ask default built-in')
    assert.match(await explain('file.write', { path: 'secret/x', text: '' }), /^deny no-etc policy.toml:/)
    assert.match(await explain('file.write', { path: 'open/x', text: '' }), /^allow writes/)

    const line = (expect: string) => JSON.stringify({ tool: 'calc', input: { expression: '1' }, expect })
    const good = kit.file('good.jsonl', `${line('allow')}\n`)
    const bad = kit.file('bad.jsonl', `${line('allow')}\n${line('deny')}\n`)
    assert.equal((await bob.cli('policy', 'test', good)).code, 0)
    const differs = await bob.cli('policy', 'test', bad, '--json')
    assert.equal(differs.code, 14)
    assert.equal(jsonOf<{ differences: { line: number }[] }>(differs).differences[0]?.line, 2)
    assert.equal((await bob.cli('policy', 'check')).code, 0)
    const broken = kit.file('broken.toml', '[[rule]]\nid = "x"\neffect = "permit"\n')
    const checked = await bob.cli('policy', 'check', broken, '--json')
    assert.notEqual(checked.code, 0)
    assert.equal(errorOf(checked).code, 'POLICY_INVALID')
    assert.match(await explain('calc', { expression: '1' }, '--member', 'alice'), /^allow sums/)
    writePolicy(bob, rule('own', 'allow', 'principal = "owner"'))
    assert.match(await explain('calc', { expression: '1' }), /^allow own/)
    assert.match(await explain('calc', { expression: '1' }, '--member', 'alice'), /^ask default/)
    writePolicy(bob, rule('writes', 'allow', 'tool = "file.*"'), rule('no-etc', 'deny', 'path = "secret/**"'))
    // What it says is what it does.
    const { state, callRecords } = await perform(bob, 'file.write', { path: 'secret/x', text: 'no' })
    assert.deepEqual([state, callRecords[0]?.changes.length], ['denied', 0])
    assert.equal((await perform(bob, 'file.write', { path: 'open/x', text: 'yes' })).state, 'done')
  })

  test('POLICY-5 a policy that others can write, that is a link or that is broken allows nothing, whatever stands in it', async () => {
    const sum = () => perform(bob, 'calc', { expression: '1+1' })
    writePolicy(bob, ALLOW_ALL)
    assert.equal((await sum()).state, 'done')
    const path = bob.path('policy.toml')

    chmodSync(path, 0o666)
    const exposed = await sum()
    assert.deepEqual([exposed.state, ruleOf(exposed, 'policy')], ['denied', 'deny CONFIG_EXPOSED'])
    assert.equal(errorOf(await bob.cli('policy', 'check', '--json')).code, 'CONFIG_EXPOSED')
    assert.equal(errorOf(await bob.cli('policy', 'show', '--json')).code, 'CONFIG_EXPOSED')

    rmSync(path)
    symlinkSync(kit.file('elsewhere.toml', ALLOW_ALL), path)
    assert.equal(ruleOf(await sum(), 'policy'), 'deny POLICY_INVALID')
    rmSync(path)
    writeFileSync(path, `${ALLOW_ALL}\nmode = "all"\n`, { mode: 0o600 })
    const broken = await sum()
    assert.deepEqual([broken.state, ruleOf(broken, 'policy')], ['denied', 'deny POLICY_INVALID'])
    assert.equal(await timesStarted(bob, broken.id), 0)
    writePolicy(bob, ALLOW_ALL)
    assert.equal((await sum()).state, 'done')
  })

  test('POLICY-5 nothing in the environment, in a tool’s reach or in another member’s file changes the rules', async () => {
    rmSync(bob.path('policy.toml'), { force: true })
    const generous = kit.file('generous.toml', `${ALLOW_ALL}\n`)
    const env = {
      PMESH_POLICY: generous,
      PMESH_POLICY_FILE: generous,
      PMESH_POLICY_MODE: 'rules',
      PMESH_MODE: 'rules',
      XDG_CONFIG_HOME: kit.folder
    }
    await bob.restart({ env })
    // alice allows everything, and she is not who decides on bob.
    writePolicy(alice, ALLOW_ALL)
    const task = await submit(alice, 'calc', { expression: '1+1' }, { on: bob })
    await answer(alice, task, 'deny')
    assert.equal((await ended(alice, task)).state, 'denied')
    await bob.stop()
    bob.launch({ env: { PMESH_SECURITY_ALLOW_PLAINTEXT: 'providers.x.api_key' } })
    assert.notEqual(await bob.exited(), 0)
    assert.match(bob.output, /CONFIG_INVALID/)
    await bob.start()

    writePolicy(bob, rule('writes', 'allow', 'tool = "file.*"'))
    const before = readFileSync(bob.path('policy.toml'), 'utf8')
    for (const path of ['../policy.toml', bob.path('policy.toml'), `../../../..${bob.path('policy.toml')}`]) {
      const reached = await perform(bob, 'file.write', { path, text: ALLOW_ALL })
      assert.notEqual(reached.state, 'done', path)
    }
    assert.equal(readFileSync(bob.path('policy.toml'), 'utf8'), before)
    assert.equal((await perform(bob, 'file.write', { path: 'policy.toml', text: ALLOW_ALL })).state, 'done')
    assert.equal(readFileSync(bob.path('policy.toml'), 'utf8'), before)
    await verified(bob)
  })
})
