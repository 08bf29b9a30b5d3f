import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../../src/base/clock.ts'
import { LIMITS } from '../../src/base/limits.ts'
import { silentLogger } from '../../src/base/logger.ts'
import type { AgentRunner } from '../../src/pipeline/run-contract.ts'
import { TaskBook } from '../../src/task/task-book.ts'
import { readTaskEvents } from '../../src/task/task-events.ts'
import { foldTask } from '../../src/task/task-fold.ts'
import { TaskMesh, turns } from './task-kit.ts'

test('a book that is full finds what waits in the log once there is room', async (t) => {
  const mesh = await TaskMesh.open({ alice: {}, bob: {} })
  t.after(() => mesh.close())
  const alice = mesh.node('alice')
  mesh.cut('alice', 'bob')
  const ids: string[] = []
  for (let index = 0; index < 12; index++) ids.push((await alice.submit(`job ${index}`, { on: 'bob' })).id)
  const book = new TaskBook({ log: alice.log, clock: alice.clock, logger: silentLogger, tasksMax: 4 })
  book.start()
  await book.settled()
  assert.equal(book.size, 4)
  const seen = new Set<string>()
  for (let round = 0; round < 12 && seen.size < 12; round++) {
    const [task] = book.open()
    assert.ok(task, `round ${round}`)
    seen.add(task.id)
    await alice.engine.taskCancel(task.id)
    await turns()
    await book.settled()
    assert.ok(book.size <= 4)
  }
  assert.equal(seen.size, 12)
  await book.stop()
})

test('one member’s tasks fill half of a book and no more; the rest are found when some of them end', async (t) => {
  const mesh = await TaskMesh.open({ alice: {}, bob: {}, carol: {}, dave: {} })
  t.after(() => mesh.close())
  for (const name of ['alice', 'bob', 'dave']) mesh.cut('carol', name)
  const [alice, bob, dave] = [mesh.node('alice'), mesh.node('bob'), mesh.node('dave')]
  const ofBob = await bob.submit('job of bob', { on: 'carol' })
  const ofAlice: string[] = []
  for (let index = 0; index < 8; index++) ofAlice.push((await alice.submit(`job ${index}`, { on: 'carol' })).id)
  await turns()
  const book = new TaskBook({ log: dave.log, clock: dave.clock, logger: silentLogger, tasksMax: 4 })
  t.after(() => book.stop())
  book.start()
  await book.settled()
  const open = () => new Set(book.open().map(({ id }) => id))
  assert.ok(open().has(ofBob.id), 'the newer tasks of alice do not keep it out')
  assert.equal(ofAlice.filter((id) => open().has(id)).length, 2)
  const seen = new Set<string>()
  for (let round = 0; round < 10 && seen.size < ofAlice.length; round++) {
    for (const id of ofAlice.filter((task) => open().has(task))) {
      seen.add(id)
      await alice.engine.taskCancel(id)
      await turns()
    }
    await book.settled()
  }
  assert.equal(seen.size, ofAlice.length)
})

test('input of many pieces arrives whole; too much is refused; erased payloads only leave holes', async (t) => {
  const mesh = await TaskMesh.open({ alice: {}, bob: {} })
  t.after(() => mesh.close())
  const alice = mesh.node('alice')
  const text = '\u00e9\u{1f600}\n'.repeat(30_000)
  const { id } = await alice.submit(text, { on: 'bob' })
  await mesh.reads('alice', id, 'done')
  assert.deepEqual(
    mesh.effects.map((effect) => effect.text === text),
    [true]
  )
  const tooMuch = alice.submit('x'.repeat(LIMITS.toolInputBytesMax + 1))
  await assert.rejects(tooMuch, { code: 'TASK_INPUT_TOO_LARGE' })
  await assert.rejects(alice.submit('x', { expiresInMs: 0 }), { code: 'USAGE' })
  const events = await readTaskEvents(alice.log, Buffer.from(id, 'hex'))
  for (const [index] of events.entries()) {
    const holed = events.map((event, at) => (at === index ? { ...event, payload: null } : event))
    assert.doesNotThrow(() => foldTask(id, holed))
  }
  const erased = events.map((event) =>
    /input|arguments|proposed|output|explained/.test(event.type) ? { ...event, payload: null } : event
  )
  const fold = foldTask(id, erased)
  assert.equal(fold?.state, 'done')
  assert.equal(fold?.input, null)
})

