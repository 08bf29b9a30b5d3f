// A scenario is a story about a mesh: what happens, and what must be true at the end.

import type { World } from './world.ts'

export interface Scenario {
  readonly name: string
  /** Acceptance ids that it shows. */
  readonly shows: readonly string[]
  readonly nodes: number
  run(world: World): Promise<void>
}

/** Some nodes write now and then. */
export async function chatter(world: World, rounds: number, everyMs: number): Promise<void> {
  const random = world.random.fork(`chatter ${world.schedule.nowMs}`)
  for (let round = 0; round < rounds; round++) {
    for (const node of world.nodes) {
      if (!node.alive || !random.chance(0.3)) continue
      const size = random.chance(0.05) ? 60_000 : 50 + random.below(2000)
      node.append({ type: 'app-note', text: `${node.id} ${round} ${'x'.repeat(size)}` })
    }
    await world.run(everyMs)
  }
}

export async function allAgree(world: World, withinMs = 120_000): Promise<void> {
  await world.untilEqual(withinMs)
  await world.checkNothingLost()
  world.checkBounded()
}
