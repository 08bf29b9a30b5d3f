import assert from 'node:assert/strict'
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { inspect } from 'node:util'
import { isMeshError } from '../../src/base/mesh-error.ts'
import {
  configTemplate,
  configVariable,
  loadConfig,
  setConfigValue,
  unsetConfigValue
} from '../../src/config/config-file.ts'
import { CONFIG_KEYS } from '../../src/config/config-schema.ts'
import { checkHome, homePaths, prepareHome, socketPath } from '../../src/config/paths.ts'
import { substitute } from '../../src/config/substitution.ts'

function freshFolder(context: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'pmesh-config-'))
  context.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

function configOf(context: TestContext, text: string): string {
  const file = join(freshFolder(context), 'config.toml')
  writeFileSync(file, text)
  return file
}

function withCode(code: string, ...texts: readonly string[]) {
  return (error: unknown): boolean => {
    assert.ok(isMeshError(error), String(error))
    assert.equal(error.code, code)
    const shown = `${error.message} ${error.hint} ${JSON.stringify(error.details)}`
    for (const text of texts) assert.ok(shown.includes(text), `${shown} lacks ${text}`)
    return true
  }
}

test('without a file every setting has its default', (context) => {
  const config = loadConfig(join(freshFolder(context), 'config.toml'), { env: {} })
  assert.deepEqual(config.values.network.listen, ['/ip4/0.0.0.0/tcp/4701'])
  assert.deepEqual(config.values.network.door, ['/ip4/0.0.0.0/tcp/4702'])
  assert.equal(config.values.identity.seal, 'key-file')
  assert.deepEqual(
    config.rows.map((row) => row.key),
    CONFIG_KEYS
  )
  assert.ok(config.rows.every((row) => row.origin === 'default' && row.shown !== undefined))
})

test('a flag beats a variable beats the file beats the default, and each value knows its origin', (context) => {
  const file = configOf(context, '[node]\nname = "file"\n[network]\nmdns = false\nwebsocket = true\n')
  const env = {
    PMESH_NODE_NAME: 'env',
    PMESH_NETWORK_MDNS: 'true',
    PMESH_NETWORK_BOOTSTRAP: '/ip4/1.2.3.4/tcp/1, /dns4/x/tcp/2'
  }
  const config = loadConfig(file, { env, flags: { 'node.name': 'flag' } })
  assert.deepEqual([config.values.node.name, config.originOf('node.name')], ['flag', 'flag'])
  assert.deepEqual([config.values.network.mdns, config.originOf('network.mdns')], [true, 'env'])
  assert.deepEqual([config.values.network.websocket, config.originOf('network.websocket')], [true, 'file'])
  assert.deepEqual(config.values.network.bootstrap, ['/ip4/1.2.3.4/tcp/1', '/dns4/x/tcp/2'])
  assert.equal(config.originOf('log.level'), 'default')
  assert.throws(
    () => loadConfig(file, { env: { PMESH_NETWORK_MDNS: 'perhaps' } }),
    withCode('CONFIG_INVALID', 'network.mdns')
  )
})

test('unknown keys and wrong types are errors that name key and file', (context) => {
  const cases = [
    ['[nod]\nname = "x"\n', 'CONFIG_KEY_UNKNOWN', 'nod'],
    ['[network.relay]\nclint = true\n', 'CONFIG_KEY_UNKNOWN', 'network.relay.clint'],
    ['[node]\nname = 7\n', 'CONFIG_INVALID', 'node.name'],
    ['[network]\nlisten = ["tcp:4701"]\n', 'CONFIG_INVALID', 'network.listen'],
    ['[identity]\nseal = "none"\n', 'CONFIG_INVALID', 'identity.seal'],
    ['[node\n', 'CONFIG_INVALID', '"line":1'],
    ['[node]\n[node]\n', 'CONFIG_INVALID', '[node]']
  ] as const
  for (const [text, code, key] of cases) {
    const file = configOf(context, text)
    assert.throws(() => loadConfig(file, { env: {} }), withCode(code, key, file))
  }
})

