import assert from 'node:assert/strict'
import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { ERRORS } from '../../src/base/errors.ts'
import { MeshError } from '../../src/base/mesh-error.ts'
import { createFakeNode } from '../rpc/fake-node-api.ts'
import { temporaryHome, until } from '../rpc/socket-harness.ts'
import { createCli, createServedCli, jsonLines } from './cli-harness.ts'

test('errors name what failed, the thing, the fix and the code; --json makes one object of them', async (context) => {
  const cli = createCli(context)
  const shown = await cli.run('status')
  assert.equal(shown.code, 10)
  assert.equal(
    shown.stderr,
    `pmesh: cannot reach the node: it is not running
  socket  ~/.phantom-mesh/run/pmesh.sock
  fix     pmesh node start
  code    NODE_NOT_RUNNING
`
  )
  const json = await cli.run('status', '--json')
  assert.equal(json.code, 10)
  assert.equal(json.stdout, '')
  const [error, ...rest] = jsonLines(json.stderr)
  assert.deepEqual(rest, [])
  assert.deepEqual(
    [error.code, error.message, error.hint],
    ['NODE_NOT_RUNNING', 'cannot reach the node: it is not running', 'pmesh node start']
  )
})

test('exit codes follow the code of the node’s error', async (context) => {
  const cli = await createServedCli(context)
  for (const [code, exit] of [
    ['IDENTITY_LOCKED', 11],
    ['MEMBER_FORBIDDEN', 12],
    ['LOG_RECOVERING', 13],
    ['LOG_SEAL_INVALID', 14],
    ['PEER_UNREACHABLE', 15],
    ['STORE_FULL', 1],
    ['EVENT_INVALID', 2]
  ] as const) {
    cli.api.heads = () => Promise.reject(new MeshError(code, 'cannot answer: a test says so'))
    const { code: found, stderr } = await cli.run('log', 'heads')
    assert.equal(found, exit, code)
    assert.match(stderr, new RegExp(`code  ${code}\n$`))
  }
})

test('wrong arguments are usage errors with exit code 2 and a suggestion', async (context) => {
  const cli = createCli(context)
  for (const [args, pattern] of [
    [['statsu'], /unknown command 'statsu'\n {2}fix {3}Did you mean status\?/],
    [['log', 'shwo'], /unknown command 'shwo'/],
    [['status', '--no-such'], /unknown option '--no-such'/],
    [['member', 'show'], /missing required argument 'member'/],
    [['member', 'role', 'pi', 'king'], /a role is observer, member or admin/],
    [['log', 'show', '--limit', 'many'], /Not a number/],
    [['log', 'show', '--from', 'yesterday'], /Not a time/],
    [['--timeout', 'soon', 'status'], /Not a duration/],
    [['--color', 'pink', 'status'], /Allowed choices/],
    [['invite', 'create', '--role', 'king'], /Allowed choices/],
    [['event', 'append', 'app-x', '{}', '--scope', 'xyz'], /a scope is 32/],
    [['rpc', 'node/status', '{'], /the params are not JSON/],
    [['completion', 'tcsh'], /no completion for tcsh/],
    [['help', 'nonsense'], /no command, topic or error code nonsense/],
    [['status', 'more'], /too many arguments/]
  ] as const) {
    const { code, stdout, stderr } = await cli.run(...args)
    assert.equal(code, 2, args.join(' '))
    assert.equal(stdout, '')
    assert.match(stderr, pattern)
    assert.match(stderr, /code {2}USAGE\n$/)
    assert.equal(jsonLines((await cli.run('--json', ...args)).stderr)[0].code, 'USAGE')
  }
  const group = await cli.run('node')
  assert.equal(group.code, 2)
  assert.match(group.stderr, /Usage: pmesh node/)
})

test('help is there for every command, topic and error code', async (context) => {
  const cli = createCli(context)
  for (const code of Object.keys(ERRORS)) {
    const { code: exit, stdout } = await cli.run('help', code)
    assert.equal(exit, 0, code)
    assert.ok(stdout.startsWith(`${code}\n`) && stdout.includes('exit code'), code)
  }
  for (const topic of ['environment', 'exit-codes', 'files', 'security'])
    assert.equal((await cli.run('help', topic)).code, 0)
  assert.match((await cli.run('help', 'exit-codes')).stdout, /14 {2}verification failed/)
  assert.match((await cli.run('help', 'log', 'verify')).stdout, /Usage: pmesh log verify/)
  assert.match((await cli.run('help')).stdout, /Everyday:[\s\S]*Setup:[\s\S]*Mesh:[\s\S]*Inspect:[\s\S]*Try:/)
  assert.equal((await cli.run('--version')).stdout, '0.2.0\n')
})

