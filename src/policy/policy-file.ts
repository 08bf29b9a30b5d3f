// policy.toml: read anew for every call, from the user's file alone. No variable, flag, tool or peer sets anything here (POLICY-5).
// A missing file is full confirmation; a broken one is an error and never a weaker policy.

import { createHash } from 'node:crypto'
import { closeSync, constants, fstatSync, openSync, readFileSync, type Stats } from 'node:fs'
import { basename } from 'node:path'
import type { z } from 'zod'
import { LIMITS } from '../base/limits.ts'
import { isMeshError, MeshError } from '../base/mesh-error.ts'
import { parseToml, type TomlTable } from '../config/toml-document.ts'
import { hasErrno } from '../identity/atomic-file.ts'
import { type CommandRules, DEFAULT_PROGRAMS } from './command-check.ts'
import type { Policy, PolicyMode, PolicyRequest, PolicyVerdict, TrustList } from './contract.ts'
import { type CompiledRule, decide, type PolicyRules } from './decide.ts'
import { compileGlob, compileHostGlob, compilePathGlob, type Matcher } from './glob.ts'
import { type PolicyValues, policySchema, type RuleValues } from './policy-schema.ts'
import { type RuleLines, ruleLines } from './rule-lines.ts'
import { compileRule } from './rule-match.ts'

/** One rule for a person. */
export interface PolicyRuleView {
  readonly id: string
  readonly effect: 'deny' | 'ask' | 'allow'
  /** From 1. */
  readonly line: number
  /** Its conditions on one line. */
  readonly text: string
}

export interface LoadedPolicy extends Policy {
  /** False without a file, and for an empty one: full confirmation. */
  readonly exists: boolean
  readonly mode: PolicyMode
  /** In the file's order. */
  readonly rules: readonly PolicyRuleView[]
  /** For `checkCommand`, wherever a process is started. */
  readonly commands: CommandRules
}

/** Reads and checks the file; full confirmation when there is none. POLICY_INVALID names line and key; CONFIG_EXPOSED when others can write it. */
export function loadPolicy(path: string): LoadedPolicy {
  const text = readPolicyText(path) ?? ''
  if (parsed === null || parsed.path !== path || parsed.policy.text !== text)
    parsed = { path, policy: parsePolicy(text, path) }
  return parsed.policy
}

/** Of the text that was read last: it is read for every call, and seldom another. */
let parsed: { readonly path: string; readonly policy: LoadedPolicy } | null = null

/** The policy in `text`; the empty text is that of a missing file. `fileName` stands in places and errors. POLICY_INVALID. */
export function parsePolicy(text: string, fileName: string): LoadedPolicy {
  const file = basename(fileName)
  const table = parseTable(text, file)
  const lines = ruleLines(text)
  const values = checkTable(table, lines, file)
  if (values.rule.length !== lines.rules.length) throw invalid('rules are written as [[rule]]', { file })
  const rules = values.rule.map((rule, index) => compile(rule, `${file}:${lines.rules[index]}`))
  refuseTwice(rules, file)
  const exists = text !== ''
  const commands = { allow: values.command.allow ?? DEFAULT_PROGRAMS, shell: values.command.shell }
  const mode = exists ? values.mode : 'confirm'
  const modePlace = exists ? `${file}${lines.mode === null ? '' : `:${lines.mode}`}` : 'built-in'
  const policy: PolicyRules = { mode, modePlace, commands, tiers: values.tiers, rules }
  return {
    hash: createHash('sha256').update(text).digest('hex'),
    text,
    exists,
    mode,
    rules: values.rule.map((rule, index) => viewOf(rule, lines.rules[index] ?? 0)),
    commands,
    trust: trustOf(values.trust),
    decide: (request: PolicyRequest): PolicyVerdict => decide(policy, request)
  }
}

function compile(rule: RuleValues, place: string): CompiledRule {
  return { id: rule.id, effect: rule.effect, place, reason: rule.reason ?? null, matches: compileRule(rule) }
}

function refuseTwice(rules: readonly CompiledRule[], file: string): void {
  const places = new Map<string, string>()
  for (const { id, place } of rules) {
    const first = places.get(id)
    if (first !== undefined) throw invalid(`the rule ${id} is there twice`, { file, place, first })
    places.set(id, place)
  }
}

