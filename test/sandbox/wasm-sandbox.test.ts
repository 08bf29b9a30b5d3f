// What passes between host and module, that the process is believed nothing, and that the box which the composition gives is the one that is used.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { ToolLimits } from '../../src/pipeline/contract.ts'
import { SupervisedProcess } from '../../src/sandbox/supervisor.ts'
import { encodeFrame, READY, type WasmAnswer } from '../../src/sandbox/wasm-frame.ts'
import type { GuestLaunch, GuestProcess } from '../../src/sandbox/wasm-guest.ts'
import { type WasmCall, WasmSandbox } from '../../src/sandbox/wasm-sandbox.ts'
import { command, open, vector } from './wasm-modules.ts'

const MIB = 1024 * 1024
const LIMITS: ToolLimits = { timeMs: 5_000, memoryBytes: 64 * MIB, outputBytes: 1000, processes: 1, fileBytes: MIB }
const start = (argv: readonly string[]) =>
  SupervisedProcess.start({ argv, environment: {}, folder: '/', user: null, descriptors: [] })

async function callOf(module: Promise<Uint8Array>, change: Partial<WasmCall> = {}): Promise<WasmCall> {
  const { signal } = new AbortController()
  return {
    module: await module,
    input: Buffer.from('in'),
    args: ['tool'],
    files: [],
    limits: LIMITS,
    signal,
    ...change
  }
}

