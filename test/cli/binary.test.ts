import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { createFakeNode } from '../rpc/fake-node-api.ts'
import { temporaryHome, until } from '../rpc/socket-harness.ts'
import { createServedCli } from './cli-harness.ts'

const BINARY = fileURLToPath(new URL('../../bin/pmesh.js', import.meta.url))

function start(context: TestContext, home: string, args: readonly string[], nodeArgs: readonly string[] = []) {
  const env = { PATH: process.env.PATH, HOME: join(home, '..'), PMESH_HOME: home }
  const child: ChildProcess = spawn(process.execPath, [...nodeArgs, BINARY, ...args], {
    env,
    stdio: ['pipe', 'pipe', 'pipe']
  })
  context.after(() => child.kill('SIGKILL'))
  const seen = { stdout: '', stderr: '' }
  child.stdin?.on('error', () => undefined)
  child.stdout?.on('data', (chunk: Buffer) => (seen.stdout += chunk.toString()))
  child.stderr?.on('data', (chunk: Buffer) => (seen.stderr += chunk.toString()))
  const ended = once(child, 'close').then(([code]) => ({ code: code as number, ...seen }))
  return { child, seen, ended }
}

/** A node with some megabytes of log. */
function talkativeNode() {
  const node = createFakeNode()
  const json = JSON.stringify({ text: 'x'.repeat(1_000) })
  for (let index = 0; index < 10; index++)
    void node.append(Array.from({ length: 500 }, () => ({ type: 'app-note', json })))
  return node
}

test('a reader that goes away ends the command quietly', async (context) => {
  const cli = await createServedCli(context, talkativeNode())
  const { child, ended } = start(context, cli.home, ['log', 'show', '--all'])
  child.stdout?.once('data', () => child.stdout?.destroy())
  const { code, stderr } = await ended
  assert.deepEqual([code, stderr], [0, ''])
})

test('all output arrives when the reader is slow', async (context) => {
  const cli = await createServedCli(context, talkativeNode())
  const { ended } = start(context, cli.home, ['--json', 'log', 'show', '--all'])
  const { code, stdout } = await ended
  assert.deepEqual([code, stdout.split('\n').length], [0, 5_001])
})

test('a full disk is exit code 1 and said on stderr', { skip: !existsSync('/dev/full') }, async (context) => {
  const cli = await createServedCli(context)
  const env = { PATH: process.env.PATH, HOME: cli.userHome }
  const child = spawn('sh', ['-c', `'${process.execPath}' '${BINARY}' status > /dev/full`], {
    env,
    stdio: ['ignore', 'ignore', 'pipe']
  })
  let stderr = ''
  child.stderr?.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
  const [code] = await once(child, 'close')
  assert.equal(code, 1)
  assert.match(stderr, /cannot write the output: ENOSPC/)
})

test('Ctrl-C ends log follow with 130', async (context) => {
  const cli = await createServedCli(context)
  await cli.api.append([{ type: 'app-note', json: '{}' }])
  const { child, seen, ended } = start(context, cli.home, ['log', 'follow', '--cursor', '0'])
  await until(() => seen.stdout.includes('app-note'))
  child.kill('SIGINT')
  assert.equal((await ended).code, 130)
})

test('events piped line by line are appended while stdin stays open, and a wrong line ends the command', async (context) => {
  const cli = await createServedCli(context)
  const { child, seen, ended } = start(context, cli.home, ['event', 'append', 'app-note'])
  child.stdin?.write('{"n":1}\n')
  await until(() => seen.stdout.includes('event 1'))
  child.stdin?.write('{"n":2}\nnonsense\n')
  const { code, stdout } = await ended
  assert.equal(code, 2)
  assert.match(stdout, /event 2\n$/)
})

test('commands that need no node load neither libp2p nor the store nor a schema library', async (context) => {
  const home = temporaryHome(context)
  const hook = `import { registerHooks } from 'node:module'
registerHooks({ resolve(name, parent, next) { const found = next(name, parent); process.stderr.write('LOADED ' + found.url + '\\n'); return found } })`
  for (const args of [['status'], ['help', 'files'], ['paths'], []]) {
    const { stderr } = await start(context, join(home, 'node'), args, [
      '--import',
      `data:text/javascript,${encodeURIComponent(hook)}`
    ]).ended
    assert.match(stderr, /LOADED .*src\/cli\/main\.ts/)
    assert.doesNotMatch(stderr, /node_modules\/(libp2p|@libp2p|@chainsafe|level|classic-level|zod|@clack)\//)
  }
})

test('node start shows its block, serves the socket, refuses a second start, and ends with 0 on SIGTERM', async (context) => {
  const home = join(temporaryHome(context), 'home')
  const places = ['--listen', '/ip4/127.0.0.1/tcp/0', '--door', '/ip4/127.0.0.1/tcp/0', '--no-mdns']
  const node = start(context, home, ['node', 'start', ...places])
  const waited = await start(context, home, ['node', 'wait']).ended
  assert.deepEqual([waited.code, waited.stdout], [0, 'ready\n'])
  await until(() => node.seen.stdout.includes('next: '))
  assert.match(
    node.seen.stdout,
    /^pmesh \S+ {3}node .+\n {2}mesh {8}home \(1 member\)\n {2}listening {3}\/ip4\/127\.0\.0\.1\/tcp\/\d+ · door \d+ · mDNS off\n {2}socket {6}\S+pmesh\.sock\n {2}log {9}\d+ events, /
  )
  const second = await start(context, home, ['node', 'start', ...places]).ended
  assert.equal(second.code, 1)
  assert.match(second.stderr, /code {4}NODE_RUNNING/)
  assert.equal((await start(context, home, ['status']).ended).code, 0)
  node.child.kill('SIGTERM')
  assert.equal((await node.ended).code, 0)
  assert.equal(existsSync(join(home, 'run', 'pmesh.sock')), false)
  assert.equal((await start(context, home, ['status']).ended).code, 10)
})
