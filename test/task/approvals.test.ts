import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RIGHTS } from '../../src/identity/certificate.ts'
import { runEvent } from '../../src/pipeline/run-events.ts'
import { tallyVotes, type VotedRequest } from '../../src/task/approval-decision.ts'
import type { CastVote } from '../../src/task/task-fold.ts'
import type { ApprovalRecord } from '../../src/task/task-records.ts'
import { remove } from '../log/log-kit.ts'
import { ASK_ALL, TaskMesh, type TaskNode, turns } from './task-kit.ts'

const ASKS = { policy: ASK_ALL } as const

async function openRequest(mesh: TaskMesh, name: string): Promise<ApprovalRecord> {
  let request: ApprovalRecord | undefined
  await mesh.until(`a request on ${name}`, async () => {
    ;[request] = await mesh.node(name).engine.approvals(false)
    return request !== undefined
  })
  return request as ApprovalRecord
}

async function approve(node: TaskNode, id: string, vote: 'approve' | 'deny' = 'approve'): Promise<ApprovalRecord> {
  return node.engine.approvalVote(id, vote, (await node.engine.approval(id)).digest)
}

/** A vote as a member's own program would write it, whatever its engine says. */
function forge(node: TaskNode, request: ApprovalRecord, digest: string, extra: object = {}): Promise<unknown> {
  const payload = {
    request: request.id,
    digest,
    vote: 'approve' as const,
    principal: 'owner' as const,
    after: [],
    ...extra
  }
  return node.log.append([runEvent('approval-voted', payload, Buffer.from(request.task, 'hex'))])
}

test('APPROVE-1 APPROVE-6 submitted on one node, asked on another, approved on a third: exactly that call runs, once', async (t) => {
  const mesh = await TaskMesh.open({ alice: {}, bob: ASKS, carol: {} })
  t.after(() => mesh.close())
  const [alice, bob, carol] = [mesh.node('alice'), mesh.node('bob'), mesh.node('carol')]
  const { id } = await alice.submit('hello', { on: 'bob' })
  const request = await openRequest(mesh, 'carol')
  const shown = await carol.engine.approval(request.id.slice(0, 8))
  assert.equal(shown.arguments, '{"text":"hello"}')
  assert.equal(shown.executor.name, 'bob')
  assert.equal(shown.submitter.name, 'alice')
  assert.equal(shown.recomputedDigest, shown.digest)
  assert.equal(await alice.state(id), 'waiting-approval')
  assert.equal(mesh.effects.length, 0)
  assert.equal((await carol.engine.approvalVote(request.id, 'approve', shown.digest)).state, 'approved')
  await mesh.reads('carol', id, 'done')
  assert.deepEqual(mesh.effectsOf('hello'), ['bob'])
  assert.equal((await carol.engine.approval(request.id)).state, 'used')
  const detail = await alice.engine.task(id)
  assert.deepEqual(
    detail.callRecords[0]?.votes.map(({ member, counted }) => [member.name, counted]),
    [['carol', true]]
  )
  await assert.rejects(approve(bob, request.id), { code: 'APPROVAL_CLOSED' })
  assert.ok((await bob.types(id)).includes('approval-voted'))
})

test('APPROVE-1 a vote is refused when what is shown is not what was asked for, and a vote with another digest counts nowhere', async (t) => {
  const mesh = await TaskMesh.open({ alice: {}, bob: ASKS })
  t.after(() => mesh.close())
  const [alice, bob] = [mesh.node('alice'), mesh.node('bob')]
  const { id } = await alice.submit('hello', { on: 'bob' })
  const request = await openRequest(mesh, 'alice')
  const other = 'cd'.repeat(32)
  await assert.rejects(alice.engine.approvalVote(request.id, 'approve', other), { code: 'APPROVAL_DIGEST_MISMATCH' })
  await forge(alice, request, other)
  await mesh.pass(5_000)
  assert.equal(mesh.effects.length, 0)
  // The executor asks for one call and shows another.
  const scope = Buffer.from(id, 'hex')
  const lie = {
    attempt: 1,
    call: 2,
    digest: other,
    epoch: 1,
    expiresAtMs: bob.clock.now() + 60_000,
    votes: 1,
    anotherKey: false
  }
  await bob.log.append([runEvent('approval-requested', { ...lie, tier: 'external', reasons: [], after: [] }, scope)])
  await turns()
  const lies = (await alice.engine.approvals(false)).find(({ call }) => call === 2)
  assert.ok(lies)
  await assert.rejects(alice.engine.approvalVote(lies.id, 'approve', other), { code: 'APPROVAL_DIGEST_MISMATCH' })
})

