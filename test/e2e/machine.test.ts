// The node and the machine it runs on: files, sockets, ports, users, disk. Watched from outside the process where that is the point.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmodSync, chownSync, cpSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { silentLogger } from '../../src/base/logger.ts'
import { openLevelStore } from '../../src/store/open-level-store.ts'
import { encodeSchemaVersion, SCHEMA_KEY } from '../../src/store/schema.ts'
import { errorOf, MeshKit, type NodeHome, until, verified } from './mesh-kit.ts'

const isRoot = process.getuid?.() === 0
const NOBODY = 65534
const AS_NOBODY = ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups']
/** A network of its own with nothing but loopback. */
const ALONE = ['unshare', '--net', '--', 'sh', '-c', 'ip link set lo up; exec "$@"', 'sh']

function missing(...programs: readonly string[]): string | false {
  const lacking = programs.filter((program) => spawnSync('sh', ['-c', `command -v ${program}`]).status !== 0)
  if (!isRoot) return 'needs root'
  return lacking.length > 0 && `needs ${lacking.join(', ')}`
}

const modeOf = (path: string): string => (statSync(path).mode & 0o777).toString(8)

test('ID-1 RPC-1 a first start makes a 0600 key in a 0700 home, a second keeps it, and a socket that is only its user’s', async (t) => {
  const kit = new MeshKit(t)
  const ada = await kit.start('ada')
  const peerId = await ada.peerId()
  for (const folder of ['.', 'identity', 'run', 'store']) assert.equal(modeOf(ada.path(folder)), '700', folder)
  const secret = [
    'identity/ed25519.key',
    'identity/mesh.json',
    'secret.key',
    'run/pmesh.sock',
    'pmesh.log',
    'store.marker'
  ]
  for (const file of secret) assert.equal(modeOf(ada.path(file)), '600', file)
  await ada.restart()
  assert.equal(await ada.peerId(), peerId)
  const key = readFileSync(ada.path('identity', 'ed25519.key'))
  const shown = await ada.cli('identity', 'show', '--json')
  assert.equal(JSON.parse(shown.stdout).peerId, peerId)
  assert.ok(key.length > 0)
})

test('RPC-1 a live socket is never taken over and a second node on one home does not start; a stale one is replaced', async (t) => {
  const kit = new MeshKit(t)
  const ada = await kit.start('ada')
  const second = await ada.cli('node', 'start', '--no-mdns', '--json')
  assert.equal(second.code, 1)
  assert.equal(errorOf(second).code, 'NODE_RUNNING')
  const aside = await ada.cli('--socket', ada.path('run', 'other.sock'), 'node', 'start', '--no-mdns', '--json')
  assert.equal(errorOf(aside).code, 'STORE_LOCKED', aside.stderr)
  assert.equal((await ada.status()).state, 'ready', 'the first did not notice')

  await ada.kill()
  assert.ok(statSync(ada.socket).isSocket(), 'kill −9 leaves the socket behind')
  await ada.start()
  await ada.append('after a crash')
  await verified(ada)

  await ada.stop()
  chmodSync(ada.path('run'), 0o755)
  const exposed = await ada.cli('node', 'start', '--no-mdns', '--json')
  assert.ok(['HOME_EXPOSED', 'SOCKET_EXPOSED'].includes(errorOf(exposed).code), exposed.stderr)
})