test('POLICY-5 a security setting comes from the file alone', (context) => {
  const file = configOf(context, '[security]\nallow_plaintext = ["providers.a.api_key"]\n')
  assert.deepEqual(loadConfig(file, { env: {} }).values.security.allow_plaintext, ['providers.a.api_key'])
  assert.equal(configVariable('security.allow_plaintext'), null)
  assert.throws(
    () => loadConfig(file, { env: { PMESH_SECURITY_ALLOW_PLAINTEXT: 'x' } }),
    withCode('CONFIG_INVALID', 'security.allow_plaintext')
  )
  assert.throws(
    () => loadConfig(file, { env: { PMESH_IDENTITY_SEAL: 'key-file' } }),
    withCode('CONFIG_INVALID', 'identity.seal')
  )
  assert.throws(
    () => loadConfig(file, { env: {}, flags: { 'security.allow_plaintext': ['x'] } }),
    withCode('CONFIG_INVALID')
  )
  const referring = configOf(context, `[security]\nallow_plaintext = ["\${PLACES}"]\n`)
  assert.throws(
    () => loadConfig(referring, { env: { PLACES: 'providers.a.api_key' } }),
    withCode('CONFIG_INVALID', 'security.allow_plaintext')
  )
})

test('ENV-1 references are replaced after parsing, with defaults and escapes, and errors name variable and place', () => {
  const env = { NAME: 'a"b]\nlisten = ["evil"]', EMPTY: '' }
  assert.equal(substitute(`x \${NAME} y`, 'p', env), `x ${env.NAME} y`)
  assert.equal(substitute(`\${UNSET:-d:-e}\${EMPTY:-never}`, 'p', env), 'd:-e')
  assert.equal(substitute(`$\${NAME} $NAME {NAME} $`, 'p', env), `\${NAME} $NAME {NAME} $`)
  assert.equal(substitute(`\${OTHER}`, 'p', { OTHER: `\${NAME}` }), `\${NAME}`, 'what comes in is not read again')
  assert.throws(() => substitute(`\${UNSET}`, 'node.name', env), withCode('CONFIG_INVALID', 'UNSET', 'node.name'))
  for (const text of [`\${}`, `\${1A}`, `\${A B}`, `\${A-b}`])
    assert.throws(() => substitute(text, 'node.name', env), withCode('CONFIG_INVALID', 'node.name'))
})

test('ENV-1 a resolved value shows in no dump of the settings', (context) => {
  const file = configOf(
    context,
    `[node]\nname = "\${WHO}"\n[network]\nbootstrap = ["/dns4/\${HOST_NAME:-localhost}/tcp/1"]\n`
  )
  const config = loadConfig(file, { env: { WHO: 'canary-name-1234' } })
  assert.equal(config.values.node.name, 'canary-name-1234')
  assert.deepEqual(config.values.network.bootstrap, ['/dns4/localhost/tcp/1'])
  const shown = `${inspect(config, { depth: 9 })}${JSON.stringify(config)}${JSON.stringify(config.rows)}`
  assert.ok(!shown.includes('canary-name-1234') && shown.includes(`\${WHO}`))
  assert.throws(() => loadConfig(file, { env: {} }), withCode('CONFIG_INVALID', 'WHO', 'node.name'))
})

test('setting and unsetting a value keeps comments and refuses what does not fit', (context) => {
  const file = configOf(context, '# top\n[network] # net\nmdns = true # on\n\n[network.relay]\nserver = false\n')
  setConfigValue(file, 'network.mdns', 'false')
  setConfigValue(file, 'network.announce', '/ip4/1.2.3.4/tcp/1')
  setConfigValue(file, 'node.name', 'laptop')
  const config = loadConfig(file, { env: {} }).values
  assert.deepEqual(
    [config.network.mdns, config.network.announce, config.node.name],
    [false, ['/ip4/1.2.3.4/tcp/1'], 'laptop']
  )
  const text = readFileSync(file, 'utf8')
  for (const part of ['# top\n', '[network] # net\n', 'mdns = false # on', '[node]\nname = "laptop"'])
    assert.ok(text.includes(part), text)
  assert.throws(() => setConfigValue(file, 'network.mdsn', 'true'), withCode('CONFIG_KEY_UNKNOWN', 'network.mdsn'))
  assert.throws(() => setConfigValue(file, 'network.listen', 'tcp:1'), withCode('CONFIG_INVALID', 'network.listen'))
  assert.equal(readFileSync(file, 'utf8'), text)
  unsetConfigValue(file, 'network.mdns')
  assert.equal(loadConfig(file, { env: {} }).originOf('network.mdns'), 'default')
})

