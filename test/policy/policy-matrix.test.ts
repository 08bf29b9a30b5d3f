import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type PolicyMode, type PolicyRequest, type Taint, TIERS, type Tier } from '../../src/policy/contract.ts'
import { parsePolicy } from '../../src/policy/policy-file.ts'

const RULES = `
[[rule]]
id = "no"
effect = "deny"
tool = "denied"
[[rule]]
id = "look"
effect = "ask"
tool = "asked"
[[rule]]
id = "yes"
effect = "allow"
tool = "allowed"
`
const MODES: readonly PolicyMode[] = ['rules', 'confirm', 'read-only']
const TOOLS = ['denied', 'asked', 'allowed', 'unnamed'] as const
const TAINTS: readonly Taint[] = ['peer', 'web', 'file', 'tool', 'model']

function request(changes: Partial<PolicyRequest>): PolicyRequest {
  const member = { name: 'ann', peerId: '12D3KooWA', self: true }
  return {
    tool: 'allowed',
    kind: 'builtin',
    tier: 'internal',
    arguments: {},
    taint: [],
    principal: 'owner',
    member,
    paths: [],
    hosts: [],
    argv: null,
    ...changes
  }
}

const policyOf = (mode: PolicyMode) => parsePolicy(`mode = "${mode}"\n${RULES}`, 'policy.toml')

/** `decision rule` for denied, asked, allowed, unnamed, by mode, tier and whether the run is tainted. */
const MATRIX: Readonly<Record<PolicyMode, Readonly<Record<Tier, readonly [clean: string, tainted: string]>>>> = {
  rules: {
    'read-only': ['deny no, ask look, allow yes, ask default', 'deny no, ask look, allow yes, ask default'],
    internal: ['deny no, ask look, allow yes, ask default', 'deny no, ask look, allow yes, ask default'],
    external: ['deny no, ask look, allow yes, ask default', 'deny no, ask look, ask taint, ask default'],
    irreversible: ['deny no, ask look, allow yes, ask default', 'deny no, ask look, ask taint, ask default']
  },
  confirm: {
    'read-only': ['deny no, ask look, ask mode, ask mode', 'deny no, ask look, ask mode, ask mode'],
    internal: ['deny no, ask look, ask mode, ask mode', 'deny no, ask look, ask mode, ask mode'],
    external: ['deny no, ask look, ask mode, ask mode', 'deny no, ask look, ask mode, ask mode'],
    irreversible: ['deny no, ask look, ask mode, ask mode', 'deny no, ask look, ask mode, ask mode']
  },
  'read-only': {
    'read-only': ['deny no, ask look, allow yes, ask default', 'deny no, ask look, allow yes, ask default'],
    internal: ['deny mode, deny mode, deny mode, deny mode', 'deny mode, deny mode, deny mode, deny mode'],
    external: ['deny mode, deny mode, deny mode, deny mode', 'deny mode, deny mode, deny mode, deny mode'],
    irreversible: ['deny mode, deny mode, deny mode, deny mode', 'deny mode, deny mode, deny mode, deny mode']
  }
}

test('POLICY-4 every tier, taint and mode has the verdict of the table', () => {
  const subsets = Array.from({ length: 2 ** TAINTS.length }, (_, bits) =>
    TAINTS.filter((_taint, index) => (bits >> index) & 1)
  )
  for (const mode of MODES) {
    const policy = policyOf(mode)
    for (const tier of TIERS) {
      for (const taint of subsets) {
        const row = TOOLS.map((tool) => policy.decide(request({ tool, tier, taint }))).map(
          ({ decision, rule }) => `${decision} ${rule}`
        )
        assert.equal(row.join(', '), MATRIX[mode][tier][taint.length === 0 ? 0 : 1], `${mode} ${tier} ${taint}`)
      }
    }
  }
})

test('POLICY-4 each verdict explains itself with a sentence and the place of the rule', () => {
  const places = {
    no: /^policy\.toml:\d+$/,
    look: /^policy\.toml:\d+$/,
    yes: /^policy\.toml:\d+$/,
    mode: /^policy\.toml:1$/,
    taint: /^built-in$/,
    default: /^built-in$/
  }
  for (const mode of MODES) {
    for (const tier of TIERS) {
      for (const tool of TOOLS) {
        const verdict = policyOf(mode).decide(request({ tool, tier, taint: ['web'] }))
        assert.match(verdict.place, places[verdict.rule as keyof typeof places])
        assert.ok(
          verdict.reasons.length > 0 && verdict.reasons.every((reason) => /^[A-Z].*\.$/.test(reason)),
          String(verdict.reasons)
        )
      }
    }
  }
})

