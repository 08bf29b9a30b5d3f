// A task on the node that executes it, from `run-started` to `run-finished`: one tool call, or an agent that asks for several.

import { isMeshError, MeshError } from '../base/mesh-error.ts'
import type { RecordedMessage } from './recorded-run.ts'
import { runCall } from './run.ts'
import type { AgentRunner, RunEnd, RunPorts, RunStart } from './run-contract.ts'
import { RunSession } from './run-session.ts'
import { word } from './verdict.ts'

/** Of rules that could not be read. */
const NO_HASH = '0'.repeat(64)

export interface TaskWork {
  readonly kind: 'tool' | 'agent'
  /** Tool or agent. */
  readonly name: string
  /** JSON text of the arguments, or the prompt. */
  readonly input: string
  /** Of the conversation before, for an agent. */
  readonly history: readonly RecordedMessage[]
}

/**
 * Runs to the end and records it. Throws NODE_STOPPING when the node stops while it waits (the next process goes on), and what the log throws
 * when something cannot be recorded: nothing more happens then.
 */
export async function executeTask(
  ports: RunPorts,
  start: RunStart,
  task: TaskWork,
  agents: AgentRunner | null
): Promise<RunEnd> {
  const run = new RunSession(ports, start)
  const begun = ports.clock.monotonic()
  if (start.recorded.started === null) {
    const { attempt, epoch, principal } = start
    run.journal.note('run-started', {
      attempt,
      epoch,
      policy: run.rules?.hash ?? NO_HASH,
      guard: ports.guard.name,
      principal
    })
  }
  const end = await ended(run, task, agents)
  run.journal.note('run-finished', {
    attempt: start.attempt,
    outcome: end.outcome,
    reason: end.reason,
    calls: run.calls,
    durationMs: ports.clock.monotonic() - begun,
    inputTokens: end.inputTokens,
    outputTokens: end.outputTokens,
    costMicros: end.costMicros
  })
  await run.journal.flush()
  return end
}

async function ended(run: RunSession, task: TaskWork, agents: AgentRunner | null): Promise<RunEnd> {
  try {
    return task.kind === 'tool' ? await runTool(run, task) : await runAgent(run, task, agents)
  } catch (error) {
    if (run.journal.failed || !isMeshError(error) || error.code === 'NODE_STOPPING') throw error
    const outcome = error.code === 'CANCELLED' ? 'cancelled' : error.code === 'LEASE_LOST' ? 'interrupted' : 'failed'
    return { ...run.usage, outcome, reason: error.code, answer: '' }
  }
}

async function runTool(run: RunSession, { name, input }: TaskWork): Promise<RunEnd> {
  const purpose = `A task that asks for one call of the tool ${name}.`
  const result = await runCall(run, { call: 1, tool: name, argumentText: input, purpose, from: 'task' })
  const shown = result.status === 'done' || result.status === 'failed'
  const answer = shown ? result.text : ''
  const broken = result.status === 'failed' ? brokenOff(run.signal) : null
  return { ...run.usage, outcome: broken ?? result.status, reason: word(result.reason), answer }
}

/** A tool that was killed from outside has not failed: what ended the run says what it came to. */
function brokenOff(signal: AbortSignal): 'cancelled' | 'interrupted' | null {
  if (!signal.aborted) return null
  return isMeshError(signal.reason) && signal.reason.code === 'CANCELLED' ? 'cancelled' : 'interrupted'
}

function runAgent(run: RunSession, { name, input, history }: TaskWork, agents: AgentRunner | null): Promise<RunEnd> {
  if (agents === null) throw new MeshError('AGENT_UNKNOWN', `there is no agent ${name} on this node`)
  const { submitter, principal } = run.start
  const origin = submitter.self && principal === 'owner' ? 'owner' : 'peer'
  return agents(run, { agent: name, prompt: input, history, origin })
}