describe('the WASM sandbox', () => {
  let sandbox: WasmSandbox
  before(async () => {
    sandbox = await WasmSandbox.open({ warm: 1, live: 2 })
  })
  after(() => sandbox.close())

  const say = (descriptor: number, code = 0) =>
    command(
      ['fd_write', 'proc_exit'],
      `${vector(1024, 3)} (drop (call $fd_write (i32.const ${descriptor}) (i32.const 16) (i32.const 1) (i32.const 8)))
       (call $proc_exit (i32.const ${code}))`,
      { data: 'say' }
    )

  test('SANDBOX-4 stdout is the result, and stderr is shown after a failure', async () => {
    const results: [number, number, string, number, string][] = []
    for (const [descriptor, code] of [
      [1, 0],
      [2, 0],
      [1, 7],
      [2, 7]
    ] as const) {
      const { outcome } = await sandbox.run(await callOf(say(descriptor, code)))
      results.push([descriptor, code, outcome.status, outcome.exitCode!, Buffer.from(outcome.output).toString()])
    }
    assert.deepEqual(results, [
      [1, 0, 'ok', 0, 'say'],
      [2, 0, 'ok', 0, ''],
      [1, 7, 'error', 7, 'say'],
      [2, 7, 'error', 7, 'say']
    ])
  })

  test('TRACK-1 files that a module made or changed come back with their hashes, after a good end only', async () => {
    const writing = (code: number) =>
      command(
        ['path_open', 'fd_write', 'proc_exit'],
        `(drop ${open('a/b.txt', 1)}) ${vector(1024, 7)}
         (drop (call $fd_write (i32.load (i32.const 0)) (i32.const 16) (i32.const 1) (i32.const 8)))
         (call $proc_exit (i32.const ${code}))`,
        { data: 'a/b.txt' }
      )
    const files = [
      { path: 'a/b.txt', bytes: Buffer.from('old') },
      { path: 'c.txt', bytes: Buffer.from('same') }
    ]
    const { outcome, files: written } = await sandbox.run(await callOf(writing(0), { files }))
    assert.deepEqual(
      written.map(({ path, bytes }) => [path, Buffer.from(bytes!).toString()]),
      [['a/b.txt', 'a/b.txt']]
    )
    const [change] = outcome.changes
    assert.deepEqual([change?.operation, change?.path, change?.size], ['write', 'a/b.txt', 7])
    assert.match(`${change?.before} ${change?.after}`, /^[0-9a-f]{64} [0-9a-f]{64}$/)
    const failed = await sandbox.run(await callOf(writing(1), { files }))
    assert.deepEqual([failed.outcome.changes, failed.files], [[], []])
  })

  test('TOOL-3 SANDBOX-3 input and files above their limits are refused before a process is asked', async () => {
    const large = { path: 'large', bytes: Buffer.alloc(65 * MIB) }
    const many = Array.from({ length: 4097 }, (_, n) => ({ path: `${n}`, bytes: Buffer.from('') }))
    for (const change of [{ input: Buffer.alloc(256 * 1024 + 1) }, { files: [large] }, { files: many }]) {
      const { outcome } = await sandbox.run(await callOf(say(1), change))
      assert.deepEqual([outcome.status, outcome.code], ['refused', 'TOOL_INPUT_INVALID'])
    }
  })

  test('SANDBOX-2 a cancelled call is killed at once', async () => {
    const control = new AbortController()
    const running = sandbox.run(await callOf(command([], '(loop $a (br $a))'), { signal: control.signal }))
    control.abort()
    assert.equal((await running).outcome.status, 'killed')
  })

  test('SANDBOX-4 the process is started without environment and with every limit of V8', async () => {
    const launches: GuestLaunch[] = []
    const boxed = await WasmSandbox.open({
      warm: 0,
      box: {
        name: 'a box',
        launch: (launch) => {
          launches.push(launch)
          return start(launch.argv)
        }
      }
    })
    await boxed.close()
    assert.match(boxed.report.text, /; a box$/)
    assert.notEqual(boxed.profile, sandbox.profile)
    const [launch] = launches
    for (const flag of [
      '--wasm-max-mem-pages=1024',
      '--wasm-max-table-size=10000',
      '--max-old-space-size=64',
      '--permission'
    ])
      assert.ok(launch?.argv.includes(flag), flag)
    assert.ok(launch?.readable.every((path) => path.startsWith('/')))
  })

  test('SANDBOX-4 a box that does not start leaves the sandbox closed, and it says so', async () => {
    const broken = await WasmSandbox.open({ warm: 0, box: { name: 'a box', launch: () => start(['/bin/false']) } })
    assert.equal(broken.report.available, false)
    const { outcome } = await broken.run(await callOf(say(1)))
    assert.deepEqual([outcome.status, outcome.code], ['refused', 'SANDBOX_UNAVAILABLE'])
    await broken.close()
  })

  test('SANDBOX-4 an answer that no module could give is believed nothing', async () => {
    const answer: WasmAnswer = { end: 'exit', exitCode: 0, files: [], removed: [] }
    const stream = Buffer.from('')
    const paths = ['../x', '/x', 'a/../x', 'a//b', './a', '', 'a\0b', 'a\\b', 'a/']
    const forged: Buffer[] = [
      Buffer.from([0, 0, 0, 3, 1, 2, 3]),
      Buffer.from([0, 0, 0, 8, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]),
      Buffer.concat([encodeFrame({ header: answer, parts: [stream, stream] }), Buffer.from('more')]),
      encodeFrame({ header: answer, parts: [] }),
      encodeFrame({ header: { ...answer, end: 'constructor' }, parts: [stream, stream] }),
      encodeFrame({ header: { ...answer, removed: ['never given'] }, parts: [stream, stream] }),
      encodeFrame({ header: { ...answer, exitCode: '0' }, parts: [stream, stream] }),
      encodeFrame({ header: { ...answer, files: ['a', 'a'] }, parts: [stream, stream, stream, stream] }),
      ...paths.map((path) => encodeFrame({ header: { ...answer, files: [path] }, parts: [stream, stream, stream] }))
    ]
    const good = encodeFrame({ header: { ...answer, files: ['a/b'] }, parts: [stream, stream, Buffer.from('x')] })
    const runs = await runForged([...forged, good].map((bytes) => `process.stdout.write(${written(bytes)})`))
    assert.equal(runs.pop()?.files.length, 1)
    for (const [index, { outcome, files }] of runs.entries())
      assert.deepEqual([outcome.status, files], ['error', []], forged[index]?.toString())
  })

  test('SANDBOX-3 an answer without end is not read', async () => {
    const flood = 'const again = () => process.stdout.write(Buffer.alloc(1 << 20, 1), again); again()'
    const [run] = await runForged([flood, flood])
    assert.deepEqual([run?.outcome.status, run?.outcome.output.length], ['output', 0])
  })

  /** Runs of processes that do as told once they have their job; the trial at the start gets an honest one. */
  async function runForged(programs: readonly string[]) {
    const forgers = programs.map(
      (program) => `process.stdout.write(${written(READY)}); process.stdin.resume().on('end', () => { ${program} })`
    )
    let isTrial = true
    const launch = async ({ argv }: GuestLaunch): Promise<GuestProcess> => {
      if (!isTrial) return await start([process.execPath, '-e', forgers.shift()!])
      isTrial = false
      return await start(argv)
    }
    const forging = await WasmSandbox.open({ warm: 0, box: { name: 'forging', launch } })
    const call = await callOf(say(1))
    const runs = []
    for (const _ of programs) runs.push(await forging.run(call))
    await forging.close()
    return runs
  }
})

function written(bytes: Buffer): string {
  return `Buffer.from('${bytes.toString('base64')}', 'base64')`
}