const requests = fc.record<PolicyRequest>(
  {
    tool: fc.oneof(fc.constantFrom(...TOOLS), fc.string({ maxLength: 40 })),
    kind: fc.constantFrom('builtin', 'script', 'wasm', 'command', 'mcp'),
    tier: fc.constantFrom(...TIERS, null),
    arguments: fc.dictionary(fc.string(), fc.jsonValue(), { noNullPrototype: true }) as fc.Arbitrary<
      Record<string, unknown>
    >,
    taint: fc.subarray([...TAINTS]),
    principal: fc.constantFrom('owner', 'agent', 'token', 'peer'),
    member: fc.record({ name: fc.string(), peerId: fc.string(), self: fc.boolean() }, { noNullPrototype: true }),
    paths: fc.array(fc.string(), { maxLength: 4 }),
    hosts: fc.array(fc.oneof(fc.domain(), fc.string()), { maxLength: 3 }),
    argv: fc.option(
      fc.array(fc.oneof(fc.string(), fc.constantFrom('ls', 'rm', '-rf', '/', 'curl', 'sh', '-c')), { maxLength: 5 })
    )
  },
  { noNullPrototype: true }
)

test('POLICY-4 the same text and request give the same verdict, and asking changes neither', () => {
  fc.assert(
    fc.property(fc.constantFrom(...MODES), requests, (mode, asked) => {
      const before = structuredClone(asked)
      const policy = policyOf(mode)
      const first = policy.decide(asked)
      assert.deepEqual(policy.decide(asked), first)
      assert.deepEqual(policyOf(mode).decide(structuredClone(asked)), first)
      assert.deepEqual(asked, before)
    })
  )
})

test('POLICY-2 the classifier raises a tier and never lowers it, whatever the call is', () => {
  fc.assert(
    fc.property(fc.constantFrom(...MODES), requests, (mode, asked) => {
      const { tier } = policyOf(mode).decide(asked)
      assert.ok(TIERS.indexOf(tier) >= TIERS.indexOf(asked.tier ?? 'irreversible'))
    })
  )
})

test('POLICY-2 undeclared is irreversible, hosts and network programs make a call external, what destroys is irreversible', () => {
  const policy = parsePolicy('[command]\nallow = ["ls", "curl", "sh"]\nshell = true\n', 'policy.toml')
  const tierOf = (changes: Partial<PolicyRequest>) => policy.decide(request(changes)).tier
  for (const tier of TIERS) assert.equal(tierOf({ tier }), tier)
  assert.equal(tierOf({ tier: null }), 'irreversible')
  assert.equal(tierOf({ hosts: ['example.org'] }), 'external')
  assert.equal(tierOf({ tier: 'irreversible', hosts: ['example.org'] }), 'irreversible')
  assert.equal(tierOf({ argv: ['ls'] }), 'internal')
  assert.equal(tierOf({ argv: ['curl', 'https://example.org'] }), 'external')
  assert.equal(tierOf({ argv: ['sh', '-c', 'ls | curl https://example.org'] }), 'external')
  assert.equal(tierOf({ tier: 'read-only', argv: ['rm', '-rf', '/'] }), 'irreversible')
})

test('POLICY-3 a tainted run asks before an external or irreversible call that a rule allows, and says which rule; a clean one does not', () => {
  const policy = policyOf('rules')
  for (const taint of TAINTS) {
    for (const tier of ['external', 'irreversible', null] as const) {
      const verdict = policy.decide(request({ tier, taint: [taint] }))
      assert.deepEqual([verdict.decision, verdict.rule], ['ask', 'taint'])
      assert.ok(verdict.reasons[0]?.includes(`yes (policy.toml:`) && verdict.reasons[0].includes(taint))
      assert.equal(policy.decide(request({ tier })).decision, 'allow')
    }
    assert.equal(policy.decide(request({ tier: 'internal', taint: [taint] })).decision, 'allow')
    assert.equal(policy.decide(request({ tier: 'internal', taint: [taint], hosts: ['example.org'] })).rule, 'taint')
  }
})
