import assert from 'node:assert/strict'
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { inspect } from 'node:util'
import { isMeshError } from '../../src/base/mesh-error.ts'
import { AgentsFile, type AgentsFileOptions, countPlaintext, readKeyV01 } from '../../src/config/agents-file.ts'
import { rotateSealingKey } from '../../src/config/credential-rotation.ts'
import { type HomePaths, homePaths, prepareHome } from '../../src/config/paths.ts'
import { findDuplicateTables, parseToml } from '../../src/config/toml-document.ts'
import { type FilePort, systemFiles } from '../../src/identity/atomic-file.ts'
import { signingKeyFromSeed } from '../../src/identity/ed25519.ts'
import { createIdentity, type Identity, loadIdentity } from '../../src/identity/identity-store.ts'
import { loadMeshFile, meshFile, saveMeshFile } from '../../src/identity/mesh-file.ts'
import { scanBytes, scanForCanaries } from '../canary.ts'

/** Of node:crypto: key 32 × 0x42, nonce 12 × 0x24, text sk-v01-secret. */
const V01_KEY = '42'.repeat(32)
const V01_VALUE = 'enc2:242424242424242424242424976ca878dbef75dbe008faee902681c6a4c6966c7d84480218c1acf597'

const AGENTS = `# my agents
default_model = "llama" # the small one

[core]
host = "127.0.0.1"

# fast and free
[providers.groq] # groq
type = "groq"
api_key = "${V01_VALUE}" # from v0.1

[agent.coder]
provider = "groq"
`

interface Home {
  readonly paths: HomePaths
  readonly identity: Identity
  agents(options?: AgentsFileOptions): AgentsFile
}

