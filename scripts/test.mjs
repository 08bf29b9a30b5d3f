// Runs the tests: `npm test` everything but test/e2e, `npm run test:e2e` the real binary, `npm run test:all` both, `npm run test:sandbox`
// test/sandbox, and when root started it once more as a user without rights; `unprivileged` is that second run alone.
// Further arguments go to `node --test`, for example: npm test -- --test-name-pattern=CHAIN-3
import { spawnSync } from 'node:child_process'
import { chmodSync, cpSync, existsSync, globSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

const SUITES = ['e2e', 'all', 'sandbox', 'unprivileged']
const NOBODY = { uid: 65_534, gid: 65_534 }
const TEST_MS_MAX = 180_000

const root = dirname(import.meta.dirname)
const [first, ...rest] = process.argv.slice(2)
const suite = SUITES.includes(first) ? first : 'fast'
const passed = suite === 'fast' && first !== undefined ? [first, ...rest] : rest

// The interoperability tests have packages of their own and join in where those are installed.
const skipped = existsSync(join(root, 'test', 'interop', 'node_modules')) ? [] : [`test/interop/`]
const files = globSync('test/**/*.test.{ts,mjs}', { cwd: root, exclude: ['**/node_modules/**'] })
  .map((file) => file.replaceAll('\\', '/'))
  .filter((file) => isInSuite(file))
  .filter((file) => !skipped.some((folder) => file.startsWith(folder)))
  .sort()
if (files.length === 0) {
  console.error(`no test files for: ${suite}`)
  process.exit(1)
}

const options = ['--test', '--test-concurrency=2', `--test-timeout=${TEST_MS_MAX}`, ...passed]
const isRoot = process.geteuid?.() === 0
if (suite !== 'unprivileged' || !isRoot) {
  const { status } = spawnSync(process.execPath, [...options, ...files], { cwd: root, stdio: 'inherit' })
  process.exitCode = status ?? 1
}
if ((suite === 'sandbox' || suite === 'unprivileged') && isRoot) runUnprivileged()

function isInSuite(file) {
  if (suite === 'all') return true
  if (suite === 'sandbox' || suite === 'unprivileged') return file.startsWith('test/sandbox/')
  return file.startsWith('test/e2e/') === (suite === 'e2e')
}

/** Here where that user may read, else on a copy. */
function runUnprivileged() {
  const readable = (folder, program) =>
    spawnSync(program, ['--eval', `require('fs').readFileSync(${JSON.stringify(join(folder, files[0]))})`], {
      ...NOBODY,
      cwd: '/',
      env: {}
    }).status === 0
  console.log('\nonce more as user 65534')
  const here = readable(root, process.execPath)
  const folder = here ? root : mkdtempSync(join(tmpdir(), 'pmesh-test-'))
  const program = here ? process.execPath : join(folder, 'node_modules', 'node', 'bin', 'node')
  try {
    if (!here) {
      chmodSync(folder, 0o755)
      cpSync(root, folder, { recursive: true, filter: (path) => !path.startsWith(join(root, '.git')) })
    }
    const env = { PATH: process.env.PATH, HOME: '/nonexistent' }
    const again = spawnSync(program, [...options, ...files], { ...NOBODY, cwd: folder, env, stdio: 'inherit' })
    if (again.status !== 0) process.exitCode = again.status ?? 1
  } finally {
    if (!here) rmSync(folder, { recursive: true, force: true })
  }
}
