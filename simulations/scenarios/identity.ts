// The own chain through restarts, backups and two copies of one key (PROTOCOL §4).

import { allAgree, chatter, type Scenario } from '../scenario.ts'
import { SimulationFailure, type World } from '../world.ts'

function forksOf(world: World, author: string): number {
  const keys = new Set<string>()
  for (const node of world.nodes) {
    if (!node.alive) continue
    for (const state of node.log.states()) if (state.author === author && state.fork !== null) keys.add(state.key)
  }
  return keys.size
}

function epochsOf(world: World, author: string): number {
  const epochs = world.founder.log.states().filter((state) => state.author === author && state.tips.length > 0)
  return Math.max(...epochs.map((state) => state.epoch))
}

export const restoredWithPeers: Scenario = {
  name: 'restored-with-peers',
  shows: ['SYNC-6', 'CHAIN-13'],
  nodes: 4,
  async run(world) {
    await world.found()
    const author = world.node(2)
    await chatter(world, 10, 50)
    author.append({ type: 'app-note', text: 'before the backup' })
    await allAgree(world)
    const backup = author.log.snapshot()
    for (let round = 0; round < 30; round++) author.append({ type: 'app-note', text: `after ${round}` })
    await allAgree(world)
    author.crash()
    author.markerFits = false
    await author.start(backup)
    author.append({ type: 'app-note', text: 'after the restore' })
    await allAgree(world)
    if (forksOf(world, author.key.publicKeyHex) > 0)
      throw new SimulationFailure('the restored node forked its own chain')
    if (epochsOf(world, author.key.publicKeyHex) !== 1) throw new SimulationFailure('a new epoch without need')
  }
}

export const emptyStoreWithPeers: Scenario = {
  name: 'empty-store-with-peers',
  shows: ['SYNC-6'],
  nodes: 4,
  async run(world) {
    await world.found()
    const author = world.node(1)
    for (let round = 0; round < 30; round++) author.append({ type: 'app-note', text: `${round}` })
    await allAgree(world)
    author.crash()
    author.markerFits = false
    await author.start(null)
    author.append({ type: 'app-note', text: 'again' })
    await allAgree(world)
    if (forksOf(world, author.key.publicKeyHex) > 0)
      throw new SimulationFailure('the emptied node forked its own chain')
  }
}

export const restoredAlone: Scenario = {
  name: 'restored-alone',
  shows: ['CHAIN-13'],
  nodes: 5,
  async run(world) {
    await world.found()
    const author = world.node(2)
    author.append({ type: 'app-note', text: 'common' })
    await allAgree(world)
    const backup = author.log.snapshot()
    for (let round = 0; round < 20; round++) author.append({ type: 'app-note', text: `branch A ${round}` })
    await allAgree(world)
    author.crash()
    world.network.partition((id) => (id === author.id ? 1 : 0))
    await author.start(backup)
    for (let round = 0; round < 12 + world.random.below(20); round++)
      author.append({ type: 'app-note', text: `branch B ${round}` })
    await world.run(20_000)
    if (author.waitingAppends > 0) throw new SimulationFailure('with a fitting marker and nobody there it goes on')
    world.network.partition(null)
    await world.until(120_000, 'a second epoch', () => epochsOf(world, author.key.publicKeyHex) === 2)
    author.append({ type: 'app-note', text: 'going on' })
    await allAgree(world)
    if (forksOf(world, author.key.publicKeyHex) !== 1) throw new SimulationFailure('the fork is not proven')
  }
}

export const lostForGood: Scenario = {
  name: 'lost-for-good',
  shows: ['CHAIN-13'],
  nodes: 4,
  async run(world) {
    await world.found()
    const author = world.node(2)
    author.append({ type: 'app-note', text: 'kept' })
    await allAgree(world)
    const backup = author.log.snapshot()
    author.append({ type: 'app-note', text: 'lost' })
    await allAgree(world)
    const missing = author.log.states().find((state) => state.author === author.key.publicKeyHex)?.tips[0] ?? null
    const others = world.nodes.filter((node) => node !== author)
    author.crash()
    world.stopDialling()
    const disks = others.map((node) => node.crash())
    author.markerFits = false
    await author.start(backup, missing)
    await world.run(30_000)
    if (author.state.phase !== 'recovering') throw new SimulationFailure('an unfit marker waits for peers')
    await author.input({ kind: 'override' })
    author.append({ type: 'app-note', text: 'second epoch' })
    await world.run(1000)
    world.resumeDialling()
    for (const [index, node] of others.entries()) await node.start(disks[index])
    await allAgree(world)
    if (epochsOf(world, author.key.publicKeyHex) !== 2) throw new SimulationFailure('no second epoch')
  }
}

export const twoLiveCopies: Scenario = {
  name: 'two-live-copies',
  shows: ['CHAIN-13'],
  nodes: 5,
  async run(world) {
    await world.found()
    const first = world.node(2)
    first.append({ type: 'app-note', text: 'common' })
    await allAgree(world)
    const copy = world.makeNode('n2-copy', 2)
    world.nodes.push(copy)
    await copy.start(first.log.snapshot())
    for (let round = 0; round < 40; round++) {
      first.append({ type: 'app-note', text: `first ${round}` })
      copy.append({ type: 'app-note', text: `copy ${round}` })
      await world.run(1000)
    }
    await world.until(60_000, 'the later copy stops', () => copy.state.phase === 'in-use-twice')
    if (first.state.phase === 'in-use-twice') throw new SimulationFailure('both copies stopped')
    const before = first.log.states().filter((state) => state.author === first.key.publicKeyHex).length
    await world.run(60_000)
    const after = first.log.states().filter((state) => state.author === first.key.publicKeyHex).length
    if (after > before + 1) throw new SimulationFailure('the copies loop through epochs')
    // What only the copy wrote after it had lost stays a branch of its own until it is the writer again.
    const others = world.nodes.filter((node) => node !== copy)
    await world.untilEqual(120_000, others)
    await world.checkNothingLost(others)
    world.checkBounded()
  }
}
