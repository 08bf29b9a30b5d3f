// A call that nobody allowed in advance, on three real nodes: submitted on alice, asked on bob, answered anywhere; what is refused, and what a
// node that was killed at the boundaries of the effect says and does afterwards.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import { converged, errorOf, MeshKit, type NodeHome, until } from './mesh-kit.ts'
import {
  answer,
  asked,
  codeOf,
  ended,
  jsonOf,
  linesOf,
  submit,
  taskEvents,
  timesStarted,
  toldAlike,
  tryShow,
  vote,
  writePolicy
} from './task-kit.ts'

const WRITE = { path: 'note.txt', text: 'written under control' }
describe('approvals across three nodes', () => {
  const kit = new MeshKit({ after })
  let alice: NodeHome
  let bob: NodeHome
  let carol: NodeHome
  let nodes: NodeHome[]

  before(async () => {
    nodes = await kit.mesh('alice', 'bob', 'carol')
    ;[alice, bob, carol] = nodes as [NodeHome, NodeHome, NodeHome]
  })

  const refusedFor = async (node: NodeHome, id: string, why: RegExp) => {
    const { items } = await node.call('approval/list', { all: true })
    const found = items.find((item) => item.id === id)
    assert.equal(found?.mayVote, false)
    assert.match(found?.mayNotBecause ?? '', why)
  }

  test('APPROVE-3 APPROVE-6 TASK-1 AUDIT-1 submitted on one node, asked on another, approved on a third with the command line: run once, and told alike on all', async () => {
    const submitted = alice.cli(
      'task',
      'submit',
      '--tool',
      'file.write',
      '--input',
      JSON.stringify(WRITE),
      '--on',
      'bob'
    )
    const waiting = await until('carol is asked', async () => {
      const listed = jsonOf<{ items: { id: string; task: string; tool: string }[] }>(
        await carol.cli('approval', 'list', '--json')
      )
      return listed.items[0]
    })
    const shown = await carol.cli('approval', 'show', waiting.id.slice(0, 8))
    for (const text of ['file.write', 'written under control', 'note.txt', 'alice', 'bob', '/workspaces/'])
      assert.ok(shown.stdout.includes(text), `${text} in ${shown.stdout}`)
    const detail = await carol.call('approval/show', { approval: waiting.id })
    assert.equal(detail.recomputedDigest, detail.digest)
    assert.deepEqual(JSON.parse(detail.arguments), WRITE)
    assert.match((await carol.cli('status')).stdout, /1 approval waits for you/)

    // Without a terminal nothing is approved by accident.
    assert.equal((await carol.cli('approval', 'approve', waiting.id)).code, 2)
    assert.equal((await tryShow(alice, waiting.task))?.state, 'waiting-approval')
    const approved = await carol.cli('approval', 'approve', waiting.id, '--yes')
    assert.equal(approved.code, 0, approved.stderr)
    const followed = await submitted
    assert.equal(followed.code, 0, followed.stderr)

    const told = await toldAlike(nodes, waiting.task)
    const [call] = told.callRecords
    assert.deepEqual([told.state, told.submitter.name, told.executor?.name], ['done', 'alice', 'bob'])
    assert.equal(await timesStarted(carol, waiting.task), 1)
    assert.equal(call?.request, waiting.id)
    assert.deepEqual(
      call?.votes.map(({ member, vote: word, counted }) => [member.name, word, counted]),
      [['carol', 'approve', true]]
    )
    assert.equal(readFileSync(`${call?.workspace}/note.txt`, 'utf8'), WRITE.text)
    // Request, vote and start are events of those who did them, each behind the one before.
    const events = await taskEvents(alice, waiting.task)
    const by = (type: string) => events.filter((event) => event.type === type).map(({ author }) => author)
    assert.deepEqual(
      [by('approval-requested'), by('approval-voted'), by('tool-started')],
      [['bob'], ['carol'], ['bob']]
    )
    const started = events.find(({ type }) => type === 'tool-started')
    assert.deepEqual(started?.payload.votes, [events.find(({ type }) => type === 'approval-voted')?.id])
    const audit = linesOf(await alice.cli('log', 'show', '--type', 'call-recorded', '--all', '--json'))
      .filter((event) => event.scope === waiting.task)
      .map((event) => JSON.parse(String(event.json)))
    assert.equal(audit.length, 1)
    assert.deepEqual([audit[0].tool, audit[0].method, audit[0].status], ['file.write', 'tool/call', 'done'])
    assert.match(audit[0].who, /^alice /)
    assert.match(audit[0].arguments, /note\.txt/)
    await converged(nodes)
  })

  test('APPROVE-4 AUDIT-1 after a denial the call never runs, whoever approved before, and task submit ends with 12', async () => {
    const submitted = alice.cli(
      'task',
      'submit',
      '--tool',
      'file.write',
      '--input',
      JSON.stringify(WRITE),
      '--on',
      'bob'
    )
    const approval = await until('carol is asked', async () => (await carol.call('approval/list', {})).items[0])
    const denied = await carol.cli('approval', 'deny', approval.id)
    assert.equal(denied.code, 0, denied.stderr)
    const ran = await submitted
    assert.equal(ran.code, 12, ran.stderr)
    const told = await toldAlike(nodes, approval.task)
    assert.equal(told.state, 'denied')
    assert.equal(await timesStarted(alice, approval.task), 0)
    const late = await vote(alice, await alice.call('approval/show', { approval: approval.id }), 'approve').catch(
      (error: { code: string }) => error.code
    )
    assert.equal(late, 'APPROVAL_CLOSED')
    const [audit] = await taskEvents(carol, approval.task, 'call-recorded')
    assert.equal(audit?.payload.status, 'denied')
  })

  test('APPROVE-2 APPROVE-4 POLICY-1 no answer is no: the request expires, the task ends with 15, and a late vote is refused', async () => {
    writePolicy(bob, '[tiers.internal]', 'expires = "2s"')
    const ran = await alice.cli(
      'task',
      'submit',
      '--tool',
      'file.write',
      '--input',
      JSON.stringify(WRITE),
      '--on',
      'bob'
    )
    assert.equal(ran.code, 15, ran.stderr)
    const { items } = await carol.call('approval/list', { all: true })
    const approval = items.find(({ state }) => state === 'expired')
    assert.ok(approval)
    const told = await toldAlike(nodes, approval.task)
    assert.equal(told.state, 'expired')
    assert.equal(await timesStarted(carol, approval.task), 0)
    const detail = await carol.call('approval/show', { approval: approval.id })
    assert.equal(await codeOf(vote(carol, detail, 'approve')), 'APPROVAL_EXPIRED')
    writePolicy(bob, '')
  })

  test('APPROVE-1 an approval of one call releases no other: another digest, another request, another argument', async () => {
    const first = await submit(alice, 'file.write', WRITE, { on: bob })
    const second = await submit(alice, 'file.write', { ...WRITE, text: 'written without control' }, { on: bob })
    const [ofFirst, ofSecond] = [await asked(carol, first), await asked(carol, second)]
    assert.notEqual(ofFirst.digest, ofSecond.digest)
    const mixed = { id: ofSecond.id, digest: ofFirst.digest }
    assert.equal(await codeOf(vote(carol, mixed, 'approve')), 'APPROVAL_DIGEST_MISMATCH')
    const cli = await carol.cli('approval', 'approve', ofSecond.id, '--digest', ofFirst.digest, '--yes', '--json')
    assert.equal(errorOf(cli).code, 'APPROVAL_DIGEST_MISMATCH')
    assert.equal(cli.code, 14)
    await vote(carol, ofFirst, 'approve')
    assert.equal((await ended(alice, first)).state, 'done')
    assert.equal((await tryShow(alice, second))?.state, 'waiting-approval')
    await vote(carol, ofSecond, 'deny')
    assert.equal((await ended(alice, second)).state, 'denied')
    assert.deepEqual([await timesStarted(alice, first), await timesStarted(alice, second)], [1, 0])
  })

  test('APPROVE-2 APPROVE-5 two members approve at once, one twice, one after the use: it runs once', async () => {
    const task = await submit(alice, 'file.write', WRITE, { on: bob })
    const [onAlice, onCarol] = [await asked(alice, task), await asked(carol, task)]
    const codes = await Promise.all([
      codeOf(vote(alice, onAlice, 'approve')),
      codeOf(vote(carol, onCarol, 'approve')),
      codeOf(vote(carol, onCarol, 'approve'))
    ])
    assert.ok(codes.includes('none'), codes.join())
    assert.ok(
      codes.every((code) => code === 'none' || code === 'APPROVAL_CLOSED'),
      codes.join()
    )
    assert.equal((await ended(bob, task)).state, 'done')
    assert.equal(await codeOf(vote(carol, onCarol, 'approve')), 'APPROVAL_CLOSED')
    assert.equal(await codeOf(vote(bob, onAlice, 'approve')), 'APPROVAL_CLOSED')
    assert.equal(await codeOf(vote(bob, onAlice, 'deny')), 'APPROVAL_CLOSED')
    await converged(nodes)
    assert.equal(await timesStarted(alice, task), 1)
    await toldAlike(nodes, task)
  })

  test('APPROVE-3 APPROVE-5 as many members as the tier says must approve, and one with another key where it says so', async () => {
    writePolicy(bob, '[tiers.internal]', 'votes = 2', '[tiers.read-only]', 'another_key = true')
    const task = await submit(alice, 'file.write', WRITE, { on: bob })
    const approval = await asked(alice, task)
    assert.deepEqual([approval.votesNeeded, approval.anotherKey], [2, false])
    await vote(alice, approval, 'approve')
    assert.equal(await codeOf(vote(alice, approval, 'approve')), 'APPROVAL_CLOSED')
    await until('bob counts one', async () => (await asked(bob, task)).votes.length === 1)
    assert.equal((await tryShow(bob, task))?.state, 'waiting-approval')
    await answer(carol, task, 'approve')
    assert.equal((await ended(alice, task)).state, 'done')
    const [started] = await taskEvents(alice, task, 'tool-started')
    assert.equal(new Set(started?.payload.votes as readonly string[]).size, 2)

    const other = await submit(alice, 'calc', { expression: '6*7' }, { on: bob })
    const own = await asked(alice, other)
    assert.equal(own.anotherKey, true)
    await vote(alice, own, 'approve')
    await until('bob has the submitter’s vote', async () => (await asked(bob, other)).votes.length === 1)
    assert.equal((await tryShow(bob, other))?.state, 'waiting-approval')
    await answer(carol, other, 'approve')
    const end = await ended(alice, other)
    assert.deepEqual([end.state, end.answer.trim()], ['done', '42'])
    writePolicy(bob, '')
  })

  test('APPROVE-5 votes that come while the executor is cut off, conflicting or late, run the action once or not at all', async () => {
    writePolicy(bob, '[tiers.internal]', 'votes = 2')
    const [agreed, disputed] = [
      await submit(alice, 'file.write', WRITE, { on: bob }),
      await submit(alice, 'file.write', WRITE, { on: bob })
    ]
    for (const task of [agreed, disputed]) await Promise.all([asked(alice, task), asked(carol, task)])
    process.kill(bob.pid, 'SIGSTOP')
    try {
      await answer(alice, agreed, 'approve')
      await answer(carol, agreed, 'approve')
      await answer(alice, disputed, 'approve')
      await answer(carol, disputed, 'deny')
    } finally {
      process.kill(bob.pid, 'SIGCONT')
    }
    assert.equal((await ended(alice, agreed)).state, 'done')
    assert.equal((await ended(alice, disputed)).state, 'denied')
    await converged(nodes)
    assert.deepEqual([await timesStarted(carol, agreed), await timesStarted(carol, disputed)], [1, 0])
    for (const task of [agreed, disputed]) await toldAlike(nodes, task)
    writePolicy(bob, '')
  })

  test('MEMBER-4 a member that was made an observer neither submits tasks nor runs them; made a member again it does both', async () => {
    const sum = { expression: '1+1' }
    const become = async (role: 'observer' | 'member') => {
      await alice.call('member/role', { member: 'carol', role })
      await until(`carol is ${role}`, async () => (await carol.status()).mesh.role === role)
    }
    await become('observer')
    assert.equal(await codeOf(submit(carol, 'calc', sum)), 'TASK_NO_EXECUTOR')
    assert.notEqual(await codeOf(submit(carol, 'calc', sum, { on: bob })), 'none')
    assert.equal(await codeOf(submit(alice, 'calc', sum, { on: carol })), 'TASK_NO_EXECUTOR')
    await become('member')
    for (const node of [alice, carol]) {
      const task = await submit(node, 'calc', sum, { on: carol })
      await answer(node, task, 'approve')
      const end = await ended(node, task)
      assert.deepEqual([end.state, end.executor?.name], ['done', 'carol'])
    }
    await converged(nodes)
  })

  test('APPROVE-3 APPROVE-5 an observer’s vote and a removed member’s vote count nowhere, and what the removed one said before counts no more', async () => {
    writePolicy(bob, '[tiers.internal]', 'votes = 2')
    const task = await submit(alice, 'file.write', WRITE, { on: bob })
    const approval = await asked(carol, task)
    await alice.call('member/role', { member: 'carol', role: 'observer' })
    await until('carol observes', async () => (await carol.status()).mesh.role === 'observer')
    assert.equal(await codeOf(vote(carol, approval, 'approve')), 'APPROVAL_FORBIDDEN')
    await refusedFor(carol, approval.id, /lacks the right/)
    await alice.call('member/role', { member: 'carol', role: 'member' })
    await until('carol is a member', async () => (await carol.status()).mesh.role === 'member')
    await vote(carol, approval, 'approve')
    await until('bob counts it', async () => (await asked(bob, task)).votes.length === 1)

    await alice.call('member/remove', { member: 'carol' })
    await until('bob knows of the removal', async () => (await bob.member('carol'))?.removed === true)
    await until('carol knows that it is removed', async () => (await carol.status()).state === 'removed')
    assert.notEqual(await codeOf(vote(carol, approval, 'approve')), 'none')
    await vote(alice, approval, 'approve')
    await until('bob has both votes', async () => (await taskEvents(bob, task, 'approval-voted')).length === 2)
    assert.equal((await tryShow(bob, task))?.state, 'waiting-approval')
    await vote(alice, approval, 'deny')
    assert.equal((await ended(alice, task)).state, 'denied')
    assert.equal(await timesStarted(bob, task), 0)
    await converged([alice, bob])
  })

  test('JUDGE-6 REPLAY-1 every run of these tests is decided alike again from the log alone, and nothing runs for it', async () => {
    const task = await submit(alice, 'calc', { expression: '1+1' }, { on: bob })
    await answer(alice, task, 'approve')
    assert.equal((await ended(bob, task)).state, 'done')
    const { items } = await bob.call('task/list', { limit: 100 })
    const before = await bob.heads()
    for (const { id, state } of items) {
      const report = await bob.call('run/replay', { run: id })
      assert.ok(report.stages.length > 0)
      assert.equal(report.equal, true, `${id} ${state}: ${JSON.stringify(report.stages.filter(({ equal }) => !equal))}`)
    }
    assert.deepEqual(await bob.heads(), before)
    const votes = (await bob.events())
      .filter(({ type }) => type === 'judge-voted')
      .map(({ json }) => JSON.parse(json ?? ''))
    assert.ok(votes.length > 0)
    for (const { judge, offline } of votes) assert.deepEqual([judge, offline], ['offline', true])
  })
})
