// Controls switched off one at a time: `npm run mutants [ID…]` applies each replacement to a copy of the tree and runs the tests that
// cite the id; at least one of them must turn red.

import { CHAINS_MUTANTS } from './mutants/chains.ts'
import { GUARD_MUTANTS } from './mutants/guard.ts'
import { IDENTITY_MUTANTS } from './mutants/identity.ts'
import { LOCAL_MUTANTS } from './mutants/local.ts'
import { MEMBERS_MUTANTS } from './mutants/members.ts'
import { MODEL_MUTANTS } from './mutants/model.ts'
import { PIPELINE_MUTANTS } from './mutants/pipeline.ts'
import { POLICY_MUTANTS } from './mutants/policy.ts'
import { RECOVERY_MUTANTS } from './mutants/recovery.ts'
import { REPLICATION_MUTANTS } from './mutants/replication.ts'
import { RUN_CLI_MUTANTS } from './mutants/run-cli.ts'
import { RUNS_E2E_MUTANTS } from './mutants/runs-e2e.ts'
import { SANDBOX_COMMAND_MUTANTS } from './mutants/sandbox-command.ts'
import { SANDBOX_GUEST_MUTANTS } from './mutants/sandbox-guest.ts'
import { TASK_MUTANTS } from './mutants/task.ts'
import { TOOLS_MUTANTS } from './mutants/tools.ts'

export interface Mutant {
  /** The promise whose tests must turn red. */
  readonly id: string
  /** What the replacement takes away, in a few words. */
  readonly what: string
  /** Relative to the project. */
  readonly file: string
  /** Text that stands exactly once in the file. */
  readonly find: string
  readonly replace: string
}

export const MUTANTS: readonly Mutant[] = [
  ...IDENTITY_MUTANTS,
  ...CHAINS_MUTANTS,
  ...RECOVERY_MUTANTS,
  ...REPLICATION_MUTANTS,
  ...MEMBERS_MUTANTS,
  ...LOCAL_MUTANTS,
  ...GUARD_MUTANTS,
  ...POLICY_MUTANTS,
  ...PIPELINE_MUTANTS,
  ...SANDBOX_COMMAND_MUTANTS,
  ...SANDBOX_GUEST_MUTANTS,
  ...TOOLS_MUTANTS,
  ...MODEL_MUTANTS,
  ...TASK_MUTANTS,
  ...RUN_CLI_MUTANTS,
  ...RUNS_E2E_MUTANTS
]
