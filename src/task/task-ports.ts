// What the task layer needs of the node around it. Timers and peers are ports, so that all of it also runs on virtual time.

import type { Clock, Random } from '../base/clock.ts'
import type { Logger } from '../base/logger.ts'
import type { EventLog } from '../log/event-log.ts'
import type { PublicKeyHex } from '../log/statement.ts'
import type { TaskWork } from '../pipeline/execute-task.ts'
import type { RunEnd, RunPorts, RunStart } from '../pipeline/run-contract.ts'
import type { RunEvent } from '../pipeline/run-events.ts'
import type { ChainStatus } from '../replication/contract.ts'
import type { MemberRef } from './task-records.ts'

export interface Timers {
  /** Runs once after `ms`; returns what cancels it. */
  set(ms: number, run: () => void): () => void
}

/** The ports of a run that this layer fills; the node adds tools, policy, guard, judges and the workspace. */
export type TaskRunPorts = Pick<RunPorts, 'append' | 'approval' | 'mayStart' | 'policyRecorded' | 'onText'>

/** Runs one attempt through the pipeline and records all of it, `run-started` to `run-finished`. A throw leaves the run open. */
export type ExecuteRun = (ports: TaskRunPorts, start: RunStart, task: TaskWork) => Promise<RunEnd>

export interface TaskPorts {
  readonly log: EventLog
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly timers: Timers
  /** Asks a member; the parsed JSON of its answer. Throws MeshError with the member's code, or PEER_UNREACHABLE. */
  ask(peer: PublicKeyHex, method: string, params: unknown): Promise<unknown>
  /** Members that are up. */
  connected(): ReadonlySet<PublicKeyHex>
  /** Of the newest epoch of the member's main chain; null when nothing is known. */
  chainStatus(author: PublicKeyHex): Pick<ChainStatus, 'state' | 'beaconMs'> | null
  /** Another member was seen to hold the own head of this start (replication state). */
  ownHeadConfirmed(): boolean
  memberRef(key: PublicKeyHex): MemberRef
  /** Throws MEMBER_UNKNOWN, MEMBER_AMBIGUOUS. */
  resolveMember(text: string): PublicKeyHex
  readonly execute: ExecuteRun
  /** What this node offers now. */
  offer(): RunEvent<'node-announced'>
}