function viewOf(rule: RuleValues, line: number): PolicyRuleView {
  const { id, effect, reason, argument, ...conditions } = rule
  const parts = Object.entries(conditions).map(([name, values]) => `${name} ${(values ?? []).join(' | ')}`)
  const values = Object.entries(argument ?? {}).map(([pointer, patterns]) => `${pointer} ${patterns.join(' | ')}`)
  const text = [...parts, ...values].join(', ') || 'every call'
  return { id, effect, line, text: reason === undefined ? text : `${text} – ${reason}` }
}

function trustOf({ files, hosts, members }: PolicyValues['trust']): TrustList {
  const any = (patterns: readonly string[], compileOne: (pattern: string) => Matcher): Matcher => {
    const matchers = patterns.map((pattern) => compileOne(pattern))
    return (text) => matchers.some((matches) => matches(text))
  }
  const isMember = any(members, compileGlob)
  return {
    file: any(files, compilePathGlob),
    host: any(hosts, compileHostGlob),
    member: isMember
  }
}

function parseTable(text: string, file: string): TomlTable {
  try {
    return parseToml(text, file)
  } catch (error) {
    if (!isMeshError(error)) throw error
    throw new MeshError('POLICY_INVALID', error.message, { details: error.details, cause: error })
  }
}

function checkTable(table: TomlTable, lines: RuleLines, file: string): PolicyValues {
  const result = policySchema.safeParse(table)
  if (result.success) return result.data
  const issue = deepest(result.error.issues)
  const unknown = issue?.code === 'unrecognized_keys' ? issue.keys[0] : undefined
  const path = [...(issue?.path ?? []).map(String), ...(unknown === undefined ? [] : [unknown])]
  const line = path[0] === 'rule' ? lines.rules[Number(path[1])] : undefined
  const details = { file, ...(line === undefined ? {} : { line }), key: path.join('.').slice(0, 120) }
  throw invalid(
    unknown === undefined ? `${details.key}: ${issue?.message ?? 'not valid'}` : `there is no key ${details.key}`,
    details
  )
}

/** Of a union the branch that came furthest: its message names what is wrong. */
function deepest(issues: readonly z.core.$ZodIssue[]): z.core.$ZodIssue | undefined {
  // A misspelt key is the cause of the one that is missing.
  const issue = issues.find(({ code }) => code === 'unrecognized_keys') ?? issues[0]
  if (issue?.code !== 'invalid_union') return issue
  const inner = issue.errors
    .map((branch) => branch[0])
    .find((branch) => branch !== undefined && branch.code !== 'invalid_type')
  return inner === undefined ? issue : { ...inner, path: [...issue.path, ...inner.path] }
}

function invalid(message: string, details: Readonly<Record<string, string | number>>): MeshError {
  return new MeshError('POLICY_INVALID', message, { details })
}

/** The file's text; null when there is none. A link is refused: what it leads to may be somebody else's. */
function readPolicyText(path: string): string | null {
  const handle = tryOpen(path)
  if (handle === null) return null
  try {
    checkFile(path, fstatSync(handle))
    const bytes = readFileSync(handle)
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch (cause) {
    if (isMeshError(cause)) throw cause
    throw new MeshError('POLICY_INVALID', 'the file cannot be read as UTF-8', { details: { file: path }, cause })
  } finally {
    closeSync(handle)
  }
}

function tryOpen(path: string): number | null {
  try {
    // O_NONBLOCK: a pipe in its place must not hold the node.
    return openSync(path, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0))
  } catch (cause) {
    if (hasErrno(cause, 'ENOENT')) return null
    const message = hasErrno(cause, 'ELOOP') ? 'the file is a symbolic link' : 'the file cannot be opened'
    throw new MeshError('POLICY_INVALID', message, { details: { file: path }, cause })
  }
}

function checkFile(path: string, stats: Stats): void {
  const details = { file: path }
  if (!stats.isFile()) throw invalid('this is not a file', details)
  if (stats.size > LIMITS.configBytesMax)
    throw invalid(`the file is larger than ${LIMITS.configBytesMax} bytes`, details)
  if (process.platform === 'win32') return
  if (stats.uid !== process.geteuid?.() && stats.uid !== 0)
    throw invalid('the file belongs to another user', { ...details, owner: stats.uid })
  if ((stats.mode & 0o022) === 0) return
  const mode = (stats.mode & 0o777).toString(8).padStart(4, '0')
  throw new MeshError('CONFIG_EXPOSED', `others can write the file (mode ${mode})`, {
    details,
    hint: `chmod 600 ${path}`
  })
}
