import assert from 'node:assert/strict'
import { afterEach, test } from 'node:test'
import { utf8 } from '../../src/base/bytes.ts'
import { keyOf, startMember, stopAll, until } from './network-fixture.ts'
import { frame, namesByKey, openRawLink, rawLinkOn, SYNC, startRogue, stopRogues } from './rogue-node.ts'

afterEach(async () => {
  await stopRogues()
  await stopAll()
})

test('MEMBER-1 a message between hello and acceptance is not delivered and cuts its sender; behind both it is', async () => {
  const [rogueName = '', name = ''] = await namesByKey('early 1', 'early 2')
  const member = await startMember({ name, admitted: [await keyOf(rogueName), await keyOf(name)] })
  const rogue = await startRogue(rogueName)
  const connection = await rogue.dial(member.main()[0] ?? '')
  const early = rawLinkOn(await connection.newStream(SYNC))
  early.send(frame(utf8('hello')))
  early.send(frame(utf8('too early')))
  await until(() => connection.status !== 'open', 'the rogue is cut')
  assert.deepEqual([member.messages, member.ups], [[], []])
  assert.ok(member.network.diagnose(rogue.key).penalty > 0)

  const link = await openRawLink(await rogue.dial(member.main()[0] ?? ''))
  link.send(frame(utf8('in time')))
  await until(() => member.messages.length > 0, 'a message in turn')
  assert.deepEqual(
    member.messages.map(({ text }) => text),
    ['in time']
  )
})
