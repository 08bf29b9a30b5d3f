// The C list of abuse through the public entry point: modules that look for a way out, that do not end, and that fill what they can reach.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { ToolLimits, ToolOutcome } from '../../src/pipeline/contract.ts'
import { type WasmCall, WasmSandbox } from '../../src/sandbox/wasm-sandbox.ts'
import { command, moduleOf, open, opening, vector } from './wasm-modules.ts'

const MIB = 1024 * 1024
const LIMITS: ToolLimits = {
  timeMs: 300,
  memoryBytes: 64 * MIB,
  outputBytes: MIB,
  processes: 1,
  fileBytes: 4 * MIB
}
const NOT_CAPABLE = 76
const BAD_DESCRIPTOR = 8
const NOT_SUPPORTED = 58
const NO_SPACE = 51
const TOO_MANY_OPEN = 33
const MISSING = 44
const KILLED_MS_MAX = 2_500
const START = '(func (export "_start"))'
const MEMORY = '(memory (export "memory") 1)'

describe('SANDBOX-4 every abuse by a WASM module is contained', { concurrency: 2 }, () => {
  let sandbox: WasmSandbox
  before(async () => {
    process.env.PMESH_TEST_CANARY = 'canary'
    sandbox = await WasmSandbox.open({ warm: 1, live: 3 })
  })
  after(() => sandbox.close())

  const run = async (module: Uint8Array, call: Partial<WasmCall> = {}): Promise<ToolOutcome> => {
    const { outcome } = await sandbox.run({
      module,
      input: Buffer.from('{}'),
      args: ['tool'],
      files: [{ path: 'given.txt', bytes: Buffer.from('given') }],
      limits: LIMITS,
      signal: new AbortController().signal,
      ...call
    })
    return outcome
  }
  const exitCode = async (module: Uint8Array, call: Partial<WasmCall> = {}) => {
    const outcome = await run(module, { ...call, limits: { ...LIMITS, timeMs: 5_000 } })
    return outcome.exitCode ?? outcome
  }
  const refusal = async (text: string) => {
    const outcome = await run(await moduleOf(text))
    assert.deepEqual([outcome.status, outcome.code], ['refused', 'TOOL_CODE_INVALID'])
    return outcome.message
  }

  test('SANDBOX-4 the sandbox runs here and says what isolates', () => {
    assert.equal(sandbox.report.available, true, sandbox.report.text)
    assert.match(sandbox.report.text, /no OS sandbox/)
  })

  test('SANDBOX-4 C1 a module without a folder opens nothing', async () => {
    assert.equal(await exitCode(await opening('etc/passwd'), { files: null }), BAD_DESCRIPTOR)
  })
  test('SANDBOX-4 C1 a module with a folder sees its files and no other', async () => {
    assert.equal(await exitCode(await opening('given.txt')), 0)
    assert.equal(await exitCode(await opening('etc/passwd')), MISSING)
  })
  test('SANDBOX-4 C2 .. does not lead out of the folder', async () => {
    assert.equal(await exitCode(await opening('../etc/passwd')), NOT_CAPABLE)
    assert.equal(await exitCode(await opening('a/../../etc/passwd')), NOT_CAPABLE)
    assert.equal(await exitCode(await opening('../x', 1)), NOT_CAPABLE)
  })
  test('SANDBOX-4 C3 an absolute path does not lead out of the folder', async () => {
    assert.equal(await exitCode(await opening('/etc/passwd')), NOT_CAPABLE)
  })
  test('SANDBOX-4 C4 C5 C6 C8 C9 C10 there are no symbolic links to follow or make', async () => {
    const module = await command(
      ['path_symlink', 'proc_exit'],
      '(call $proc_exit (call $path_symlink (i32.const 1024) (i32.const 4) (i32.const 3) (i32.const 1026) (i32.const 2)))',
      { data: '/etcd2' }
    )
    assert.equal(await exitCode(module), NOT_SUPPORTED)
  })
  test('SANDBOX-1 C12 a module has no environment', async () => {
    const module = await command(
      ['environ_sizes_get', 'proc_exit'],
      `(drop (call $environ_sizes_get (i32.const 0) (i32.const 4)))
       (call $proc_exit (i32.add (i32.load (i32.const 0)) (i32.load (i32.const 4))))`
    )
    assert.equal(await exitCode(module), 0)
  })
  test('SANDBOX-1 C13 a module has its streams and its folder, and no other descriptor', async () => {
    const module = await command(
      ['fd_fdstat_get', 'proc_exit'],
      `(loop $next
         (if (i32.eqz (call $fd_fdstat_get (local.get $i) (i32.const 64)))
           (then (local.set $j (i32.add (local.get $j) (i32.const 1)))))
         (br_if $next (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 1000))))
       (call $proc_exit (local.get $j))`
    )
    assert.equal(await exitCode(module), 4)
    assert.equal(await exitCode(module, { files: null }), 3)
  })
  test('SANDBOX-2 SANDBOX-4 C14 an endless loop is killed', async () => {
    await timesOut(await command([], '(loop $again (br $again))'))
  })
  test('SANDBOX-2 SANDBOX-4 C15 a sleep of twenty seconds is killed', async () => {
    await timesOut(
      await command(
        ['poll_oneoff', 'proc_exit'],
        `(i32.store (i32.const 16) (i32.const 1)) (i64.store (i32.const 24) (i64.const 20000000000))
         (call $proc_exit (call $poll_oneoff (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 128)))`
      )
    )
  })
  test('SANDBOX-4 a short sleep ends by itself', async () => {
    const module = await command(
      ['poll_oneoff', 'proc_exit'],
      `(i32.store (i32.const 16) (i32.const 1)) (i64.store (i32.const 24) (i64.const 1000000))
       (call $proc_exit (call $poll_oneoff (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 128)))`
    )
    assert.equal(await exitCode(module), 0)
  })
  test('SANDBOX-3 SANDBOX-4 C16 memory grows to the limit of the call and no further', async () => {
    const module = await command(
      ['proc_exit'],
      `(loop $next (br_if $next (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))
       (call $proc_exit (memory.size))`
    )
    const usual = (await exitCode(module)) as number
    assert.ok(usual > 900 && usual <= 1024, `${usual} pages`)
    const outcome = await run(module, { limits: { ...LIMITS, timeMs: 5_000, memoryBytes: 8 * MIB } })
    assert.ok(outcome.exitCode! > 100 && outcome.exitCode! <= 128, `${outcome.exitCode} pages`)
  })
  test('SANDBOX-4 C17 a stack overflow traps', async () => {
    const module = await command([], '(call $deep)', { rest: '(func $deep (call $deep))' })
    const outcome = await run(module)
    assert.deepEqual([outcome.status, outcome.message], ['error', 'the module trapped'])
  })
  test('SANDBOX-3 C18 a flood of both streams stops at the limit', async () => {
    const module = await command(
      ['fd_write'],
      `${vector(0, 60_000)} (loop $again
         (drop (call $fd_write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 8)))
         (drop (call $fd_write (i32.const 2) (i32.const 16) (i32.const 1) (i32.const 8))) (br $again))`
    )
    const outcome = await run(module, { limits: { ...LIMITS, timeMs: 5_000 } })
    assert.deepEqual([outcome.status, outcome.truncated], ['output', true])
    assert.ok(outcome.output.length <= LIMITS.outputBytes)
  })
  test('SANDBOX-4 C19 wild pointers reach nothing but the memory of the module', async () => {
    const calls = [
      '(drop (call $fd_write (i32.const 1) (i32.const -8) (i32.const 1) (i32.const 8)))',
      '(drop (call $fd_write (i32.const 1) (i32.const 16) (i32.const 0x7fffffff) (i32.const 8)))',
      '(drop (call $random_get (i32.const -4) (i32.const 8)))',
      '(drop (call $args_sizes_get (i32.const -1) (i32.const -1)))'
    ]
    for (const call of calls) {
      const outcome = await run(await command(['fd_write', 'random_get', 'args_sizes_get'], call))
      assert.ok(['ok', 'error', 'timeout', 'memory'].includes(outcome.status), `${call} ${outcome.status}`)
      assert.equal(outcome.output.length, 0)
    }
    assert.equal((await run(await command([], ''))).status, 'ok')
  })
  test('SANDBOX-4 C20 sixty memories are refused', async () => {
    const memories = Array.from({ length: 59 }, () => '(memory 1024)').join('')
    assert.match(await refusal(`(module ${MEMORY} ${memories} ${START})`), /more than one memory/)
  })
  test('SANDBOX-4 C21 forty tables and huge tables are refused', async () => {
    const tables = Array.from({ length: 40 }, () => '(table 10 funcref)').join('')
    assert.match(await refusal(`(module ${MEMORY} ${tables} ${START})`), /more than 16 tables/)
    assert.match(await refusal(`(module ${MEMORY} (table 10000000 funcref) ${START})`), /larger than 10000 entries/)
    assert.match(await refusal(`(module ${MEMORY} (table 1 10000000 funcref) ${START})`), /larger than 10000 entries/)
  })
  test('SANDBOX-4 declared memory above the limit is refused', async () => {
    assert.match(await refusal(`(module (memory (export "memory") 1025) ${START})`), /67174400 bytes of memory/)
    assert.match(await refusal(`(module (memory (export "memory") 1 65536) ${START})`), /4294967296 bytes of memory/)
  })
  test('SANDBOX-4 shared and 64-bit memory are refused', async () => {
    assert.match(await refusal(`(module (memory (export "memory") 1 2 shared) ${START})`), /shared, 64-bit/)
    assert.match(await refusal(`(module (memory (export "memory") i64 1) ${START})`), /shared, 64-bit/)
  })
  test('SANDBOX-4 imports beyond those granted are refused', async () => {
    const importing = (what: string) => `(module (import ${what}) ${MEMORY} ${START})`
    assert.match(await refusal(importing('"env" "system" (func)')), /env\.system/)
    assert.match(await refusal(importing('"wasi_snapshot_preview1" "sock_accept" (func)')), /sock_accept/)
    assert.match(await refusal(importing('"wasi_unstable" "fd_write" (func)')), /wasi_unstable/)
    assert.match(await refusal(importing('"wasi_snapshot_preview1" "fd_write" (memory 1)')), /fd_write/)
    assert.match(await refusal(importing('"x" "\\1b[2J" (func)')), /x\.\?\?2J/)
  })
  test('SANDBOX-4 what is no command module is refused', async () => {
    assert.match(await refusal(`(module ${MEMORY})`), /no function _start/)
    assert.match(await refusal(`(module ${START})`), /0 memories/)
    assert.match(await refusal(`(module (memory 1) ${START})`), /does not export its memory/)
    const good = await moduleOf(`(module ${MEMORY} ${START})`)
    for (const bytes of [Buffer.alloc(0), good.subarray(0, good.length - 1), Buffer.concat([good, Buffer.from([1])])]) {
      assert.equal((await run(bytes)).status, 'refused')
    }
    const component = Uint8Array.from(good)
    component[4] = 0x0d
    assert.equal((await run(component)).status, 'refused')
    assert.equal((await run(Buffer.alloc(MIB + 1))).status, 'refused')
  })
  test('SANDBOX-4 a module that is no valid code is refused by the engine', async () => {
    const good = Buffer.from(await command([], '(drop (i32.add (i32.const 1) (i32.const 2)))'))
    const at = good.lastIndexOf(0x6a)
    good[at] = 0x7c
    const outcome = await run(good)
    assert.deepEqual([outcome.status, outcome.message], ['refused', 'the module cannot be loaded'])
  })
  test('SANDBOX-3 files in memory stop growing at the limit', async () => {
    const grow = (call: string) =>
      command(
        ['path_open', 'fd_pwrite', 'fd_allocate', 'fd_filestat_set_size', 'proc_exit'],
        `(drop ${open('big', 1)}) ${vector(0, 100)} (call $proc_exit ${call})`,
        { data: 'big' }
      )
    const fd = '(i32.load (i32.const 0))'
    const huge = '(i64.const 1099511627776)'
    assert.equal(await exitCode(await grow(`(call $fd_allocate ${fd} (i64.const 0) ${huge})`)), NO_SPACE)
    assert.equal(await exitCode(await grow(`(call $fd_filestat_set_size ${fd} ${huge})`)), NO_SPACE)
    const write = `(call $fd_pwrite ${fd} (i32.const 16) (i32.const 1) ${huge} (i32.const 8))`
    assert.equal(await exitCode(await grow(write)), NO_SPACE)
    assert.equal(await exitCode(await grow(`(call $fd_allocate ${fd} (i64.const 0) (i64.const 4194304))`)), 0)
  })
  test('SANDBOX-3 descriptors run out before memory does', async () => {
    const module = await command(
      ['path_open', 'proc_exit'],
      `(loop $next (br_if $next (i32.eqz (local.tee $i ${open('given.txt', 0)})))) (call $proc_exit (local.get $i))`,
      { data: 'given.txt' }
    )
    assert.equal(await exitCode(module), TOO_MANY_OPEN)
  })
  test('SANDBOX-3 names without end kill the process and no more', async () => {
    const module = await command(
      ['path_open'],
      `(loop $next (i32.store (i32.const 1024) (local.tee $i (i32.add (local.get $i) (i32.const 1))))
         (i32.store (i32.const 0) (i32.or (i32.const 0x61616161) (local.get $i)))
         (drop (call $path_open (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 40000) (i32.const 3)
           (i64.const 0) (i64.const 0) (i32.const 0) (i32.const 50000))) (br $next))`
    )
    const outcome = await run(module, { limits: { ...LIMITS, timeMs: 1_500 } })
    assert.ok(['timeout', 'memory', 'error'].includes(outcome.status), outcome.status)
  })

  async function timesOut(module: Uint8Array): Promise<void> {
    const startedAt = performance.now()
    const outcome = await run(module)
    assert.deepEqual([outcome.status, outcome.code], ['timeout', 'TOOL_TIMEOUT'])
    assert.ok(performance.now() - startedAt < KILLED_MS_MAX, `${performance.now() - startedAt} ms`)
  }
})
