// A run again from the log alone (REPLAY-1): what is deterministic is decided anew and compared; models, people and clocks are taken at their
// recorded word; nothing has an effect.

import { utf8 } from '../base/bytes.ts'
import { isMeshError } from '../base/mesh-error.ts'
import type { Guard, GuardOrigin } from '../guard/contract.ts'
import { guardJson } from '../guard/guard-json.ts'
import { tryParseJsonObject } from '../log/strict-json.ts'
import type { Policy, PolicyRequest, Principal } from '../policy/contract.ts'
import type { JudgeRequest } from './contract.ts'
import type { Recorded, RecordedCall, RecordedRun } from './recorded-run.ts'
import { guardFacts } from './stages/guardrail.ts'

export interface ReplayTask {
  readonly kind: 'tool' | 'agent'
  readonly principal: Principal
  readonly submitter: { readonly peerId: string; readonly self: boolean }
}

export interface ReplayPorts {
  readonly guard: Guard
  /** The rules that a recorded text says. */
  parsePolicy(text: string): Policy
  /** The recorded text of a policy; null when it is not in the log. */
  policyText(hash: string): string | null
  /** Whether the votes that `tool-started` cites were enough for its request. */
  votesSuffice(call: RecordedCall): boolean
  /** The judge that answers without asking anybody. */
  offlineJudge(request: JudgeRequest): { readonly verdict: 'safe' | 'unsafe' }
}

export interface ReplayStep {
  readonly call: number
  readonly stage: string
  readonly subject: string
  /** `VERDICT RULE`. */
  readonly recorded: string
  readonly replayed: string
  readonly equal: boolean
  /** Why a step was taken at its word; '' when it was decided anew. */
  readonly note: string
}

type Answer = { readonly replayed: string } | { readonly note: string }
type Decided = Recorded<'stage-decided'>

export function replayRun(run: RecordedRun, task: ReplayTask, ports: ReplayPorts): ReplayStep[] {
  const steps: ReplayStep[] = []
  for (const call of [...run.calls.values()].sort((a, b) => a.call - b.call)) {
    for (const decided of call.stages) {
      const recorded = `${decided.verdict} ${decided.rule}`
      const answer = again(run, task, ports, call, decided)
      const replayed = 'replayed' in answer ? answer.replayed : recorded
      const note = 'note' in answer ? answer.note : ''
      const { stage, subject } = decided
      steps.push({ call: call.call, stage, subject, recorded, replayed, equal: replayed === recorded, note })
    }
  }
  return steps
}

function again(run: RecordedRun, task: ReplayTask, ports: ReplayPorts, call: RecordedCall, decided: Decided): Answer {
  if (decided.stage === 'guardrail') {
    if (run.started?.guard !== ports.guard.name) return { note: `another guard: ${run.started?.guard ?? 'none'}` }
    return guardAgain(task, ports, call, decided)
  }
  if (decided.stage === 'policy') return policyAgain(task, ports, call, decided)
  if (decided.stage === 'approval') return approvalAgain(ports, call, decided)
  if (decided.stage === 'judge') return judgeAgain(ports, call, decided)
  return { note: 'the effect is not repeated' }
}

function guardAgain(task: ReplayTask, { guard }: ReplayPorts, call: RecordedCall, decided: Decided): Answer {
  const owner = task.submitter.self && task.principal === 'owner'
  const origin: GuardOrigin = task.kind === 'agent' ? 'model' : owner ? 'owner' : 'peer'
  if (decided.subject === 'arguments') {
    const given = call.givenText ?? call.argumentText
    if (given === null) return { note: 'the text is erased' }
    return { replayed: guardWords(guardJson(guard, given, { subject: 'arguments', origin })) }
  }
  if (decided.subject === 'result' && decided.verdict === 'pass' && call.output !== null && call.outputFile === null) {
    return {
      replayed: guardWords(guard.inspect(call.output, { subject: 'result', origin: call.proposed?.taints ?? 'tool' }))
    }
  }
  return { note: 'the text that was looked at is not in the log' }
}

function guardWords(found: ReturnType<Guard['inspect']>): string {
  const { verdict, rule } = guardFacts(found)
  return `${verdict} ${rule}`
}

function policyAgain(task: ReplayTask, ports: ReplayPorts, call: RecordedCall, decided: Decided): Answer {
  const { proposed, argumentText } = call
  if (proposed === null || argumentText === null) return { note: 'the schema of the tool is not in the log' }
  const text = ports.policyText(proposed.policy)
  const args = tryParseJsonObject(utf8(argumentText))
  if (text === null || args === null) return { note: 'the rules or the arguments are not in the log' }
  const request: PolicyRequest = {
    tool: proposed.tool,
    kind: proposed.kind,
    tier: proposed.tier,
    arguments: args,
    taint: proposed.taint,
    principal: proposed.principal,
    member: { name: proposed.member, ...task.submitter },
    paths: proposed.paths,
    hosts: proposed.hosts,
    argv: proposed.argv
  }
  if (decided.rule === 'tier-above-task') return { note: 'the limit of the task decided' }
  try {
    const ruling = ports.parsePolicy(text).decide(request)
    return { replayed: `${ruling.decision} ${ruling.rule}` }
  } catch (error) {
    if (!isMeshError(error) || error.code !== 'POLICY_INVALID') throw error
    return { note: 'the recorded rules are not rules that this node can read' }
  }
}

function approvalAgain(ports: ReplayPorts, call: RecordedCall, decided: Decided): Answer {
  const asked = call.requests.length > 0
  if (!asked) {
    const ruling = call.stages.find(({ stage }) => stage === 'policy')
    return { replayed: ruling?.verdict === 'allow' ? `allow ${ruling.rule}` : 'deny never-asked' }
  }
  if (decided.verdict !== 'allow') return { note: 'what nobody answered, or a member denied, is taken at its word' }
  return { replayed: ports.votesSuffice(call) ? 'allow approved' : 'deny votes-missing' }
}

function judgeAgain(ports: ReplayPorts, call: RecordedCall, decided: Decided): Answer {
  const { judgeVotes: votes, output, outputFile, proposed, argumentText } = call
  const offline = votes.length > 0 && votes.every((vote) => vote.offline)
  if (!offline || output === null || outputFile !== null) return { note: 'the judges are taken at their word' }
  const request = { task: '', tool: proposed?.tool ?? '', argumentText: argumentText ?? '', output, judges: 1 }
  const { verdict } = ports.offlineJudge(request)
  return { replayed: verdict === 'safe' ? `pass ${decided.rule}` : 'block unsafe' }
}
