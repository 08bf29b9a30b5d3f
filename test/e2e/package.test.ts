// The package as npm would publish it, unpacked where an installation would put it.

import assert from 'node:assert/strict'
import { execFile, spawnSync } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'

const root = dirname(dirname(import.meta.dirname))
const STEP_MS_MAX = 120_000

test('the packed tarball installs elsewhere, and the demo runs from there', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'pmesh-installed-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const run = promisify(execFile)
  const limits = { timeout: STEP_MS_MAX, maxBuffer: 16 * 1024 * 1024 }
  const { stdout } = await run('npm', ['pack', '--silent', '--pack-destination', folder], { cwd: root, ...limits })
  await writeFile(join(folder, 'package.json'), '{"private":true}')
  const tarball = join(folder, stdout.trim().split('\n').at(-1) ?? '')
  await run('npm', ['install', '--no-audit', '--no-fund', '--loglevel=error', tarball], { cwd: folder, ...limits })
  const program = join(folder, 'node_modules', 'pmesh', 'bin', 'pmesh.js')
  const demo = await run(process.execPath, [program, 'demo', '--json'], { cwd: folder, ...limits })
  const { ok, converged, verified, killed, acknowledgedLost, nodes } = JSON.parse(demo.stdout)
  assert.deepEqual(
    { ok, converged, verified, killed, acknowledgedLost, nodes },
    { ok: true, converged: true, verified: true, killed: true, acknowledgedLost: 0, nodes: 3 }
  )
})

test('the packed program runs from its build inside node_modules, and nothing of the house is in it', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'pmesh-package-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const options = { cwd: root, timeout: STEP_MS_MAX, maxBuffer: 16 * 1024 * 1024 }
  await promisify(execFile)('npm', ['pack', '--silent', '--pack-destination', folder], options)
  const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'))
  const installed = join(folder, 'node_modules', 'pmesh')
  await mkdir(installed, { recursive: true })
  await promisify(execFile)('tar', ['-xzf', `pmesh-${version}.tgz`, '-C', installed, '--strip-components=1'], {
    cwd: folder
  })
  await symlink(join(root, 'node_modules'), join(installed, 'node_modules'))

  const ran = spawnSync(process.execPath, [join(installed, 'bin', 'pmesh.js'), '--version'], {
    encoding: 'utf8',
    timeout: 30_000
  })
  assert.equal(ran.stderr, '')
  assert.match(ran.stdout, new RegExp(`^(?:pmesh )?${version.replaceAll('.', '\\.')}\\n$`))
  assert.equal(ran.status, 0)

  const { stdout } = await promisify(execFile)('tar', ['-tzf', `pmesh-${version}.tgz`], { cwd: folder })
  const files = stdout.trim().split('\n')
  for (const needed of ['bin/pmesh.js', 'dist/cli/main.js', 'LICENSE', 'README.md', 'SECURITY.md', 'CHANGELOG.md']) {
    assert.ok(files.includes(`package/${needed}`), `${needed} is in the package`)
  }
  assert.deepEqual(
    files.filter((file) => /^package\/(?:src|test|bench|simulations|node_modules|\.)/.test(file)),
    []
  )
})
