// Modules in the box of the operating system, where this machine has one; where it has none, that is what is said.

import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { openCommandSandbox } from '../../src/sandbox/command-sandbox.ts'
import { wasmBox } from '../../src/sandbox/wasm-box.ts'
import { WasmSandbox } from '../../src/sandbox/wasm-sandbox.ts'
import { Workspaces } from '../../src/sandbox/workspaces.ts'
import { command } from './wasm-modules.ts'

const LIMITS = { timeMs: 5_000, memoryBytes: 64 * 1024 * 1024, outputBytes: 1000, processes: 1, fileBytes: 0 }

test('SANDBOX-4 SANDBOX-6 modules run inside the box of the operating system, and their folders go with them', async (t) => {
  const home = mkdtempSync(join(tmpdir(), 'pmesh-home-'))
  // An unprivileged user must get there: below the root folder, not below the home.
  const rootFolder = mkdtempSync('/var/tmp/pmesh-workspaces-')
  t.after(() => {
    for (const folder of [home, rootFolder]) rmSync(folder, { recursive: true, force: true })
  })
  const workspaces = Workspaces.open({ paths: { home, workspaces: join(home, 'workspaces') }, rootFolder })
  const commands = await openCommandSandbox({ workspaces })
  const box = wasmBox(commands, workspaces)
  assert.equal(box === null, !commands.report.available)
  const sandbox = await WasmSandbox.open(box === null ? { warm: 0 } : { warm: 0, box })
  try {
    assert.equal(sandbox.report.available, true, sandbox.report.text)
    assert.ok(sandbox.report.text.includes(box?.name ?? 'no OS sandbox'), sandbox.report.text)
    const module = await command(
      ['path_open', 'proc_exit'],
      '(call $proc_exit (i32.sub (memory.grow (i32.const 2000)) (i32.const -43)))'
    )
    const { signal } = new AbortController()
    const call = { module, input: Buffer.from(''), args: [], files: null, limits: LIMITS, signal }
    assert.equal((await sandbox.run(call)).outcome.exitCode, 42)
    const loop = await command([], '(loop $again (br $again))')
    const stopped = await sandbox.run({ ...call, module: loop, limits: { ...LIMITS, timeMs: 300 } })
    assert.equal(stopped.outcome.status, 'timeout')
  } finally {
    await sandbox.close()
    await commands.close()
  }
  assert.deepEqual(readdirSync(workspaces.folder), [])
})
