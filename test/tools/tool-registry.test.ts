// Dynamic tools: what registering demands and records, what is compared before a run, and that nothing but a registration here makes a tool.

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import {
  appendFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, before, beforeEach, describe, test } from 'node:test'
import { MeshError } from '../../src/base/mesh-error.ts'
import type { EventDraft } from '../../src/log/append-builder.ts'
import type { JsonObject, Tool, ToolOutcome } from '../../src/pipeline/contract.ts'
import { tryParseRunEvent } from '../../src/pipeline/run-events.ts'
import { ScriptSandbox } from '../../src/sandbox/script-sandbox.ts'
import { WasmSandbox } from '../../src/sandbox/wasm-sandbox.ts'
import { createScriptTool } from '../../src/tools/script-tool.ts'
import { type NewTool, ToolRegistry } from '../../src/tools/tool-registry.ts'
import { command, open, vector } from '../sandbox/wasm-modules.ts'

const DOUBLE: NewTool = {
  name: 'double',
  kind: 'script',
  description: 'Doubles a number.',
  code: Buffer.from('const main = ({ n }) => n * 2').toString('base64'),
  parameters: { type: 'object', properties: { n: { type: 'number' } }, required: ['n'], additionalProperties: false },
  tier: 'read-only',
  scope: 'operator',
  permissions: [],
  replace: false
}
/** Takes any object. */
const ANY = { type: 'object', additionalProperties: true }
const code = (text: string) => Buffer.from(text).toString('base64')