test('completion scripts name every command in every shell', async (context) => {
  const cli = createCli(context)
  for (const shell of ['bash', 'zsh', 'fish', 'powershell']) {
    const { code, stdout } = await cli.run('completion', shell)
    assert.equal(code, 0)
    for (const word of ['status', 'heads', 'revoke', '--recover-now', '--no-input'])
      assert.ok(stdout.includes(word), `${shell} ${word}`)
  }
})

test('HARD-2 node start warns as root, on stderr, and only then', async (context) => {
  const cli = createCli(context)
  mkdirSync(cli.home)
  chmodSync(cli.home, 0o755)
  const asRoot = await cli.runWith({ isRoot: true }, 'node', 'start')
  assert.match(asRoot.stderr, /^! running as root: [\s\S]*code {4}HOME_EXPOSED/)
  const asUser = await cli.runWith({ isRoot: false }, 'node', 'start')
  assert.doesNotMatch(asUser.stderr, /running as root/)
  assert.equal(asUser.code, 1)
})

test('a bare pmesh without a node names the next step', async (context) => {
  const cli = createCli(context)
  const first = await cli.run()
  assert.equal(first.code, 0)
  assert.match(first.stdout, /^There is no node in ~\/\.phantom-mesh yet\.\nnext: pmesh node start/)
  assert.equal((await cli.run('-q', 'init')).code, 0)
  assert.equal((await cli.run()).stdout, 'The node of ~/.phantom-mesh is not running.\nnext: pmesh node start\n')
})

test('init makes an identity and a mesh once, and shows the recovery words once', async (context) => {
  const cli = createCli(context)
  const { code, stdout } = await cli.run('init', '--name', 'laptop', '--mesh-name', 'lab', '--recovery-key')
  assert.equal(code, 0)
  const words = stdout.split('kept nowhere.\n')[1]?.split('\n\n')[0]?.trim().split(/\s+/) ?? []
  assert.equal(words.length, 24)
  assert.match(stdout, /mesh {7}lab \(founded here\)/)
  assert.equal(statSync(join(cli.home, 'identity', 'ed25519.key')).mode & 0o777, 0o600)
  const again = await cli.run('init')
  assert.equal(again.code, 1)
  assert.match(again.stderr, /code {2}MESH_ALREADY_MEMBER/)
  assert.equal((await cli.run('config', 'get', 'node.name')).stdout, 'laptop\n')
})

test('ID-5 init seals with a passphrase from a file; without file and terminal it is locked', async (context) => {
  const cli = createCli(context)
  const locked = await cli.run('init', '--seal', 'passphrase')
  assert.equal(locked.code, 11)
  assert.match(locked.stderr, /code {2}IDENTITY_LOCKED/)
  const file = join(temporaryHome(context), 'passphrase')
  writeFileSync(file, 'correct horse battery\n', { mode: 0o600 })
  const env = { PMESH_PASSPHRASE_FILE: file }
  assert.equal((await cli.runWith({ env }, 'init', '--seal', 'passphrase')).code, 0)
  assert.equal((await cli.runWith({ stdin: 'sk-canary', env }, 'credential', 'set', 'openai')).code, 0)
  const refused = await cli.runWith({ stdin: 'sk-canary', tty: false }, '--no-input', 'credential', 'set', 'openai')
  assert.equal(refused.code, 11)
})

test('ID-9 a credential goes from stdin into the sealed file and is shown nowhere', async (context) => {
  const cli = createCli(context)
  assert.match(
    (await cli.runWith({ stdin: 'sk-canary' }, 'credential', 'set', 'openai')).stderr,
    /code {2}IDENTITY_MISSING/
  )
  await cli.run('init')
  const set = await cli.runWith({ stdin: 'sk-canary\n' }, 'credential', 'set', 'openai')
  assert.deepEqual([set.code, set.stdout], [0, 'sealed openai api_key\n'])
  assert.equal((await cli.run('credential', 'list')).stdout, 'PROVIDER  FIELD    STATE\nopenai    api_key  sealed\n')
  assert.equal((await cli.run('credential', 'rotate')).code, 0)
  const everything =
    readFileSync(join(cli.home, 'agents.toml'), 'utf8') + (await cli.run('--json', 'credential', 'list')).stdout
  assert.doesNotMatch(everything, /canary/)
  assert.equal((await cli.run('credential', 'remove', 'openai')).code, 0)
  assert.match((await cli.run('credential', 'remove', 'openai')).stderr, /code {6}CREDENTIAL_MISSING/)
})

