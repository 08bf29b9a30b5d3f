// Every scenario by name.

import type { Scenario } from '../scenario.ts'
import { awayAndBack, brokenOff, calmGossip, partitionsAndChurn, slowReader } from './delivery.ts'
import { emptyStoreWithPeers, lostForGood, restoredAlone, restoredWithPeers, twoLiveCopies } from './identity.ts'
import { clocksJump, damagedDisk } from './machine-faults.ts'
import { equivocation, liars, removal } from './trust.ts'

export const SCENARIOS: readonly Scenario[] = [
  calmGossip,
  awayAndBack,
  partitionsAndChurn,
  slowReader,
  brokenOff,
  restoredWithPeers,
  emptyStoreWithPeers,
  restoredAlone,
  lostForGood,
  twoLiveCopies,
  liars,
  equivocation,
  removal,
  clocksJump,
  damagedDisk
]
