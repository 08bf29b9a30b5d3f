// What policy.toml may hold; keys.example/policy.toml explains it. Unknown keys are errors.

import { z } from 'zod'
import { LIMITS } from '../base/limits.ts'
import { TIERS } from './contract.ts'

const PATTERNS_MAX = 64
const POINTERS_MAX = 16
const VOTES_MAX = 16
const REASON_LENGTH_MAX = 200
/** Ids that verdicts use themselves. */
const RESERVED_IDS: ReadonlySet<string> = new Set([
  'default',
  'mode',
  'taint',
  'command-not-listed',
  'command-arguments',
  'command-destructive'
])

const ruleId = z
  .string()
  .max(64)
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/, 'an id is letters, digits, dots and hyphens')
  .refine((id) => !RESERVED_IDS.has(id), 'this id is used by pmesh itself')

const pattern = z
  .string()
  .min(1)
  .max(LIMITS.policyPatternLengthMax)
  .refine((text) => !/(?<!\\)[[\]{}]/.test(text), 'patterns know * ? and \\; brackets need a \\ in front')

function oneOrMore<Item extends z.ZodType<string>>(item: Item) {
  return z.union([item.transform((value) => [value]), z.array(item).min(1).max(PATTERNS_MAX)], {
    error: `a text, or a list of 1 to ${PATTERNS_MAX} texts`
  })
}

const patterns = oneOrMore(pattern)
const literal = z.string().min(1).max(LIMITS.policyPatternLengthMax)
const literals = z.array(literal).max(PATTERNS_MAX * 4)
const pointer = z
  .string()
  .max(LIMITS.policyPatternLengthMax)
  .regex(/^(?:\/(?:[^~/]|~[01])*)*$/, 'a JSON pointer begins with /')

const duration = z
  .string()
  .regex(/^[1-9][0-9]{0,5}[smh]$/, 'a time is a number with s, m or h')
  .transform((text) => Number(text.slice(0, -1)) * { s: 1000, m: 60_000, h: 3_600_000 }[text.at(-1) as 's' | 'm' | 'h'])
  .refine((ms) => ms <= LIMITS.approvalLifeMs, `at most ${LIMITS.approvalLifeMs / 60_000}m`)

const tierSchema = z
  .strictObject({
    votes: z.int().min(1).max(VOTES_MAX).default(1),
    another_key: z.boolean().default(false),
    judges: z.union([z.literal(1), z.literal(3)]).default(1),
    expires: duration.default(LIMITS.approvalLifeMs)
  })
  .prefault({})

/** What a member calls itself is its own choice: nothing is allowed or trusted by it. */
const BY_PEER_ID = /^(?:\*|12D3KooW[A-Za-z0-9*?]*)$/
const BY_PEER_ID_TEXT = 'members are allowed and trusted by peer id (12D3KooW…): names are what members call themselves'

const ruleSchema = z
  .strictObject({
    id: ruleId,
    effect: z.enum(['deny', 'ask', 'allow']),
    reason: z
      .string()
      .max(REASON_LENGTH_MAX)
      .regex(/^\P{Cc}*$/u, 'one line')
      .optional(),
    tool: patterns.optional(),
    tier: oneOrMore(z.enum(TIERS)).optional(),
    path: patterns.optional(),
    host: patterns.optional(),
    argument: z
      .record(pointer, patterns)
      .refine((record) => Object.keys(record).length <= POINTERS_MAX, `at most ${POINTERS_MAX} arguments`)
      .optional(),
    member: patterns.optional(),
    principal: oneOrMore(z.enum(['owner', 'agent', 'token', 'peer'])).optional(),
    taint: oneOrMore(z.enum(['none', 'peer', 'web', 'file', 'tool', 'model'])).optional(),
    program: patterns.optional()
  })
  .refine(({ effect, member }) => effect !== 'allow' || (member ?? []).every((text) => BY_PEER_ID.test(text)), {
    error: BY_PEER_ID_TEXT,
    path: ['member']
  })

export const policySchema = z.strictObject({
  mode: z.enum(['rules', 'confirm', 'read-only']).default('rules'),
  command: z.strictObject({ allow: literals.optional(), shell: z.boolean().default(false) }).prefault({}),
  trust: z
    .strictObject({
      files: z.array(pattern).max(PATTERNS_MAX).default([]),
      hosts: z.array(pattern).max(PATTERNS_MAX).default([]),
      members: z.array(pattern.regex(BY_PEER_ID, BY_PEER_ID_TEXT)).max(PATTERNS_MAX).default([])
    })
    .prefault({}),
  tiers: z
    .strictObject({ 'read-only': tierSchema, internal: tierSchema, external: tierSchema, irreversible: tierSchema })
    .prefault({}),
  rule: z.array(ruleSchema).max(LIMITS.policyRulesMax).default([])
})

/** A policy as its file says it, defaults filled in. */
export type PolicyValues = z.output<typeof policySchema>
export type RuleValues = PolicyValues['rule'][number]
export type TierValues = PolicyValues['tiers']['irreversible']
