import assert from 'node:assert/strict'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { inspect } from 'node:util'
import { toHex } from '../../src/base/bytes.ts'
import { isMeshError } from '../../src/base/mesh-error.ts'
import { ALL_RIGHTS, issueCertificate } from '../../src/identity/certificate.ts'
import { signingKeyFromSeed } from '../../src/identity/ed25519.ts'
import { encodeIdentityBackup, parseIdentityBackup, restoreIdentity } from '../../src/identity/identity-backup.ts'
import {
  createIdentity,
  type IdentityPlaces,
  loadIdentity,
  openOrCreateIdentity
} from '../../src/identity/identity-store.ts'
import type { KeyringPort } from '../../src/identity/key-wrapping.ts'
import { loadMeshFile, meshFile, replaceMesh, saveMeshFile } from '../../src/identity/mesh-file.ts'
import { meshIdOf } from '../../src/identity/mesh-id.ts'
import { scanBytes, scanForCanaries } from '../canary.ts'

const cost = { memoryKib: 64, passes: 1 }
const keyFile = { seal: 'key-file' } as const

function freshPlaces(context: TestContext): IdentityPlaces & { readonly home: string } {
  const home = mkdtempSync(join(tmpdir(), 'pmesh-identity-'))
  context.after(() => rmSync(home, { recursive: true, force: true }))
  return {
    home,
    identityKey: join(home, 'identity', 'ed25519.key'),
    secretKey: join(home, 'secret.key'),
    meshFile: join(home, 'identity', 'mesh.json')
  }
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

const modeOf = (path: string): number => statSync(path).mode & 0o777

test('ID-1 a first start makes one key, 0600 in 0700, and the second start uses it', async (context) => {
  const places = freshPlaces(context)
  const first = await openOrCreateIdentity(places, keyFile)
  const second = await openOrCreateIdentity(places, keyFile)
  assert.deepEqual([first.created, second.created], [true, false])
  assert.equal(second.key.publicKeyHex, first.key.publicKeyHex)
  assert.deepEqual(
    [modeOf(places.identityKey), modeOf(places.secretKey), modeOf(join(places.home, 'identity'))],
    [0o600, 0o600, 0o700]
  )
  assert.deepEqual(readdirSync(places.home).sort(), ['identity', 'secret.key'], 'no temporary file is left')
  assert.notEqual((await createIdentity(freshPlaces(context), keyFile)).key.publicKeyHex, first.key.publicKeyHex)
  assert.deepEqual(scanForCanaries(places.home, [first.key.seed]), [], 'the key lies sealed')
})

test('ID-2 a cut, emptied, changed or foreign key file is an error that names it, and stays as it is', async (context) => {
  const places = freshPlaces(context)
  await createIdentity(places, keyFile)
  const sound = readFileSync(places.identityKey, 'utf8')
  const other = signingKeyFromSeed(new Uint8Array(32).fill(3)).publicKeyHex
  const damaged = [
    '',
    '\0\0\0\0',
    '[]',
    'null',
    sound.slice(0, -3),
    sound.slice(0, 40),
    sound.replace('"version": 1', '"version": 2'),
    sound.replace('pmesh-identity', 'other-program'),
    sound.replace(/"publicKey": "[0-9a-f]+"/, `"publicKey": "${other}"`),
    sound.replace(/"publicKey": "../, '"publicKey": "'),
    sound.replace(/(?<=enc2:v1:[0-9a-f]{8}:)./, (letter) => (letter === 'A' ? 'B' : 'A')),
    sound.replace(/enc2:[^"]+/, 'enc2:'),
    'x'.repeat(20_000)
  ]
  for (const text of damaged) {
    writeFileSync(places.identityKey, text)
    await assert.rejects(loadIdentity(places), withCode('IDENTITY_KEY_INVALID', places.identityKey), text.slice(0, 80))
    await assert.rejects(openOrCreateIdentity(places, keyFile), withCode('IDENTITY_KEY_INVALID', places.identityKey))
    await assert.rejects(createIdentity(places, keyFile), withCode('IDENTITY_KEY_INVALID', places.identityKey))
    assert.equal(readFileSync(places.identityKey, 'utf8'), text)
  }
  writeFileSync(places.identityKey, sound)
  await loadIdentity(places)
})

test('ID-2 a damaged secret.key names itself, a missing one is locked, and neither is made anew', async (context) => {
  const places = freshPlaces(context)
  await createIdentity(places, keyFile)
  const sound = readFileSync(places.secretKey, 'utf8')
  for (const text of [
    '',
    sound.slice(0, -4),
    sound.replace('"version": 1', '"version": 9'),
    sound.replace(/"key": "../, '"key": "'),
    sound.replace(/"keys".*/s, '"keys": []}')
  ]) {
    writeFileSync(places.secretKey, text)
    await assert.rejects(openOrCreateIdentity(places, keyFile), withCode('IDENTITY_KEY_INVALID', places.secretKey))
  }
  rmSync(places.secretKey)
  await assert.rejects(openOrCreateIdentity(places, keyFile), withCode('IDENTITY_LOCKED', places.secretKey))
  assert.equal(existsSync(places.secretKey), false)
})

test('ID-2 a lost key beside a mesh file is not replaced by a new one', async (context) => {
  const places = freshPlaces(context)
  mkdirSync(join(places.home, 'identity'), { mode: 0o700 })
  writeFileSync(places.meshFile, '{}', { mode: 0o600 })
  await assert.rejects(openOrCreateIdentity(places, keyFile), withCode('IDENTITY_MISSING', places.identityKey))
  await assert.rejects(loadIdentity(places), withCode('IDENTITY_MISSING'))
})

test('ID-3 a key file that others can read or write is refused with the chmod to run', async (context) => {
  const places = freshPlaces(context)
  await createIdentity(places, keyFile)
  for (const file of [places.identityKey, places.secretKey]) {
    for (const mode of [0o644, 0o640, 0o604, 0o620]) {
      chmodSync(file, mode)
      await assert.rejects(
        openOrCreateIdentity(places, keyFile),
        withCode('IDENTITY_KEY_EXPOSED', `chmod 600 ${file}`, mode.toString(8))
      )
    }
    chmodSync(file, 0o600)
    await loadIdentity(places)
  }
})

test('ID-5 a passphrase seals by argon2id and only that passphrase opens, however it was typed', async (context) => {
  const places = freshPlaces(context)
  const { key } = await createIdentity(places, { seal: 'passphrase', passphrase: 'pässword 1', cost })
  assert.equal(
    (await loadIdentity(places, { passphrase: 'pässword 1'.normalize('NFD') })).key.publicKeyHex,
    key.publicKeyHex
  )
  await assert.rejects(
    loadIdentity(places, { passphrase: 'pässword 2' }),
    withCode('IDENTITY_LOCKED', places.secretKey)
  )
  await assert.rejects(loadIdentity(places), withCode('IDENTITY_LOCKED'))
  await assert.rejects(
    createIdentity(freshPlaces(context), { seal: 'passphrase', passphrase: 'short' }),
    withCode('USAGE')
  )
  assert.deepEqual(scanForCanaries(places.home, [key.seed, 'pässword 1']), [])
})

test('ID-5 the passphrase’s cost is 64 MiB and three passes unless a test says less', async (context) => {
  const places = freshPlaces(context)
  await createIdentity(places, { seal: 'passphrase', passphrase: 'long enough' })
  const { memoryKib, passes } = JSON.parse(readFileSync(places.secretKey, 'utf8'))
  assert.deepEqual([memoryKib, passes], [65_536, 3])
  await loadIdentity(places, { passphrase: 'long enough' })
})

test('the keyring seals where there is one, and its lack is an error of its own', async (context) => {
  const entries = new Map<string, string>()
  const keyring: KeyringPort = {
    get: (account) => Promise.resolve(entries.get(account) ?? null),
    set: (account, value) => Promise.resolve(void entries.set(account, value))
  }
  const places = freshPlaces(context)
  const { key } = await createIdentity(places, { seal: 'keyring', keyring })
  assert.equal((await loadIdentity(places, { keyring })).key.publicKeyHex, key.publicKeyHex)
  const missing: KeyringPort = {
    get: () => Promise.reject(new Error('no bus')),
    set: () => Promise.reject(new Error('no bus'))
  }
  await assert.rejects(loadIdentity(places, { keyring: missing }), withCode('KEYRING_UNAVAILABLE'))
  await assert.rejects(
    createIdentity(freshPlaces(context), { seal: 'keyring', keyring: missing }),
    withCode('KEYRING_UNAVAILABLE')
  )
  entries.clear()
  await assert.rejects(loadIdentity(places, { keyring }), withCode('IDENTITY_LOCKED'))
})

const alice = signingKeyFromSeed(new Uint8Array(32).fill(1))
const meshSecret = Uint8Array.from({ length: 32 }, (_, index) => index * 7 + 5)
const psk = Uint8Array.from({ length: 32 }, (_, index) => index * 3 + 11)

function meshNamed(name: string, subject: Uint8Array) {
  const preimage = { founder: alice.publicKey, recovery: null, nonce: new Uint8Array(16), name }
  const fields = {
    mesh: meshIdOf(preimage),
    subject,
    rank: 1,
    role: 'member' as const,
    rights: ALL_RIGHTS,
    expiryMs: 0
  }
  return meshFile({
    preimage,
    path: [issueCertificate(alice, fields)],
    meshSecret,
    psk,
    joinedVia: alice.publicKeyHex,
    bootstrap: ['/ip4/1.2.3.4/tcp/1']
  })
}

test('the mesh file reads back, and its secrets lie sealed', async (context) => {
  const places = freshPlaces(context)
  const { key, keyRing } = await createIdentity(places, keyFile)
  assert.equal(loadMeshFile(places, keyRing.ring), null)
  const mesh = meshNamed('home', key.publicKey)
  saveMeshFile(places, keyRing.ring, mesh)
  const read = loadMeshFile(places, keyRing.ring)
  assert.ok(read !== null)
  assert.deepEqual([toHex(read.meshId), read.preimage.name, read.path.length], [toHex(mesh.meshId), 'home', 1])
  assert.deepEqual([toHex(read.meshSecret), toHex(read.psk ?? meshSecret)], [toHex(meshSecret), toHex(psk)])
  assert.deepEqual([read.joinedVia, read.bootstrap], [alice.publicKeyHex, ['/ip4/1.2.3.4/tcp/1']])
  assert.equal(modeOf(places.meshFile), 0o600)
  assert.deepEqual(scanForCanaries(places.home, [meshSecret, psk, key.seed]), [])
})

test('a mesh is replaced only by name, and a damaged mesh file is never written over', async (context) => {
  const places = freshPlaces(context)
  const { key, keyRing } = await createIdentity(places, keyFile)
  const [home, work] = [meshNamed('home', key.publicKey), meshNamed('work', key.publicKey)]
  saveMeshFile(places, keyRing.ring, home)
  assert.throws(() => saveMeshFile(places, keyRing.ring, work), withCode('MESH_ALREADY_MEMBER'))
  assert.throws(() => replaceMesh(places, keyRing.ring, work.meshId, work), withCode('MESH_ALREADY_MEMBER'))
  replaceMesh(places, keyRing.ring, home.meshId, work)
  assert.equal(loadMeshFile(places, keyRing.ring)?.preimage.name, 'work')
  const sound = readFileSync(places.meshFile, 'utf8')
  for (const text of [
    '',
    sound.slice(0, -5),
    sound.replace(/"preimage": "....../, '"preimage": "000000'),
    sound.replace('"version": 1', '"version": 2')
  ]) {
    writeFileSync(places.meshFile, text)
    assert.throws(() => loadMeshFile(places, keyRing.ring), withCode('MESH_FILE_INVALID', places.meshFile))
    assert.throws(() => saveMeshFile(places, keyRing.ring, work), withCode('MESH_FILE_INVALID'))
    assert.equal(readFileSync(places.meshFile, 'utf8'), text)
  }
})

test('ID-9 identity and mesh file show no secret in inspection, JSON or errors', async (context) => {
  const places = freshPlaces(context)
  const identity = await createIdentity(places, { seal: 'passphrase', passphrase: 'canary passphrase', cost })
  const mesh = meshNamed('home', identity.key.publicKey)
  saveMeshFile(places, identity.keyRing.ring, mesh)
  const roots = identity.keyRing.ring.exportKeys().map((key) => key.bytes)
  const canaries = [identity.key.seed, meshSecret, psk, 'canary passphrase', ...roots]
  const failures: unknown[] = []
  for (const options of [{ passphrase: 'canary passphrase!' }, {}])
    await loadIdentity(places, options).catch((error: unknown) => failures.push(error))
  writeFileSync(places.secretKey, `${readFileSync(places.secretKey, 'utf8').slice(0, -9)} canary passphrase`)
  await loadIdentity(places, { passphrase: 'canary passphrase' }).catch((error: unknown) => failures.push(error))
  assert.equal(failures.length, 3)
  const shown = [identity, mesh, loadMeshFile(places, identity.keyRing.ring), ...failures].flatMap((value) => [
    inspect(value, { depth: 9, showHidden: true }),
    JSON.stringify(value)
  ])
  assert.deepEqual(
    scanBytes(
      shown.join('\n'),
      [...canaries].filter((canary) => canary !== 'canary passphrase!')
    ),
    []
  )
})

test('ID-9 the canary scan finds a secret raw, in hex, base64 of any offset, JSON, percent and in names', (context) => {
  const { home } = freshPlaces(context)
  const secret = 'canary+key/§ "7f3a"'
  const writings = {
    raw: `before ${secret} after`,
    hex: Buffer.from(secret).toString('hex').toUpperCase(),
    base64: Buffer.from(`x${secret}`).toString('base64'),
    base64url: Buffer.from(`xy${secret}z`).toString('base64url'),
    json: JSON.stringify({ secret }),
    bytes: JSON.stringify([...Buffer.from(secret)])
  }
  for (const [name, text] of Object.entries(writings)) writeFileSync(join(home, name), text)
  mkdirSync(join(home, 'deep'))
  writeFileSync(join(home, 'deep', 'binary'), Buffer.concat([Buffer.alloc(999, 0xfe), Buffer.from(secret)]))
  writeFileSync(join(home, 'clean'), 'canary key')
  const found = new Set(scanForCanaries(home, [secret]).map((hit) => hit.file))
  assert.deepEqual([...found].sort(), [...Object.keys(writings), join('deep', 'binary')].sort())
  assert.equal(scanForCanaries(home, [secret], Object.keys(writings)).length, 1)
})

test('a backup brings key and mesh back into an empty home, by its own passphrase alone', async (context) => {
  const places = freshPlaces(context)
  const identity = await createIdentity(places, keyFile)
  const mesh = meshNamed('home', identity.key.publicKey)
  saveMeshFile(places, identity.keyRing.ring, mesh)
  const backup = await encodeIdentityBackup(identity, mesh, { passphrase: 'backup pass', cost })
  assert.deepEqual(scanBytes(backup, [identity.key.seed, meshSecret, psk]), [])
  const target = freshPlaces(context)
  const opened = await parseIdentityBackup(backup, 'backup pass')
  assert.deepEqual(
    scanBytes(inspect(opened, { depth: 9, showHidden: true }) + JSON.stringify(opened), [identity.key.seed]),
    []
  )
  await restoreIdentity(target, opened, keyFile)
  const restored = await loadIdentity(target)
  assert.equal(restored.key.publicKeyHex, identity.key.publicKeyHex)
  const read = loadMeshFile(target, restored.keyRing.ring)
  assert.deepEqual(
    [toHex(read?.meshSecret ?? psk), toHex(read?.psk ?? meshSecret), read?.path.length],
    [toHex(meshSecret), toHex(psk), 1]
  )
  await assert.rejects(restoreIdentity(target, opened, keyFile), withCode('IDENTITY_KEY_INVALID', target.identityKey))
  await assert.rejects(parseIdentityBackup(backup, 'other pass'), withCode('IDENTITY_LOCKED'))
  await assert.rejects(parseIdentityBackup(backup.subarray(0, -9), 'backup pass'), withCode('IDENTITY_KEY_INVALID'))
})