test('APPROVE-2 no answer means no: the executor’s clock ends it, and a late vote releases nothing', async (t) => {
  const mesh = await TaskMesh.open({ alice: {}, bob: ASKS })
  t.after(() => mesh.close())
  const [alice, bob] = [mesh.node('alice'), mesh.node('bob')]
  const { id } = await alice.submit('hello', { on: 'bob' })
  const request = await openRequest(mesh, 'alice')
  mesh.cut('alice', 'bob')
  await forge(alice, request, (await alice.engine.approval(request.id)).digest)
  await mesh.pass(Date.parse(request.expiresAt) - bob.clock.now() + 1_000)
  await mesh.reads('bob', id, 'expired', 1_000)
  await mesh.heal('alice', 'bob')
  await mesh.reads('alice', id, 'expired')
  assert.equal(mesh.effects.length, 0)
  assert.equal((await alice.engine.approval(request.id)).state, 'expired')
  await assert.rejects(approve(alice, request.id), { code: 'APPROVAL_EXPIRED' })
})

test('APPROVE-2 a request survives restarts of its executor and its approver; one yes runs one call', async (t) => {
  const mesh = await TaskMesh.open({ alice: {}, bob: ASKS })
  t.after(() => mesh.close())
  const [alice, bob] = [mesh.node('alice'), mesh.node('bob')]
  const { id } = await alice.submit('hello', { on: 'bob' })
  const request = await openRequest(mesh, 'alice')
  await bob.restart()
  await alice.restart()
  await mesh.pass(5_000)
  assert.deepEqual(
    (await alice.engine.approvals(false)).map((open) => open.id),
    [request.id]
  )
  await approve(alice, request.id)
  await mesh.reads('alice', id, 'done')
  const again = await alice.submit('hello', { on: 'bob' })
  const second = await openRequest(mesh, 'alice')
  assert.notEqual(second.id, request.id, 'the first yes is used up')
  assert.equal(second.task, again.id)
  await mesh.pass(5_000)
  assert.deepEqual(mesh.effectsOf('hello'), ['bob'])
})

test('APPROVE-2 after a restart an old yes is used only once another member confirmed the own head', async (t) => {
  const mesh = await TaskMesh.open({ alice: {}, bob: ASKS })
  t.after(() => mesh.close())
  const [alice, bob] = [mesh.node('alice'), mesh.node('bob')]
  const { id } = await alice.submit('hello', { on: 'bob' })
  const request = await openRequest(mesh, 'alice')
  bob.confirmed = false
  await bob.restart()
  await approve(alice, request.id)
  await mesh.pass(60_000)
  assert.equal(mesh.effects.length, 0)
  bob.confirmed = true
  bob.engine.lookAgain()
  await mesh.reads('alice', id, 'done')
})

test('APPROVE-2 a new epoch of the executor voids the open request: another is asked for', async (t) => {
  const mesh = await TaskMesh.open({ alice: {}, bob: ASKS })
  t.after(() => mesh.close())
  const [alice, bob] = [mesh.node('alice'), mesh.node('bob')]
  const { id } = await alice.submit('hello', { on: 'bob' })
  const request = await openRequest(mesh, 'alice')
  const { digest } = await alice.engine.approval(request.id)
  const missing = bob.log.ownChain().tips[0] ?? null
  await bob.log.openEpoch({ fork: null, missing, branches: [], instance: Buffer.alloc(16, 1) })
  await mesh.sync()
  await forge(alice, request, digest)
  await mesh.pass(30_000)
  assert.equal(mesh.effects.length, 0)
  await assert.rejects(alice.engine.approval(request.id), { code: 'APPROVAL_CLOSED' })
  const second = await openRequest(mesh, 'alice')
  assert.notEqual(second.id, request.id)
  await approve(alice, second.id)
  await mesh.reads('alice', id, 'done')
  assert.deepEqual(mesh.effectsOf('hello'), ['bob'])
})

