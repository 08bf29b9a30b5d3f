import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test } from 'node:test'

interface Lock {
  readonly packages: Record<string, { resolved?: string; optionalDependencies?: Record<string, string> }>
}

const root = dirname(dirname(import.meta.dirname))

function checkLock(project: string): { status: number | null; stderr: string } {
  const script = join(project, 'scripts', 'complete-lock.mjs')
  const { status, stderr } = spawnSync(process.execPath, [script, '--check'], { encoding: 'utf8', timeout: 30_000 })
  return { status, stderr }
}

test('the lock is complete: every optional package that is named has an entry, and no download host is recorded', () => {
  assert.deepEqual(checkLock(root), { status: 0, stderr: '' })
})

test('a lock that lacks a platform’s package or records a host is found, and completing it mends the first', async (t) => {
  const project = await mkdtemp(join(tmpdir(), 'pmesh-lock-'))
  t.after(() => rm(project, { recursive: true, force: true }))
  await cp(join(root, 'scripts', 'complete-lock.mjs'), join(project, 'scripts', 'complete-lock.mjs'))
  const path = join(project, 'package-lock.json')
  const lock: Lock = JSON.parse(await readFile(join(root, 'package-lock.json'), 'utf8'))
  const platform = Object.keys(lock.packages['node_modules/@biomejs/biome']?.optionalDependencies ?? {})[0] ?? ''
  delete lock.packages[`node_modules/${platform}`]
  await writeFile(path, JSON.stringify(lock))
  assert.deepEqual(checkLock(project), { status: 1, stderr: `missing from package-lock.json: ${platform}\n` })

  const completed = spawnSync(process.execPath, [join(project, 'scripts', 'complete-lock.mjs')], { encoding: 'utf8' })
  assert.equal(completed.stdout, 'optional entries added: 1\n')
  assert.equal(checkLock(project).status, 0)

  const mended: Lock = JSON.parse(await readFile(path, 'utf8'))
  const zod = mended.packages['node_modules/zod'] ?? {}
  zod.resolved = 'https://registry.example/zod.tgz'
  await writeFile(path, JSON.stringify(mended))
  assert.match(checkLock(project).stderr, /^download host in package-lock\.json: node_modules\/zod /)
})

test('versions are exact, and the lock was made for this package.json', async () => {
  const manifest = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'))
  const lock = JSON.parse(await readFile(join(root, 'package-lock.json'), 'utf8'))
  for (const kind of ['dependencies', 'optionalDependencies', 'devDependencies']) {
    for (const [name, version] of Object.entries(manifest[kind] ?? {})) {
      assert.match(String(version), /^\d+\.\d+\.\d+$/, `${name} is pinned`)
    }
    assert.deepEqual(lock.packages[''][kind], manifest[kind])
  }
})
