import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { chmodSync, chownSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { ErrorCode } from '../../src/base/errors.ts'
import { LIMITS } from '../../src/base/limits.ts'
import { isMeshError } from '../../src/base/mesh-error.ts'
import { DEFAULT_PROGRAMS } from '../../src/policy/command-check.ts'
import type { PolicyRequest } from '../../src/policy/contract.ts'
import { type LoadedPolicy, loadPolicy, parsePolicy } from '../../src/policy/policy-file.ts'

const root = dirname(dirname(import.meta.dirname))

function freshFile(context: TestContext, text: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'pmesh-policy-'))
  context.after(() => rmSync(folder, { recursive: true, force: true }))
  const file = join(folder, 'policy.toml')
  writeFileSync(file, text, { mode: 0o600 })
  return file
}

function withCode(code: ErrorCode, ...texts: readonly string[]) {
  return (error: unknown): boolean => {
    assert.ok(isMeshError(error), String(error))
    assert.equal(error.code, code)
    const shown = `${error.message} ${JSON.stringify(error.details)}`
    for (const text of texts) assert.ok(shown.includes(text), `${shown} lacks ${text}`)
    return true
  }
}

function request(changes: Partial<PolicyRequest> = {}): PolicyRequest {
  const member = { name: 'ann', peerId: '12D3KooWA', self: true }
  return {
    tool: 'calc',
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

const rule = (id: string, effect: string, conditions = ''): string =>
  `[[rule]]\nid = "${id}"\neffect = "${effect}"\n${conditions}\n`

function ruling(policy: LoadedPolicy, changes: Partial<PolicyRequest> = {}): string {
  const { decision, rule: id } = policy.decide(request(changes))
  return `${decision} ${id}`
}

const policyOf = (text: string): LoadedPolicy => parsePolicy(text, 'policy.toml')

test('POLICY-1 without a file every call asks, and nothing that is denied by itself is let through', (context) => {
  const file = freshFile(context, '')
  rmSync(file)
  const policy = loadPolicy(file)
  assert.deepEqual([policy.exists, policy.mode, policy.text, policy.rules.length], [false, 'confirm', '', 0])
  assert.equal(policy.hash, createHash('sha256').digest('hex'))
  for (const tier of ['read-only', 'internal', 'external', 'irreversible', null] as const) {
    const verdict = policy.decide(request({ tier }))
    assert.deepEqual([verdict.decision, verdict.rule, verdict.place], ['ask', 'default', 'built-in'])
    assert.deepEqual(
      [verdict.votes, verdict.anotherKey, verdict.judges, verdict.expiresInMs],
      [1, false, 1, LIMITS.approvalLifeMs]
    )
  }
  assert.equal(ruling(policy, { kind: 'command', argv: ['rm', '-rf', '/'] }), 'deny command-destructive')
  assert.equal(ruling(policy, { kind: 'command', argv: ['ls'] }), 'ask default')
  assert.deepEqual(policy.commands, { allow: DEFAULT_PROGRAMS, shell: false })
})

test('POLICY-1 deny comes before ask, ask before allow, whatever their order in the file; nothing matched asks', () => {
  const allow = rule('may', 'allow', 'tool = "calc"')
  const ask = rule('look', 'ask', 'tool = "calc"')
  const deny = rule('never', 'deny', 'tool = "calc"')
  assert.equal(ruling(policyOf(allow)), 'allow may')
  assert.equal(ruling(policyOf(allow + ask)), 'ask look')
  assert.equal(ruling(policyOf(ask + allow)), 'ask look')
  for (const text of [allow + ask + deny, deny + ask + allow, ask + deny + allow])
    assert.equal(ruling(policyOf(text)), 'deny never')
  assert.equal(ruling(policyOf(allow), { tool: 'fetch' }), 'ask default')
  assert.equal(ruling(policyOf('mode = "rules"\n')), 'ask default')
})

test('POLICY-1 all conditions of a rule must hold', () => {
  const conditions = {
    tool: ['tool = "file.*"', { tool: 'file.read' }, { tool: 'files' }],
    tier: ['tier = ["internal", "external"]', { tier: 'internal' }, { tier: 'irreversible' }],
    path: ['path = "src/**"', { paths: ['src/a.ts'] }, { paths: ['lib/a.ts'] }],
    host: ['host = "*.example.org"', { tier: 'external', hosts: ['a.example.org'] }, { hosts: ['example.org'] }],
    argument: [
      'argument = { "/mode/x" = "fast*" }',
      { arguments: { mode: { x: 'faster' } } },
      { arguments: { mode: { x: 'slow' } } }
    ],
    member: ['member = "12D3KooWA*"', {}, { member: { name: 'bob', peerId: '12D3KooWB', self: false } }],
    principal: ['principal = "owner"', {}, { principal: 'peer' }],
    taint: ['taint = "none"', {}, { taint: ['file'] }],
    program: ['program = "ls"', { argv: ['ls'] }, { argv: ['cat'] }]
  } as const
  const rows = Object.values(conditions) as readonly (readonly [
    string,
    Partial<PolicyRequest>,
    Partial<PolicyRequest>
  ])[]
  for (const [text, fits, fitsNot] of rows) {
    const policy = policyOf(rule('r', 'allow', text))
    assert.equal(ruling(policy, fits), 'allow r', text)
    assert.equal(ruling(policy, fitsNot), 'ask default', text)
  }
  const both = policyOf(rule('r', 'allow', 'tool = "calc"\nprincipal = "owner"\ntaint = "none"'))
  assert.equal(ruling(both), 'allow r')
  for (const changes of [{ tool: 'x' }, { principal: 'agent' }, { taint: ['web'] }] as const)
    assert.equal(ruling(both, changes), 'ask default')
})

test('POLICY-1 an allow wants all paths, hosts and values matched, a deny any; other spellings of a path change nothing', () => {
  const allow = policyOf(rule('r', 'allow', 'path = "src/**"'))
  for (const paths of [['src/a'], ['./src//b/../a', 'src/c/d']])
    assert.equal(ruling(allow, { paths }), 'allow r', String(paths))
  for (const paths of [[], ['src/a', 'x'], ['src/../x'], ['../src/a'], ['/src/a'], ['SRC/a'], ['srcx/a']])
    assert.equal(ruling(allow, { paths }), 'ask default', String(paths))
  const deny = policyOf(rule('r', 'deny', 'path = ["secrets/**", "**/.env"]'))
  for (const path of ['secrets/a', 'Secrets/A', 'x/../secrets/a', './secrets/./a/b', '.env', 'a/b/.ENV'])
    assert.equal(ruling(deny, { paths: ['ok', path] }), 'deny r', path)
  for (const path of ['secret/a', 'a/secrets', 'x.env'])
    assert.equal(ruling(deny, { paths: [path] }), 'ask default', path)
  const hosts = policyOf(rule('r', 'allow', 'host = ["example.org", "*.example.org"]'))
  for (const host of ['example.org', 'A.example.org.', 'a.b.example.org:8443'])
    assert.equal(ruling(hosts, { hosts: [host] }), 'allow r', host)
  for (const host of ['example.org.evil', 'evilexample.org', 'example.com', ''])
    assert.equal(ruling(hosts, { hosts: ['example.org', host] }), 'ask default', host)
  const list = policyOf(rule('r', 'allow', 'argument = { "/to" = "*@example.org" }'))
  assert.equal(ruling(list, { arguments: { to: ['a@example.org', 'b@example.org'] } }), 'allow r')
  for (const to of [['a@example.org', 'b@evil'], [], undefined])
    assert.equal(ruling(list, { arguments: { to } }), 'ask default')
})

test('POLICY-1 a denied program is found inside text for a shell', () => {
  const policy = policyOf(
    `[command]\nallow = ["sh", "git", "ls"]\nshell = true\n${rule('no', 'deny', 'program = "git"')}${rule('yes', 'allow', 'program = ["sh", "ls"]')}`
  )
  assert.equal(ruling(policy, { argv: ['sh', '-c', 'ls; ls'] }), 'allow yes')
  assert.equal(ruling(policy, { argv: ['sh', '-c', 'ls; git status'] }), 'deny no')
  assert.equal(ruling(policy, { argv: ['sh', '-c', 'ls; cat x'] }), 'deny command-not-listed')
})

test('POLICY-4 a verdict names the place of its rule, past strings, arrays and comments that look like one', () => {
  const text = `# [[rule]]
mode = "rules" # mode
[command]
allow = [
  "ls", # ]
  "[[rule]]"
]
[[rule]] # first
id = "first"
effect = "deny"
tool = "x"
reason = """\\
[[rule]] \\" \\
"""
  [[ "rule" ]]
  id = 'second' # "
  effect = "allow"
  reason = '[[rule]]'
  [rule.argument]
  "/x" = ["a", "b"]
[[rule]]
id = "third"
effect = "ask"
tool = "x"
reason = '''
'[[rule]]'''''
`
  const policy = policyOf(text)
  assert.deepEqual(
    policy.rules.map(({ id, effect, line }) => [id, effect, line]),
    [
      ['first', 'deny', 8],
      ['second', 'allow', 15],
      ['third', 'ask', 21]
    ]
  )
  assert.equal(policy.rules[1]?.text, '/x a | b – [[rule]]')
  const verdict = policy.decide(request({ arguments: { x: 'b' } }))
  assert.deepEqual(
    [verdict.decision, verdict.rule, verdict.place, verdict.reasons],
    ['allow', 'second', 'policy.toml:15', ['[[rule]]']]
  )
})

test('POLICY-4 the numbers of a tier come from the file', () => {
  const policy = policyOf('[tiers.irreversible]\nvotes = 2\nanother_key = true\njudges = 3\nexpires = "90s"\n')
  const { votes, anotherKey, judges, expiresInMs } = policy.decide(request({ tier: null }))
  assert.deepEqual([votes, anotherKey, judges, expiresInMs], [2, true, 3, 90_000])
  assert.equal(policy.decide(request()).votes, 1)
})

test('POLICY-5 no variable changes a policy: the same text decides the same under a hostile environment', (context) => {
  const file = freshFile(context, `mode = "\${MODE}"\n`)
  assert.throws(() => loadPolicy(file), withCode('POLICY_INVALID', 'mode'))
  writeFileSync(file, rule('never', 'deny', 'tool = "calc"'))
  const script = `import { loadPolicy } from ${JSON.stringify(join(root, 'src/policy/policy-file.ts'))}
    const policy = loadPolicy(process.argv[1])
    process.stdout.write(JSON.stringify([policy.mode, policy.commands, policy.decide(${JSON.stringify(request())})]))`
  const run = (env: NodeJS.ProcessEnv) =>
    execFileSync(process.execPath, ['--input-type=module-typescript', '-e', script, file], {
      env,
      encoding: 'utf8',
      timeout: 30_000
    })
  const hostile = {
    PMESH_POLICY: '/dev/null',
    PMESH_POLICY_MODE: 'rules',
    PMESH_MODE: 'rules',
    PMESH_COMMAND_ALLOW: 'sh',
    PMESH_COMMAND_SHELL: 'true',
    MODE: 'rules',
    PMESH_TRUST_HOSTS: '*'
  }
  assert.equal(run(hostile), run({}))
  assert.equal(JSON.parse(run(hostile))[2].decision, 'deny')
})

test('POLICY-5 a policy that somebody else could have written is refused, the same file of one’s own is read', (context) => {
  const file = freshFile(context, rule('may', 'allow'))
  assert.equal(ruling(loadPolicy(file)), 'allow may')
  chmodSync(file, 0o644)
  assert.equal(ruling(loadPolicy(file)), 'allow may')
  for (const mode of [0o620, 0o602, 0o666]) {
    chmodSync(file, mode)
    assert.throws(() => loadPolicy(file), withCode('CONFIG_EXPOSED', file))
  }
  chmodSync(file, 0o600)
  const link = join(dirname(file), 'link.toml')
  symlinkSync(file, link)
  assert.throws(() => loadPolicy(link), withCode('POLICY_INVALID', 'symbolic link'))
  const folder = join(dirname(file), 'folder.toml')
  mkdirSync(folder)
  assert.throws(() => loadPolicy(folder), withCode('POLICY_INVALID', 'not a file'))
  if (process.geteuid?.() !== 0) return
  chownSync(file, 65_534, 65_534)
  assert.throws(() => loadPolicy(file), withCode('POLICY_INVALID', 'another user'))
})

test('POLICY-5 a broken policy is an error that names the place, never a weaker policy', (context) => {
  const broken: readonly (readonly [string, ...string[]])[] = [
    ['mode = "open"', 'mode'],
    ['mode = ', '"line":1'],
    ['mod = "rules"', 'mod'],
    ['[command]\nshel = true', 'command.shel'],
    ['[tiers.extern]', 'tiers.extern'],
    ['[tiers.external]\nexpires = "20m"', 'tiers.external.expires'],
    ['[tiers.external]\njudges = 2', 'tiers.external.judges'],
    ['[tiers.external]\nvotes = 0', 'tiers.external.votes'],
    ['rule = [{ id = "a", effect = "allow" }]', '[[rule]]'],
    ['[rule]\nid = "a"', 'rule'],
    [`${rule('a', 'allow')}\n${rule('b', 'allow', 'tol = "x"')}`, '"line":6', 'rule.1.tol'],
    [rule('a', 'permit'), '"line":1', 'effect'],
    [rule('taint', 'allow'), 'used by pmesh'],
    [rule('a b', 'allow'), 'id'],
    [rule('a', 'allow', 'tool = 3'), 'rule.0.tool'],
    [rule('a', 'allow', 'tool = []'), 'rule.0.tool'],
    [rule('a', 'allow', 'path = "src/{a,b}"'), 'brackets'],
    [rule('a', 'allow', `path = "${'x'.repeat(257)}"`), 'rule.0.path'],
    [rule('a', 'allow', 'argument = { "x" = "y" }'), 'rule.0.argument'],
    [rule('a', 'allow', '__proto__ = { tool = "x" }'), '__proto__'],
    [rule('a', 'allow', 'reason = "a\\nb"'), 'reason'],
    [rule('a', 'allow') + rule('a', 'deny'), 'twice', 'policy.toml:5'],
    [Array.from({ length: 1001 }, (_, index) => rule(`r${index}`, 'allow')).join(''), 'rule'],
    ['[command]\nshell = true\n[command]\nshell = false', 'command']
  ]
  for (const [text, ...places] of broken)
    assert.throws(() => policyOf(text), withCode('POLICY_INVALID', ...places), text.slice(0, 60))
  const file = freshFile(context, '')
  writeFileSync(file, Buffer.from([0x23, 0xff]))
  assert.throws(() => loadPolicy(file), withCode('POLICY_INVALID', 'UTF-8'))
  writeFileSync(file, '#'.repeat(LIMITS.configBytesMax + 1))
  assert.throws(() => loadPolicy(file), withCode('POLICY_INVALID', 'larger'))
})

test('POLICY-3 the trust list names what does not taint; without one nothing is trusted', () => {
  const { trust } = policyOf('[trust]\nfiles = ["src/**"]\nhosts = ["*.example.org"]\nmembers = ["12D3KooWC*"]\n')
  assert.deepEqual([trust.file('src/a'), trust.file('src/../a'), trust.file('a')], [true, false, false])
  assert.deepEqual([trust.host('a.example.org'), trust.host('example.org')], [true, false])
  assert.deepEqual([trust.member('12D3KooWC'), trust.member('12D3KooWD'), trust.member('bob')], [true, false, false])
  const none = policyOf('').trust
  assert.deepEqual([none.file('a'), none.host('a'), none.member('a')], [false, false, false])
})

test('patterns are matched in time however they are made', () => {
  const many = Array.from({ length: 60 }, () => `"${'*a'.repeat(127)}"`).join(', ')
  const paths = Array.from({ length: 60 }, () => `"${'**/*a*/'.repeat(36)}b"`).join(', ')
  const policy = policyOf(rule('a', 'deny', `argument = { "/x" = [${many}] }`) + rule('b', 'deny', `path = [${paths}]`))
  const started = performance.now()
  assert.equal(ruling(policy, { arguments: { x: `${'a'.repeat(100)}b` }, paths: ['a/'.repeat(500)] }), 'ask default')
  assert.equal(ruling(policy, { arguments: { x: 'b'.repeat(200_000) } }), 'ask default')
  assert.ok(performance.now() - started < 5_000)
})

test('the example policy.toml is valid and does what its comments say', () => {
  const policy = policyOf(readFileSync(join(root, 'keys.example/policy.toml'), 'utf8'))
  assert.equal(ruling(policy), 'allow arithmetic')
  assert.equal(ruling(policy, { tool: 'file.read', tier: 'read-only', paths: ['src/x/.env'] }), 'deny no-secrets')
  assert.equal(ruling(policy, { tool: 'file.read', tier: 'read-only', paths: ['src/x/a.ts'] }), 'allow read-sources')
  assert.equal(
    ruling(policy, { tool: 'fetch', tier: 'external', hosts: ['docs.example.org'], arguments: { method: 'GET' } }),
    'allow documentation'
  )
  assert.equal(
    ruling(policy, { tool: 'fetch', tier: 'external', hosts: ['docs.example.org'], arguments: { method: 'POST' } }),
    'ask default'
  )
  assert.equal(ruling(policy, { tool: 'command', kind: 'command', argv: ['git', 'log'] }), 'allow look-at-history')
  assert.equal(
    ruling(policy, { tool: 'command', kind: 'command', argv: ['git', 'log'], principal: 'peer' }),
    'ask others-ask-for-commands'
  )
  assert.equal(policy.decide(request({ tier: null })).votes, 2)
})