async function freshHome(context: TestContext, text?: string): Promise<Home> {
  const folder = mkdtempSync(join(tmpdir(), 'pmesh-config-'))
  context.after(() => rmSync(folder, { recursive: true, force: true }))
  const paths = homePaths(folder, {})
  prepareHome(paths)
  if (text !== undefined) writeFileSync(paths.agents, text, { mode: 0o600 })
  const identity = await createIdentity(paths, { seal: 'key-file' })
  return { paths, identity, agents: (options = {}) => new AgentsFile(paths.agents, identity.keyRing.ring, options) }
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

test('a credential is set, listed, read and removed, and every comment stays', async (context) => {
  const { paths, agents } = await freshHome(context, AGENTS)
  agents().credentialSet('groq', 'api_key', 'sk-canary-one-1234')
  agents().credentialSet('openai', 'api_key', 'sk-canary-two-1234')
  agents().credentialSet('core', 'hub_api_key', 'sk-canary-three-12')
  assert.equal(agents().credential('groq', 'api_key'), 'sk-canary-one-1234')
  assert.equal(agents().credential('openai', 'api_key'), 'sk-canary-two-1234')
  assert.equal(agents().credential('core', 'hub_api_key'), 'sk-canary-three-12')
  assert.deepEqual(
    agents()
      .list()
      .map(({ provider, field, state }) => `${provider} ${field} ${state}`)
      .sort(),
    ['core hub_api_key sealed', 'groq api_key sealed', 'openai api_key sealed']
  )
  const text = readFileSync(paths.agents, 'utf8')
  for (const comment of ['# my agents', '# the small one', '# fast and free', '# groq', '# from v0.1'])
    assert.ok(text.includes(comment), comment)
  agents().credentialRemove('groq', 'api_key')
  assert.throws(() => agents().credential('groq', 'api_key'), withCode('CREDENTIAL_MISSING', 'groq', 'api_key'))
  assert.throws(() => agents().credentialRemove('groq', 'api_key'), withCode('CREDENTIAL_MISSING'))
  assert.ok(readFileSync(paths.agents, 'utf8').includes('[providers.groq] # groq\ntype = "groq"\n'))
  assert.deepEqual(scanForCanaries(paths.home, ['sk-canary-one-1234', 'sk-canary-two-1234', 'sk-canary-three-12']), [])
})

test('a first credential makes agents.toml, 0600', async (context) => {
  const { paths, agents } = await freshHome(context)
  assert.deepEqual(agents().list(), [])
  agents().credentialSet('groq', 'api_key', 'sk-1')
  assert.equal(statSync(paths.agents).mode & 0o777, 0o600)
  assert.equal(agents().credential('groq', 'api_key'), 'sk-1')
})

test('names and values of credentials out of their limits are refused', async (context) => {
  const { agents } = await freshHome(context)
  for (const [provider, field, value] of [
    ['a.b', 'k', 'v'],
    ['a', 'k k', 'v'],
    ['__proto__', 'k', 'v'],
    ['a', 'k', ''],
    ['a', 'k', 'v'.repeat(16_385)],
    ['a', 'k', '\ud800']
  ] as const) {
    assert.throws(() => agents().credentialSet(provider, field, value), withCode('USAGE'))
  }
})

test('ID-5 a v0.1 value in agents.toml opens with .secret_key', async (context) => {
  const { paths, agents } = await freshHome(context, AGENTS)
  assert.equal(readKeyV01(paths.secretKeyV01), null)
  assert.throws(() => agents().credential('groq', 'api_key'), withCode('CREDENTIAL_UNDECRYPTABLE', 'groq api_key'))
  writeFileSync(paths.secretKeyV01, `${V01_KEY}\n`, { mode: 0o600 })
  assert.equal(agents({ keyV01: readKeyV01(paths.secretKeyV01) }).credential('groq', 'api_key'), 'sk-v01-secret')
  writeFileSync(paths.secretKeyV01, 'not hex')
  assert.throws(() => readKeyV01(paths.secretKeyV01), withCode('CREDENTIAL_FORMAT', paths.secretKeyV01))
})

test('ID-5 a value moved to another provider or field fails', async (context) => {
  const { paths, agents } = await freshHome(
    context,
    '[providers.a]\napi_key = ""\n[providers.b]\napi_key = ""\nother_token = ""\n'
  )
  agents().credentialSet('a', 'api_key', 'sk-of-a')
  const sealed = String(
    (parseToml(readFileSync(paths.agents, 'utf8'), '') as { providers: { a: { api_key: string } } }).providers.a.api_key
  )
  writeFileSync(paths.agents, `[providers.a]\nother_token = "${sealed}"\n[providers.b]\napi_key = "${sealed}"\n`)
  assert.throws(() => agents().credential('b', 'api_key'), withCode('CREDENTIAL_UNDECRYPTABLE', 'b api_key'))
  assert.throws(() => agents().credential('a', 'other_token'), withCode('CREDENTIAL_UNDECRYPTABLE', 'a other_token'))
  writeFileSync(paths.agents, `[providers.a]\napi_key = "${sealed}"\n`)
  assert.equal(agents().credential('a', 'api_key'), 'sk-of-a')
})

test('ID-6 a credential that does not open is an error that names the field and never gives the ciphertext', async (context) => {
  const { paths, identity, agents } = await freshHome(context)
  agents().credentialSet('groq', 'api_key', 'sk-secret')
  const sealed = /enc2:[^"]+/.exec(readFileSync(paths.agents, 'utf8'))?.[0] ?? ''
  const other = await freshHome(context)
  const foreign = new AgentsFile(paths.agents, other.identity.keyRing.ring)
  assert.throws(
    () => foreign.credential('groq', 'api_key'),
    withCode('CREDENTIAL_UNDECRYPTABLE', 'groq api_key', 'another secret.key')
  )
  for (const [text, code] of [
    [sealed.slice(0, -2), 'CREDENTIAL_UNDECRYPTABLE'],
    ['enc2:v9:zz', 'CREDENTIAL_UNDECRYPTABLE'],
    ['enc2:', 'CREDENTIAL_UNDECRYPTABLE'],
    [V01_VALUE, 'CREDENTIAL_UNDECRYPTABLE'],
    ['enc:abcdef', 'CREDENTIAL_FORMAT']
  ] as const) {
    writeFileSync(paths.agents, `[providers.groq]\napi_key = "${text}"\n`)
    assert.throws(() => agents().credential('groq', 'api_key'), withCode(code, 'groq', 'api_key'))
    try {
      agents().credential('groq', 'api_key')
    } catch (error) {
      assert.ok(
        !inspect(error, { depth: 9 }).includes(text.slice(5) || 'never'),
        'the error does not carry the ciphertext'
      )
    }
  }
  assert.ok(identity.key.publicKeyHex.length === 64)
})

const PLAINTEXT = `[core]
hub_api_key = "k1"
[providers.groq]
api_key = "k2"
api_key_env = "GROQ_API_KEY"
default_model = "m"
[providers.openai]
api_key = "\${OPENAI_API_KEY}"
[cluster]
cluster_secret = "k3"
token_budget = "9"
[telegram]
bot_token = "k4"
[[mcp_servers]]
name = "git"
env = { GIT_TOKEN = "k5", HOME = "/x" }
`

test('ID-8 plaintext keys are counted, refused, and allowed only by name', async (context) => {
  const { agents } = await freshHome(context, PLAINTEXT)
  const places = agents()
    .list()
    .filter((row) => row.state === 'plaintext')
    .map((row) => row.place)
  assert.deepEqual(places.sort(), [
    'cluster.cluster_secret',
    'core.hub_api_key',
    'mcp_servers.0.env.GIT_TOKEN',
    'providers.groq.api_key',
    'telegram.bot_token'
  ])
  assert.equal(agents().countPlaintext(), 5)
  assert.equal(countPlaintext(parseToml(PLAINTEXT, ''), ['providers.groq.api_key']), 4)
  assert.throws(() => agents().check(), withCode('CREDENTIAL_PLAINTEXT'))
  assert.throws(
    () => agents().credential('groq', 'api_key'),
    withCode('CREDENTIAL_PLAINTEXT', 'providers.groq.api_key')
  )
  const allowing = agents({ allowPlaintext: ['providers.groq.api_key'] })
  assert.equal(allowing.credential('groq', 'api_key'), 'k2')
  assert.throws(() => allowing.credential('core', 'hub_api_key'), withCode('CREDENTIAL_PLAINTEXT'))
  agents({ allowPlaintext: places }).check()
})

test('ENV-1 a credential that is a reference is resolved when asked for, and its lack names variable and place', async (context) => {
  const { agents } = await freshHome(context, PLAINTEXT)
  assert.equal(agents({ env: { OPENAI_API_KEY: 'sk-env' } }).credential('openai', 'api_key'), 'sk-env')
  assert.throws(
    () => agents({ env: {} }).credential('openai', 'api_key'),
    withCode('CONFIG_INVALID', 'OPENAI_API_KEY', 'providers.openai.api_key')
  )
  assert.ok(!JSON.stringify(agents({ env: { OPENAI_API_KEY: 'sk-env' } }).list()).includes('sk-env'))
})

test('ID-8 an agents.toml that others can read is refused, and so is one that is too large', async (context) => {
  const { paths, agents } = await freshHome(context, AGENTS)
  chmodSync(paths.agents, 0o644)
  assert.throws(() => agents().list(), withCode('CONFIG_EXPOSED', `chmod 600 ${paths.agents}`))
  assert.throws(() => agents().credentialSet('groq', 'api_key', 'k'), withCode('CONFIG_EXPOSED'))
  chmodSync(paths.agents, 0o600)
  agents().list()
  writeFileSync(paths.agents, `# ${'x'.repeat(1024 * 1024)}\n`)
  assert.throws(() => agents().list(), withCode('CONFIG_INVALID'))
})

test('a table that stands twice is reported with its line, wherever brackets stand in strings and arrays', () => {
  const text =
    '[providers.groq]\na = 1\nlist = [\n[1],\n[2]\n]\ntext = """\n[providers.groq]\n"""\n[[servers]]\n[servers.env]\n[[servers]]\n[servers.env]\n[ providers . "groq" ] # again\n'
  assert.deepEqual(findDuplicateTables(text), [{ table: 'providers.groq', line: 14 }])
  assert.throws(() => parseToml(text, 'agents.toml'), withCode('CONFIG_INVALID', 'providers.groq', '"line":14'))
})

test('ID-9 a broken agents.toml is reported without a word of its text', () => {
  try {
    parseToml('[providers.groq]\napi_key = "sk-canary-in-broken-file', 'agents.toml')
    assert.fail('parsed')
  } catch (error) {
    assert.ok(isMeshError(error) && error.code === 'CONFIG_INVALID', String(error))
    assert.deepEqual(scanBytes(inspect(error, { depth: 9, showHidden: true }), ['sk-canary-in-broken-file']), [])
  }
})

const VALUES = { groq: 'sk-v01-secret', openai: 'sk-openai-secret', cluster: 'cluster-secret' } as const
const meshSecret = new Uint8Array(32).fill(77)

async function homeToRotate(context: TestContext): Promise<Home> {
  const home = await freshHome(context, `${AGENTS}\n[providers.openai]\napi_key = ""\n[cluster]\ncluster_secret = ""\n`)
  writeFileSync(home.paths.secretKeyV01, V01_KEY, { mode: 0o600 })
  home.agents().credentialSet('openai', 'api_key', VALUES.openai)
  home.agents().credentialSet('cluster', 'cluster_secret', VALUES.cluster)
  const founder = signingKeyFromSeed(new Uint8Array(32).fill(1)).publicKey
  const preimage = { founder, recovery: null, nonce: new Uint8Array(16), name: 'home' }
  saveMeshFile(home.paths, home.identity.keyRing.ring, meshFile({ preimage, path: [], meshSecret, bootstrap: [] }))
  return home
}

/** Everything sealed in a home, read from the disk as a fresh process would. */
async function readHome(
  paths: HomePaths
): Promise<{ readonly identity: Identity; readonly values: object; readonly keyIds: Set<string> }> {
  const identity = await loadIdentity(paths)
  const ring = identity.keyRing.ring
  const agents = new AgentsFile(paths.agents, ring, { keyV01: readKeyV01(paths.secretKeyV01) })
  const values = {
    groq: agents.credential('groq', 'api_key'),
    openai: agents.credential('openai', 'api_key'),
    cluster: agents.credential('cluster', 'cluster_secret')
  }
  assert.deepEqual(new Uint8Array(loadMeshFile(paths, ring)?.meshSecret ?? []), meshSecret)
  const ids = [...readFileSync(paths.agents, 'utf8').matchAll(/enc2:(?:v1:)?([0-9a-f]{8})/g)].map(
    (match) => match[1] ?? ''
  )
  return { identity, values, keyIds: new Set(ids) }
}

test('ID-7 rotation seals every value again, v0.1’s too, under a key that is new, and forgets the old one', async (context) => {
  const { paths, identity } = await homeToRotate(context)
  const old = identity.keyRing.ring
  const result = rotateSealingKey(paths, identity)
  assert.equal(result.credentials, 3)
  const read = await readHome(paths)
  assert.deepEqual(read.values, VALUES)
  assert.deepEqual([...read.keyIds], [read.identity.keyRing.ring.currentId])
  assert.deepEqual(read.identity.keyRing.ring.keyIds, [result.identity.keyRing.ring.currentId])
  assert.ok(!read.identity.keyRing.ring.keyIds.includes(old.currentId))
  assert.throws(
    () => new AgentsFile(paths.agents, old).credential('groq', 'api_key'),
    withCode('CREDENTIAL_UNDECRYPTABLE')
  )
  assert.equal(read.identity.key.publicKeyHex, identity.key.publicKeyHex)
  assert.deepEqual(
    scanForCanaries(paths.home, [...old.exportKeys().map((key) => key.bytes), ...Object.values(VALUES)]),
    []
  )
  for (const comment of ['# my agents', '# from v0.1']) assert.ok(readFileSync(paths.agents, 'utf8').includes(comment))
})

class Crash extends Error {}

/** Dies before step number `at`; `torn` lets half of the bytes of a file that is being created reach the disk. */
function dyingFiles(at: number, torn: boolean): FilePort & { readonly steps: number } {
  let steps = 0
  const dies = (): boolean => ++steps > at
  const guarded = (act: () => void): void => {
    if (dies()) throw new Crash()
    act()
  }
  return {
    get steps() {
      return steps
    },
    create(path, bytes) {
      if (!dies()) return systemFiles.create(path, bytes)
      if (torn) writeFileSync(path, bytes.subarray(0, bytes.length / 2), { mode: 0o600 })
      throw new Crash()
    },
    rename: (from, to) => guarded(() => systemFiles.rename(from, to)),
    link: (from, to) => guarded(() => systemFiles.link(from, to)),
    remove: (path) => guarded(() => systemFiles.remove(path)),
    syncFolder: (folder) => guarded(() => systemFiles.syncFolder(folder))
  }
}

test('ID-7 a rotation that dies at any step leaves every value readable, agents.toml old or new, and is finished by the next', async (context) => {
  const counting = dyingFiles(Number.MAX_SAFE_INTEGER, false)
  const measured = await homeToRotate(context)
  rotateSealingKey(measured.paths, measured.identity, {}, counting)
  assert.ok(counting.steps >= 12, `${counting.steps} steps`)
  for (let step = 0; step < counting.steps; step++) {
    const { paths, identity } = await homeToRotate(context)
    const before = readFileSync(paths.agents, 'utf8')
    assert.throws(() => rotateSealingKey(paths, identity, {}, dyingFiles(step, step % 2 === 0)), Crash)
    const after = await readHome(paths)
    assert.deepEqual(after.values, VALUES, `step ${step}`)
    const isOld = readFileSync(paths.agents, 'utf8') === before
    const isNew = after.keyIds.size === 1 && after.keyIds.has(after.identity.keyRing.ring.currentId)
    assert.ok(isOld !== isNew, `step ${step}: neither old nor new`)
    const current = after.identity.keyRing.rotating ? after.identity.keyRing.ring.currentId : null
    rotateSealingKey(paths, after.identity)
    const finished = await readHome(paths)
    assert.deepEqual(finished.values, VALUES, `step ${step}, finished`)
    assert.equal(finished.identity.keyRing.ring.keyIds.length, 1)
    if (current !== null)
      assert.equal(finished.identity.keyRing.ring.currentId, current, 'the pending key becomes the key')
  }
})

test('ID-7 a rotation does not begin while any value does not open', async (context) => {
  const { paths, identity } = await homeToRotate(context)
  rmSync(paths.secretKeyV01)
  const [key, agents] = [readFileSync(paths.secretKey, 'utf8'), readFileSync(paths.agents, 'utf8')]
  assert.throws(() => rotateSealingKey(paths, identity), withCode('CREDENTIAL_UNDECRYPTABLE', 'groq api_key'))
  assert.deepEqual([readFileSync(paths.secretKey, 'utf8'), readFileSync(paths.agents, 'utf8')], [key, agents])
})

test('a creation that dies at any step leaves no half key, and the next start makes or finds one', async (context) => {
  for (let step = 0; step < 8; step++) {
    const folder = mkdtempSync(join(tmpdir(), 'pmesh-config-'))
    context.after(() => rmSync(folder, { recursive: true, force: true }))
    const paths = homePaths(folder, {})
    prepareHome(paths)
    await assert.rejects(createIdentity(paths, { seal: 'key-file' }, dyingFiles(step, true)), Crash)
    const identity = existsSync(paths.identityKey)
      ? await loadIdentity(paths)
      : await createIdentity(paths, { seal: 'key-file' })
    assert.equal((await loadIdentity(paths)).key.publicKeyHex, identity.key.publicKeyHex)
  }
})
