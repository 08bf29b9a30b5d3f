// Who gets in: invites through the real binary, the pre-shared key, and what a stranger is given.

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { encodeInvite, parseInvite } from '../../src/identity/invite.ts'
import { connected, converged, errorOf, MeshKit, type NodeHome, type Ran, until, verified } from './mesh-kit.ts'

function refused(ran: Ran, code: string, exit: number): void {
  assert.equal(ran.code, exit, ran.stderr)
  const error = errorOf(ran)
  assert.equal(error.code, code)
  assert.notEqual(error.hint, '')
}

async function admissions(node: NodeHome): Promise<number> {
  return (await node.events()).filter((event) => event.type === 'member-admitted').length
}

test('MEMBER-2 an invite admits one node once; used, expired, revoked, cut, foreign and mistaken ones admit nobody', async (t) => {
  const kit = new MeshKit(t)
  const ada = await kit.start('ada')
  const { line } = await ada.invite()

  const bob = kit.home('bob')
  const entered = await bob.cli('join', line, '--json')
  assert.equal(entered.code, 0, entered.stderr)
  const again = await bob.cli('join', line, '--json')
  assert.equal(again.code, 0, 'the same joiner is given the same certificate again')
  assert.equal(await admissions(ada), 1)

  const eve = kit.home('eve')
  refused(await eve.cli('join', line, '--json'), 'INVITE_USED', 12)

  const revoked = await ada.invite()
  await ada.call('invite/revoke', { id: revoked.invite.id })
  refused(await eve.cli('join', revoked.line, '--json'), 'INVITE_REVOKED', 12)

  const short = await ada.invite('member', 1_000)
  await until(
    'the invite expires',
    async () =>
      (await ada.call('invite/list', {})).items.find((item) => item.id === short.invite.id)?.state === 'expired'
  )
  refused(await eve.cli('join', short.line, '--json'), 'INVITE_EXPIRED', 12)
  const stretched = encodeInvite({ ...fieldsOf(short.line), expiryMs: Date.now() + 3_600_000 })
  refused(await eve.cli('join', stretched, '--json'), 'INVITE_EXPIRED', 12)

  const open = await ada.invite()
  refused(await eve.cli('join', open.line.slice(0, -3), '--json'), 'INVITE_INVALID', 2)
  const guessed = encodeInvite({ ...fieldsOf(open.line), secret: randomBytes(16) })
  refused(await eve.cli('join', guessed, '--json'), 'INVITE_UNKNOWN', 12)
  const otherMesh = encodeInvite({ ...fieldsOf(open.line), mesh: randomBytes(32) })
  refused(await eve.cli('join', otherMesh, '--json'), 'INVITE_FOREIGN_MESH', 12)
  const stateOf = async () =>
    (await ada.call('invite/list', {})).items.find((item) => item.id === open.invite.id)?.state
  assert.equal(await stateOf(), 'open', 'nothing of that used the invite up')

  assert.equal(
    (await eve.cli('join', open.line.replaceAll(/.{60}/g, '$&\n  '))).code,
    0,
    'a wrapped line is put together again'
  )
  assert.equal(await stateOf(), 'used')
  assert.equal(await admissions(ada), 2)
  await verified(ada, 2)
})

test('MEMBER-2 a running node that has only founded leaves for an invite; one with history stays where it is', async (t) => {
  const kit = new MeshKit(t)
  const [ada, cyd] = await Promise.all([kit.start('ada'), kit.start('cyd')])
  const joined = await cyd.cli('join', (await ada.invite()).line)
  assert.equal(joined.code, 0, joined.stderr)
  await cyd.ready()
  await connected([ada, cyd])
  await cyd.append('from the mesh it joined')
  await converged([ada, cyd])

  const dan = await kit.start('dan')
  const elsewhere = await dan.invite()
  refused(await cyd.cli('join', elsewhere.line, '--json'), 'MESH_ALREADY_MEMBER', 1)
  refused(await cyd.cli('join', (await ada.invite()).line, '--json'), 'MESH_ALREADY_MEMBER', 1)
  await cyd.stop()
  refused(await cyd.cli('join', elsewhere.line, '--json'), 'MESH_ALREADY_MEMBER', 1)
  assert.equal((await dan.call('invite/list', {})).items[0]?.state, 'open')
  await cyd.start()
  await converged([ada, cyd])
  assert.deepEqual(await cyd.notes(), ['from the mesh it joined'])
})

