// Stage 2: is there such a tool, do the arguments fit its schema, is the tier within what the task allows, and what do the rules say.

import { compileArguments } from '../../policy/argument-schema.ts'
import type { PolicyRequest, PolicyVerdict } from '../../policy/contract.ts'
import { TIERS, type Tier } from '../../policy/contract.ts'
import type { JsonObject, Tool, ToolTouch } from '../contract.ts'
import type { RunSession } from '../run-session.ts'
import { passed, type Stopped, stopped, type Verdict } from '../verdict.ts'
import type { GuardedCall } from './guardrail.ts'

/** A call that no rule denies. */
export interface PermittedCall extends GuardedCall {
  readonly tool: Tool
  readonly arguments: JsonObject
  readonly workspace: string
  readonly ruling: PolicyVerdict
  /** Hash of the rules that gave it. */
  readonly policy: string
  readonly touch: ToolTouch
}

export async function policy(run: RunSession, call: GuardedCall): Promise<Verdict<PermittedCall>> {
  const { tool, input } = call
  if (tool === null) return deny('tool-unknown', `there is no tool ${input.tool} on this node`)
  if (input.granted === false) return deny('tool-not-granted', `the agent is not given the tool ${input.tool}`)
  const { descriptor } = tool
  const checked = compileArguments(descriptor.parameters).check(call.argumentBytes)
  if (!checked.ok)
    return deny('arguments-invalid', `${checked.pointer === '' ? '/' : checked.pointer}: ${checked.message}`)

  const rules = run.ports.policy()
  const before = run.recordedCall(input.call)?.proposed?.policy ?? rules.hash
  if (before !== rules.hash)
    return { ...deny('policy-changed', 'the rules are not those that the call began under'), status: 'interrupted' }
  const workspace = await run.ports.workspace(descriptor.usesWorkspace !== false)
  const request = policyRequest(run, call, tool, checked.value)
  if (!fitsProposal(request)) return deny('call-too-large', 'what the call touches does not fit its record')
  run.notePolicy(rules)
  run.notePropose(call, descriptor, workspace, rules.hash, request)
  const ruling = rules.decide(request)
  const facts = {
    subject: 'call' as const,
    verdict: ruling.decision,
    rule: ruling.rule,
    place: ruling.place,
    tier: ruling.tier,
    text: ruling.reasons.join('; ')
  }
  if (ruling.decision === 'deny') return stopped('denied', facts)
  if (above(ruling.tier, run.start.tierMax)) {
    const why = `the call is ${ruling.tier}, the task allows ${run.start.tierMax} at most`
    return { ...deny('tier-above-task', why), tier: ruling.tier }
  }
  const touch = { paths: request.paths, hosts: request.hosts, argv: request.argv }
  return passed({ ...call, tool, arguments: checked.value, workspace, ruling, policy: rules.hash, touch }, facts)
}

/** What cannot be recorded is not run (AUDIT-2): room in `call-proposed` for all that the rules were asked. */
const TOUCHED_BYTES_MAX = 48 * 1024
const TOUCHED_WORDS_MAX = { argv: 1024, path: 4096, host: 256 }

function fitsProposal({ paths, hosts, argv }: PolicyRequest): boolean {
  const most = TOUCHED_WORDS_MAX
  return (
    (argv?.length ?? 0) <= most.argv &&
    paths.every((path) => path.length <= most.path) &&
    hosts.every((host) => host.length <= most.host) &&
    Buffer.byteLength(JSON.stringify([paths, hosts, argv])) <= TOUCHED_BYTES_MAX
  )
}

function deny(rule: string, text: string): Stopped {
  return stopped('denied', { subject: 'call', verdict: 'deny', rule, text })
}

function above(tier: Tier, most: Tier): boolean {
  return TIERS.indexOf(tier) > TIERS.indexOf(most)
}

function policyRequest(run: RunSession, call: GuardedCall, tool: Tool, args: JsonObject): PolicyRequest {
  const { descriptor } = tool
  const touch = tool.touches(args)
  return {
    tool: descriptor.name,
    kind: descriptor.kind,
    tier: descriptor.tier,
    arguments: args,
    taint: run.taint,
    principal: call.input.from === 'task' ? run.start.principal : 'agent',
    member: run.start.submitter,
    paths: touch.paths,
    hosts: touch.hosts,
    argv: touch.argv
  }
}