test('APPROVE-3 only an owner with the right votes: not an agent, not a token, not a member without the right, not who was removed', async (t) => {
  const mesh = await TaskMesh.open({ alice: {}, bob: ASKS, carol: { rights: RIGHTS.witness }, dave: {} })
  t.after(() => mesh.close())
  const [alice, bob, carol, dave] = [mesh.node('alice'), mesh.node('bob'), mesh.node('carol'), mesh.node('dave')]
  const { id } = await alice.submit('hello', { on: 'bob' })
  const request = await openRequest(mesh, 'alice')
  const { digest } = await alice.engine.approval(request.id)
  for (const principal of ['agent', 'token', 'peer'] as const) {
    await assert.rejects(alice.engine.approvalVote(request.id, 'approve', digest, principal), {
      code: 'APPROVAL_FORBIDDEN'
    })
    await forge(alice, request, digest, { principal })
  }
  await assert.rejects(carol.engine.approvalVote(request.id, 'approve', digest), { code: 'APPROVAL_FORBIDDEN' })
  assert.match((await carol.engine.approval(request.id)).mayNotBecause, /right/)
  await assert.rejects(forge(carol, request, digest), { code: 'EVENT_FORBIDDEN' })
  mesh.cut('bob', 'dave')
  await forge(dave, request, digest)
  await turns()
  await remove(alice.log, dave.id)
  await mesh.sync()
  await mesh.pass(5_000)
  assert.equal(mesh.effects.length, 0)
  assert.equal(await bob.state(id), 'waiting-approval')
  await approve(alice, request.id)
  await mesh.reads('bob', id, 'done')
})

test('APPROVE-3 the owner confirms the own request, unless another key is demanded', () => {
  const request = { id: 'r', digest: 'd', votes: 1, anotherKey: true }
  const vote = cast('alice')
  assert.equal(tally(request, [vote], 'alice').decision, 'open')
  assert.equal(tally({ ...request, anotherKey: false }, [vote], 'alice').decision, 'approved')
  assert.equal(tally(request, [vote, cast('bob')], 'alice').decision, 'approved')
})

test('APPROVE-4 after a denial the call never runs, whoever approves then', async (t) => {
  const mesh = await TaskMesh.open({ alice: {}, bob: ASKS, carol: {} })
  t.after(() => mesh.close())
  const [alice, bob, carol] = [mesh.node('alice'), mesh.node('bob'), mesh.node('carol')]
  const { id } = await alice.submit('hello', { on: 'bob' })
  const request = await openRequest(mesh, 'alice')
  await openRequest(mesh, 'carol')
  mesh.cut('alice', 'bob')
  mesh.cut('alice', 'carol')
  await approve(alice, request.id)
  await approve(carol, request.id, 'deny')
  await mesh.reads('bob', id, 'denied')
  await mesh.heal('alice', 'bob')
  await mesh.heal('alice', 'carol')
  await mesh.reads('alice', id, 'denied')
  await bob.restart()
  await mesh.pass(600_000)
  assert.equal(mesh.effects.length, 0)
  assert.equal((await alice.engine.approval(request.id)).state, 'denied')
})

test('APPROVE-5 APPROVE-3 two members and another key than the submitter’s are asked for, counted over the mesh', async (t) => {
  const policy = '[tiers.irreversible]\nvotes = 2\nanother_key = true\n'
  const mesh = await TaskMesh.open({ alice: { policy, tool: { tier: 'irreversible' } }, bob: {}, carol: {} })
  t.after(() => mesh.close())
  const [alice, bob, carol] = [mesh.node('alice'), mesh.node('bob'), mesh.node('carol')]
  const { id } = await alice.submit('hello', { on: 'alice' })
  const request = await openRequest(mesh, 'carol')
  assert.deepEqual([request.votesNeeded, request.anotherKey], [2, true])
  await approve(alice, request.id)
  await assert.rejects(approve(alice, request.id), { code: 'APPROVAL_CLOSED' })
  await forge(alice, request, (await alice.engine.approval(request.id)).digest)
  await mesh.pass(5_000)
  assert.equal(mesh.effects.length, 0)
  await approve(bob, request.id)
  await mesh.reads('carol', id, 'done')
  await assert.rejects(approve(carol, request.id), { code: 'APPROVAL_CLOSED' })
  assert.equal(mesh.effects.length, 1)
})

const BASE: VotedRequest = { id: 'r', digest: 'd', votes: 2, anotherKey: false }

function cast(voter: string, extra: Partial<CastVote> = {}): CastVote {
  const vote = {
    id: `${voter}${Math.random()}`,
    timeMs: 0,
    request: 'r',
    digest: 'd',
    vote: 'approve',
    principal: 'owner',
    after: [],
    voter
  }
  return { ...vote, ...extra } as CastVote
}

function tally(request: VotedRequest, votes: CastVote[], submitter = 'alice'): ReturnType<typeof tallyVotes> {
  return tallyVotes(request, votes, submitter, (key) => key !== 'removed')
}