test('rotation is refused while a node runs', async (context) => {
  const cli = await createServedCli(context)
  await cli.run('init')
  assert.match((await cli.run('credential', 'rotate')).stderr, /code {2}NODE_RUNNING/)
})

test('ID-8 doctor counts plaintext keys; --fix mends modes and nothing else', async (context) => {
  const cli = createCli(context)
  await cli.run('init')
  writeFileSync(join(cli.home, 'agents.toml'), '[providers.openai]\napi_key = "sk-canary"\n', { mode: 0o600 })
  chmodSync(join(cli.home, 'secret.key'), 0o644)
  const found = await cli.run('doctor')
  assert.equal(found.code, 1)
  assert.match(
    found.stdout,
    /✗ ~\/\.phantom-mesh\/secret\.key is open to others \(mode 0644\) {3,}chmod 600 ~\/\.phantom-mesh\/secret\.key/
  )
  assert.match(
    found.stdout,
    /✗ 1 credential in plain text in agents\.toml: providers\.openai\.api_key {3,}pmesh credential set openai api_key/
  )
  assert.doesNotMatch(found.stdout, /canary/)
  const fixed = await cli.run('doctor', '--fix')
  assert.equal(statSync(join(cli.home, 'secret.key')).mode & 0o777, 0o600)
  assert.match(fixed.stdout, /mended: ~\/\.phantom-mesh\/secret\.key/)
  assert.match((await cli.run('config', 'check')).stderr, /code {3}CREDENTIAL_PLAINTEXT/)
  await cli.runWith({ stdin: 'sk-canary' }, 'credential', 'set', 'openai')
  assert.equal((await cli.run('doctor')).code, 0)
  assert.equal((await cli.run('config', 'check')).code, 0)
})

test('doctor adds the lines of the running node', async (context) => {
  const cli = await createServedCli(context)
  const { stdout } = await cli.run('doctor')
  assert.match(stdout, /socket\n {2}✓ ~\/\.phantom-mesh\/run\/pmesh\.sock, mode 0600/)
  assert.match(stdout, /clock\n {2}! pi is 48 s behind {3,}set the clock of pi/)
})

test('config set writes what config get reads; unknown keys and wrong values are usage errors', async (context) => {
  const cli = createCli(context)
  assert.equal((await cli.run('config', 'set', 'network.mdns', 'false')).code, 0)
  assert.equal((await cli.run('config', 'get', 'network.mdns')).stdout, 'false\n')
  assert.match((await cli.run('config', 'show')).stdout, /network\.mdns {14}false {22}file\n/)
  assert.equal((await cli.run('config', 'get', 'no.such')).code, 2)
  assert.equal((await cli.run('config', 'set', 'network.mdns', 'perhaps')).code, 2)
})

test('a home whose path is too long for a socket still has one; --socket too long is refused', async (context) => {
  const cli = createCli(context)
  const home = join(temporaryHome(context), 'x'.repeat(110))
  mkdirSync(home, { mode: 0o700 })
  const [paths] = jsonLines((await cli.run('--home', home, '--json', 'paths')).stdout)
  assert.ok(Buffer.byteLength(paths.socket) <= 107)
  assert.equal((await cli.run('--home', home, 'status')).code, 10)
  assert.match((await cli.run('--socket', `/${'y'.repeat(120)}`, 'status')).stderr, /code {2}SOCKET_FAILED/)
})

test('log export hands over an absolute path and refuses an existing file', async (context) => {
  const cli = await createServedCli(context)
  const file = join(temporaryHome(context), 'log.jsonl')
  const { code, stdout } = await cli.run('log', 'export', file, '--member', 'pi')
  assert.deepEqual([code, stdout], [0, `1 204 events, 456.8 kB, in ${file}\n`])
  assert.deepEqual(cli.api.calls, [`exportTo ${file} pi`])
  writeFileSync(file, '')
  assert.equal((await cli.run('log', 'export', file)).code, 2)
  assert.equal((await cli.run('log', 'export', file, '--force')).code, 0)
})