test('the template of a fresh home is valid and changes nothing, and one setting can be set in it', (context) => {
  const file = configOf(context, configTemplate())
  assert.ok(loadConfig(file, { env: {} }).rows.every((row) => row.origin === 'default'))
  setConfigValue(file, 'log.level', 'debug')
  assert.equal(loadConfig(file, { env: {} }).values.log.level, 'debug')
})

test('a home is --home, else PMESH_HOME, else ~/.phantom-mesh', () => {
  assert.equal(homePaths('/a', { PMESH_HOME: '/b', HOME: '/c' }).home, '/a')
  assert.equal(homePaths(undefined, { PMESH_HOME: '/b', HOME: '/c' }).home, '/b')
  assert.equal(homePaths(undefined, { HOME: '/c' }).home, '/c/.phantom-mesh')
  assert.equal(homePaths('/a', {}).identityKey, '/a/identity/ed25519.key')
})

test('ID-1 a fresh home and its folders are 0700', (context) => {
  const paths = homePaths(join(freshFolder(context), 'deep', 'home'), {})
  assert.equal(checkHome(paths), false)
  prepareHome(paths)
  for (const folder of [paths.home, paths.identityFolder, paths.runFolder])
    assert.equal(statSync(folder).mode & 0o777, 0o700)
  assert.equal(checkHome(paths), true)
})

test('ID-3 a home that others can enter is refused with the chmod to run, and is not mended silently', (context) => {
  const paths = homePaths(join(freshFolder(context), 'home'), {})
  prepareHome(paths)
  for (const [folder, mode] of [
    [paths.home, 0o750],
    [paths.home, 0o702],
    [paths.identityFolder, 0o755]
  ] as const) {
    chmodSync(folder, mode)
    assert.throws(() => prepareHome(paths), withCode('HOME_EXPOSED', `chmod 700 ${folder}`))
    assert.equal(statSync(folder).mode & 0o777, mode)
    chmodSync(folder, 0o700)
    prepareHome(paths)
  }
  writeFileSync(join(paths.home, 'file'), '')
  assert.throws(() => prepareHome(homePaths(join(paths.home, 'file'), {})), withCode('HOME_INVALID'))
})

test('a socket path that is too long moves to the runtime folder, one per home, and says so', (context) => {
  const folder = freshFolder(context)
  const near = homePaths(join(folder, 'n'), {})
  assert.deepEqual(socketPath(near, undefined, {}), { path: near.socket, moved: false })
  const runtime = join(folder, 'r')
  mkdirSync(runtime, { mode: 0o700 })
  const far = homePaths(join(folder, 'x'.repeat(120)), {})
  const moved = socketPath(far, undefined, { XDG_RUNTIME_DIR: runtime })
  assert.ok(moved.moved && moved.path.startsWith(`${runtime}/pmesh-`))
  assert.notEqual(
    socketPath(homePaths(join(folder, 'y'.repeat(120)), {}), undefined, { XDG_RUNTIME_DIR: runtime }).path,
    moved.path
  )
  assert.equal(socketPath(far, join(folder, 's.sock'), {}).path, join(folder, 's.sock'))
  assert.throws(() => socketPath(near, join(folder, 'z'.repeat(120)), {}), withCode('SOCKET_FAILED'))
})

test('RPC-1 a runtime folder that is a link or open to others is not used for the socket', (context) => {
  const folder = freshFolder(context)
  const far = homePaths(join(folder, 'x'.repeat(120)), {})
  const [open, link, good] = ['open', 'link', 'good'].map((name) => join(folder, name)) as [string, string, string]
  mkdirSync(open, { mode: 0o777 })
  chmodSync(open, 0o777)
  mkdirSync(good, { mode: 0o700 })
  symlinkSync(good, link)
  for (const runtime of [open, link]) {
    assert.ok(!socketPath(far, undefined, { XDG_RUNTIME_DIR: runtime }).path.startsWith(runtime))
    assert.deepEqual(readdirSync(runtime), [])
  }
  assert.ok(socketPath(far, undefined, { XDG_RUNTIME_DIR: good }).path.startsWith(good))
})
