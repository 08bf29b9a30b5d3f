// The own chain of a node whose store went back in time, was copied, cut, or lost its process (PROTOCOL §4).

import assert from 'node:assert/strict'
import { cpSync, existsSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { toHex } from '../../src/base/bytes.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { tryParsePeerId } from '../../src/identity/peer-id.ts'
import { prefixed, RANGES, rangeOf } from '../../src/log/store-keys.ts'
import { openLevelStore } from '../../src/store/open-level-store.ts'
import { connected, converged, errorOf, MeshKit, type NodeHome, until, verified } from './mesh-kit.ts'

/** A copy of the store's folder, as a backup program makes one. */
function backUp(node: NodeHome, name: string): string {
  const backup = node.path('..', name)
  cpSync(node.path('store'), join(backup, 'store'), { recursive: true })
  cpSync(node.path('store.marker'), join(backup, 'store.marker'))
  return backup
}

/** The backup in a new folder; the marker of the home stays, or goes too. */
function restore(node: NodeHome, backup: string): void {
  rmSync(node.path('store'), { recursive: true })
  cpSync(join(backup, 'store'), node.path('store'), { recursive: true })
}

/** As a file system's snapshot does: the same folder, the marker of that time. Nothing on this machine tells it from the store that was left. */
function rollBack(node: NodeHome, backup: string): void {
  for (const name of readdirSync(node.path('store'))) rmSync(node.path('store', name))
  for (const name of readdirSync(join(backup, 'store'))) cpSync(join(backup, 'store', name), node.path('store', name))
  cpSync(join(backup, 'store.marker'), node.path('store.marker'))
}

async function epochsOf(node: NodeHome, name: string): Promise<number[]> {
  const { items } = await node.call('log/heads', {})
  return [...new Set(items.filter((head) => head.author.name === name).map((head) => head.epoch))].sort()
}

test('SYNC-6 CHAIN-13 a node restored from an old backup recovers its own log from a peer before it writes, and does not fork', async (t) => {
  const kit = new MeshKit(t)
  const [ada, bob] = await kit.mesh('ada', 'bob')
  assert.ok(ada && bob)
  await ada.append('1', '2')
  await ada.stop()
  const backup = backUp(ada, 'backup')
  await ada.start()
  await ada.append('3', '4', '5')
  await converged([ada, bob])
  await ada.stop()

  for (const goBack of [restore, rollBack]) {
    goBack(ada, backup)
    await ada.start()
    assert.deepEqual(await ada.notes(), await bob.notes(), 'all of it is back when it may write')
    await ada.append(`after ${goBack.name}`)
    await converged([ada, bob])
    assert.deepEqual(await epochsOf(bob, 'ada'), [1])
    assert.equal((await bob.member('ada'))?.chain === 'forked', false)
    await ada.stop()
  }
  assert.deepEqual(await bob.notes(), ['1', '2', '3', '4', '5', 'after restore', 'after rollBack'])
  await verified(bob)
})

const publicKeyOf = (peerId: string): string => toHex(tryParsePeerId(peerId) ?? new Uint8Array())

test('CHAIN-13 restored with nobody reachable it holds its writes until a person says so; then a new epoch goes on and nothing is lost', async (t) => {
  const kit = new MeshKit(t)
  const [ada, bob] = await kit.mesh('ada', 'bob')
  assert.ok(ada && bob)
  await ada.append('1', '2')
  // The backup holds something of bob's: alone, nobody could tell ada of it.
  await converged([ada, bob])
  await ada.stop()
  const backup = backUp(ada, 'backup')
  await ada.start()
  await ada.append('3', '4')
  await converged([ada, bob])
  await Promise.all([ada.stop(), bob.stop()])
  restore(ada, backup)
  rmSync(ada.path('store.marker'))

  await ada.start({ until: 'up' })
  const refused = await ada.cli('--timeout', '8s', 'event', 'append', 'app-note', '{"text":"too early"}', '--json')
  assert.ok(['LOG_RECOVERING', 'TIMEOUT'].includes(errorOf(refused).code), refused.stderr)
  assert.equal((await ada.status()).state, 'recovering')
  const recovered = await ada.cli('node', 'recover')
  assert.equal(recovered.code, 0, recovered.stderr)
  await ada.append('in the new epoch')
  assert.deepEqual(
    (await ada.notes()).filter((text) => text !== 'too early'),
    ['1', '2', 'in the new epoch']
  )
  await verified(ada)

  await bob.start()
  await connected([ada, bob])
  for (const node of [ada, bob]) {
    await until(`${node.name} counts both`, async () => {
      const notes = new Set(await node.notes())
      return ['1', '2', '3', '4', 'in the new epoch'].every((text) => notes.has(text))
    })
  }
  await bob.append('and on')
  await converged([ada, bob])
  assert.ok((await epochsOf(bob, 'ada')).length >= 2)
})

test('CHAIN-5 CHAIN-13 a rolled-back machine that wrote alone has forked: found on contact, both branches kept and counted, next epoch', async (t) => {
  const kit = new MeshKit(t)
  const [ada, bob] = await kit.mesh('ada', 'bob')
  assert.ok(ada && bob)
  await ada.append('1')
  await ada.stop()
  const backup = backUp(ada, 'backup')
  await ada.start()
  await ada.append('2 of the first history')
  await converged([ada, bob])
  await Promise.all([ada.stop(), bob.stop()])
  rollBack(ada, backup)

  await ada.start()
  await ada.append('2 of the second history')
  await bob.start()
  await connected([ada, bob])
  const all = ['1', '2 of the first history', '2 of the second history']
  for (const node of [ada, bob]) {
    await until(`${node.name} counts both branches`, async () => {
      const notes = new Set(await node.notes())
      return all.every((text) => notes.has(text))
    })
    await until(`${node.name} says so`, async () => (await node.member('ada'))?.chain === 'forked')
  }
  await ada.append('after the fork')
  await converged([ada, bob])
  const events = await bob.events()
  assert.deepEqual(
    events.filter((event) => event.type === 'epoch-opened' && event.author.name === 'ada').map((event) => event.epoch),
    [2]
  )
  assert.deepEqual(new Set(await bob.notes()), new Set([...all, 'after the fork']))
  assert.equal((await bob.notes()).length, 4, 'nothing is there twice')
  const why = await bob.cli('why', 'ada')
  assert.match(why.stdout, /it signed two/)
})

test('CHAIN-13 a copy of a home that is started beside the first writes nothing and says why, until the first is stopped', async (t) => {
  const kit = new MeshKit(t)
  const { ada, bob } = await orderedPair(kit)
  await ada.append('1')
  await converged([ada, bob])
  await ada.stop()
  cpSync(ada.folder, join(kit.folder, 'copy'), { recursive: true, filter: (path) => !path.endsWith('.sock') })
  const copy = kit.adopt('copy')
  await ada.start()
  await until('both are linked', async () => (await ada.member('bob'))?.connected)
  await copy.start({ until: 'up' })
  await until('the copy knows of the other', async () => /another running node/.test((await copy.cli('status')).stdout))
  const refused = await copy.cli('--timeout', '5s', 'event', 'append', 'app-note', '{"text":"from the copy"}', '--json')
  assert.ok(['IDENTITY_IN_USE_TWICE', 'LOG_RECOVERING', 'TIMEOUT'].includes(errorOf(refused).code), refused.stderr)
  assert.equal((await ada.status()).state, 'ready')
  await ada.append('the first goes on')
  await until('bob holds it', async () => (await bob.notes()).includes('the first goes on'))

  await ada.stop()
  await copy.ready()
  await copy.append('the copy writes')
  await until('bob holds it', async () => (await bob.notes()).includes('the copy writes'))
  assert.deepEqual(await epochsOf(bob, 'ada'), [1], 'nothing was signed twice')
  assert.deepEqual(
    (await bob.notes()).filter((text) => text !== 'from the copy'),
    ['1', 'the first goes on', 'the copy writes']
  )
  await verified(bob)
})

/** Two members of whom bob has the smaller key: his node chooses the one link that the two have. */
async function orderedPair(kit: MeshKit): Promise<{ ada: NodeHome; bob: NodeHome }> {
  const ada = await kit.start('ada')
  const adas = (await ada.call('identity/show', {})).publicKey
  for (let attempt = 1; attempt <= 20; attempt++) {
    const bob = kit.home(`bob${attempt}`)
    const made = await bob.cli('init', '--name', 'bob', '--json')
    if (publicKeyOf(JSON.parse(made.stdout).peerId) > adas) continue
    assert.equal((await bob.cli('join', (await ada.invite()).line)).code, 0)
    await bob.start()
    await until('both are linked', async () => (await ada.member('bob'))?.connected)
    return { ada, bob }
  }
  throw new Error('no key is smaller')
}

test('CHAIN-3 CHAIN-4 a log whose end was cut off on the disk is contradicted by what was witnessed, and heals from a peer', async (t) => {
  const kit = new MeshKit(t)
  const [ada, bob] = await kit.mesh('ada', 'bob')
  assert.ok(ada && bob)
  await ada.append('kept')
  await ada.append('cut off')
  await converged([ada, bob])
  const held = await bob.heads()
  const { publicKey } = await ada.call('identity/show', {})
  await Promise.all([ada.stop(), bob.stop()])

  await cutLastAppend(bob, publicKey)
  await bob.start({ until: 'up' })
  const cut = await bob.cli('log', 'verify')
  assert.equal(cut.code, 14, cut.stdout)
  assert.match(cut.stdout, /LOG_TRUNCATED/)
  assert.ok(((await bob.member('ada'))?.behind ?? 0) > 0, 'status shows what is missing')

  await ada.start()
  await connected([ada, bob])
  await until(
    'bob has healed',
    async () => (await bob.heads()).filter((head) => held.includes(head)).length === held.length
  )
  assert.equal((await bob.cli('log', 'verify')).code, 0)
  await converged([ada, bob])
})

/** What an editor of the store's files would do: the newest append of the author goes. */
async function cutLastAppend(node: NodeHome, author: string): Promise<void> {
  const store = await openLevelStore({
    folder: node.path('store'),
    backups: node.path('backups'),
    logger: silentLogger
  })
  try {
    for (const range of [RANGES.append, RANGES.payload]) {
      const key = prefixed(range, Buffer.from(author, 'hex'))
      for await (const [last] of store.entries(rangeOf(key, { reverse: true, limit: 1 })))
        await store.write([{ type: 'del', key: last }], { sync: true })
    }
  } finally {
    await store.close()
  }
}

test('CHAIN-10 kill −9 in the middle of appends loses nothing that was acknowledged, and nobody sees it twice', async (t) => {
  const kit = new MeshKit(t)
  const [ada, bob] = await kit.mesh('ada', 'bob')
  assert.ok(ada && bob)
  const acknowledged: string[] = []
  let next = 0
  for (const round of [1, 2, 3]) {
    const goal = acknowledged.length + 20
    const writers = Array.from({ length: 8 }, async () => {
      for (;;) {
        const text = `${round}/${next++}`
        try {
          await ada.append(text)
        } catch {
          return
        }
        acknowledged.push(text)
      }
    })
    await until('enough is acknowledged', () => acknowledged.length >= goal)
    await ada.kill()
    await Promise.all(writers)
    await ada.start()
  }
  await converged([ada, bob])
  const notes = await bob.notes()
  const held = new Set(notes)
  assert.equal(held.size, notes.length, 'nothing twice')
  assert.deepEqual(
    acknowledged.filter((text) => !held.has(text)),
    []
  )
  assert.deepEqual(await epochsOf(bob, 'ada'), [1])
  assert.ok(existsSync(ada.path('store')))
})
