import assert from 'node:assert/strict'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { createCli } from './cli-harness.ts'

test('ID-9 an identity goes from one home to another by a sealed backup, and its secret is in no output', async (context) => {
  const from = createCli(context)
  const to = createCli(context)
  const passphrase = join(from.userHome, 'passphrase')
  writeFileSync(passphrase, 'correct horse battery staple\n', { mode: 0o600 })
  const env = { PMESH_PASSPHRASE_FILE: passphrase }
  const made = JSON.parse((await from.run('--json', 'init', '--name', 'one')).stdout)
  const file = join(from.userHome, 'backup.json')
  const backedUp = await from.runWith({ env }, '--json', 'identity', 'backup', file)
  assert.equal(backedUp.code, 0)
  assert.equal(statSync(file).mode & 0o777, 0o600)
  assert.doesNotMatch(readFileSync(file, 'utf8') + backedUp.stdout + backedUp.stderr, /seed|correct horse/)
  const restored = await to.runWith({ env }, '--json', 'identity', 'restore', file)
  assert.equal(JSON.parse(restored.stdout).peerId, made.peerId)
  assert.equal((await from.runWith({ env }, 'identity', 'backup', file)).code, 2)
  assert.equal((await to.runWith({ env }, 'identity', 'restore', file)).code, 1)
})

test('a backup is refused with another passphrase, when it is cut, and when it is not there', async (context) => {
  const from = createCli(context)
  const to = createCli(context)
  const [passphrase, other] = [join(from.userHome, 'passphrase'), join(from.userHome, 'other')]
  writeFileSync(passphrase, 'correct horse battery staple', { mode: 0o600 })
  writeFileSync(other, 'another horse altogether', { mode: 0o600 })
  await from.run('init')
  const file = join(from.userHome, 'backup.json')
  await from.runWith({ env: { PMESH_PASSPHRASE_FILE: passphrase } }, 'identity', 'backup', file)
  const locked = await to.runWith({ env: { PMESH_PASSPHRASE_FILE: other } }, 'identity', 'restore', file)
  assert.equal(locked.code, 11)
  writeFileSync(file, readFileSync(file).subarray(0, 200))
  const env = { PMESH_PASSPHRASE_FILE: passphrase }
  assert.match((await to.runWith({ env }, 'identity', 'restore', file)).stderr, /IDENTITY_KEY_INVALID/)
  assert.equal((await to.runWith({ env }, 'identity', 'restore', join(from.userHome, 'none'))).code, 2)
  assert.equal((await to.run('--no-input', 'identity', 'restore', file)).code, 11)
})
