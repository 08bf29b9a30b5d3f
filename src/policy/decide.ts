// The verdict on one call: deny, then ask, then allow; nothing matched means ask (POLICY-1). Pure: the same policy text and request give
// the same verdict on every machine, which is what a replay checks.

import { type CommandRules, type CommandVerdict, checkCommand, programsOf } from './command-check.ts'
import { programName } from './command-options.ts'
import { type PolicyMode, type PolicyRequest, type PolicyVerdict, TIERS, type Tier } from './contract.ts'
import type { TierValues } from './policy-schema.ts'
import type { Condition, RuleSubject } from './rule-match.ts'

/** A rule of the file, ready to be held against calls. */
export interface CompiledRule {
  readonly id: string
  readonly effect: 'deny' | 'ask' | 'allow'
  /** `policy.toml:12`. */
  readonly place: string
  readonly reason: string | null
  readonly matches: Condition
}

export interface PolicyRules {
  readonly mode: PolicyMode
  /** Where the file sets the mode; `built-in` without a file. */
  readonly modePlace: string
  readonly commands: CommandRules
  readonly tiers: Readonly<Record<Tier, TierValues>>
  /** In the file's order: the first that matches speaks for its effect. */
  readonly rules: readonly CompiledRule[]
}

const BUILT_IN = 'built-in'

/** Programs whose purpose is the network; what they do leaves this machine. */
const NETWORK_PROGRAMS: ReadonlySet<string> = new Set(
  'curl wget ssh scp sftp rsync nc ncat netcat socat telnet ftp ping dig nslookup host mail sendmail gh aws gcloud az kubectl'.split(
    ' '
  )
)

/** Decides one call. */
export function decide(policy: PolicyRules, request: PolicyRequest): PolicyVerdict {
  const command = commandVerdict(policy, request)
  const programs = request.argv === null ? [] : programsOf(request.argv)
  const { tier, reasons } = classify(request, command, programs)
  const subject: RuleSubject = { request, tier, programs }
  const { votes, another_key: anotherKey, judges, expires: expiresInMs } = policy.tiers[tier]
  const ruling = denial(policy, subject, command) ?? question(policy, subject) ?? permission(policy, subject)
  return { ...ruling, tier, reasons: [...ruling.reasons, ...reasons], votes, anotherKey, expiresInMs, judges }
}

type Ruling = Pick<PolicyVerdict, 'decision' | 'rule' | 'place' | 'reasons'>

function commandVerdict({ commands }: PolicyRules, { kind, argv }: PolicyRequest): CommandVerdict {
  if (argv === null) return kind === 'command' ? checkCommand([], commands) : { ok: true }
  return checkCommand(argv, commands)
}

/** The declared tier or a higher one (POLICY-2), with a reason for each step up. */
function classify(
  { tier, hosts }: PolicyRequest,
  command: CommandVerdict,
  programs: readonly string[]
): { readonly tier: Tier; readonly reasons: readonly string[] } {
  const reasons: string[] = []
  let classified = tier ?? 'irreversible'
  if (tier === null) reasons.push('The tool declares no tier: irreversible.')
  const raise = (to: Tier, reason: string): void => {
    if (rank(to) <= rank(classified)) return
    classified = to
    reasons.push(reason)
  }
  if (hosts.length > 0) raise('external', 'It reaches other hosts: external.')
  if (programs.some((program) => NETWORK_PROGRAMS.has(programName(program))))
    raise('external', 'The program reaches other hosts: external.')
  if (!command.ok && command.rule === 'command-destructive')
    raise('irreversible', 'The command destroys: irreversible.')
  return { tier: classified, reasons }
}

function rank(tier: Tier): number {
  return TIERS.indexOf(tier)
}

/** What no rule can allow comes first. */
function denial(policy: PolicyRules, subject: RuleSubject, command: CommandVerdict): Ruling | null {
  if (!command.ok) return { decision: 'deny', rule: command.rule, place: BUILT_IN, reasons: [sentence(command.reason)] }
  if (policy.mode === 'read-only' && subject.tier !== 'read-only') {
    const reasons = [`The mode is read-only, and the call is ${subject.tier}.`]
    return { decision: 'deny', rule: 'mode', place: policy.modePlace, reasons }
  }
  return firstRule(policy, subject, 'deny')
}

function question(policy: PolicyRules, subject: RuleSubject): Ruling | null {
  const asking = firstRule(policy, subject, 'ask')
  if (asking !== null || policy.mode !== 'confirm') return asking
  if (policy.modePlace === BUILT_IN) return unmatched()
  return { decision: 'ask', rule: 'mode', place: policy.modePlace, reasons: ['The mode asks for every call.'] }
}

function permission(policy: PolicyRules, subject: RuleSubject): Ruling {
  const allowing = firstRule(policy, subject, 'allow')
  if (allowing === null) return unmatched()
  const { taint } = subject.request
  if (taint.length === 0 || rank(subject.tier) < rank('external')) return allowing
  const reasons = [
    `The run has seen untrusted text (${taint.join(', ')}): rule ${allowing.rule} (${allowing.place}) does not count.`
  ]
  return { decision: 'ask', rule: 'taint', place: BUILT_IN, reasons }
}

function firstRule({ rules }: PolicyRules, subject: RuleSubject, effect: CompiledRule['effect']): Ruling | null {
  const rule = rules.find((candidate) => candidate.effect === effect && candidate.matches(subject))
  if (rule === undefined) return null
  const reason = rule.reason ?? `Rule ${rule.id} says ${effect}.`
  return { decision: effect, rule: rule.id, place: rule.place, reasons: [reason] }
}

function unmatched(): Ruling {
  return { decision: 'ask', rule: 'default', place: BUILT_IN, reasons: ['No rule allows it.'] }
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`
}
