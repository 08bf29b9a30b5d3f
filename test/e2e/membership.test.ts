// Roles, removal, and two admins who act without seeing each other, on real nodes.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { connected, converged, errorOf, MeshKit, type NodeHome, until, verified } from './mesh-kit.ts'

const SECONDS_TO_LEAVE = 10

async function denied(node: NodeHome, code: string, ...args: readonly string[]): Promise<void> {
  const ran = await node.cli(...args, '--json')
  assert.equal(errorOf(ran).code, code, `${node.name}: ${args.join(' ')}`)
  assert.equal(ran.code, 12)
}

/** Every member as each node sees it, without what is local to the node. */
async function membership(node: NodeHome): Promise<string[]> {
  return (await node.members()).map(({ name, role, removed }) => `${name} ${role}${removed ? ' removed' : ''}`).sort()
}

test('MEMBER-4 an observer replicates and appends nothing, a member invites nobody, an admin does, and a change of role takes effect', async (t) => {
  const kit = new MeshKit(t)
  const ada = await kit.start('ada')
  const bob = await kit.join(ada, 'bob', { role: 'admin' })
  const dan = await kit.join(ada, 'dan', { role: 'observer' })
  await connected([ada, bob, dan])

  await denied(dan, 'EVENT_FORBIDDEN', 'event', 'append', 'app-note', '{"text":"from an observer"}')
  await denied(dan, 'MEMBER_FORBIDDEN', 'invite', 'create')
  await denied(dan, 'MEMBER_FORBIDDEN', 'member', 'remove', 'bob', '--yes')
  await ada.append('an observer reads this')
  await until('dan replicates', async () => (await dan.notes()).includes('an observer reads this'))

  assert.equal((await ada.cli('member', 'role', 'dan', 'member')).code, 0)
  await until('dan is a member', async () => (await dan.status()).mesh.role === 'member')
  assert.equal((await dan.cli('event', 'append', 'app-note', '{"text":"from a member"}')).code, 0)
  await denied(dan, 'MEMBER_FORBIDDEN', 'invite', 'create')

  await denied(bob, 'MEMBER_FORBIDDEN', 'member', 'role', 'ada', 'observer')
  const cyd = await kit.join(bob, 'cyd')
  await connected([ada, bob, cyd, dan])
  await cyd.append('invited by an admin')
  await until('the others count it', async () => (await dan.notes()).includes('invited by an admin'))

  assert.equal((await bob.cli('member', 'role', 'dan', 'observer')).code, 0)
  await until('dan observes again', async () => (await dan.status()).mesh.role === 'observer')
  await denied(dan, 'EVENT_FORBIDDEN', 'event', 'append', 'app-note', '{"text":"too late"}')
  await converged([ada, bob, cyd, dan])
  for (const node of [ada, bob, cyd, dan]) {
    assert.deepEqual(
      new Set(await node.notes()),
      new Set(['an observer reads this', 'from a member', 'invited by an admin'])
    )
  }
})

test('MEMBER-3 a removed member is cut off everywhere within seconds, its later events count nowhere, and it never comes back', async (t) => {
  const kit = new MeshKit(t)
  const [ada, bob, cyd] = await kit.mesh('ada', 'bob', 'cyd')
  assert.ok(ada && bob && cyd)
  await cyd.append('before')
  await converged([ada, bob, cyd])

  assert.equal((await ada.cli('member', 'remove', 'cyd', '--yes')).code, 0)
  const started = performance.now()
  for (const node of [ada, bob]) {
    await until(`${node.name} has cut cyd off`, async () => {
      const member = await node.member('cyd')
      return member?.removed === true && !member.connected
    })
  }
  assert.ok(performance.now() - started < SECONDS_TO_LEAVE * 1000, 'within seconds')
  assert.deepEqual(
    (await ada.call('peer/list', {})).items.map((peer) => peer.name),
    ['bob']
  )

  const after = await cyd.cli('event', 'append', 'app-note', '{"text":"after"}', '--json')
  const [address = ''] = await ada.mainAddresses()
  const back = await cyd.cli('peer', 'connect', address, '--json')
  assert.notEqual(back.code, 0)
  await cyd.restart({ until: 'up' })
  await until(
    'cyd was told at the door, or knows by its log',
    async () => /MEMBER_REMOVED/.test(cyd.logFile) || (await cyd.status()).state === 'removed'
  )
  const invite = await ada.invite()
  assert.notEqual((await cyd.cli('join', invite.line, '--json')).code, 0)

  await ada.append('without cyd')
  await converged([ada, bob])
  for (const node of [ada, bob]) {
    assert.deepEqual(
      new Set(await node.notes()),
      new Set(['before', 'without cyd']),
      `cyd’s append after its removal (${after.code}) counts nowhere`
    )
    assert.equal((await node.member('cyd'))?.connected, false)
    const report = await node.verify()
    assert.ok(report.chains.find((chain) => chain.author.name === 'cyd')?.ok, 'what it wrote before stays verifiable')
  }
  await denied(ada, 'MEMBER_REMOVED', 'member', 'remove', 'cyd', '--yes')
})

test('MEMBER-5 SYNC-2 what two admins decide apart from each other comes to one membership on every node', async (t) => {
  const kit = new MeshKit(t)
  const ada = await kit.start('ada')
  const bob = await kit.join(ada, 'bob', { role: 'admin' })
  const cyd = await kit.join(bob, 'cyd')
  const dan = await kit.join(bob, 'dan')
  const all = [ada, bob, cyd, dan]
  await connected(all)
  for (const node of all) await node.append(`${node.name} before`)
  await converged(all)
  await Promise.all([bob.stop(), cyd.stop(), dan.stop()])

  // ada alone: removes dan, makes cyd an admin.
  await ada.call('member/remove', { member: 'dan' })
  await ada.call('member/role', { member: 'cyd', role: 'admin' })
  await ada.stop()

  // bob and dan, who have not heard of it: dan writes on, bob makes cyd an observer and removes dan too.
  await Promise.all([bob.start(), dan.start()])
  await dan.append('dan, after ada removed it')
  await until('bob holds it', async () => (await bob.notes()).includes('dan, after ada removed it'))
  await bob.call('member/role', { member: 'cyd', role: 'observer' })
  await bob.call('member/remove', { member: 'dan' })
  await dan.stop()

  await Promise.all([ada.start(), cyd.start()])
  await connected([ada, bob, cyd])
  await converged([ada, bob, cyd])
  const seen = await Promise.all([ada, bob, cyd].map(membership))
  assert.deepEqual(seen[1], seen[0])
  assert.deepEqual(seen[2], seen[0])
  assert.ok(seen[0]?.includes('dan member removed'), `${seen[0]}`)
  // The more senior admin's cut decides which events of dan stay.
  for (const node of [ada, bob, cyd]) {
    const notes = await node.notes()
    assert.ok(notes.includes('dan before'))
    assert.ok(!notes.includes('dan, after ada removed it'), node.name)
  }
  await verified(ada)
})
