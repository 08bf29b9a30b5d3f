// `npm run mutants [ID…]`: switches controls off one at a time in a copy of the tree and runs the tests that cite the id.
// A mutant is killed when those tests pass untouched and at least one fails with the control off. A survivor fails the run.

import { spawn } from 'node:child_process'
import { chmod, cp, glob, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { basename, dirname, join, relative, sep } from 'node:path'
import { MUTANTS, type Mutant } from '../test/mutants.ts'
import { citations, idPattern, testNames } from './test-names.ts'

const TESTS_MS_MAX = 300_000
const TEST_MS_MAX = 120_000
const LEFT_OUT = new Set(['node_modules', '.git', 'dist', 'coverage'])

type Verdict = 'killed' | 'SURVIVED' | 'NO TEST' | 'NOT FOUND ONCE' | 'DOES NOT LOAD' | 'RED BEFORE'

const root = dirname(import.meta.dirname)

async function copyTree(): Promise<string> {
  const copy = await mkdtemp(join(tmpdir(), 'pmesh-mutants-'))
  // Tests run the program as another user too.
  await chmod(copy, 0o755)
  await cp(root, copy, {
    recursive: true,
    filter: (path) =>
      !relative(root, path)
        .split(sep)
        .some((part) => LEFT_OUT.has(part))
  })
  await symlink(join(root, 'node_modules'), join(copy, 'node_modules'))
  return copy
}

/** Exit status, or null when it ran past its time. */
function run(cwd: string, args: readonly string[]): Promise<number | null> {
  return new Promise((resolve, reject) => {
    // Under a test runner the variable would make the inner runner skip every file.
    const env = { ...process.env, NODE_TEST_CONTEXT: undefined }
    // A group of its own: a test file that hangs goes with its runner.
    const child = spawn(process.execPath, args, { cwd, env, stdio: 'ignore', detached: true })
    const late = setTimeout(() => {
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
    }, TESTS_MS_MAX)
    child.once('error', reject)
    child.once('exit', (status) => {
      clearTimeout(late)
      resolve(status)
    })
  })
}

/** Test files that cite `id`, or that import a contract suite that does. */
async function filesCiting(id: string): Promise<string[]> {
  const citing = new Set(citations(await testNames(root), id).map(({ file }) => file))
  const suites = [...citing].filter((file) => !/\.test\.\w+$/.test(file)).map((file) => basename(file))
  const runnable = [...citing].filter((file) => /\.test\.\w+$/.test(file))
  if (suites.length === 0) return runnable
  const all = await Array.fromAsync(glob('test/**/*.test.ts', { cwd: root, exclude: ['**/node_modules/**'] }))
  for (const file of all) {
    const text = await readFile(join(root, file), 'utf8')
    if (suites.some((suite) => text.includes(`/${suite}'`)) && !runnable.includes(file)) runnable.push(file)
  }
  return runnable
}

async function testsPass(copy: string, id: string, files: readonly string[]): Promise<boolean> {
  const options = [`--test-name-pattern=${idPattern(id)}`, `--test-timeout=${TEST_MS_MAX}`]
  const concurrency = `--test-concurrency=${Math.min(2, availableParallelism())}`
  return (await run(copy, ['--test', concurrency, ...options, ...files])) === 0
}

async function judge(copy: string, mutant: Mutant, green: Map<string, boolean>): Promise<Verdict> {
  const files = await filesCiting(mutant.id)
  if (files.length === 0) return 'NO TEST'
  const path = join(copy, mutant.file)
  const original = await readFile(path, 'utf8')
  if (original.split(mutant.find).length !== 2) return 'NOT FOUND ONCE'
  const before = green.get(mutant.id) ?? (await testsPass(copy, mutant.id, files))
  green.set(mutant.id, before)
  if (!before) return 'RED BEFORE'
  await writeFile(
    path,
    original.replace(mutant.find, () => mutant.replace)
  )
  try {
    // A mutant that does not even load turns every test red and proves nothing.
    if ((await run(copy, ['--input-type=module', '--eval', `await import(${JSON.stringify(path)})`])) !== 0)
      return 'DOES NOT LOAD'
    return (await testsPass(copy, mutant.id, files)) ? 'SURVIVED' : 'killed'
  } finally {
    await writeFile(path, original)
  }
}

async function main(wanted: readonly string[]): Promise<number> {
  const mutants = MUTANTS.filter(({ id }) => wanted.length === 0 || wanted.includes(id))
  const unknown = wanted.filter((id) => !MUTANTS.some((mutant) => mutant.id === id))
  if (unknown.length > 0) {
    console.error(`no mutant for: ${unknown.join(', ')}`)
    return 2
  }
  const copy = await copyTree()
  const green = new Map<string, boolean>()
  let killed = 0
  try {
    for (const mutant of mutants) {
      const start = performance.now()
      const verdict = await judge(copy, mutant, green)
      if (verdict === 'killed') killed += 1
      const seconds = ((performance.now() - start) / 1000).toFixed(1)
      console.log(
        `${verdict.padEnd(14)} ${mutant.id.padEnd(11)} ${seconds.padStart(6)} s  ${mutant.what}  (${mutant.file})`
      )
    }
  } finally {
    await rm(copy, { recursive: true, force: true })
  }
  console.log(`${killed} of ${mutants.length} mutants killed`)
  return killed === mutants.length ? 0 : 1
}

process.exitCode = await main(process.argv.slice(2))