test('APPROVE-5 N different members count: copies, other digests, other requests and removed members do not', () => {
  const alice = cast('alice')
  const nothing = [
    [alice],
    [alice, cast('alice')],
    [alice, cast('bob', { digest: 'e' })],
    [alice, cast('bob', { request: 's' })],
    [alice, cast('bob', { principal: 'agent' })],
    [alice, cast('removed')]
  ]
  for (const votes of nothing) assert.equal(tally(BASE, votes).decision, 'open', JSON.stringify(votes))
  const enough = tally(BASE, [alice, cast('bob'), cast('alice')])
  assert.equal(enough.decision, 'approved')
  assert.deepEqual(
    enough.counted.map(({ voter }) => voter),
    ['alice', 'bob']
  )
  assert.equal(tally(BASE, [alice, cast('bob'), cast('carol', { vote: 'deny' })]).decision, 'denied')
  assert.equal(tally(BASE, [alice, cast('bob'), cast('bob', { vote: 'deny' })]).decision, 'denied')
  assert.equal(tally(BASE, [alice, cast('bob'), cast('carol', { vote: 'deny', digest: 'e' })]).decision, 'approved')
})

test('APPROVE-5 votes that conflict across a partition run the call at most once, and everybody reads the same end', async (t) => {
  for (const first of ['carol', 'dave']) {
    const mesh = await TaskMesh.open({ alice: {}, bob: ASKS, carol: {}, dave: {} })
    t.after(() => mesh.close())
    const { id } = await mesh.node('alice').submit('hello', { on: 'bob' })
    const request = await openRequest(mesh, 'carol')
    await openRequest(mesh, 'dave')
    for (const [a, b] of [
      ['bob', 'carol'],
      ['bob', 'dave'],
      ['carol', 'dave'],
      ['alice', 'carol'],
      ['alice', 'dave']
    ] as const)
      mesh.cut(a, b)
    await approve(mesh.node('carol'), request.id)
    await approve(mesh.node('dave'), request.id, 'deny')
    await mesh.heal('bob', first)
    await mesh.pass(5_000)
    for (const [a, b] of [
      ['bob', 'carol'],
      ['bob', 'dave'],
      ['carol', 'dave'],
      ['alice', 'carol'],
      ['alice', 'dave']
    ] as const)
      await mesh.heal(a, b)
    await mesh.pass(60_000)
    const states = new Set<string>()
    for (const name of ['alice', 'bob', 'carol', 'dave']) states.add(await mesh.node(name).state(id))
    assert.deepEqual([...states], [first === 'carol' ? 'done' : 'denied'])
    assert.equal(mesh.effects.length, first === 'carol' ? 1 : 0)
  }
})

test('a followed task shows its state, stages, request and end; followed approvals show what opens and how it ends', async (t) => {
  const mesh = await TaskMesh.open({ alice: {}, bob: ASKS })
  t.after(() => mesh.close())
  const [alice] = [mesh.node('alice')]
  const { id } = await alice.submit('hello', { on: 'bob' })
  const told: string[] = []
  const following = (async () => {
    for await (const update of alice.engine.taskFollow(id.slice(0, 8), new AbortController().signal)) {
      if (update.kind === 'state') told.push(update.task.state)
      else if (update.kind === 'stage') told.push(update.stage.stage)
      else if (update.kind === 'approval') told.push(`approval ${update.approval.state}`)
      else told.push(`${update.kind} ${update.kind === 'end' ? update.answer : ''}`.trim())
    }
  })()
  const stop = new AbortController()
  const seen: string[] = []
  const watching = (async () => {
    for await (const record of alice.engine.approvalFollow(stop.signal)) seen.push(record.state)
  })()
  await approve(alice, (await openRequest(mesh, 'alice')).id)
  await mesh.reads('alice', id, 'done')
  await following
  await turns()
  stop.abort()
  await watching
  assert.deepEqual(told.filter((line) => !line.includes('approved')).slice(-1), ['end done'])
  for (const expected of [
    'waiting-approval',
    'guardrail',
    'policy',
    'approval',
    'tool',
    'judge',
    'approval open',
    'approval used',
    'output',
    'done'
  ])
    assert.ok(told.includes(expected), `${expected} in ${told.join(', ')}`)
  assert.equal(seen[0], 'open')
  assert.equal(seen.at(-1), 'used')
  await assert.rejects(alice.engine.task('00'.repeat(16)), { code: 'TASK_UNKNOWN' })
  await assert.rejects(alice.engine.approval('00'.repeat(32)), { code: 'APPROVAL_UNKNOWN' })
})
