// Stage 4: the effect. Everything that was checked is checked once more on the bytes that run, `tool-started` is durable, then the tool runs in
// its sandbox, once.

import { LIMITS } from '../../base/limits.ts'
import { messageOf } from '../../base/mesh-error.ts'
import { compileArguments } from '../../policy/argument-schema.ts'
import { isInside } from '../../policy/contract.ts'
import type { ToolOutcome } from '../contract.ts'
import type { RunSession } from '../run-session.ts'
import { isErrorCode, lostEffect, passed, type Stopped, stopped, type Verdict, word } from '../verdict.ts'
import { type ApprovedCall, digestOf } from './approval.ts'

/** A call that ran. */
export interface FinishedCall extends ApprovedCall {
  readonly outcome: ToolOutcome
  readonly durationMs: number
}

export async function tool(run: RunSession, call: ApprovedCall): Promise<Verdict<FinishedCall>> {
  const refusal = await lastChecks(run, call)
  if (refusal !== null) return refusal

  run.journal.note('tool-started', {
    attempt: run.start.attempt,
    call: call.input.call,
    digest: call.digest,
    request: call.request?.id ?? null,
    votes: [...call.votes],
    tier: call.ruling.tier,
    after: [...call.votes].slice(0, 16)
  })
  await run.journal.flush()

  try {
    return await effect(run, call)
  } catch (error) {
    // From here on a failure is no denial: something may have happened.
    if (run.journal.failed) throw error
    return lostEffect(call.ruling.tier, 'result-lost', `the result could not be taken: ${messageOf(error)}`)
  }
}

async function effect(run: RunSession, call: ApprovedCall): Promise<Verdict<FinishedCall>> {
  const begun = run.ports.clock.monotonic()
  const outcome = await runBounded(run, call)
  const durationMs = run.ports.clock.monotonic() - begun
  run.taintBy(call.tool.descriptor.taints, call.touch)
  run.noteFinished(call.input.call, outcome, durationMs)
  const facts = {
    subject: 'call' as const,
    verdict: 'allow' as const,
    rule: outcome.status,
    tier: call.ruling.tier,
    text: outcome.message
  }
  return passed({ ...call, outcome, durationMs }, facts)
}

/** What must hold at the moment of the effect, whatever was true before (PROTOCOL §13). */
async function lastChecks(run: RunSession, call: ApprovedCall): Promise<Stopped | null> {
  const { tool, ruling, request } = call
  const refuse = (rule: string, text: string, status: Stopped['status'] = 'denied'): Stopped =>
    stopped(status, { subject: 'call', verdict: 'deny', rule, tier: ruling.tier, text })
  // May wait for the submitter: everything else is looked at behind it.
  if (!(await run.ports.mayStart(tool.descriptor.limits.timeMs)))
    return refuse('lease-over', 'the lease does not outlive the call, or another attempt has the task', 'interrupted')
  if (run.ports.policy().hash !== call.policy)
    return refuse('policy-changed', 'the rules are not those that the call was held against', 'interrupted')
  const present = run.ports.tools.get(tool.descriptor.name)
  if (
    present === null ||
    present.descriptor.hash !== tool.descriptor.hash ||
    present.descriptor.profile !== tool.descriptor.profile
  )
    return refuse('tool-changed', 'the tool or its sandbox is not the one that was asked about')
  if (request !== null && digestOf(run, call, request.expiresAtMs) !== request.digest)
    return refuse('digest-mismatch', 'the call is not the one that was approved')
  if (request !== null && run.ports.clock.now() >= request.expiresAtMs)
    return refuse('expired', 'the approval has expired', 'expired')
  if (!isInside(ruling.tier) && !run.ports.mayAffectOutside())
    return refuse(
      'recovery-unconfirmed',
      'no other member has confirmed this node’s log since it started',
      'interrupted'
    )
  const checked = compileArguments(tool.descriptor.parameters).check(call.argumentBytes)
  return checked.ok ? null : refuse('arguments-invalid', `${checked.pointer}: ${checked.message}`)
}

const FAILED: ToolOutcome = {
  status: 'error',
  output: new Uint8Array(0),
  truncated: false,
  exitCode: null,
  signal: null,
  code: 'TOOL_FAILED',
  message: '',
  changes: []
}

/** The tool's own limit ends it; a tool that ignores it is left behind here and its answer is not waited for. */
async function runBounded(run: RunSession, call: ApprovedCall): Promise<ToolOutcome> {
  const { tool } = call
  const { limits } = tool.descriptor
  const stop = new AbortController()
  const signal = AbortSignal.any([run.signal, stop.signal])
  const { promise: late, resolve } = Promise.withResolvers<ToolOutcome>()
  const timer = setTimeout(() => {
    stop.abort()
    resolve({ ...FAILED, status: 'timeout', code: 'TOOL_TIMEOUT', message: `no answer after ${limits.timeMs} ms` })
  }, limits.timeMs + LIMITS.toolGraceMs)
  try {
    const { arguments: args, argumentBytes, workspace } = call
    const outcome = await Promise.race([tool.run({ arguments: args, argumentBytes, workspace, limits, signal }), late])
    return checkedOutcome(outcome, limits.outputBytes)
  } catch (error) {
    return { ...FAILED, message: `the tool failed: ${word(messageOf(error)).replaceAll('-', ' ')}` }
  } finally {
    clearTimeout(timer)
    stop.abort()
  }
}

const STATUSES: ReadonlySet<unknown> = new Set(['ok', 'error', 'timeout', 'memory', 'output', 'killed', 'refused'])

/** A tool that answers garbage has failed. */
function checkedOutcome(outcome: ToolOutcome, outputBytes: number): ToolOutcome {
  if (!STATUSES.has(outcome?.status) || !(outcome.output instanceof Uint8Array) || !Array.isArray(outcome.changes))
    return { ...FAILED, message: 'the tool gave no outcome' }
  const { exitCode, signal, code, message } = outcome
  const checked = {
    ...outcome,
    exitCode: Number.isSafeInteger(exitCode) ? exitCode : null,
    signal: typeof signal === 'string' ? signal : null,
    code: code !== null && isErrorCode(code) ? code : null,
    message: typeof message === 'string' ? message : ''
  }
  if (outcome.output.length <= outputBytes) return checked
  return { ...checked, output: outcome.output.subarray(0, outputBytes), truncated: true }
}
