import assert from 'node:assert/strict'
import { afterEach, test } from 'node:test'
import { utf8 } from '../../src/base/bytes.ts'
import { keyOf, startMember, stopAll, until } from './network-fixture.ts'
import { frame, namesByKey, openRawLink, startRogue, stopRogues } from './rogue-node.ts'

afterEach(async () => {
  await stopRogues()
  await stopAll()
})

test('SYNC-5 of a message whose stream breaks off nothing is delivered; sent again on the next one it comes once', async () => {
  const [rogueName = '', name = ''] = await namesByKey('broken-off 1', 'broken-off 2')
  const admitted = [await keyOf(rogueName), await keyOf(name)]
  const member = await startMember({ name, admitted })
  const rogue = await startRogue(rogueName)
  const message = frame(utf8('one whole message'))
  for (const cut of [2, 4, 5, message.length - 1]) {
    const ups = member.ups.length
    const link = await openRawLink(await rogue.dial(member.main()[0] ?? ''))
    await until(() => member.ups.length > ups, 'the rogue is up')
    link.send(message.subarray(0, cut))
    await link.stream.close()
    await until(() => member.downs.length > ups, 'the link is down')
    for (const connection of rogue.node.getConnections()) await connection.close()
  }
  assert.deepEqual(member.messages, [])
  const link = await openRawLink(await rogue.dial(member.main()[0] ?? ''))
  link.send(message)
  await until(() => member.messages.length > 0, 'the whole message')
  assert.deepEqual(
    member.messages.map(({ text }) => text),
    ['one whole message']
  )
})