test('ID-2 ID-3 a cut key file and one that others may read stop the start with a hint, and nothing is made anew', async (t) => {
  const kit = new MeshKit(t)
  const ada = kit.home('ada')
  assert.equal((await ada.cli('init')).code, 0)
  const file = ada.path('identity', 'ed25519.key')
  const whole = readFileSync(file)

  chmodSync(file, 0o640)
  const exposed = errorOf(await ada.cli('node', 'start', '--json'))
  assert.equal(exposed.code, 'IDENTITY_KEY_EXPOSED')
  assert.match(exposed.hint, /chmod 600 .*ed25519\.key/)
  chmodSync(file, 0o600)

  for (const bytes of [whole.subarray(0, whole.length - 7), Buffer.alloc(0), Buffer.from('{}')]) {
    writeFileSync(file, bytes)
    const ran = await ada.cli('node', 'start', '--json')
    assert.equal(errorOf(ran).code, 'IDENTITY_KEY_INVALID')
    assert.match(ran.stderr, /ed25519\.key/, 'the file is named')
    assert.deepEqual(readFileSync(file), bytes, 'the file is as it was')
  }
  writeFileSync(file, whole)
  await ada.start()
})

test('ID-2 BACKUP-1 damaged settings, a damaged mesh record, a flipped bit in the store and a newer store are told with code and hint', async (t) => {
  const kit = new MeshKit(t)
  const ada = await kit.start('ada')
  await ada.append(...Array.from({ length: 50 }, (_, index) => `note ${index}`))
  await ada.stop()
  const refuses = async (code: string): Promise<void> => {
    const ran = await ada.cli('node', 'start', '--no-mdns', '--json')
    assert.notEqual(ran.code, 0, code)
    assert.equal(errorOf(ran).code, code, ran.stderr)
    assert.notEqual(errorOf(ran).hint, '')
  }
  const damaging = async (file: string, change: (bytes: Buffer) => Buffer, code: string): Promise<void> => {
    const path = ada.path(file)
    const whole = readFileSync(path)
    writeFileSync(path, change(Buffer.from(whole)))
    await refuses(code)
    writeFileSync(path, whole)
  }
  await damaging('config.toml', () => Buffer.from('[network\nlisten = '), 'CONFIG_INVALID')
  await damaging('config.toml', () => Buffer.from('[network]\nlissten = []\n'), 'CONFIG_KEY_UNKNOWN')
  await damaging('identity/mesh.json', (bytes) => bytes.subarray(0, 40), 'MESH_FILE_INVALID')

  const store = await openLevelStore({ folder: ada.path('store'), backups: ada.path('backups'), logger: silentLogger })
  await store.write([{ type: 'put', key: SCHEMA_KEY, value: encodeSchemaVersion(99) }], { sync: true })
  await store.close()
  await refuses('STORE_TOO_NEW')
  const again = await openLevelStore({
    folder: ada.path('store'),
    backups: ada.path('backups'),
    logger: silentLogger,
    schemaVersion: 99
  })
  await again.write([{ type: 'put', key: SCHEMA_KEY, value: encodeSchemaVersion(1) }], { sync: true })
  await again.close()
  await ada.start()
  assert.equal((await ada.notes()).length, 50)
  await ada.stop()

  flipInTables(ada)
  ada.launch()
  const started = await until('it starts, or says why not', async () =>
    ada.running ? await ada.tryCall('node/status', {}) : ('ended' as const)
  )
  if (started === 'ended') {
    await ada.exited()
    assert.match(ada.output, /STORE_DAMAGED/)
  } else {
    const verdict = await ada.cli('log', 'verify', '--json')
    const whole = (await ada.tryCall('log/query', { order: 'oldest', limit: 1000 }))?.items.length
    assert.ok(
      verdict.code === 14 || whole === 52 || /reset|lost/.test(ada.logFile),
      `the damage is told: ${verdict.stdout}`
    )
  }
})

/** One bit in the middle of every file of the store that holds data. */
function flipInTables(node: NodeHome): void {
  for (const name of readdirSync(node.path('store'))) {
    if (!/\.(?:ldb|log)$/.test(name)) continue
    const bytes = readFileSync(node.path('store', name))
    const middle = Math.floor(bytes.length / 2)
    if (bytes.length < 200) continue
    bytes[middle] = (bytes[middle] ?? 0) ^ 0x10
    writeFileSync(node.path('store', name), bytes)
  }
}

