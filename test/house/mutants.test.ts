import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { citations, testNames } from '../../scripts/test-names.ts'
import { MUTANTS, type Mutant } from '../mutants.ts'
import { REQUIREMENTS } from '../requirements.ts'

const root = dirname(dirname(import.meta.dirname))

test('every mutant still fits the code: its text stands exactly once, and a test cites its id', async () => {
  const tests = await testNames(root)
  for (const { id, file, find, replace } of MUTANTS) {
    const source = await readFile(join(root, file), 'utf8')
    assert.equal(source.split(find).length, 2, `${id}: ${JSON.stringify(find)} stands exactly once in ${file}`)
    assert.notEqual(find, replace)
    assert.ok(citations(tests, id).length > 0, `${id}: no test cites it`)
  }
})

test('every promise has a control that can be switched off', () => {
  const switched = new Set(MUTANTS.map(({ id }) => id))
  assert.deepEqual(
    REQUIREMENTS.map(({ id }) => id).filter((id) => !switched.has(id)),
    []
  )
})

test('the runner tells a killed mutant from a survivor, and from one that proves nothing', async (t) => {
  const project = await mkdtemp(join(tmpdir(), 'pmesh-runner-'))
  t.after(() => rm(project, { recursive: true, force: true }))
  const mutants: Mutant[] = [
    { id: 'ONE-1', what: 'the limit', file: 'src/limit.ts', find: 'x < 10', replace: 'true' },
    { id: 'ONE-1', what: 'a name', file: 'src/limit.ts', find: 'unseen', replace: 'other' },
    { id: 'ONE-1', what: 'syntax', file: 'src/limit.ts', find: 'x < 10', replace: 'x < (' },
    { id: 'ONE-1', what: 'twice', file: 'src/limit.ts', find: 'const', replace: 'let' },
    { id: 'ONE-2', what: 'uncited', file: 'src/limit.ts', find: 'x < 10', replace: 'true' },
    { id: 'ONE-3', what: 'red anyway', file: 'src/limit.ts', find: 'x < 10', replace: 'true' }
  ]
  const suite = `import { test } from 'node:test'\nimport assert from 'node:assert/strict'\nimport { below } from '../src/limit.ts'
test('ONE-1 ten is not below the limit', () => assert.equal(below(10), false))
test('ONE-3 this one fails', () => assert.fail())\n`
  const files = {
    'package.json': '{"type":"module"}',
    'src/limit.ts': `export const below = (x: number): boolean => x < 10\nexport const unseen = 1\n`,
    'test/limit.test.ts': suite,
    'test/mutants.ts': `export const MUTANTS = ${JSON.stringify(mutants)}`
  }
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(project, path)), { recursive: true })
    await writeFile(join(project, path), text)
  }
  for (const name of ['run-mutants.ts', 'test-names.ts'])
    await cp(join(root, 'scripts', name), join(project, 'scripts', name))

  const run = (...ids: string[]): { status: number | null; lines: string[] } => {
    const script = join(project, 'scripts', 'run-mutants.ts')
    const { status, stdout } = spawnSync(process.execPath, [script, ...ids], { encoding: 'utf8', timeout: 60_000 })
    return { status, lines: stdout.trim().split('\n') }
  }
  const all = run()
  assert.equal(all.status, 1)
  assert.deepEqual(
    all.lines.map((line) => line.slice(0, 14).trim()),
    ['killed', 'SURVIVED', 'DOES NOT LOAD', 'NOT FOUND ONCE', 'NO TEST', 'RED BEFORE', '1 of 6 mutants']
  )
  assert.equal(await readFile(join(project, 'src/limit.ts'), 'utf8'), files['src/limit.ts'])
  assert.equal(run('ONE-9').status, 2)
})
