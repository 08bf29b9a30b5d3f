// One whole story of a mesh with secrets that can be recognised, and then every byte that the nodes wrote (ID-9).

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { homePaths } from '../../src/config/paths.ts'
import { openOrCreateIdentity } from '../../src/identity/identity-store.ts'
import { parseInvite } from '../../src/identity/invite.ts'
import { loadMeshFile } from '../../src/identity/mesh-file.ts'
import { type Canary, scanBytes, scanForCanaries } from '../canary.ts'
import { connected, converged, MeshKit, type NodeHome, type Ran } from './mesh-kit.ts'

/** Command line, environment aside, and title of every process of the kit that runs now. */
function processTexts(nodes: readonly NodeHome[]): string {
  return nodes
    .map((node) =>
      ['cmdline', 'comm', 'status'].map((file) => readFileSync(`/proc/${node.pid}/${file}`, 'utf8')).join('\n')
    )
    .join('\n')
}

test('ID-9 no secret is in any log, error, event, answer, screen, process title or file where it does not belong', async (t) => {
  const kit = new MeshKit(t)
  const passphrase = `passphrase-${randomBytes(12).toString('hex')}`
  const credential = `sk-live-${randomBytes(18).toString('base64url')}`
  const psk = randomBytes(32)
  const passphraseFile = join(kit.folder, 'passphrase')
  const pskFile = join(kit.folder, 'psk')
  writeFileSync(passphraseFile, passphrase, { mode: 0o600 })
  writeFileSync(pskFile, psk.toString('hex'), { mode: 0o600 })
  const env = { PMESH_PASSPHRASE_FILE: passphraseFile }
  const screens: Ran[] = []
  const ada = kit.home('ada')
  const bob = kit.home('bob')
  for (const node of [ada, bob])
    writeFileSync(node.path('config.toml'), `[node]\nname = "${node.name}"\n\n[log]\nlevel = "debug"\n`, {
      mode: 0o600
    })
  const run = async (node: NodeHome, stdin: string, ...args: readonly string[]): Promise<Ran> => {
    const ran = await node.cliWith({ stdin, env }, ...args)
    screens.push(ran)
    return ran
  }

  // init shows the recovery words once, as it must: that screen is where they belong.
  const init = await ada.cliWith({ env }, 'init', '--seal', 'passphrase', '--recovery-key', '--json')
  assert.equal(init.code, 0, init.stderr)
  const words: string = JSON.parse(init.stdout).recoveryWords
  assert.equal(words.split(' ').length, 24)

  await ada.start({ env, args: ['--psk-file', pskFile] })
  const made = await ada.cliWith({ env }, 'invite', 'create', '--json')
  const { line } = JSON.parse(made.stdout)
  const unused = await ada.invite()
  assert.equal((await run(ada, `${credential}\n`, 'credential', 'set', 'openai')).code, 0)
  assert.equal((await run(bob, `${line}\n`, 'join', '-')).code, 0)
  await bob.start()
  await connected([ada, bob])
  await ada.append('one')
  await bob.append('two')
  await converged([ada, bob])

  const titles = processTexts([ada, bob])
  for (const args of [
    ['status'],
    ['member', 'list'],
    ['invite', 'list'],
    ['log', 'show'],
    ['log', 'heads'],
    ['doctor'],
    ['config', 'show'],
    ['credential', 'list'],
    ['peer', 'list'],
    ['why'],
    ['paths'],
    ['identity', 'show'],
    ['log', 'show', '--json']
  ]) {
    await run(ada, '', ...args)
  }
  // Failures are where secrets leak: a used invite, a cut one, a bad credential, a wrong passphrase, a damaged record.
  const eve = kit.home('eve')
  for (const args of [
    ['join', line],
    ['join', line.slice(0, -2)],
    ['join', line, '--verbose']
  ])
    screens.push(await eve.cliWith({}, '--json', ...args))
  await run(ada, `${credential}\n`, 'credential', 'set', 'no/such', '--verbose')
  await ada.stop()
  const wrongFile = join(kit.folder, 'wrong')
  writeFileSync(wrongFile, `${passphrase}x`, { mode: 0o600 })
  const locked = await ada.cliWith(
    { env: { PMESH_PASSPHRASE_FILE: wrongFile } },
    '--verbose',
    'node',
    'start',
    '--no-mdns'
  )
  screens.push(locked)
  assert.equal(locked.code, 11, locked.stderr)
  await run(ada, '', 'credential', 'rotate')
  await bob.stop()

  const identity = await openOrCreateIdentity(homePaths(ada.folder), { seal: 'passphrase', passphrase })
  const mesh = loadMeshFile(homePaths(ada.folder), identity.keyRing.ring)
  const bobs = await openOrCreateIdentity(homePaths(bob.folder), { seal: 'key-file' })
  assert.ok(mesh !== null)
  const canaries: Canary[] = [
    passphrase,
    credential,
    psk,
    words,
    line,
    parseInvite(line).secret,
    unused.line,
    parseInvite(unused.line).secret,
    identity.key.seed,
    bobs.key.seed,
    mesh.meshSecret
  ]
  const texts = [ada.output, bob.output, titles, ...screens.flatMap((ran) => [ran.stdout, ran.stderr])]
  for (const text of texts) assert.deepEqual(scanBytes(text, canaries), [], text.slice(0, 200))
  for (const node of [ada, bob, eve]) assert.deepEqual(scanForCanaries(node.folder, canaries), [], node.name)
  // The scan finds what is there: the screens that show a secret once, and the files that hold one.
  assert.notDeepEqual(scanBytes(init.stdout, canaries), [])
  assert.notDeepEqual(scanBytes(made.stdout, canaries), [])
  assert.deepEqual([...new Set(scanForCanaries(kit.folder, canaries).map((hit) => hit.file))].sort(), [
    'passphrase',
    'psk',
    'wrong'
  ])
  assert.ok(readdirSync(ada.folder).includes('pmesh.log'))
})
