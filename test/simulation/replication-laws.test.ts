// The laws of replication that only whole meshes over virtual hours show, on the production log. Other seeds than in scenarios.test.ts.

import { test } from 'node:test'
import { eventLogKind } from '../../simulations/event-sim-log.ts'
import type { Scenario } from '../../simulations/scenario.ts'
import { awayAndBack, brokenOff, partitionsAndChurn, slowReader } from '../../simulations/scenarios/delivery.ts'
import { emptyStoreWithPeers } from '../../simulations/scenarios/identity.ts'
import { liars } from '../../simulations/scenarios/trust.ts'
import { World } from '../../simulations/world.ts'

const SEED = 101

async function play(scenario: Scenario): Promise<void> {
  await scenario.run(new World({ seed: SEED, nodes: scenario.nodes, logKind: eventLogKind }))
}

test('SYNC-1 a member that was away catches up by range sync, whatever was gossiped without it', () =>
  play(awayAndBack))

test('SYNC-2 after partitions, crashes and lost gossip all members hold identical chains', () =>
  play(partitionsAndChurn))

test('SYNC-4 beside a member that reads slowly nobody’s memory grows', () => play(slowReader))

test('SYNC-5 a sync whose connections are cut again and again ends with every append there once', () => play(brokenOff))

test('SYNC-6 a node that lost its store has its own log back before its first append', () => play(emptyStoreWithPeers))

test('SYNC-3 SYNC-7 a member that comes back among five who lie in five ways catches up all the same', () =>
  play(liars))
