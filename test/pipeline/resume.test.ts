import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MeshError } from '../../src/base/mesh-error.ts'
import type { EventDraft } from '../../src/log/append-builder.ts'
import { replayRun } from '../../src/pipeline/replay.ts'
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