test('ID-6 a damaged agents.toml does not stop the node, and the command that needs it names the file', async (t) => {
  const kit = new MeshKit(t)
  const ada = kit.home('ada')
  assert.equal((await ada.cli('init')).code, 0)
  assert.equal((await ada.cliWith({ stdin: 'sk-test-0123456789abcdef\n' }, 'credential', 'set', 'openai')).code, 0)
  const file = ada.path('agents.toml')
  writeFileSync(file, readFileSync(file, 'utf8').replace(/enc2:[^"]{10}/, 'enc2:AAAAAAAAAA'))
  const listed = await ada.cli('credential', 'rotate', '--json')
  assert.notEqual(listed.code, 0)
  assert.match(errorOf(listed).code, /^CREDENTIAL_/)
  assert.match(listed.stderr, /openai/)
  writeFileSync(file, '[openai\n')
  const unreadable = await ada.cli('credential', 'list', '--json')
  assert.equal(errorOf(unreadable).code, 'CONFIG_INVALID')
  assert.match(unreadable.stderr, /agents\.toml/)
  await ada.start()
})

test('PRIVATE-1 a node with no peers opens no connection and sends no datagram', {
  skip: missing('strace')
}, async (t) => {
  const kit = new MeshKit(t)
  const trace = join(kit.folder, 'trace')
  const prefix = ['strace', '-f', '-qq', '-e', 'trace=connect,sendto,sendmsg,sendmmsg', '-o', trace]
  const ada = await kit.start('ada', { prefix })
  await ada.append('alone')
  await ada.cli('doctor')
  await ada.stop()
  const calls = readFileSync(trace, 'utf8').split('\n')
  const outward = calls.filter((line) => /AF_INET|sin_addr|sin6_addr/.test(line))
  assert.deepEqual(outward, [])
  // The watch works: what does dial is seen.
  const bob = await kit.start('bob')
  const dialled = join(kit.folder, 'dialled')
  const ran = await bob.cliWith({ prefix: [...prefix.slice(0, -1), dialled] }, 'status')
  assert.equal(ran.code, 0)
  assert.match(readFileSync(dialled, 'utf8'), /connect\(.*AF_UNIX/)
})

test('HARD-2 PRIVATE-1 out of the box a node warns root, listens at its two mesh ports and mDNS, and at nothing else', {
  skip: missing('unshare', 'ip')
}, async (t) => {
  const kit = new MeshKit(t)
  const ada = await kit.start('ada', { prefix: ALONE, defaultListens: true })
  assert.match(ada.output, /running as root/)
  const sockets = (table: string): string[] =>
    readFileSync(`/proc/${ada.pid}/net/${table}`, 'utf8').trim().split('\n').slice(1)
  const portOf = (line: string): number => Number.parseInt(line.trim().split(/\s+/)[1]?.split(':')[1] ?? '', 16)
  const LISTENING = '0A'
  const tcp = [...sockets('tcp'), ...sockets('tcp6')]
  const listening = tcp.filter((line) => line.trim().split(/\s+/)[3] === LISTENING)
  assert.deepEqual(listening.map(portOf).sort(), [4701, 4702])
  assert.equal(tcp.length, listening.length, 'no connection is open')
  const udp = [...sockets('udp'), ...sockets('udp6')].map(portOf)
  assert.deepEqual(
    [...new Set(udp)].filter((port) => port !== 5353),
    []
  )
})

test('HARD-2 RPC-1 another user of the machine can neither use the socket nor read the home', {
  skip: missing('setpriv')
}, async (t) => {
  const kit = new MeshKit(t)
  chmodSync(kit.folder, 0o711)
  const ada = await kit.start('ada')
  const asOther = (script: string) =>
    spawnSync(AS_NOBODY[0] ?? '', [...AS_NOBODY.slice(1), 'sh', '-c', script], { encoding: 'utf8', timeout: 20_000 })
  assert.equal(asOther('id -u').stdout.trim(), String(NOBODY))
  for (const file of ['identity/ed25519.key', 'secret.key', 'pmesh.log', 'config.toml', 'store/CURRENT', '.']) {
    assert.notEqual(asOther(`cat ${ada.path(file)} || ls ${ada.path(file)}`).status, 0, file)
  }
  const status = await ada.cliWith({ prefix: AS_NOBODY }, 'status', '--json')
  assert.notEqual(status.code, 0)
  assert.equal(status.stdout, '')
  // The same user's own home works, and root's node refuses a home that is somebody else's.
  const dan = kit.home('dan')
  for (const path of [dan.folder, dan.path('config.toml')]) chownSync(path, NOBODY, NOBODY)
  const own = await dan.cliWith({ prefix: AS_NOBODY }, 'init', '--json')
  assert.equal(own.code, 0, own.stderr)
  const foreign = await dan.cli('node', 'start', '--no-mdns', '--json')
  assert.equal(errorOf(foreign).code, 'HOME_INVALID')
})

test('CHAIN-10 on a full disk appends fail with STORE_FULL, the node stays up, goes on when there is space, and keeps what it acknowledged', {
  skip: missing('mount')
}, async (t) => {
  const kit = new MeshKit(t)
  const ada = kit.home('ada')
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=24m,mode=700', 'pmesh-test', ada.folder])
  if (mounted.status !== 0) return t.skip('may not mount')
  kit.undo(() => spawnSync('umount', ['-l', ada.folder]))
  await ada.start()
  const acknowledged: string[] = ['the first']
  await ada.append('the first')

  const ballast = ada.path('ballast')
  spawnSync('dd', ['if=/dev/zero', `of=${ballast}`, 'bs=64k'])
  const long = 'x'.repeat(30_000)
  const failure = await until('the disk is felt', async () => {
    const text = `${acknowledged.length} ${long}`
    const ran = await ada.cliWith({ stdin: `${JSON.stringify({ text })}\n` }, 'event', 'append', 'app-note', '--json')
    if (ran.code === 0) acknowledged.push(text)
    return ran.code === 0 ? null : errorOf(ran).code
  })
  assert.equal(failure, 'STORE_FULL')
  const health = (await ada.status()).health.map((line) => line.text).join()
  assert.match(health, /STORE_FULL/)

  writeFileSync(ballast, '')
  await until(
    'it goes on by itself',
    async () => (await ada.cli('event', 'append', 'app-note', '{"text":"space again"}')).code === 0
  )
  await verified(ada)
  await ada.restart()
  const notes = new Set(await ada.notes())
  assert.deepEqual(
    [...acknowledged, 'space again'].filter((text) => !notes.has(text)),
    []
  )
  await verified(ada)
  await ada.stop()
})

test('HARD-2 a port that is taken stops the start with code and hint, and leaves no socket behind', async (t) => {
  const kit = new MeshKit(t)
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  const address = server.address()
  assert.ok(typeof address === 'object' && address !== null)
  const ada = kit.home('ada')
  const taken = ['--listen', `/ip4/127.0.0.1/tcp/${address.port}`, '--door', '/ip4/127.0.0.1/tcp/0']
  const ran = await ada.cli('node', 'start', '--no-mdns', ...taken, '--json')
  assert.equal(errorOf(ran).code, 'NETWORK_ADDRESS_IN_USE', ran.stderr)
  assert.throws(() => statSync(ada.socket))
  await ada.start()
})

test('ID-1 a home copied without its keys does not start as somebody else', async (t) => {
  const kit = new MeshKit(t)
  const ada = await kit.start('ada')
  await ada.stop()
  const copy = kit.home('copy')
  cpSync(ada.path('store'), copy.path('store'), { recursive: true })
  mkdirSync(copy.path('identity'), { recursive: true, mode: 0o700 })
  const ran = await copy.cli('node', 'start', '--no-mdns', '--json')
  assert.equal(errorOf(ran).code, 'STORE_FOREIGN', ran.stderr)
})
