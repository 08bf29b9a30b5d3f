import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ASK_ALL, TaskMesh } from './task-kit.ts'

const KEY = `sk-ant-${'a'.repeat(24)}`

test('APPROVE-6 a secret in the arguments is masked on the screen, and the digest is that of the true bytes', async (t) => {
  const mesh = await TaskMesh.open({ alice: { policy: ASK_ALL } })
  t.after(() => mesh.close())
  const alice = mesh.node('alice')
  const { id } = await alice.submit(`use ${KEY} here`, { on: 'alice' })
  await mesh.until('a request', async () => (await alice.engine.approvals(false)).length === 1)
  const [request] = await alice.engine.approvals(false)
  const shown = await alice.engine.approval(request?.id ?? '')
  assert.deepEqual(
    [shown.arguments, shown.masked, shown.argumentBytes],
    ['{"text":"use [redacted:anthropic-key] here"}', 1, Buffer.byteLength(JSON.stringify({ text: `use ${KEY} here` }))]
  )
  assert.equal(shown.recomputedDigest, shown.digest)
  await alice.engine.approvalVote(shown.id, 'approve', shown.digest)
  await mesh.reads('alice', id, 'done')
  assert.deepEqual(mesh.effectsOf(`use ${KEY} here`), ['alice'])
})

test('a run that waits for a person is not counted among those that run', async (t) => {
  const mesh = await TaskMesh.open({ alice: { policy: ASK_ALL } })
  t.after(() => mesh.close())
  const alice = mesh.node('alice')
  await alice.submit('one', { on: 'alice' })
  await alice.submit('two', { on: 'alice' })
  await mesh.until('the requests', async () => (await alice.engine.approvals(false)).length === 2)
  assert.equal(alice.engine.running, 0)
})
