// One rule of a policy as a predicate. All its conditions must hold. Where a call touches several paths, hosts, programs or values, a rule that
// allows wants every one of them matched; a rule that asks or denies is content with any, and does not look at the case of names.

import type { PolicyRequest, Tier } from './contract.ts'
import { compileGlob, compileHostGlob, compilePathGlob, type Matcher } from './glob.ts'
import type { RuleValues } from './policy-schema.ts'

/** What a rule is held against. */
export interface RuleSubject {
  readonly request: PolicyRequest
  /** After the classifier. */
  readonly tier: Tier
  readonly programs: readonly string[]
}

export type Condition = (subject: RuleSubject) => boolean

/** The conditions of one rule in one predicate. */
export function compileRule(rule: RuleValues): Condition {
  const conditions = [...conditionsOf(rule)]
  return (subject) => conditions.every((condition) => condition(subject))
}

function* conditionsOf(rule: RuleValues): Generator<Condition> {
  const isAllow = rule.effect === 'allow'
  const touched = (values: readonly string[], matches: Matcher) =>
    isAllow ? values.length > 0 && values.every(matches) : values.some(matches)
  const { tool, tier, path, host, argument, member, principal, taint, program } = rule
  if (tool !== undefined) {
    const matches = anyOf(tool, compileGlob)
    yield ({ request }) => matches(request.tool)
  }
  if (tier !== undefined) yield (subject) => tier.includes(subject.tier)
  if (path !== undefined) {
    const matches = isAllow ? anyOf(path, compilePathGlob) : withoutCase(path, compilePathGlob)
    yield ({ request }) => touched(request.paths, matches)
  }
  if (host !== undefined) {
    const matches = anyOf(host, compileHostGlob)
    yield ({ request }) => touched(request.hosts, matches)
  }
  for (const [pointer, patterns] of Object.entries(argument ?? {})) {
    const matches = anyOf(patterns, compileGlob)
    yield ({ request }) => touched(leavesAt(request.arguments, pointer), matches)
  }
  if (member !== undefined) {
    const matches = anyOf(member, compileGlob)
    // A member chooses its own name: it may bring a question or a denial upon itself, but no permission.
    yield ({ request }) => matches(request.member.peerId) || (!isAllow && matches(request.member.name))
  }
  if (principal !== undefined) yield ({ request }) => principal.includes(request.principal)
  if (taint !== undefined) {
    const matches = (kind: string) => taint.some((wanted) => wanted === kind)
    yield ({ request }) => touched(request.taint.length === 0 ? ['none'] : request.taint, matches)
  }
  if (program !== undefined) {
    const matches = isAllow ? anyOf(program, compileGlob) : programMatcher(program)
    yield ({ programs }) => touched(programs, matches)
  }
}

function anyOf(patterns: readonly string[], compile: (pattern: string) => Matcher): Matcher {
  const matchers = patterns.map((pattern) => compile(pattern))
  return (text) => matchers.some((matches) => matches(text))
}

function withoutCase(patterns: readonly string[], compile: (pattern: string) => Matcher): Matcher {
  const matches = anyOf(
    patterns.map((pattern) => pattern.toLowerCase()),
    compile
  )
  return (text) => matches(text.toLowerCase())
}

/** By its name in whatever folder. */
function programMatcher(patterns: readonly string[]): Matcher {
  const matches = withoutCase(patterns, compileGlob)
  return (program) => matches(program) || matches(program.slice(program.lastIndexOf('/') + 1))
}

/** Texts of the value at the pointer; of a list or table those of everything in it. Nothing where there is no value. */
function leavesAt(root: unknown, pointer: string): string[] {
  let value = root
  for (const part of pointer.split('/').slice(1)) {
    const key = part.replaceAll('~1', '/').replaceAll('~0', '~')
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return []
    value = (value as Record<string, unknown>)[key]
  }
  return [...leaves(value)]
}

function* leaves(value: unknown): Generator<string> {
  if (typeof value !== 'object' || value === null) yield String(value)
  else for (const inner of Object.values(value)) yield* leaves(inner)
}
