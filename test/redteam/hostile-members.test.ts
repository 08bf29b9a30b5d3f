// Attacks by an admitted member: records about tasks that are not its own, judges that it asks for, conversations that it was part of.

import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { systemClock } from '../../src/base/clock.ts'
import { LIMITS } from '../../src/base/limits.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { createPatternGuard } from '../../src/guard/pattern-guard.ts'
import { queryEvents } from '../../src/log/event-query.ts'
import { openDailyBudget } from '../../src/model/daily-budget.ts'
import type { NodeJudges } from '../../src/model/judge-panel.ts'
import { replayFromLog } from '../../src/node/run-replay.ts'
import type { RecordedMessage } from '../../src/pipeline/recorded-run.ts'
import type { AgentRunner } from '../../src/pipeline/run-contract.ts'
import { type RunEvent, runEvent } from '../../src/pipeline/run-events.ts'
import { createAgentRunner } from '../../src/task/agent-loop.ts'
import { conversationHistory } from '../../src/task/conversation.ts'
import { RemoteJudges } from '../../src/task/remote-judges.ts'
import { TaskBook } from '../../src/task/task-book.ts'
import { readTaskEvents } from '../../src/task/task-events.ts'
import { foldTask } from '../../src/task/task-fold.ts'
import { taskScope } from '../../src/task/task-scope.ts'
import { remove } from '../log/log-kit.ts'
import type { ChatReply } from '../model/chat-server.ts'
import { scriptedModels } from '../model/model-kit.ts'
import { outcome, RunKit, testTool } from '../pipeline/run-kit.ts'
import { ASK_ALL, gate, TaskMesh, type TaskNode, turns } from '../task/task-kit.ts'

async function meshOf(t: TestContext, options: Parameters<typeof TaskMesh.open>[0]): Promise<TaskMesh> {
  const mesh = await TaskMesh.open(options)
  t.after(() => mesh.close())
  return mesh
}

/** A node's judge that is asked by members; `votes` counts what it judged. */
function judgeOf(
  node: TaskNode,
  allowed = 100
): { ask: (peer: TaskNode, place: object) => Promise<string>; votes: () => number } {
  let votes = 0
  let left = allowed
  const judges: NodeJudges = {
    judge: async () => ({ verdict: 'unsafe', reason: 'unused', votes: [] }),
    vote: async () => {
      votes++
      const said = { verdict: 'safe' as const, confidence: 1, reason: 'safe', durationMs: 0, usage: null }
      return { judge: 'offline', offline: true, member: node.id, ...said }
    }
  }
  const remote = new RemoteJudges(node.log, async () => null, node.clock, {
    take: async () => left-- > 0,
    charge: async () => undefined
  })
  const ask = (peer: TaskNode, place: object): Promise<string> =>
    remote
      .answer(peer.id, { place, task: 'x', tool: 'probe', argumentText: '{}', output: 'fine' }, judges)
      .then(({ vote }) => vote)
  return { ask, votes: () => votes }
}

test('JUDGE-7 only who runs an attempt has its calls judged elsewhere, each once: nobody writes into another’s run by asking', async (t) => {
  const mesh = await meshOf(t, { alice: {}, bob: { policy: ASK_ALL }, mallory: {} })
  const [alice, bob, mallory] = [mesh.node('alice'), mesh.node('bob'), mesh.node('mallory')]
  const { id } = await alice.submit('hello', { on: 'bob' })
  await mesh.until('it is assigned', async () => (await bob.engine.task(id)).executor !== null)
  const place = { task: id, attempt: 1, call: 1 }
  const judge = judgeOf(bob)
  const forbidden = { code: 'MEMBER_FORBIDDEN' }
  await assert.rejects(judge.ask(mallory, place), forbidden)
  await assert.rejects(judge.ask(mallory, { ...place, call: 2 ** 53 - 1 }), forbidden)
  await assert.rejects(judge.ask(bob, place), forbidden, 'not by itself over the wire')
  assert.equal(judge.votes(), 0)
  assert.ok(!(await bob.types(id)).includes('judge-voted'))

  const atAlice = judgeOf(alice)
  assert.match(await atAlice.ask(bob, place), /^[0-9a-f]{64}$/)
  await assert.rejects(atAlice.ask(bob, place), forbidden, 'a second vote on one call')
  await assert.rejects(judgeOf(alice, 0).ask(bob, place), { code: 'MODEL_BUDGET_USED' })
  await remove(alice.log, bob.id)
  await assert.rejects(judgeOf(alice).ask(bob, place), forbidden, 'who was removed')
})

