// The real pipeline of a test's node: real rules, guard and schemas, and one tool, `probe`, whose effect the test sees and may hold.

import { prng } from '../../simulations/prng.ts'
import type { Clock } from '../../src/base/clock.ts'
import { createPatternGuard } from '../../src/guard/pattern-guard.ts'
import type { JudgePanel, ToolDescriptor, ToolInvocation } from '../../src/pipeline/contract.ts'
import { executeTask } from '../../src/pipeline/execute-task.ts'
import type { AgentRunner } from '../../src/pipeline/run-contract.ts'
import { parsePolicy } from '../../src/policy/policy-file.ts'
import type { ExecuteRun } from '../../src/task/task-ports.ts'
import { outcome, testTool } from '../pipeline/run-kit.ts'

const VOTE = {
  judge: 'offline',
  offline: true,
  member: 'ab'.repeat(32),
  confidence: 1,
  reason: 'safe',
  durationMs: 0,
  usage: null
}
const SAFE: JudgePanel = {
  immediate: true,
  judge: async () => ({ verdict: 'safe', reason: 'safe', votes: [{ ...VOTE, verdict: 'safe' }] })
}

/** Real time: a busy machine must not end what virtual time holds. */
const LIMITS = { timeMs: 20_000, memoryBytes: 1 << 26, outputBytes: 2 << 20, processes: 4, fileBytes: 1 << 20 }

export interface ProbeOptions {
  readonly clock: Clock
  readonly seed: string
  readonly policy: string
  readonly tool: Partial<ToolDescriptor>
  readonly agents: AgentRunner | null
}

export function pipelineWithProbe(
  { clock, seed, policy, tool, agents }: ProbeOptions,
  effect: (invocation: ToolInvocation) => Promise<void>
): ExecuteRun {
  const probe = testTool(
    async (invocation) => {
      await effect(invocation)
      return invocation.signal.aborted ? outcome('', { status: 'killed' }) : outcome('done')
    },
    { tier: 'internal', limits: LIMITS, ...tool }
  )
  const rules = parsePolicy(policy, 'policy.toml')
  const ports = {
    clock,
    random: prng(1, seed),
    guard: createPatternGuard(),
    policy: () => rules,
    tools: { list: () => [probe], get: (name: string) => (name === 'probe' ? probe : null) },
    judges: SAFE,
    mayAffectOutside: () => true,
    workspace: async () => '/workspace',
    keepResult: async () => 'result'
  }
  return (taskPorts, start, task) => executeTask({ ...ports, ...taskPorts }, start, task, agents)
}
