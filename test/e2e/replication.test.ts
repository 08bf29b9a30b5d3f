// Three real nodes on one machine: what one writes all hold, whoever was away, killed or cut off.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { connected, converged, MeshKit, type NodeHome, until } from './mesh-kit.ts'

test('SYNC-1 SYNC-2 CHAIN-6 gossip reaches every member, one that was away catches up, and all hold the same chains', async (t) => {
  const kit = new MeshKit(t)
  const [ada, bob, cyd] = await kit.mesh('ada', 'bob', 'cyd')
  assert.ok(ada && bob && cyd)

  await ada.append('from ada')
  await bob.append('from bob')
  await cyd.append('from cyd')
  for (const node of [ada, bob, cyd]) {
    await until(`${node.name} has all three`, async () => (await node.notes()).length === 3)
  }
  await converged([ada, bob, cyd])

  await cyd.stop()
  await ada.append('while cyd was away 1')
  await bob.append('while cyd was away 2')
  await cyd.start()
  await until('cyd catches up', async () => (await cyd.notes()).length === 5)
  await converged([ada, bob, cyd])
  const printed = await cyd.cli('log', 'verify')
  assert.equal(printed.code, 0, printed.stdout)
})

test('SYNC-2 SYNC-5 two halves that wrote apart, one of them killed in the act, come together with nothing lost or doubled', async (t) => {
  const kit = new MeshKit(t)
  const nodes = await kit.mesh('ada', 'bob', 'cyd', 'dan')
  const [ada, bob, cyd, dan] = nodes
  assert.ok(ada && bob && cyd && dan)
  const written: string[] = []
  const write = async (node: NodeHome, text: string): Promise<void> => {
    await node.append(text)
    written.push(text)
  }
  for (const node of nodes) await write(node, `${node.name} together`)
  await converged(nodes)

  await Promise.all([cyd.stop(), dan.stop()])
  for (let round = 1; round <= 5; round++)
    await Promise.all([ada, bob].map((node) => write(node, `${node.name} apart ${round}`)))
  await converged([ada, bob])
  await Promise.all([ada.stop(), bob.stop()])

  await Promise.all([cyd.start(), dan.start()])
  await connected([cyd, dan])
  for (let round = 1; round <= 5; round++)
    await Promise.all([cyd, dan].map((node) => write(node, `${node.name} apart ${round}`)))
  await dan.kill()
  await Promise.all([ada.start(), bob.start()])
  await write(cyd, 'cyd sees the first half')
  await dan.start()
  await connected(nodes)
  await write(dan, 'dan is back')
  await converged(nodes)
  for (const node of nodes) assert.deepEqual((await node.notes()).sort(), [...written].sort(), node.name)
})