test('MEMBER-7 MEMBER-2 with a pre-shared key only those who have it come in, and the invite brings it', async (t) => {
  const kit = new MeshKit(t)
  const pskFile = join(kit.folder, 'psk')
  writeFileSync(pskFile, `${randomBytes(32).toString('hex')}\n`, { mode: 0o600 })
  const ada = await kit.start('ada', { args: ['--psk-file', pskFile] })
  const { line } = await ada.invite()

  const eve = kit.home('eve')
  const { psk, ...withoutPsk } = fieldsOf(line)
  assert.equal(psk?.length, 32)
  refused(await eve.cli('join', encodeInvite(withoutPsk), '--json'), 'PEER_UNREACHABLE', 15)
  refused(
    await eve.cli('join', encodeInvite({ ...withoutPsk, psk: randomBytes(32) }), '--json'),
    'PEER_UNREACHABLE',
    15
  )
  assert.equal(await admissions(ada), 0)

  const bob = kit.home('bob')
  const joined = await bob.cli('join', line)
  assert.equal(joined.code, 0, joined.stderr)
  await bob.start()
  await connected([ada, bob])
  await bob.append('behind the key')
  await converged([ada, bob])
})

test('MEMBER-1 a node of another mesh is given no link and no event, and it is told so', async (t) => {
  const kit = new MeshKit(t)
  const [ada, bob] = await kit.mesh('ada', 'bob')
  assert.ok(ada && bob)
  await ada.append('for members')
  await converged([ada, bob])
  const [address = ''] = await ada.mainAddresses()

  const eve = await kit.start('eve', { args: ['--bootstrap', address] })
  for (const target of [address, address.replace(/\/p2p\/.*/, '')]) {
    const ran = await eve.cli('peer', 'connect', target, '--json')
    assert.notEqual(ran.code, 0, `eve connects to ${target}`)
    assert.ok(['PEER_NOT_ADMITTED', 'PEER_UNREACHABLE'].includes(errorOf(ran).code), ran.stderr)
  }
  assert.deepEqual((await eve.call('peer/list', {})).items, [])
  assert.deepEqual(
    (await eve.events()).map((event) => event.type),
    ['chain-opened', 'mesh-founded']
  )
  assert.deepEqual(
    (await ada.call('peer/list', {})).items.map((peer) => peer.name),
    ['bob']
  )
  assert.equal((await bob.cli('peer', 'connect', address)).code, 0, 'a member is let in there')
  await verified(eve)
})

test('MEMBER-6 --bootstrap brings members together that know no address of each other; another key behind it is refused', async (t) => {
  const kit = new MeshKit(t)
  const ada = await kit.start('ada')
  const bob = await kit.join(ada, 'bob')
  const cyd = await kit.join(ada, 'cyd')
  await connected([ada, bob, cyd])
  await Promise.all([ada.stop(), bob.stop(), cyd.stop()])
  // New ports: every address that anybody remembers is stale.
  for (const node of [ada, bob, cyd]) node.forgetPorts()

  await ada.start({ until: 'up' })
  const [address = ''] = await ada.mainAddresses()
  await bob.start({ until: 'up', args: ['--bootstrap', address] })
  const wrong = address.replace(/[^/]+$/, await bob.peerId())
  await cyd.start({ until: 'up', args: ['--bootstrap', wrong] })
  await connected([ada, bob])
  const mismatch = await cyd.cli('peer', 'connect', wrong, '--json')
  refused(mismatch, 'PEER_ID_MISMATCH', 1)
  await cyd.restart({ args: ['--bootstrap', address] })
  await connected([ada, bob, cyd])
  await cyd.append('together again')
  await converged([ada, bob, cyd])
  await cyd.stop()
  cyd.launch({ args: ['--bootstrap', address.replace(/\/p2p\/.*/, '')] })
  assert.notEqual(await cyd.exited(), 0)
  assert.match(cyd.output, /PEER_ADDRESS_INVALID/)
})

function fieldsOf(line: string) {
  const { mesh, inviter, secret, expiryMs, meshName, doors, psk } = parseInvite(line)
  return { mesh, inviter, secret, expiryMs, meshName, doors, ...(psk === undefined ? {} : { psk }) }
}