test('commands about members and peers reach the node', async (context) => {
  const cli = await createServedCli(context)
  assert.match((await cli.run('member', 'show', 'pi')).stdout, /^pi\n {2}peer id {4}12D3KooWTz/)
  assert.equal((await cli.run('member', 'role', 'pi', 'admin')).code, 0)
  assert.equal((await cli.run('member', 'remove', 'pi')).code, 0)
  assert.equal((await cli.run('member', 'remove', 'laptop')).code, 12)
  assert.equal((await cli.run('member', 'show', 'nobody')).code, 1)
  assert.deepEqual(cli.api.calls, ['memberRole pi admin', 'memberRemove pi'])
  assert.equal((await cli.run('peer', 'ping', 'pi')).stdout, 'pi   4.2 ms\n')
  assert.match((await cli.run('peer', 'connect', '/ip4/127.0.0.1/tcp/1')).stdout, /^connected to server/)
  const [created] = jsonLines((await cli.run('--json', 'invite', 'create')).stdout)
  assert.equal(
    (await cli.run('invite', 'revoke', created.invite.id)).stdout,
    `invite ${created.invite.id} is revoked\n`
  )
  assert.equal((await cli.run('invite', 'revoke', 'nope')).code, 12)
  assert.match((await cli.run('identity', 'show')).stdout, /^name {8}laptop\npeer id {5}12D3KooWQ4/)
  assert.equal((await cli.run('identity', 'claim')).code, 0)
})

test('node recover is for a node that recovers', async (context) => {
  const cli = await createServedCli(context)
  assert.equal((await cli.run('node', 'recover')).code, 2)
  const status = await cli.api.status()
  cli.api.status = async () => ({ ...status, state: 'recovering', stateDetail: 'waits for server' })
  assert.match((await cli.run('status')).stdout, /! recovering: waits for server/)
  assert.equal((await cli.run('node', 'recover')).code, 0)
  assert.deepEqual(cli.api.calls, ['recoveryOverride'])
})

test('node wait waits for a node that is not there yet, up to --timeout', async (context) => {
  const cli = createCli(context)
  assert.equal((await cli.run('--timeout', '300ms', 'node', 'wait')).code, 10)
  const served = await createServedCli(context)
  assert.deepEqual(await served.run('node', 'wait'), { code: 0, stdout: 'ready\n', stderr: '' })
  served.api.waitReady = (timeoutMs) => Promise.reject(new MeshError('TIMEOUT', `not ready within ${timeoutMs > 0}`))
  assert.equal((await served.run('--timeout', '200ms', 'node', 'wait')).code, 15)
})

test('--timeout ends a call with exit code 15', async (context) => {
  const cli = await createServedCli(context, createFakeNode({ heads: () => new Promise(() => undefined) }))
  const { code, stderr } = await cli.run('--timeout', '50ms', 'log', 'heads')
  assert.equal(code, 15)
  assert.match(stderr, /code {4}TIMEOUT/)
})

test('rpc calls any method with params from an argument or stdin', async (context) => {
  const cli = await createServedCli(context)
  assert.equal(JSON.parse((await cli.run('rpc', 'peer/ping', '{"member":"pi"}')).stdout).rttMs, 4.2)
  assert.equal(JSON.parse((await cli.runWith({ stdin: '{"member":"pi"}' }, 'rpc', 'peer/ping', '-')).stdout).rttMs, 4.2)
  const bad = await cli.run('rpc', 'peer/ping')
  assert.equal(bad.code, 2)
  assert.match(bad.stderr, /place {2}\/member\n/)
  assert.match((await cli.run('rpc', 'no/such')).stderr, /code {4}RPC_METHOD_UNKNOWN/)
})

test('node stop waits until the socket is gone', async (context) => {
  const cli = createCli(context)
  const { createRpcServer } = await import('../../src/rpc/rpc-server.ts')
  const api = createFakeNode()
  const server = createRpcServer({ api, path: join(cli.home, 'run', 'pmesh.sock') })
  api.stop = async () => void setImmediate(() => void server.stop())
  await server.start()
  assert.deepEqual(await cli.run('node', 'stop'), { code: 0, stdout: 'stopped\n', stderr: '' })
  await until(() => !existsSync(join(cli.home, 'run', 'pmesh.sock')))
  assert.equal((await cli.run('node', 'stop')).code, 10)
})
