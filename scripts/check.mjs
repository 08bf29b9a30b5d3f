// Every check that is not a test: format and lint, types, dead code, secrets, docs, lock. All of them run, then it fails if one failed.
// With names as arguments only those run: npm run check -- types docs
import { spawnSync } from 'node:child_process'
import { dirname, join } from 'node:path'

const root = dirname(import.meta.dirname)
const bin = (name) => join(root, 'node_modules', '.bin', name)
const node = (script, ...args) => [process.execPath, join(root, 'scripts', script), ...args]

const CHECKS = {
  lint: [bin('biome'), 'ci', '--colors=off', '--error-on-warnings', '--max-diagnostics=50', '.'],
  types: [bin('tsc'), '--noEmit', '-p', '.'],
  dead: [bin('knip'), '--no-progress'],
  secrets: [bin('secretlint'), '--no-color', '**/*'],
  docs: node('check-docs.mjs'),
  lock: node('complete-lock.mjs', '--check')
}

const wanted = process.argv.slice(2)
const unknown = wanted.filter((name) => !Object.hasOwn(CHECKS, name))
if (unknown.length > 0) {
  console.error(`unknown check: ${unknown.join(', ')}; there are: ${Object.keys(CHECKS).join(', ')}`)
  process.exit(2)
}

const failed = []
for (const [name, [command, ...args]] of Object.entries(CHECKS)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue
  const start = performance.now()
  const { status } = spawnSync(command, args, { cwd: root, stdio: 'inherit' })
  const seconds = ((performance.now() - start) / 1000).toFixed(1)
  console.log(`${status === 0 ? '✓' : '✗'} ${name} ${seconds} s`)
  if (status !== 0) failed.push(name)
}
if (failed.length > 0) {
  console.error(`failed: ${failed.join(', ')}`)
  process.exitCode = 1
}