describe('dynamic tools', () => {
  let folder: string
  let workspace: string
  let script: ScriptSandbox
  let wasm: WasmSandbox
  let events: EventDraft[]

  before(async () => {
    script = await ScriptSandbox.open({ warm: 1, live: 2 })
    wasm = await WasmSandbox.open({ warm: 0, live: 2 })
  })
  after(async () => {
    await script.close()
    await wasm.close()
  })
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'pmesh-tools-'))
    workspace = mkdtempSync(join(tmpdir(), 'pmesh-workspace-'))
    events = []
  })
  afterEach(() => {
    rmSync(folder, { recursive: true, force: true })
    rmSync(workspace, { recursive: true, force: true })
  })

  const tools = () => join(folder, 'tools')
  const registry = () => new ToolRegistry({ folder: tools(), reserved: ['calc', 'file.read'], script, wasm })
  const record = async (draft: EventDraft) => {
    events.push(draft)
  }
  const call = (tool: Tool, args: JsonObject): Promise<ToolOutcome> =>
    tool.run({
      arguments: args,
      argumentBytes: Buffer.from(JSON.stringify(args)),
      workspace,
      limits: tool.descriptor.limits,
      signal: new AbortController().signal
    })
  const text = (outcome: ToolOutcome) => Buffer.from(outcome.output).toString()
  const refusedWith = (expected: string) => (error: unknown) => {
    assert.ok(error instanceof MeshError)
    assert.equal(error.code, expected)
    return true
  }

  test('TOOL-1 a registration is an event with the hash of the code, durable before the tool is offered', async () => {
    const owner = registry()
    let offered = -1
    const tool = await owner.register(DOUBLE, async (draft) => {
      offered = owner.list().length
      await record(draft)
    })
    assert.equal(offered, 0)
    const event = tryParseRunEvent('tool-registered', events[0]!.payload)
    const hash = createHash('sha256').update(Buffer.from(DOUBLE.code, 'base64')).digest('hex')
    assert.deepEqual(
      [event?.name, event?.codeHash, event?.scope, event?.tier],
      ['double', hash, 'operator', 'read-only']
    )
    assert.equal(event?.replaces, null)
    assert.deepEqual(owner.list(), [tool])
    assert.equal(text(await call(tool, { n: 21 })), '42')
  })

  test('TOOL-1 a registration that cannot be recorded leaves nothing', async () => {
    const owner = registry()
    const failing = () => Promise.reject(new MeshError('LOG_QUEUE_FULL', 'full'))
    await assert.rejects(owner.register(DOUBLE, failing), refusedWith('LOG_QUEUE_FULL'))
    assert.deepEqual(owner.list(), [])
    assert.deepEqual(registry().list(), [])
    assert.deepEqual(readdirSync(join(tools(), 'double')), [])
  })

  test('TOOL-1 code that changed on disk is not run', async () => {
    const tool = await registry().register(DOUBLE, record)
    const [file] = readdirSync(join(tools(), 'double'))
    appendFileSync(join(tools(), 'double', file!), ' ')
    const outcome = await call(tool, { n: 1 })
    assert.deepEqual([outcome.status, outcome.code, text(outcome)], ['refused', 'TOOL_CODE_CHANGED', ''])
    const [again] = registry().list()
    assert.equal((await call(again!, { n: 1 })).code, 'TOOL_CODE_CHANGED')
    rmSync(join(tools(), 'double', file!))
    assert.equal((await call(again!, { n: 1 })).code, 'TOOL_CODE_CHANGED')
  })

  test('TOOL-1 a registration of another node makes no tool here', async () => {
    await registry().register(DOUBLE, record)
    const elsewhere = new ToolRegistry({
      folder: join(folder, 'elsewhere'),
      reserved: [],
      script,
      wasm
    })
    assert.equal(events.length, 1)
    assert.deepEqual(elsewhere.list(), [])
  })

  test('TOOL-1 files of tools are the owner’s alone, and a tool is there after a restart', async () => {
    await registry().register(DOUBLE, record)
    const [file] = readdirSync(join(tools(), 'double'))
    for (const [path, mode] of [
      [tools(), 0o700],
      [join(tools(), 'double'), 0o700],
      [join(tools(), 'double', file!), 0o600],
      [join(tools(), 'index.json'), 0o600]
    ] as const) {
      assert.equal(statSync(path).mode & 0o777, mode, path)
    }
    const [tool] = registry().list()
    assert.equal(text(await call(tool!, { n: 4 })), '8')
  })

  test('TOOL-1 a damaged index is an error and not an empty one', async () => {
    await registry().register(DOUBLE, record)
    writeFileSync(join(tools(), 'index.json'), '{"format":"pmesh-tools"')
    assert.throws(registry, refusedWith('TOOL_UNAVAILABLE'))
  })

  test('TOOL-2 names are plain words, and reserved ones are refused', async () => {
    const owner = registry()
    for (const name of [
      '',
      'A',
      '1a',
      '_a',
      'a-b',
      'a.b',
      'a b',
      '../x',
      'a\n',
      'ä',
      `a${'b'.repeat(100)}`,
      'calc',
      'script',
      'any'
    ]) {
      await assert.rejects(owner.register({ ...DOUBLE, name }, record), refusedWith('TOOL_NAME_INVALID'), name)
    }
    await owner.register({ ...DOUBLE, name: `a${'b'.repeat(99)}` }, record)
    await owner.register({ ...DOUBLE, name: 'constructor' }, record)
    assert.equal(owner.list().length, 2)
    assert.equal(events.length, 2)
  })

  test('TOOL-2 another registration under the name needs replace, and names what it replaces', async () => {
    const owner = registry()
    const first = await owner.register(DOUBLE, record)
    const other = { ...DOUBLE, code: code('const main = ({ n }) => n * 3') }
    await assert.rejects(owner.register(other, record), refusedWith('TOOL_EXISTS'))
    assert.equal(events.length, 1)
    const second = await owner.register({ ...other, replace: true }, record)
    const event = tryParseRunEvent('tool-registered', events[1]!.payload)
    assert.equal(event?.replaces, tryParseRunEvent('tool-registered', events[0]!.payload)?.codeHash)
    assert.notEqual(first.descriptor.hash, second.descriptor.hash)
    assert.deepEqual(owner.list(), [second])
    assert.equal(text(await call(second, { n: 2 })), '6')
    assert.equal((await call(first, { n: 2 })).code, 'TOOL_CODE_CHANGED')
    assert.equal(readdirSync(join(tools(), 'double')).length, 1)
  })

  test('TOOL-1 a removal is an event, and the code is gone', async () => {
    const owner = registry()
    const tool = await owner.register(DOUBLE, record)
    await owner.remove('double', record)
    assert.equal(events[1]?.type, 'tool-removed')
    assert.deepEqual(owner.list(), [])
    assert.equal(existsSync(join(tools(), 'double')), false)
    assert.equal((await call(tool, { n: 2 })).status, 'refused')
    await assert.rejects(owner.remove('double', record), refusedWith('TOOL_UNKNOWN'))
  })

  test('TOOL-1 code, schema and permissions are looked at before anything is recorded', async () => {
    const owner = registry()
    const cases: [Partial<NewTool>, string][] = [
      [{ code: '' }, 'TOOL_CODE_INVALID'],
      [{ code: 'no base64!' }, 'TOOL_CODE_INVALID'],
      [{ code: Buffer.alloc(1024 * 1024 + 1, 0x20).toString('base64') }, 'TOOL_CODE_INVALID'],
      [{ code: Buffer.from([0xff, 0xfe]).toString('base64') }, 'TOOL_CODE_INVALID'],
      [{ kind: 'wasm', code: code('not a module') }, 'TOOL_CODE_INVALID'],
      [{ parameters: { type: 'array' } }, 'TOOL_SCHEMA_INVALID'],
      [{ parameters: { type: 'object', properties: { n: { type: 'nothing' } } } }, 'TOOL_SCHEMA_INVALID'],
      [{ parameters: { type: 'object', description: 'x'.repeat(33_000) } }, 'TOOL_INPUT_INVALID'],
      [{ description: 'x'.repeat(4097) }, 'TOOL_INPUT_INVALID'],
      [{ permissions: ['workspace'] }, 'TOOL_INPUT_INVALID'],
      [{ kind: 'wasm', permissions: ['network'] }, 'TOOL_INPUT_INVALID']
    ]
    for (const [change, expected] of cases) {
      await assert.rejects(owner.register({ ...DOUBLE, ...change }, record), refusedWith(expected), expected)
    }
    assert.deepEqual([events.length, owner.list().length], [0, 0])
  })

  test('TOOL-1 what a vote covers changes with code, schema and permissions, and an undeclared tier stays undeclared', async () => {
    const owner = registry()
    const module = Buffer.from(await command([], '')).toString('base64')
    const base: NewTool = { ...DOUBLE, kind: 'wasm', code: module, tier: null }
    const hashes = new Set<string>()
    for (const change of [{}, { permissions: ['workspace'] }, { parameters: ANY }]) {
      const tool = await owner.register({ ...base, ...change, replace: true }, record)
      assert.equal(tool.descriptor.tier, null)
      hashes.add(tool.descriptor.hash)
    }
    assert.equal(hashes.size, 3)
  })

  test('TOOL-3 required parameters are enforced before the code runs', async () => {
    const tool = await registry().register({ ...DOUBLE, code: code('({ ran: true })') }, record)
    const outcome = await call(tool, { n: 'one' })
    assert.deepEqual([outcome.status, outcome.code, text(outcome)], ['refused', 'TOOL_INPUT_INVALID', ''])
  })

  test('TOOL-3 a module reads its arguments from stdin, as many as the limit allows, and nothing beyond', async () => {
    const counting = await command(
      ['fd_read', 'proc_exit'],
      `${vector(2048, 60_000)} (loop $next
         (drop (call $fd_read (i32.const 0) (i32.const 16) (i32.const 1) (i32.const 8)))
         (local.set $i (i32.add (local.get $i) (i32.load (i32.const 8))))
         (br_if $next (i32.load (i32.const 8))))
       (call $proc_exit (local.get $i))`
    )
    const parameters = ANY
    const tool = await registry().register(
      { ...DOUBLE, kind: 'wasm', code: Buffer.from(counting).toString('base64'), parameters },
      record
    )
    for (const length of [0, 1, 200_000, 256 * 1024 - 8]) {
      const args = { t: 'x'.repeat(length) }
      assert.equal((await call(tool, args)).exitCode, JSON.stringify(args).length)
    }
    const outcome = await call(tool, { t: 'x'.repeat(256 * 1024) })
    assert.deepEqual([outcome.status, outcome.code], ['refused', 'TOOL_INPUT_INVALID'])
  })

  test('TOOL-3 the output of a script is bounded', async () => {
    const tool = await registry().register({ ...DOUBLE, code: code("'x'.repeat(1 << 21)") }, record)
    const outcome = await call(tool, { n: 1 })
    assert.deepEqual([outcome.status, outcome.truncated], ['output', true])
    assert.equal(outcome.output.length, tool.descriptor.limits.outputBytes)
  })

  test('TRACK-1 a module with the permission writes files of the run, and each is told', async () => {
    const write = `(drop ${open('new.txt', 1)}) ${vector(1024, 7)}
      (drop (call $fd_write (i32.load (i32.const 0)) (i32.const 16) (i32.const 1) (i32.const 8)))`
    const owner = registry()
    const register = async (name: string, body: string, permissions: readonly string[]) => {
      const uses = ['path_open', 'fd_write', 'path_unlink_file', 'proc_exit']
      const module = Buffer.from(await command(uses, body, { data: 'new.txt' }))
      const parameters = ANY
      const asked = { ...DOUBLE, name, kind: 'wasm', code: module.toString('base64'), parameters, permissions } as const
      return await owner.register(asked, record)
    }
    const without = await register('without', write, [])
    const writing = await register('writing', write, ['workspace'])
    const failing = await register('failing', `${write} (call $proc_exit (i32.const 1))`, ['workspace'])
    const unlink = '(drop (call $path_unlink_file (i32.const 3) (i32.const 1024) (i32.const 7)))'
    const removing = await register('removing', unlink, ['workspace'])
    assert.deepEqual([without.touches({}).paths, writing.touches({}).paths], [[], ['.']])
    writeFileSync(join(workspace, 'given.txt'), 'given')

    assert.deepEqual((await call(without, {})).changes, [])
    assert.equal((await call(failing, {})).status, 'error')
    assert.deepEqual(readdirSync(workspace), ['given.txt'])

    const outcome = await call(writing, {})
    const told = outcome.changes.map(({ operation, path, size }) => [operation, path, size])
    assert.deepEqual(
      [outcome.status, told],
      [
        'ok',
        [
          ['read', 'given.txt', 5],
          ['create', 'new.txt', 7]
        ]
      ]
    )
    assert.equal(readFileSync(join(workspace, 'new.txt'), 'utf8'), 'new.txt')

    const removed = await call(removing, {})
    assert.deepEqual([removed.status, removed.code], ['refused', 'FILE_REFUSED'])
    assert.equal(existsSync(join(workspace, 'new.txt')), true)
  })

  test('SANDBOX-5 the built-in script runs its source and reaches nothing', async () => {
    const tool = createScriptTool(script)
    assert.deepEqual([tool.descriptor.tier, tool.descriptor.taints], ['read-only', 'tool'])
    assert.equal(text(await call(tool, { source: 'input.a + 1', input: { a: 1 } })), '2')
    assert.equal(text(await call(tool, { source: 'input' })), 'null')
    assert.equal((await call(tool, { source: 3 })).code, 'TOOL_INPUT_INVALID')
    assert.deepEqual(tool.touches({ source: 'x' }), { paths: [], hosts: [], argv: null })
  })
})
