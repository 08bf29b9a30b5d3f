import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TaskMesh } from './task-kit.ts'

test('a task of this node goes from its submission to its result in three appends', async (t) => {
  const mesh = await TaskMesh.open({ alice: {} })
  t.after(() => mesh.close())
  const alice = mesh.node('alice')
  const { id } = await alice.submit('hello', { on: 'alice' })
  await mesh.reads('alice', id, 'done')
  assert.deepEqual(mesh.effectsOf('hello'), ['alice'])
  const detail = await alice.engine.task(id)
  assert.equal(detail.answer, 'done')
  assert.equal(detail.attempt, 1)
  assert.equal(alice.appends, 3, 'submission with assignment, start, result')
})
