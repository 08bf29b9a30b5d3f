import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type CommandRules, checkCommand, DEFAULT_PROGRAMS, programsOf } from '../../src/policy/command-check.ts'
import type { PolicyRequest } from '../../src/policy/contract.ts'
import { parsePolicy } from '../../src/policy/policy-file.ts'
import { DANGEROUS, DESTRUCTIVE, LISTED, sh } from './command-tables.ts'

const SHELL: CommandRules = { allow: LISTED, shell: true }

function ruleOf(argv: readonly string[], rules = SHELL): string {
  const verdict = checkCommand(argv, rules)
  return verdict.ok ? 'ok' : verdict.rule
}

function expectAll(rule: string, table: readonly (readonly string[])[]): void {
  for (const argv of table) assert.equal(ruleOf(argv), rule, JSON.stringify(argv))
}

test('CMD-1 a program runs only when it is listed as it is called; the listed one beside it runs', () => {
  const rules = { allow: ['ls', '/opt/tool'], shell: false }
  for (const program of ['ls', '/opt/tool']) assert.equal(ruleOf([program, '-l'], rules), 'ok')
  for (const program of ['cat', './ls', '/bin/ls', '/tmp/ls', 'LS', 'ls ', 'tool', '../opt/tool', ''])
    assert.equal(ruleOf([program], rules), 'command-not-listed', program)
  assert.equal(ruleOf([], rules), 'command-not-listed')
  assert.equal(ruleOf(['ls', 'a\0b'], rules), 'command-arguments')
})

test('CMD-1 a shell is given text only when the policy names it and says so, and then each command in the text must be listed', () => {
  assert.equal(ruleOf(sh('ls'), { allow: ['sh', 'ls'], shell: true }), 'ok')
  assert.equal(ruleOf(sh('ls'), { allow: ['sh', 'ls'], shell: false }), 'command-not-listed')
  assert.equal(ruleOf(sh('ls'), { allow: ['ls'], shell: true }), 'command-not-listed')
  for (const text of [
    'ls; cat x',
    'ls $(cat x)',
    'ls `cat x`',
    'ls <(cat x)',
    'if ls; then cat x; fi',
    'for f in a; do cat $f; done',
    '{ cat x; }',
    '! cat x',
    '(cat x)',
    'ls | cat',
    'ls & cat'
  ])
    assert.equal(ruleOf(sh(text), { allow: ['sh', 'ls'], shell: true }), 'command-not-listed', text)
})

test('CMD-1 without a list only text tools run, and none of them is one that starts others', () => {
  const rules = { allow: DEFAULT_PROGRAMS, shell: false }
  assert.equal(ruleOf(['grep', '-r', 'x', '.'], rules), 'ok')
  for (const program of ['sh', 'awk', 'sed', 'xargs', 'env', 'node', 'git', 'tee', 'rm', 'curl'])
    assert.equal(ruleOf([program], rules), 'command-not-listed', program)
})

test('CMD-2 argument forms by which a listed program runs another are refused in every spelling', () => {
  const rules = { allow: [...LISTED, 'python3.12'], shell: true }
  for (const argv of DANGEROUS) assert.equal(ruleOf(argv, rules), 'command-arguments', JSON.stringify(argv))
})

test('CMD-2 the same programs run with arguments that do what they are for', () => {
  expectAll('ok', [
    ['git', 'status'],
    ['git', '-C', 'x', 'log', '-c'],
    ['git', 'switch', '-c', 'topic'],
    ['git', 'clone', 'https://example.org/a.git'],
    ['git', 'config', '--get', 'user.name'],
    ['find', '.', '-name', '*.ts', '-type', 'f'],
    ['tar', '-czf', 'a.tgz', 'src'],
    ['tar', 'xzf', 'a.tgz'],
    ['sed', '-n', '1,5p', 'f'],
    ['sed', 's/[a-z]*/x/g;s#a#b#2;/e/d;$!N', 'f'],
    ['sed', '-e', 's/e/w/', '-e', '$d', 'f'],
    ['awk', '-F:', '{ if ($1 > 5) print $2 }', 'f'],
    ['rsync', '-av', 'a/', 'b/'],
    ['ssh', '-p', '22', 'host', 'ls'],
    ['node', 'a.js', '-e', '--eval'],
    ['python3', '-u', 'a.py', '-c'],
    ['perl', 'a.pl', '-e'],
    ['make', '-j4', 'all'],
    ['npm', 'test'],
    ['sort', '-rk2', 'a'],
    ['split', '-l', '5', 'a'],
    ['uniq', '-c', 'a'],
    ['rg', '--pretty', 'x'],
    ['curl', 'https://example.org'],
    sh('ls -l | wc -l && echo "$HOME" 2>&1'),
    sh('cd src; for f in *.ts; do wc -l "$f"; done # all of them'),
    ['bash', '-euo', 'pipefail', '-c', 'ls'],
    ['sh', 'build.sh']
  ])
})

test('CMD-3 destructive commands are recognised in any order and spelling', () =>
  expectAll('command-destructive', DESTRUCTIVE))

test('CMD-3 what destroys is refused by that name even when its program is not listed', () => {
  assert.equal(ruleOf(['rm', '-rf', '/'], { allow: [], shell: false }), 'command-destructive')
  assert.equal(ruleOf(['rm', '-rf', './x'], { allow: [], shell: false }), 'command-not-listed')
})

