// pmesh demo as a person runs it: three real processes, a real kill −9, the independent verifier; and nothing left behind.

import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { notObserved } from '../../src/cli/demo/demo-report.ts'
import type { DemoResult } from '../../src/cli/demo/demo-run.ts'
import { missingTexts } from '../../src/cli/demo/held-events.ts'
import type { ResultOf } from '../../src/rpc/methods.ts'
import { RpcClient } from '../../src/rpc/rpc-client.ts'

const ROOT = dirname(dirname(import.meta.dirname))
const BINARY = join(ROOT, 'bin', 'pmesh.js')
type EventPage = ResultOf<'log/query'>

/** The demo takes seconds alone, longer beside other tests on two cores. */
const DEMO_MS_MAX = 120_000
const GONE_MS_MAX = 10_000

/** A folder that the demo takes for the system’s temporary one, so that whatever it leaves is seen. */
function temporaryFolder(context: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'pd-'))
  context.after(() => rmSync(folder, { recursive: true, force: true, maxRetries: 3 }))
  return folder
}

interface Ran {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs the demo; `stopWhen` is a Ctrl-C as soon as it is true of stdout. */
async function runDemo(
  context: TestContext,
  folder: string,
  args: readonly string[],
  stopWhen?: (stdout: string) => boolean
): Promise<Ran> {
  // The last one would keep a node from starting: settings of a person’s own node must not reach the demo’s.
  const env = { PATH: process.env.PATH, HOME: folder, TMPDIR: folder, PMESH_LOG_LEVEL: 'nonsense' }
  const child = spawn(process.execPath, [BINARY, 'demo', ...args], { cwd: ROOT, env, timeout: DEMO_MS_MAX })
  context.after(() => child.kill('SIGKILL'))
  const seen = { stdout: '', stderr: '' }
  child.stdout.on('data', (chunk: Buffer) => {
    const wasOver = stopWhen?.(seen.stdout) === true
    seen.stdout += chunk.toString()
    if (!wasOver && stopWhen?.(seen.stdout) === true) child.kill('SIGINT')
  })
  child.stderr.on('data', (chunk: Buffer) => (seen.stderr += chunk.toString()))
  const [code] = (await once(child, 'close')) as [number]
  return { code, ...seen }
}

/** Command lines of all processes that name `folder`. */
function processesOf(folder: string): string[] {
  const all = execFileSync('ps', ['-A', '-o', 'args='], { encoding: 'utf8' }).split('\n')
  return all.filter((line) => line.includes(folder))
}

const isRunning = (pid: number) => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

/** Ends processes that are not children of this one. */
async function endAll(pids: readonly number[]): Promise<void> {
  for (const pid of pids) if (isRunning(pid)) process.kill(pid, 'SIGKILL')
  const deadline = performance.now() + GONE_MS_MAX
  while (pids.some(isRunning)) {
    assert.ok(performance.now() < deadline, 'a kept node did not end')
    await pause(20)
  }
}

/** Pids that the narration names. */
const pidsIn = (stdout: string) =>
  [...stdout.matchAll(/(?:alice|bob|carol) \((\d+)\)/g)].map((match) => Number(match[1]))

const COMPLETE: DemoResult = {
  nodes: 3,
  events: 10,
  acknowledged: 10,
  acknowledgedLost: 0,
  lostAtRestart: 0,
  exact: true,
  converged: true,
  chains: 3,
  verified: true,
  digest: '00',
  exportedEvents: 16,
  killed: true,
  kill: null,
  appendPerSecond: 1,
  catchUpPerSecond: 1,
  missedEvents: 1,
  restartMs: 1,
  catchUpMs: 1,
  verifyMs: 1,
  run: {
    approvedElsewhere: true,
    injectionBlocked: true,
    forgedApprovalRefused: true,
    changedCallRefused: true,
    sameOnAll: true,
    approvalToEndMs: 1
  }
}

test('the demo shows three nodes, a kill −9 that loses nothing, and one verified log, and leaves nothing behind', async (context) => {
  const folder = temporaryFolder(context)
  const { code, stdout, stderr } = await runDemo(context, folder, ['--json'])
  assert.deepEqual([code, stderr], [0, ''])
  assert.equal(stdout.trim().split('\n').length, 1)
  const result = JSON.parse(stdout)
  assert.equal(result.ok, true)
  assert.deepEqual(result.notObserved, [])
  assert.equal(result.nodes, 3)
  assert.ok(result.events >= 2_000)
  assert.equal(result.events, result.input.records * result.input.rounds)
  assert.ok(result.converged && result.verified && result.killed && result.exact)
  assert.deepEqual([result.acknowledgedLost, result.lostAtRestart], [0, 0])
  assert.equal(result.acknowledged + result.kill.unansweredKept, result.events)
  assert.ok(result.kill.unanswered > 0 && result.kill.acknowledged > 0)
  assert.ok(result.exportedEvents > result.events)
  assert.match(result.digest, /^[0-9a-f]{64}$/)
  for (const measured of ['appendPerSecond', 'catchUpPerSecond', 'missedEvents', 'restartMs', 'verifyMs', 'elapsedMs'])
    assert.ok(result[measured] > 0, measured)
  assert.deepEqual(readdirSync(folder), [])
  assert.deepEqual(processesOf(folder), [])
})

test('--input appends the lines of a file, and --keep leaves a mesh that answers where it says', async (context) => {
  const folder = temporaryFolder(context)
  const input = join(folder, 'in.jsonl')
  writeFileSync(input, '{"reading":  20.5, "unit":"°C"}\n\n{"reading":21}\r\n{"nested":{"a":[1,2]}}')
  const { code, stdout, stderr } = await runDemo(context, folder, ['--keep', '--input', input])
  const running = [...new Set(pidsIn(stdout))].filter(isRunning)
  context.after(() => endAll(running))
  assert.deepEqual([code, stderr], [0, ''])
  assert.equal(running.length, 3)
  assert.match(stdout, /input +2 001 events: \S+in\.jsonl, each 667 times/)
  assert.match(stdout, /lost +0 +of [\d ]+ acknowledged events/)
  const homes = [...stdout.matchAll(/--home (\S+) status/g)].map((match) => match[1] ?? '')
  assert.equal(homes.length, 3)
  const lines = ['{"nested":{"a":[1,2]}}', '{"reading":  20.5, "unit":"°C"}', '{"reading":21}']
  for (const home of homes) {
    const client = await RpcClient.connect(join(home, 'run', 'pmesh.sock'))
    context.after(() => client.close())
    assert.equal((await client.call('node/status', {})).mesh.members, 3)
    const counts = new Map<string, number>()
    for (let cursor: string | null = ''; cursor !== null; ) {
      const page: EventPage = await client.call('log/query', {
        type: 'app-demo',
        limit: 1_000,
        ...(cursor === '' ? {} : { cursor })
      })
      for (const { json } of page.items) counts.set((json ?? '').trim(), (counts.get((json ?? '').trim()) ?? 0) + 1)
      cursor = page.next
    }
    assert.deepEqual(
      [...counts].sort(),
      lines.map((line) => [line, 667])
    )
  }
  await endAll(running)
})

test('Ctrl-C ends what the demo started and removes its homes', async (context) => {
  const folder = temporaryFolder(context)
  const { code, stdout } = await runDemo(context, folder, [], (text) => text.includes(' invite '))
  assert.equal(code, 130)
  const pids = pidsIn(stdout)
  assert.equal(pids.length, 3)
  assert.deepEqual(pids.filter(isRunning), [])
  assert.deepEqual(readdirSync(folder), [])
})

test('a wrong input is refused before anything is started, with its line', async (context) => {
  const folder = temporaryFolder(context)
  const file = join(folder, 'in.jsonl')
  const refusal = async (content: string | null, path = file) => {
    if (content !== null) writeFileSync(path, content)
    const { code, stdout, stderr } = await runDemo(context, folder, ['--json', '--input', path])
    assert.deepEqual([code, stdout], [2, ''])
    return JSON.parse(stderr)
  }
  assert.equal((await refusal(null, join(folder, 'none.jsonl'))).code, 'USAGE')
  assert.equal((await refusal('\n \n')).code, 'USAGE')
  const list = await refusal('{"a":1}\n\n[1]\n')
  assert.deepEqual([list.code, list.details.line], ['EVENT_INVALID', 3])
  const long = await refusal(`{"a":1}\n{"a":"${'x'.repeat(70_000)}"}\n`)
  assert.deepEqual([long.code, long.details.line], ['EVENT_TOO_LARGE', 2])
  assert.deepEqual(readdirSync(folder), ['in.jsonl'])
})

test('whatever the demo did not see is named', () => {
  assert.deepEqual(notObserved(COMPLETE, 10), [])
  const wrong: Partial<DemoResult>[] = [
    { nodes: 2 },
    { killed: false },
    { lostAtRestart: 1 },
    { lostAtRestart: null },
    { converged: false },
    { acknowledgedLost: 1 },
    { acknowledgedLost: null },
    { exact: false },
    { events: 9 },
    { verified: false }
  ]
  for (const one of wrong) assert.equal(notObserved({ ...COMPLETE, ...one }, 10).length, 1, JSON.stringify(one))
})

test('texts that occur several times are missed one by one', () => {
  assert.deepEqual(missingTexts(['a', 'b', 'a'], ['a', 'c']), ['b', 'a'])
  assert.deepEqual(missingTexts(['a', 'b'], ['b', 'a', 'a']), [])
})
