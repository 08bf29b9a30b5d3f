// Runs the tests: `npm test` everything but test/e2e, `npm run test:e2e` the real binary, `npm run test:all` both.
// Further arguments go to `node --test`, for example: npm test -- --test-name-pattern=CHAIN-3
import { spawnSync } from 'node:child_process'
import { existsSync, globSync } from 'node:fs'
import { dirname, join } from 'node:path'

const SUITES = ['e2e', 'all']
const TEST_MS_MAX = 180_000

const root = dirname(import.meta.dirname)
const [first, ...rest] = process.argv.slice(2)
const suite = SUITES.includes(first) ? first : 'fast'
const passed = suite === 'fast' && first !== undefined ? [first, ...rest] : rest

// The interoperability tests have packages of their own and join in where those are installed.
const skipped = existsSync(join(root, 'test', 'interop', 'node_modules')) ? [] : [`test/interop/`]
const files = globSync('test/**/*.test.{ts,mjs}', { cwd: root, exclude: ['**/node_modules/**'] })
  .map((file) => file.replaceAll('\\', '/'))
  .filter((file) => suite === 'all' || file.startsWith('test/e2e/') === (suite === 'e2e'))
  .filter((file) => !skipped.some((folder) => file.startsWith(folder)))
  .sort()
if (files.length === 0) {
  console.error(`no test files for: ${suite}`)
  process.exit(1)
}

const options = ['--test', '--test-concurrency=2', `--test-timeout=${TEST_MS_MAX}`, ...passed]
const { status } = spawnSync(process.execPath, [...options, ...files], { cwd: root, stdio: 'inherit' })
process.exitCode = status ?? 1
