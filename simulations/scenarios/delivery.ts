// How appends reach everybody: by gossip at once, by range sync for whoever was away, through loss, partitions and churn.

import { LIMITS } from '../../src/base/limits.ts'
import { allAgree, chatter, type Scenario } from '../scenario.ts'
import { SimulationFailure } from '../world.ts'

export const calmGossip: Scenario = {
  name: 'calm-gossip',
  shows: ['SYNC-1'],
  nodes: 8,
  async run(world) {
    await world.found()
    const author = world.node(3)
    author.append({ type: 'app-note', text: 'hello' })
    await world.run(150)
    for (const node of world.nodes) {
      const state = node.log.states().find((chain) => chain.author === author.key.publicKeyHex)
      if (state?.tips.length !== 1)
        throw new SimulationFailure(`${node.id} did not get the append by gossip within 150 ms`)
    }
    await chatter(world, 100, 20)
    await allAgree(world, 30_000)
  }
}

export const awayAndBack: Scenario = {
  name: 'away-and-back',
  shows: ['SYNC-1'],
  nodes: 6,
  async run(world) {
    await world.found()
    const away = world.node(5)
    const disk = away.crash()
    await chatter(world, 200, 50)
    await away.start(disk)
    await allAgree(world, 30_000)
  }
}

export const partitionsAndChurn: Scenario = {
  name: 'partitions-and-churn',
  shows: ['SYNC-2'],
  nodes: 10,
  async run(world) {
    const random = world.random.fork('story')
    await world.found([1, 2])
    world.network.faults = { delayMs: 10, delaySpreadMs: 200, loss: 0.1, duplication: 0.05, bytesPerMs: 2000 }
    for (let round = 0; round < 6; round++) {
      await chatter(world, 20, 100)
      const members = new Map(world.nodes.map((node) => [node.id, random.below(2)]))
      world.network.partition((id) => members.get(id) ?? 0)
      const victim = world.node(1 + random.below(world.nodes.length - 1))
      const disk = victim.alive ? victim.crash() : null
      await chatter(world, 20, 100)
      world.network.partition(null)
      if (disk !== null) await victim.start(disk)
      for (const link of world.network.links.values())
        if (random.chance(0.2)) link.heldUntilMs = world.schedule.nowMs + random.below(15_000)
    }
    await allAgree(world)
  }
}

export const slowReader: Scenario = {
  name: 'slow-reader',
  shows: ['SYNC-4'],
  nodes: 3,
  async run(world) {
    await world.found()
    const slow = world.node(2)
    const disk = slow.crash()
    for (let round = 0; round < 150; round++) {
      world.node(1).append({ type: 'app-note', text: 'x'.repeat(60_000) })
      await world.run(20)
    }
    slow.diskMs = 1500
    world.network.queuedMax = 0
    await slow.start(disk)
    await allAgree(world, 600_000)
    const bound = LIMITS.framesOpenMax * LIMITS.frameBytesMax + 256 * 1024
    if (world.network.queuedMax > bound)
      throw new SimulationFailure(`${world.network.queuedMax} bytes under way at once`)
  }
}

export const brokenOff: Scenario = {
  name: 'broken-off',
  shows: ['SYNC-5'],
  nodes: 4,
  async run(world) {
    const random = world.random.fork('story')
    await world.found()
    const late = world.node(3)
    const disk = late.crash()
    for (let round = 0; round < 200; round++) {
      world.node(1 + random.below(2)).append({ type: 'app-note', text: 'y'.repeat(20_000) })
      await world.run(10)
    }
    world.network.faults = { ...world.network.faults, bytesPerMs: 400 }
    await late.start(disk)
    for (let cut = 0; cut < 20; cut++) {
      await world.run(100 + random.below(900))
      for (const link of world.network.linksOf(late)) world.network.cut(link)
    }
    await allAgree(world)
  }
}