test('TASK-2 SANDBOX-3 a member that writes thousands of records about another’s open task fills no memory and changes nothing', async (t) => {
  const mesh = await meshOf(t, { alice: {}, bob: {}, mallory: {} })
  const [alice, mallory] = [mesh.node('alice'), mesh.node('mallory')]
  mesh.cut('alice', 'bob')
  const { id } = await alice.submit('hello', { on: 'bob' })
  const book = new TaskBook({ log: alice.log, clock: alice.clock, logger: silentLogger })
  book.start()
  await book.settled()
  const scope = Buffer.from(id, 'hex')
  const payload = {
    request: 'ab'.repeat(32),
    digest: 'cd'.repeat(32),
    vote: 'deny' as const,
    principal: 'owner' as const,
    after: []
  }
  const vote = runEvent('approval-voted', payload, scope)
  const extra = 300
  for (let written = 0; written < LIMITS.taskStateEventsPerAuthorMax + extra; written += extra)
    await mallory.log.append(Array.from({ length: extra }, () => vote))
  await mesh.sync()
  await turns()
  await book.settled()
  assert.equal(book.get(id)?.state, 'submitted')
  assert.equal(book.get(id)?.votes.length, LIMITS.taskStateEventsPerAuthorMax)
  const kept = await readTaskEvents(alice.log, scope, new Set(['approval-voted']))
  assert.ok(kept.length > LIMITS.taskStateEventsPerAuthorMax, 'the log has them all')
  await book.stop()
})

test('POLICY-3 GUARD-5 a conversation taints the run that goes on with it: by what it had seen, and where another member ran it', async (t) => {
  const told: (readonly RecordedMessage[])[] = []
  const talk: AgentRunner = async (run, task) => {
    told.push(task.history)
    await run.recordMessage({ index: 0, role: 'user', text: task.prompt, calls: [] })
    const { text } = await run.call({
      call: 1,
      tool: 'probe',
      argumentText: '{"text":"x"}',
      purpose: '',
      granted: true
    })
    await run.recordMessage({ index: 1, role: 'assistant', text: `answer ${text}`, calls: [] })
    return { outcome: 'done', reason: 'ok', answer: '', inputTokens: 0, outputTokens: 0, costMicros: 0 }
  }
  const tool = { taints: 'web' as const }
  const mesh = await meshOf(t, { alice: { agents: talk }, bob: { agents: talk, tool } })
  const [alice, bob] = [mesh.node('alice'), mesh.node('bob')]
  const ask = { kind: 'agent', name: 'helper', conversation: 'ab'.repeat(16) } as const
  const first = await alice.submit('', { ...ask, on: 'bob', input: 'one' })
  await mesh.reads('alice', first.id, 'done')
  await mesh.pass(1)
  const second = await alice.submit('', { ...ask, on: 'alice', input: 'two' })
  await mesh.reads('alice', second.id, 'done')
  assert.deepEqual(
    told[1]?.map(({ text, elsewhere }) => [text, elsewhere]),
    [
      ['one', true],
      ['answer done', true]
    ]
  )
  const events = await readTaskEvents(alice.log, Buffer.from(second.id, 'hex'))
  const fold = foldTask(second.id, events)
  assert.deepEqual(fold?.run?.calls.get(1)?.proposed?.taint, ['model', 'peer', 'web'])
  assert.ok((await conversationHistory(bob.log, fold, bob.id)).taint.includes('web'))
})

