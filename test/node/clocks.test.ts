// Two whole nodes whose clocks disagree by an hour, and one whose clock is set back.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Clock, systemClock } from '../../src/base/clock.ts'
import type { EventRecord } from '../../src/node/node-api.ts'
import { eventsOf, faultsOf, startFounder, startJoiner, type TestNode, until } from './node-kit.ts'

const HOUR_MS = 3_600_000
const SKEW_FOLLOWED_MS = 60_000

class ShiftedClock implements Clock {
  shiftMs: number

  constructor(shiftMs: number) {
    this.shiftMs = shiftMs
  }

  now(): number {
    return systemClock.now() + this.shiftMs
  }

  monotonic(): number {
    return systemClock.monotonic()
  }
}

const append = (node: TestNode, text: string) => node.api.append([{ type: 'app-note', json: JSON.stringify({ text }) }])
const holds = async (node: TestNode, text: string): Promise<boolean> => (await noteOf(node, text)) !== undefined

async function noteOf(node: TestNode, text: string): Promise<EventRecord | undefined> {
  return (await eventsOf(node)).find((event) => event.json?.includes(`"${text}"`))
}

const aheadMs = (event: EventRecord | undefined): number => Date.parse(event?.time ?? '') - Date.now()

test('CHAIN-14 a clock an hour ahead is flagged and drags nobody along; set back, its author goes on and every chain verifies', async (t) => {
  const ada = await startFounder(t, 'ada')
  const clock = new ShiftedClock(HOUR_MS)
  const bob = await startJoiner(t, ada, 'bob', { clock })
  await append(bob, 'from the future')
  await until('ada holds it', () => holds(ada, 'from the future'))
  assert.ok(aheadMs(await noteOf(ada, 'from the future')) > HOUR_MS - SKEW_FOLLOWED_MS)
  await until('ada says so', async () =>
    (await ada.api.status()).health.some(({ text }) => /bob’s clock is 3[56]\d\d s ahead/.test(text))
  )

  await append(ada, 'from the present')
  assert.ok(Math.abs(aheadMs(await noteOf(ada, 'from the present'))) < SKEW_FOLLOWED_MS, 'ada keeps her own time')
  await until('bob holds it', () => holds(bob, 'from the present'))

  clock.shiftMs = 0
  await append(bob, 'set right')
  await append(bob, 'and on')
  await until('ada holds it', () => holds(ada, 'and on'))
  for (const node of [ada, bob]) {
    const own = (await eventsOf(node)).filter((event) => event.author.name === 'bob').sort((a, b) => a.seq - b.seq)
    const types = own.map((event) => event.type)
    assert.deepEqual(types.slice(types.indexOf('app-note')), ['app-note', 'clock-stepped', 'app-note', 'app-note'])
    assert.ok(own.every((event) => event.authorised))
    assert.ok(Math.abs(aheadMs(own.at(-1))) < SKEW_FOLLOWED_MS)
    assert.deepEqual(await faultsOf(node), [])
  }
  await until('the flag is gone', async () => !(await ada.api.status()).health.some(({ text }) => /clock/.test(text)))
})
