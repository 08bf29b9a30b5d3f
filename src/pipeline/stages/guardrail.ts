// Stage 1: looks at the arguments, and at the description of a tool that the owner did not write. Changed text is what goes on.

import { toHex, utf8 } from '../../base/bytes.ts'
import { LIMITS } from '../../base/limits.ts'
import type { Guard, GuardOrigin, GuardVerdict } from '../../guard/contract.ts'
import { guardJson } from '../../guard/guard-json.ts'
import type { Tool } from '../contract.ts'
import type { CallInput } from '../run-contract.ts'
import { textPieces } from '../run-events.ts'
import type { RunSession } from '../run-session.ts'
import { passed, stopped, type Verdict } from '../verdict.ts'

/** A call whose text has been looked at. */
export interface GuardedCall {
  readonly input: CallInput
  /** Null for a name that no tool has: the policy stage denies it. */
  readonly tool: Tool | null
  readonly argumentText: string
  readonly argumentBytes: Uint8Array
  /** Hex, 16 bytes: makes two equal calls two digests. */
  readonly nonce: string
}

const LOOKED_MAX = LIMITS.toolInputBytesMax

export async function guardrail(run: RunSession, input: CallInput): Promise<Verdict<GuardedCall>> {
  const { call, argumentText } = input
  const recorded = run.recordedCall(call)
  const given = recorded?.givenText ?? recorded?.argumentText ?? argumentText
  if (Buffer.byteLength(given) > LOOKED_MAX) return tooLarge(given)

  const tool = run.ports.tools.get(input.tool)
  const description = tool === null ? null : describedBadly(run.ports.guard, tool)
  if (description !== null) {
    return stopped('blocked', {
      ...guardFacts(description),
      subject: 'description',
      text: `the description of ${input.tool}: ${sentence(description)}`
    })
  }
  const verdict = guardJson(run.ports.guard, given, { subject: 'arguments', origin: originOf(run, input) })
  const facts = { ...guardFacts(verdict), subject: 'arguments' as const }
  const noted = verdict.action === 'block' ? recorded?.givenText : recorded?.argumentText
  if (noted == null) noteArguments(run, call, given, verdict)
  if (verdict.action === 'block') return stopped('blocked', { ...facts, text: sentence(verdict) })
  const nonce = recorded?.proposed?.nonce ?? toHex(run.ports.random.bytes(16))
  const next = { input, tool, argumentText: verdict.text, argumentBytes: utf8(verdict.text), nonce }
  return passed(next, { ...facts, text: verdict.action === 'change' ? sentence(verdict) : '' })
}

function tooLarge(text: string): Verdict<GuardedCall> {
  return stopped('blocked', {
    subject: 'arguments',
    verdict: 'block',
    rule: 'input-too-large',
    text: `the arguments have ${Buffer.byteLength(text)} bytes, at most ${LOOKED_MAX} are looked at`
  })
}

/** Whose words the arguments are: a model's, the owner's at this node, or another member's task. */
function originOf(run: RunSession, input: CallInput): GuardOrigin {
  if (input.from !== 'task') return 'model'
  return run.start.submitter.self && run.start.principal === 'owner' ? 'owner' : 'peer'
}

/** The verdict over a description that is not the owner's, when it blocks. */
export function describedBadly(guard: Guard, { descriptor }: Tool): GuardVerdict | null {
  if (!descriptor.descriptionUntrusted) return null
  const text = `${descriptor.description}\n${JSON.stringify(descriptor.parameters)}`
  const verdict = guard.inspect(text, { subject: 'description', origin: 'tool' })
  return verdict.action === 'block' ? verdict : null
}

function noteArguments(run: RunSession, call: number, given: string, verdict: GuardVerdict): void {
  if (verdict.action !== 'pass') run.noteText('given', call, textPieces(given))
  if (verdict.action !== 'block') run.noteText('final', call, textPieces(verdict.text))
}

/** What a guard's verdict says in a record. */
export function guardFacts(verdict: GuardVerdict) {
  const rules = [...new Set(verdict.findings.map((finding) => finding.rule))]
  const [rule = 'nothing-found'] = verdict.findings
    .filter((finding) => verdict.action === 'pass' || finding.action === verdict.action)
    .map((finding) => finding.rule)
  return { verdict: verdict.action, rule, reasons: rules.slice(0, 32) }
}

/** For a person: which patterns matched, and where. */
export function sentence(verdict: GuardVerdict): string {
  const found = verdict.findings.slice(0, 8).map(({ rule, form, start, end }) => `${rule} at ${start}–${end} (${form})`)
  return `${verdict.action === 'block' ? 'blocked' : 'changed'}: ${found.join(', ')}`
}
