// Members that lie, authors that say two things, and members that are removed.

import type { SyncMessage } from '../../src/replication/contract.ts'
import { allAgree, chatter, type Scenario } from '../scenario.ts'
import { SimulationFailure } from '../world.ts'

export const liars: Scenario = {
  name: 'liars',
  shows: ['SYNC-3', 'SYNC-7'],
  nodes: 8,
  async run(world) {
    const random = world.random.fork('story')
    await world.found()
    const late = world.node(7)
    const disk = late.crash()
    await chatter(world, 100, 50)
    const lies: readonly ((message: SyncMessage) => readonly SyncMessage[])[] = [
      (message) => (message.kind === 'frame' ? [] : [message]),
      (message) => (message.kind === 'frame' ? [{ ...message, bytes: random.bytes(message.bytes.length) }] : [message]),
      (message) =>
        message.kind === 'frame'
          ? [{ ...message, bytes: message.bytes.subarray(0, message.bytes.length >> 1) }]
          : [message],
      (message) =>
        message.kind === 'frontier'
          ? [
              {
                ...message,
                claims: message.claims.map((claim) => ({
                  ...claim,
                  tips: claim.tips.map((tip) => ({ ...tip, seq: tip.seq + 5 }))
                }))
              }
            ]
          : [message],
      (message) =>
        message.kind === 'end' ? [{ ...message, reason: 'done' }] : message.kind === 'frame' ? [] : [message]
    ]
    for (const [index, lie] of lies.entries()) world.node(1 + index).twist = (message) => lie(message)
    await late.start(disk)
    await world.untilEqual(180_000, [world.founder, late])
    world.checkBounded()
    for (const node of world.nodes) node.twist = null
    await allAgree(world)
  }
}

export const equivocation: Scenario = {
  name: 'equivocation',
  shows: ['CHAIN-5'],
  nodes: 7,
  async run(world) {
    await world.found()
    const author = world.node(2)
    author.append({ type: 'app-note', text: 'common' })
    await allAgree(world)
    const copy = world.makeNode('n2-evil', 2)
    await copy.start(author.log.snapshot())
    const side = (id: string): number => (['n2', 'n0', 'n1', 'n3'].includes(id) ? 0 : 1)
    world.network.partition(side)
    world.nodes.push(copy)
    await world.run(8000)
    author.append({ type: 'app-note', text: 'to the left' })
    copy.append({ type: 'app-note', text: 'to the right' })
    await world.run(10_000)
    world.nodes.pop()
    copy.crash()
    author.crash()
    world.network.partition(null)
    await world.until(60_000, 'everybody knows the fork', () =>
      world.nodes.every(
        (node) =>
          !node.alive ||
          node.log.states().some((state) => state.author === author.key.publicKeyHex && state.fork !== null)
      )
    )
    await allAgree(world)
  }
}

export const removal: Scenario = {
  name: 'removal',
  shows: ['MEMBER-3'],
  nodes: 6,
  async run(world) {
    await world.found()
    const removed = world.node(4)
    removed.append({ type: 'app-note', text: 'before' })
    await allAgree(world)
    const others = world.nodes.filter((node) => node !== removed)
    world.dialFilter = (node) => node !== removed
    world.founder.append({ type: 'member-removed', subject: removed.key.publicKeyHex })
    removed.append({ type: 'app-note', text: 'behind the cut' })
    await world.run(3000)
    for (const link of world.network.linksOf(removed)) {
      if (others.includes(link.other(removed) as never))
        throw new SimulationFailure(`${link.name} still there after the removal`)
    }
    await chatter(world, 20, 50)
    await world.untilEqual(30_000, others)
    const tip = world.founder.log.states().find((state) => state.author === removed.key.publicKeyHex)?.tips[0]
    if (tip === undefined) throw new SimulationFailure('earlier events of a removed member are kept')
  }
}
