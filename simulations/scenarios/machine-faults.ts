// Machines that are wrong: clocks that jump, disks that lose a write in the middle.

import { LIMITS } from '../../src/base/limits.ts'
import { allAgree, chatter, type Scenario } from '../scenario.ts'
import { SimulationFailure } from '../world.ts'

const WALL_MS = 1_700_000_000_000
const HOUR_MS = 3_600_000

export const clocksJump: Scenario = {
  name: 'clocks-jump',
  shows: ['CHAIN-14'],
  nodes: 5,
  async run(world) {
    await world.found()
    world.node(1).clockOffsetMs = HOUR_MS
    world.node(2).clockOffsetMs = -HOUR_MS
    await chatter(world, 40, 100)
    world.node(3).append({ type: 'app-note', text: 'with a right clock' })
    await allAgree(world)
    const stampMs = world.founder.log.lastStampMs(world.node(3).key.publicKeyHex)
    if (stampMs !== null && stampMs > WALL_MS + world.schedule.nowMs + LIMITS.clockSkewMsMax) {
      throw new SimulationFailure('a clock that is an hour ahead dragged another along')
    }
    world.node(1).clockOffsetMs = 0
    await chatter(world, 40, 100)
    world.node(1).append({ type: 'app-note', text: 'set back' })
    await allAgree(world)
    const backMs = world.founder.log.lastStampMs(world.node(1).key.publicKeyHex)
    if (backMs !== null && backMs > WALL_MS + world.schedule.nowMs + LIMITS.clockSkewMsMax) {
      throw new SimulationFailure('a clock that was set back keeps its wrong stamps')
    }
  }
}

export const damagedDisk: Scenario = {
  name: 'damaged-disk',
  shows: ['CHAIN-15'],
  nodes: 4,
  async run(world) {
    await world.found()
    await chatter(world, 60, 100)
    await allAgree(world)
    const node = world.node(2)
    const disk = node.crash()
    const damaged = world.logKind.damaged(disk, 3 + world.random.below(10))
    node.markerFits = damaged === null
    await node.start(damaged ?? disk)
    node.append({ type: 'app-note', text: 'healed' })
    await chatter(world, 10, 100)
    await allAgree(world)
    if (node.log.states().some((state) => state.fork !== null))
      throw new SimulationFailure('a damaged disk made a fork')
  }
}