test('REPLAY-1 a policy in pieces without end, or under the hash of another, is nobody’s policy', async (t) => {
  const { hold, open } = gate()
  const mesh = await meshOf(t, { alice: {}, mallory: {} })
  const [alice, mallory] = [mesh.node('alice'), mesh.node('mallory')]
  mallory.whileRunning = hold
  const { id } = await alice.submit('hello', { on: 'mallory' })
  const piece = (part: number, text: string): RunEvent<'policy-recorded'> => ({
    hash: 'ab'.repeat(32),
    part,
    parts: 2 ** 32 - 1,
    text
  })
  await mallory.log.append(
    [piece(2 ** 32 - 2, 'mode = "rules"'), piece(0, '')].map((one) => runEvent('policy-recorded', one))
  )
  open()
  await mesh.reads('alice', id, 'done')
  const begun = performance.now()
  const guard = createPatternGuard()
  const host = { host: { guard }, offlineJudge: () => ({ verdict: 'safe' as const }) }
  const report = await replayFromLog(alice.log, host as unknown as Parameters<typeof replayFromLog>[1], id)
  assert.equal(report.equal, true)
  assert.ok(performance.now() - begun < 5_000)
  let pieces = 0
  for await (const _ of queryEvents(alice.log, { type: 'policy-recorded', author: mallory.id })) pieces++
  assert.ok(pieces >= 3)
})

test('JUDGE-3 members’ tasks spend half of an agent’s day at most: the owner’s own run goes on', async (t) => {
  const wants: ChatReply = { kind: 'calls', calls: [{ tool: 'probe', arguments: '{"text":"again"}', id: 'x' }] }
  const more = '[agents.helper]\nprovider = "local"\nmodel = "small"\ntools = ["probe"]\nbudget_micros_per_day = 400\n'
  const models = await scriptedModels(t, { replies: [wants, wants, { kind: 'text', text: 'fine' }], more })
  const budget = openDailyBudget({ get: () => null, set: async () => undefined }, systemClock)
  const guard = createPatternGuard()
  const agents = createAgentRunner({ models: models.book, budget, guard, clock: systemClock })
  const run = async (self: boolean) => {
    const submitter = { name: 'bob', peerId: '12D3KooWbob', self }
    const start = { submitter, principal: self ? 'owner' : 'peer' } as const
    const kit = await RunKit.open(t, { tools: [testTool(() => outcome('ok'))], agents, start })
    const end = await kit.execute({ kind: 'agent', name: 'helper', input: 'Go on.' })
    return [end.outcome, end.reason]
  }
  assert.deepEqual(await run(false), ['failed', 'MODEL_BUDGET_USED'])
  assert.equal(models.server.requests.length, 2, 'two calls of 105 millionths')
  assert.deepEqual(await run(false), ['failed', 'MODEL_BUDGET_USED'])
  assert.equal(models.server.requests.length, 2)
  assert.deepEqual(await run(true), ['done', 'answered'])
})

test('TASK-1 SANDBOX-3 a member’s task with an input without end is no load on who runs it', async (t) => {
  const mesh = await meshOf(t, { alice: {}, mallory: {} })
  const [alice, mallory] = [mesh.node('alice'), mesh.node('mallory')]
  mesh.cut('alice', 'mallory')
  const nonce = 'ab'.repeat(16)
  const scope = taskScope(mallory.id, nonce)
  const parts = 120
  for (let part = 0; part < parts; part++)
    await mallory.log.append([runEvent('task-input', { part, parts, text: 'x'.repeat(48_000) }, scope)])
  const submitted: RunEvent<'task-submitted'> = {
    nonce,
    kind: 'tool',
    name: 'probe',
    on: alice.id,
    principal: 'owner',
    tierMax: 'irreversible',
    inputParts: parts,
    expiresAtMs: mallory.clock.now() + 600_000,
    conversation: null,
    taint: []
  }
  await mallory.log.append([runEvent('task-submitted', submitted, scope)])
  await mesh.heal('alice', 'mallory')
  const id = scope.toString('hex')
  await mesh.reads('mallory', id, 'failed')
  assert.equal((await mallory.engine.task(id)).reason, 'input-missing')
  const events = await readTaskEvents(alice.log, scope)
  const bytes = events.reduce((sum, { payload }) => sum + (payload?.length ?? 0), 0)
  assert.ok(bytes < 9 * LIMITS.toolInputBytesMax, `${bytes} bytes are held of it`)
  assert.equal(mesh.effects.length, 0)
})
