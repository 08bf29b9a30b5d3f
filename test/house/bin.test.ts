// bin/pmesh.js alone, in a package of its own: which runtime it takes, what it runs, and that exit codes and signals pass through.

import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { type TestContext, test } from 'node:test'

const root = dirname(dirname(import.meta.dirname))
/** Makes this runtime look like an old one to the first process only: options of Node are not handed on. */
const OLD = `--import=data:text/javascript,${encodeURIComponent(
  `Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '20.20.2' } })`
)}`
const MAIN = `
export async function main(argv${'TYPE'}) {
  console.log(JSON.stringify({ argv, node: process.versions.node, from: import.meta.filename.slice(-7) }))
  if (argv[0] === 'wait') {
    const done = new Promise((resolve) => process.once('SIGTERM', () => resolve(9)))
    const alive = setInterval(() => {}, 1000)
    console.log('waiting')
    const code = await done
    clearInterval(alive)
    return code
  }
  return 7
}
`

interface Ran {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

async function makePackage(t: TestContext, parts: { source?: boolean; runtime?: string }): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'pmesh-bin-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  await cp(join(root, 'bin'), join(folder, 'bin'), { recursive: true })
  await writeFile(join(folder, 'package.json'), '{"type":"module"}')
  await mkdir(join(folder, 'dist', 'cli'), { recursive: true })
  await writeFile(join(folder, 'dist', 'cli', 'main.js'), MAIN.replace('TYPE', ''))
  if (parts.source) {
    await mkdir(join(folder, 'src', 'cli'), { recursive: true })
    await writeFile(join(folder, 'src', 'cli', 'main.ts'), MAIN.replace('TYPE', ': string[]'))
  }
  if (parts.runtime !== undefined) {
    const place = join(folder, 'node_modules', 'node')
    await mkdir(join(place, 'bin'), { recursive: true })
    await writeFile(join(place, 'package.json'), JSON.stringify({ version: parts.runtime }))
    await writeFile(join(place, 'bin', 'node'), `#!/bin/sh\nexec "${process.execPath}" "$@"\n`)
    await chmod(join(place, 'bin', 'node'), 0o755)
  }
  return folder
}

function start(folder: string, options: readonly string[], args: readonly string[]): ChildProcess {
  const script = join(folder, 'bin', 'pmesh.js')
  return spawn(process.execPath, [...options, script, ...args], { stdio: ['ignore', 'pipe', 'pipe'], timeout: 20_000 })
}

async function run(folder: string, options: readonly string[], args: readonly string[]): Promise<Ran> {
  const child = start(folder, options, args)
  assert.ok(child.stdout && child.stderr)
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
  return { code, stdout, stderr }
}

test('a checkout runs its TypeScript, an installed package its build; arguments and the exit code pass', async (t) => {
  const checkout = await run(await makePackage(t, { source: true }), [], ['a', '--b', 'c d'])
  assert.deepEqual(checkout, {
    code: 7,
    stdout: `${JSON.stringify({ argv: ['a', '--b', 'c d'], node: process.versions.node, from: 'main.ts' })}\n`,
    stderr: ''
  })
  const installed = await run(await makePackage(t, {}), [], [])
  assert.equal(installed.code, 7)
  assert.match(installed.stdout, /"from":"main\.js"/)
})

test('an old runtime hands over to the newer one beside it, arguments and exit code included', async (t) => {
  const ran = await run(await makePackage(t, { source: true, runtime: '24.21.0' }), [OLD], ['x', '--json'])
  assert.equal(ran.stderr, '')
  assert.equal(ran.code, 7)
  assert.deepEqual(JSON.parse(ran.stdout), { argv: ['x', '--json'], node: process.versions.node, from: 'main.ts' })
})

test('a signal to the old runtime reaches the newer one, whose exit code comes back', async (t) => {
  const child = start(await makePackage(t, { runtime: '24.21.0' }), [OLD], ['wait'])
  const closed = once(child, 'close')
  assert.ok(child.stdout)
  let output = ''
  for await (const chunk of child.stdout) {
    output += String(chunk)
    if (output.includes('waiting')) child.kill('SIGTERM')
  }
  const [code] = await closed
  assert.equal(code, 9)
})

for (const runtime of [undefined, '24.11.0', '22.0.0']) {
  test(`an old runtime without a newer one (${runtime ?? 'none'} beside it) is refused with the code and the way out`, async (t) => {
    const folder = await makePackage(t, { source: true, ...(runtime === undefined ? {} : { runtime }) })
    const plain = await run(folder, [OLD], ['status'])
    assert.equal(plain.code, 2)
    assert.equal(plain.stdout, '')
    assert.match(
      plain.stderr,
      /^pmesh: cannot start: Node 20\.20\.2 is older than 24\.12\n {2}fix {3}.*nodejs\.org\n {2}code {2}RUNTIME_TOO_OLD\n$/
    )
    const json = await run(folder, [OLD], ['status', '--json'])
    assert.equal(JSON.parse(json.stderr).code, 'RUNTIME_TOO_OLD')
  })
}
