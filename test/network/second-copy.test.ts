import assert from 'node:assert/strict'
import { afterEach, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { utf8 } from '../../src/base/bytes.ts'
import { keyOf, type Member, startMember, stopAll, stopMember, until } from './network-fixture.ts'

afterEach(stopAll)

/** One member, and two processes with one other key: only the instance that is linked already may link again. */
async function withCopy(member: string, owner: string): Promise<{ host: Member; first: Member; copy: Member }> {
  const admitted = [await keyOf(member), await keyOf(owner)]
  let linked: string | null = null
  const host: Member = await startMember({
    name: member,
    admitted,
    handlers: {
      checkHello: (_peer, hello) => {
        const instance = Buffer.from(hello).toString()
        if (host.network.peers().length > 0 && instance !== linked) return false
        linked = instance
        return true
      }
    }
  })
  const start = (instance: string) => startMember({ name: owner, admitted, handlers: { hello: () => utf8(instance) } })
  const first = await start('first')
  await first.network.connect(host.main())
  await until(() => host.network.peers().length === 1 && first.ups.length === 1, 'the first is linked')
  return { host, first, copy: await start('copy') }
}

async function ordered(): Promise<[smaller: string, larger: string]> {
  return (await keyOf('member')) < (await keyOf('owner')) ? ['member', 'owner'] : ['owner', 'member']
}

for (const side of ['larger', 'smaller'] as const) {
  test(`CHAIN-13 a second process with a linked member’s ${side} key takes no link away and comes in when the first is gone`, async () => {
    const [smaller, larger] = await ordered()
    const { host, first, copy } = await withCopy(
      ...((side === 'larger' ? [smaller, larger] : [larger, smaller]) as [string, string])
    )
    await assert.rejects(copy.network.connect(host.main(), AbortSignal.timeout(4_000)))
    await pause(1_500)
    assert.deepEqual([host.downs, copy.ups], [[], []])
    assert.ok(first.network.send(host.key, utf8('still here')))
    await until(() => host.messages.some(({ text }) => text === 'still here'), 'the first goes on')
    await stopMember(first)
    await until(() => host.network.peers().length === 0, 'the first is gone')
    await copy.network.connect(host.main())
    assert.deepEqual(copy.ups, [host.key])
  })
}