test('a task is submitted only where somebody may run it', async (t) => {
  const mesh = await TaskMesh.open({ alice: { offers: false }, bob: { offers: false }, oscar: { role: 'observer' } })
  t.after(() => mesh.close())
  const alice = mesh.node('alice')
  await turns()
  await assert.rejects(alice.submit('hello'), { code: 'TASK_NO_EXECUTOR' })
  await assert.rejects(alice.submit('hello', { on: 'bob' }), { code: 'TASK_NO_EXECUTOR' })
  await assert.rejects(alice.submit('hello', { on: 'oscar' }), { code: 'TASK_NO_EXECUTOR' })
  await assert.rejects(alice.submit('hello', { on: 'nobody' }), { code: 'MEMBER_UNKNOWN' })
  Object.assign(mesh.node('bob').options, { offers: true })
  mesh.node('bob').engine.announce()
  await turns()
  const { id } = await alice.submit('hello')
  await mesh.reads('alice', id, 'done')
  const announced = (await mesh.node('bob').engine.announcementOf(mesh.node('bob').id))?.tools.map(({ name }) => name)
  assert.deepEqual(announced, ['probe'])
  await mesh.node('bob').restart()
  await turns()
  assert.equal(mesh.node('bob').appends, 0, 'what it said before is not said again')
})

test('an agent sees the conversation before, and its live text is followed on its node', async (t) => {
  const seen: string[][] = []
  const talk: AgentRunner = async (run, task) => {
    seen.push(task.history.map(({ role, text }) => `${role}: ${text}`))
    run.onText('thinking')
    await run.recordMessage({ index: 0, role: 'user', text: task.prompt, calls: [] })
    await run.recordMessage({ index: 1, role: 'assistant', text: `answer to ${task.prompt}`, calls: [] })
    return { outcome: 'done', reason: 'ok', answer: '', inputTokens: 0, outputTokens: 0, costMicros: 0 }
  }
  const mesh = await TaskMesh.open({ alice: { agents: talk } })
  t.after(() => mesh.close())
  const alice = mesh.node('alice')
  const conversation = 'ab'.repeat(16)
  const ask = { kind: 'agent', name: 'helper', on: 'alice', conversation } as const
  const texts: string[] = []
  for (const input of ['one', 'two', 'three']) {
    const { id } = await alice.submit('', { ...ask, input })
    for await (const update of alice.engine.taskFollow(id, new AbortController().signal)) {
      if (update.kind === 'text') texts.push(update.text)
      if (update.kind === 'end') assert.equal(update.answer, `answer to ${input}`)
    }
    await mesh.pass(1)
  }
  await alice.submit('', { ...ask, input: 'other', conversation: 'cd'.repeat(16) })
  await mesh.until('the last', () => seen.length === 4)
  assert.deepEqual(seen[2], ['user: one', 'assistant: answer to one', 'user: two', 'assistant: answer to two'])
  assert.deepEqual(seen[3], [])
})

test('a fold of ten thousand events of one task takes seconds at most', () => {
  const begun = systemClock.monotonic()
  const events = Array.from({ length: 10_000 }, (_, seq) => ({
    id: seq.toString(16).padStart(64, '0'),
    author: 'ab'.repeat(32),
    epoch: 1,
    seq,
    timeMs: 0,
    type: 'stage-decided',
    payload: Buffer.from('{"attempt":1}')
  }))
  assert.equal(foldTask('00'.repeat(16), events), null)
  assert.ok(systemClock.monotonic() - begun < 5_000)
})
