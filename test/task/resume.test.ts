import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type CrashPoint, TaskMesh } from './task-kit.ts'

const OUTSIDE = { policy: '', tool: { tier: 'external' } } as const

/** Runs one task with a crash at one append of one node, restarts it, and lets everything come to its end. */
async function crashed(name: string, crashAt: CrashPoint, crossing: boolean) {
  const mesh = await TaskMesh.open({ alice: { approves: true, ...OUTSIDE }, bob: OUTSIDE })
  const [alice, bob] = [mesh.node('alice'), mesh.node('bob')]
  const node = mesh.node(name)
  const base = node.appends
  node.crashAt = { ...crashAt, append: base + crashAt.append }
  const id = await alice.submit('hello', { on: crossing ? 'bob' : 'alice' }).then(
    (task) => task.id,
    () => null
  )
  await mesh.pass(10_000)
  const fell = !node.up
  await node.restart()
  const found = id ?? (await alice.engine.tasks({})).items[0]?.id ?? null
  if (found !== null) {
    const ended = async (): Promise<boolean> => (await alice.engine.task(found)).finishedAt !== null
    await mesh.until(`the end after ${JSON.stringify(crashAt)} of ${name}`, ended)
  }
  await mesh.pass(200_000)
  const states = found === null ? ['absent'] : [await alice.state(found), await bob.state(found)]
  const effects = mesh.effects.length
  const types = found === null ? [] : await alice.types(found)
  await mesh.close()
  return { fell, states: [...new Set(states)], effects, types }
}

for (const crossing of [false, true]) {
  for (const name of crossing ? ['alice', 'bob'] : ['alice']) {
    test(`REPLAY-2 TASK-1 a ${crossing ? 'member’s' : 'local'} task with ${name} killed at every append: one effect, or a person is asked`, async () => {
      const seen = new Set<string>()
      for (let append = 0, fell = true; fell; append++) {
        for (const when of ['before', 'after'] as const) {
          const end = await crashed(name, { append, when }, crossing)
          const what = `${when} append ${append}: ${end.states.join()} with ${end.effects} effects, ${end.types.join(' ')}`
          assert.equal(end.states.length, 1, what)
          assert.ok(end.effects <= 1, what)
          if (end.states[0] === 'done') assert.equal(end.effects, 1, what)
          else assert.ok(['unknown', 'absent'].includes(end.states[0] ?? ''), what)
          assert.ok(end.types.filter((type) => type === 'tool-started').length <= 1, what)
          assert.ok(end.types.filter((type) => type === 'run-finished').length <= 1, what)
          seen.add(end.states[0] ?? '')
          fell = end.fell
        }
        assert.ok(append < 30, 'a task has few appends')
      }
      assert.ok(seen.has('done'))
      if (name === 'bob' || !crossing) assert.ok(seen.has('unknown'))
    })
  }
}
