import assert from 'node:assert/strict'
import { test } from 'node:test'
import { eventLogKind } from '../../simulations/event-sim-log.ts'
import type { Scenario } from '../../simulations/scenario.ts'
import { SCENARIOS } from '../../simulations/scenarios/all.ts'
import type { SimLogKind } from '../../simulations/sim-log.ts'
import { modelLogKind, World } from '../../simulations/world.ts'

const EVENT_LOG_SEEDS = [1]
const MODEL_SEEDS = [11, 12, 13]

async function play(scenario: Scenario, seed: number, logKind: SimLogKind): Promise<string> {
  const world = new World({ seed, nodes: scenario.nodes, logKind })
  try {
    await scenario.run(world)
  } catch (error) {
    throw new Error(`seed ${seed}: node simulations/main.ts ${scenario.name} --seed ${seed} --trace`, { cause: error })
  }
  return world.traceHash
}

for (const scenario of SCENARIOS) {
  test(`${scenario.shows.join(' ')} the scenario ${scenario.name} ends as promised on the production log and on the model`, async () => {
    for (const seed of EVENT_LOG_SEEDS) await play(scenario, seed, eventLogKind)
    for (const seed of MODEL_SEEDS) await play(scenario, seed, modelLogKind)
  })
}

test('the same seed gives the same trace twice, another seed another', async () => {
  const scenario = SCENARIOS.find(({ name }) => name === 'broken-off')
  assert.ok(scenario)
  const first = await play(scenario, 5, modelLogKind)
  assert.equal(await play(scenario, 5, modelLogKind), first)
  assert.notEqual(await play(scenario, 6, modelLogKind), first)
})
