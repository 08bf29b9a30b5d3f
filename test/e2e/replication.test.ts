// Three real nodes on one machine: what one writes all hold, whoever was away, killed or cut off.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { connected, converged, MeshKit, until } from './mesh-kit.ts'

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
