import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MeshError } from '../../src/base/mesh-error.ts'
import type { EventDraft } from '../../src/log/append-builder.ts'
import { replayRun } from '../../src/pipeline/replay.ts'
import type { AgentRunner } from '../../src/pipeline/run-contract.ts'
import { parsePolicy } from '../../src/policy/policy-file.ts'
import { outcome, RunKit, testTool } from './run-kit.ts'

const stopping = new MeshError('NODE_STOPPING', 'stopped by the test')

test('REPLAY-2 stopped at every append and begun again, the effect happens once or the call reads unknown', async (t) => {
  const outcomes: string[] = []
  for (let stopAt = 0; ; stopAt++) {
    const tool = testTool(() => outcome('done'), { tier: 'external' })
    const kit = await RunKit.open(t, {
      tools: [tool],
      policy: '',
      answer: async () => ({ kind: 'approved', votes: [] })
    })
    let appends = 0
    const append = async (drafts: readonly EventDraft[]) => {
      if (appends++ === stopAt) throw stopping
      return kit.append(drafts)
    }
    const end = await kit.execute({}, undefined, { ...kit.ports(), append }).catch(() => null)
    const ranBefore = tool.calls.length
    const again = await kit.execute({})
    outcomes.push(again.outcome)
    assert.ok(tool.calls.length <= 1, `stopped at append ${stopAt}: the tool ran ${tool.calls.length} times`)
    if (end === null && ranBefore === 1) assert.equal(again.outcome, 'unknown')
    if (end !== null) break
  }
  assert.ok(outcomes.includes('done') && outcomes.includes('unknown'), outcomes.join())
})

test('APPROVE-2 an open request survives a restart: the same request is waited for, nothing is asked twice', async (t) => {
  const tool = testTool(() => outcome('ran'))
  let stop = true
  const kit = await RunKit.open(t, {
    tools: [tool],
    policy: '',
    answer: async () => {
      if (stop) throw stopping
      return { kind: 'approved', votes: [] }
    }
  })
  await assert.rejects(kit.execute({}), { code: 'NODE_STOPPING' })
  stop = false
  assert.equal((await kit.execute({})).outcome, 'done')
  assert.equal(kit.requests.length, 2)
  assert.equal(kit.requests[0]?.id, kit.requests[1]?.id)
  assert.equal((await kit.fold()).calls.get(1)?.requests.length, 1)
})

test('REPLAY-1 a run is decided again from the log alone with the same verdicts and no effect; other rules are seen', async (t) => {
  const tool = testTool(() => outcome('fine'))
  const kit = await RunKit.open(t, { tools: [tool] })
  await kit.execute({})
  const run = await kit.fold()
  const { guard } = kit.ports()
  const text = (await kit.events())
    .filter(({ type }) => type === 'policy-recorded')
    .map(({ payload }) => JSON.parse(Buffer.from(payload ?? []).toString()).text)
    .join('')
  const task = { kind: 'tool', principal: 'owner', submitter: { peerId: '12D3KooWalice', self: true } } as const
  const ports = {
    guard,
    parsePolicy: (rules: string) => parsePolicy(rules, 'policy.toml'),
    policyText: () => text,
    votesSuffice: () => true,
    offlineJudge: () => ({ verdict: 'safe' as const })
  }
  const steps = replayRun(run, task, ports)
  assert.deepEqual(
    steps.map(({ stage, equal, note }) => `${stage} ${equal} ${note === ''}`),
    [
      'guardrail true true',
      'policy true true',
      'approval true true',
      'tool true false',
      'guardrail true true',
      'judge true true'
    ]
  )
  assert.equal(tool.calls.length, 1)
  const other = replayRun(run, task, {
    ...ports,
    policyText: () => 'mode = "read-only"\n\n[[rule]]\nid = "no"\neffect = "deny"\ntool = "*"\n'
  })
  assert.equal(other.find(({ stage }) => stage === 'policy')?.equal, false)
  const unread = replayRun(run, task, { ...ports, policyText: () => 'no rules' })
  assert.match(unread.find(({ stage }) => stage === 'policy')?.note ?? '', /recorded rules/)
})

for (const [tier, expected] of [
  ['external', 'unknown'],
  ['internal', 'interrupted']
] as const) {
  test(`APPROVE-4 an ${tier} effect whose judges were never heard reads ${expected}: nobody is asked again and nothing runs again`, async (t) => {
    const tool = testTool(() => outcome('fine'), { tier })
    const kit = await RunKit.open(t, {
      tools: [tool],
      policy: '',
      answer: async () => ({ kind: 'approved', votes: [] })
    })
    const judges = { judge: () => Promise.reject(stopping) }
    await assert.rejects(kit.execute({}, undefined, { ...kit.ports(), judges }), { code: 'NODE_STOPPING' })
    assert.equal((await kit.fold()).calls.get(1)?.finished?.status, 'ok')
    const again = await kit.execute({})
    assert.equal(again.outcome, expected)
    assert.deepEqual([tool.calls.length, kit.requests.length], [1, 1])
  })
}

test('REPLAY-2 an agent that goes on in another process ends with the calls and the cost of both', async (t) => {
  const spent = { status: 'ok', model: 'a/b', durationMs: 1, inputTokens: 10, outputTokens: 5, costMicros: 7 }
  let begun = 0
  const agents: AgentRunner = async (run) => {
    const number = ++begun
    await run.recordModel({ ...spent, step: number })
    await run.call({ call: number, tool: 'probe', argumentText: '{"text":"hello"}', purpose: 'the test' })
    throw number === 1 ? stopping : new MeshError('CANCELLED', 'cancelled by the test')
  }
  const kit = await RunKit.open(t, { tools: [testTool(() => outcome('fine'))], agents })
  await assert.rejects(kit.execute({ kind: 'agent', name: 'helper' }), { code: 'NODE_STOPPING' })
  await kit.execute({ kind: 'agent', name: 'helper' })
  const finished = (await kit.fold()).finished
  assert.deepEqual(
    [finished?.outcome, finished?.calls, finished?.inputTokens, finished?.outputTokens, finished?.costMicros],
    ['cancelled', 2, 20, 10, 14]
  )
})

test('APPROVE-1 arguments that the guardrail changed are whole in the log wherever their record was torn', async (t) => {
  const input = JSON.stringify({ text: `a\u200bb ${'words and more words '.repeat(10_000)}` })
  for (let stopAt = 0, torn = true; torn; stopAt++) {
    const kit = await RunKit.open(t, { tools: [testTool(() => outcome('fine'))] })
    let appends = 0
    const append = async (drafts: readonly EventDraft[]) => {
      if (appends++ === stopAt) throw stopping
      return kit.append(drafts)
    }
    torn = await kit.execute({ input }, undefined, { ...kit.ports(), append }).then(
      () => false,
      () => true
    )
    await kit.execute({ input })
    const call = (await kit.fold()).calls.get(1)
    assert.notEqual(call?.givenText, null, `stopped at append ${stopAt}`)
    assert.notEqual(call?.argumentText, null, `stopped at append ${stopAt}`)
    assert.ok(stopAt > 0 || torn)
  }
})