test('CMD-3 quotes and backslashes anywhere in the words do not hide a command', () => {
  const spelled = fc
    .array(fc.constantFrom('', "''", '""', '\\'), { minLength: 12, maxLength: 12 })
    .map((marks) =>
      ['rm', '-rf', '/etc']
        .map((word, at) => [...word].map((letter, index) => `${marks[at * 4 + index] ?? ''}${letter}`).join(''))
        .join(' ')
    )
  fc.assert(fc.property(spelled, (text) => ruleOf(sh(text)) === 'command-destructive'))
})

test('CMD-4 what only looks dangerous stays allowed', () =>
  expectAll('ok', [
    ['rm', '-rf', './build'],
    ['rm', '-rf', 'build', '/tmp/x/y', '/home/ann/project/dist'],
    ['rm', '-rf', '$HOME/project/build'],
    ['rm', 'a.txt'],
    ['grep', '-r', 'sudo'],
    ['grep', '-rn', 'rm -rf /', 'docs'],
    sh('ls > /dev/null'),
    sh('ls 2>&1 >/dev/null; ls 2>/dev/stderr'),
    ['git', 'commit', '-m', 'Never run rm -rf / or git push --force; curl x | sh'],
    sh('git commit -m "Never run rm -rf / ; curl x | sh"'),
    sh("git commit -m 'mkfs && $(reboot)'"),
    ['echo', 'sudo'],
    sh('echo "sudo"'),
    sh('echo "sudo rm -rf /" # rm -rf /'),
    ['git', 'push', 'origin', 'main'],
    ['git', 'push', '--follow-tags', '-u', 'origin', 'HEAD:topic'],
    ['git', 'reset', '--soft', 'HEAD~1'],
    ['docker', 'compose', 'up', '-d'],
    ['docker', 'ps'],
    ['kill', '-9', '4321'],
    ['kill', '-1', '4321'],
    ['chmod', '-R', '755', 'dist'],
    ['chmod', '777', 'a'],
    ['find', '.', '-name', 'reboot'],
    ['dd', 'if=a', 'of=b'],
    sh('rm -rf build/*'),
    sh('cat a | base64 | wc -c'),
    sh('curl -s https://x | wc -l'),
    sh('cat a | sh build.sh')
  ]))

test('CMD-5 whatever kind of tool starts a process, the same check decides before any rule', () => {
  const policy = parsePolicy('[command]\nallow = ["ls"]\n[[rule]]\nid = "all"\neffect = "allow"\n', 'policy.toml')
  const kinds: readonly PolicyRequest['kind'][] = ['builtin', 'script', 'wasm', 'command', 'mcp']
  const request = (kind: PolicyRequest['kind'], argv: readonly string[] | null): PolicyRequest => ({
    tool: 'x',
    kind,
    tier: 'internal',
    arguments: {},
    taint: [],
    principal: 'owner',
    member: { name: 'a', peerId: 'p', self: true },
    paths: [],
    hosts: [],
    argv
  })
  for (const kind of kinds) {
    assert.equal(policy.decide(request(kind, ['ls'])).decision, 'allow', kind)
    for (const argv of [['cat'], ['rm', '-rf', '/'], ['env', 'ls'], []]) {
      const verdict = policy.decide(request(kind, argv))
      assert.equal(verdict.decision, 'deny', `${kind} ${argv}`)
      assert.match(verdict.rule, /^command-/)
      assert.equal(verdict.place, 'built-in')
    }
  }
  assert.equal(policy.decide(request('command', null)).rule, 'command-not-listed')
  assert.equal(policy.decide(request('builtin', null)).decision, 'allow')
})

test('CMD-5 the check answers for any words without a throw, and in time for hostile ones', () => {
  const word = fc.oneof(
    fc.string(),
    fc.constantFrom(
      'sh',
      '-c',
      'sudo',
      'find',
      '-exec',
      'rm',
      '-rf',
      '/',
      '$(',
      '`',
      '"',
      "'",
      ';',
      '|',
      '{',
      '\n',
      '\\',
      'sed',
      'git',
      's/[/'
    )
  )
  fc.assert(fc.property(fc.array(word, { maxLength: 12 }), (argv) => typeof checkCommand(argv, SHELL).ok === 'boolean'))
  fc.assert(
    fc.property(
      fc.array(word, { maxLength: 12 }),
      (words) => typeof checkCommand(sh(words.join(' ')), SHELL).ok === 'boolean'
    )
  )
  const started = performance.now()
  for (const piece of [
    '$(',
    '`',
    '{',
    '"$(',
    '[',
    '/',
    '*/',
    'print',
    '\n',
    ' ',
    '\\',
    'find -exec ',
    'a;',
    '((',
    `\${`,
    '<(',
    '[:'
  ])
    for (const program of [['sh', '-c'], ['rm', '-r'], ['awk'], ['sed'], ['sqlite3'], ['find', '-exec']])
      checkCommand([...program, piece.repeat(200_000 / piece.length)], SHELL)
  assert.ok(performance.now() - started < 10_000)
})

test('the programs of a command line are those of the text for a shell too', () => {
  assert.deepEqual(programsOf(sh('ls | grep x; echo $(wc y)')), ['sh', 'wc', 'ls', 'grep', 'echo'])
})
