// Stage 3: where the rules ask, members answer. The request is bound to the digest of the exact call; no answer is no (PROTOCOL §13).

import { LIMITS } from '../../base/limits.ts'
import { callDigest } from '../call-digest.ts'
import type { ApprovalDecision, OpenRequest } from '../run-contract.ts'
import type { RunSession } from '../run-session.ts'
import { passed, stopped, type Verdict, word } from '../verdict.ts'
import type { PermittedCall } from './policy.ts'

/** A call that may run: nobody had to be asked, or enough members said yes. */
export interface ApprovedCall extends PermittedCall {
  readonly digest: string
  readonly expiresAtMs: number
  readonly request: OpenRequest | null
  readonly votes: readonly string[]
}

export async function approval(run: RunSession, call: PermittedCall): Promise<Verdict<ApprovedCall>> {
  const { ruling } = call
  if (ruling.decision === 'allow') {
    const digest = digestOf(run, call, 0)
    const facts = {
      subject: 'call',
      verdict: 'allow',
      rule: ruling.rule,
      place: ruling.place,
      tier: ruling.tier
    } as const
    return passed({ ...call, digest, expiresAtMs: 0, request: null, votes: [] }, facts)
  }
  const request = openRequest(run, call) ?? (await ask(run, call))
  const decision = await run.ports.approval(request, run.signal)
  return verdictOf(call, request, decision)
}

function verdictOf(call: PermittedCall, request: OpenRequest, decision: ApprovalDecision): Verdict<ApprovedCall> {
  const facts = { subject: 'call', tier: call.ruling.tier } as const
  switch (decision.kind) {
    case 'approved': {
      const next = { ...call, digest: request.digest, expiresAtMs: request.expiresAtMs, request, votes: decision.votes }
      return passed(next, { ...facts, verdict: 'allow', rule: 'approved' })
    }
    case 'denied':
      return stopped('denied', { ...facts, verdict: 'deny', rule: 'denied', text: 'a member denied the call' })
    case 'expired':
      return stopped('expired', { ...facts, verdict: 'deny', rule: 'expired', text: 'nobody answered in time' })
    case 'void':
      return stopped('interrupted', {
        ...facts,
        verdict: 'deny',
        rule: 'void',
        text: 'the request was made before this node recovered'
      })
  }
}

/** The request that an earlier process made of this very call, if it is still open. */
function openRequest(run: RunSession, call: PermittedCall): OpenRequest | null {
  const request = run.recordedCall(call.input.call)?.requests.at(-1)
  if (request === undefined || request.epoch !== run.start.epoch) return null
  return request.digest === digestOf(run, call, request.expiresAtMs) ? request : null
}

async function ask(run: RunSession, call: PermittedCall): Promise<OpenRequest> {
  const { ruling } = call
  const expiresAtMs = Math.floor(run.ports.clock.now() + Math.min(ruling.expiresInMs, LIMITS.approvalLifeMsMax))
  const request = {
    attempt: run.start.attempt,
    call: call.input.call,
    digest: digestOf(run, call, expiresAtMs),
    epoch: run.start.epoch,
    expiresAtMs,
    votes: ruling.votes,
    anotherKey: ruling.anotherKey,
    tier: ruling.tier,
    reasons: [word(ruling.rule)],
    after: []
  }
  run.journal.note('approval-requested', request)
  const id = await run.journal.flush()
  return { ...request, id }
}

/** Computed from what runs, never taken from a record. */
export function digestOf(run: RunSession, call: PermittedCall, expiresAtMs: number): string {
  const { descriptor } = call.tool
  return callDigest({
    mesh: run.start.mesh,
    executor: run.start.executor,
    epoch: run.start.epoch,
    task: run.task,
    attempt: run.start.attempt,
    call: call.input.call,
    tool: descriptor.name,
    toolHash: descriptor.hash,
    workspace: call.workspace,
    profile: descriptor.profile,
    expiresAtMs,
    nonce: call.nonce,
    argumentBytes: call.argumentBytes
  })
}
