// One call on its way through the five stages. Each stage is recorded before the next begins; what goes on is what the stage before let pass;
// a throw, a time-out or garbage in any of them denies.

import type { CallInput, CallResult } from './run-contract.ts'
import type { RunSession } from './run-session.ts'
import { approval } from './stages/approval.ts'
import { guardrail } from './stages/guardrail.ts'
import { judge } from './stages/judge.ts'
import { policy } from './stages/policy.ts'
import { tool } from './stages/tool.ts'

/** Never throws for what the call came to; throws when it cannot be recorded, and when the node stops while it waits. */
export async function runCall(run: RunSession, input: CallInput): Promise<CallResult> {
  const earlier = run.earlierResult(input.call)
  if (earlier !== null) return earlier
  const begun = run.begunBefore(input.call)
  if (begun !== null) return run.close(input, begun)

  const guarded = await run.stage(input, 'guardrail', () => guardrail(run, input))
  if (!guarded.passes) return run.close(input, guarded)

  const permitted = await run.stage(input, 'policy', () => policy(run, guarded.next))
  if (!permitted.passes) return run.close(input, permitted)

  const approved = await run.stage(input, 'approval', () => approval(run, permitted.next))
  if (!approved.passes) return run.close(input, approved)

  const ran = await run.stage(input, 'tool', () => tool(run, approved.next))
  if (!ran.passes) return run.close(input, ran)

  const judged = await run.stage(input, 'judge', () => judge(run, ran.next))
  return run.close(input, judged)
}
