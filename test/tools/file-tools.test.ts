import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { chown, link, mkdir, readdir, readFile, stat, symlink, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { LIMITS } from '../../src/base/limits.ts'
import type { JsonObject, ToolInvocation, ToolOutcome } from '../../src/pipeline/contract.ts'
import { createFileTools, probeFileTools } from '../../src/tools/file-tools.ts'
import { callTool, outputOf, temporaryFolder } from './tool-kit.ts'

const tools = new Map(createFileTools().map((tool) => [tool.descriptor.name, tool]))
const SECRET = 'outside'

interface Place {
  readonly workspace: string
  readonly outside: string
  call(name: string, args: JsonObject, rest?: Partial<ToolInvocation>): Promise<ToolOutcome>
}

/** A workspace `ws`, and beside it what must not be reached. */
async function makePlace(t: TestContext): Promise<Place> {
  const folder = await temporaryFolder(t)
  const [workspace, outside] = [join(folder, 'ws'), join(folder, 'ws-evil')]
  await mkdir(workspace)
  await mkdir(outside)
  await writeFile(join(outside, 'secret.txt'), SECRET)
  return {
    workspace,
    outside,
    call: (name, args, rest = {}) => callTool(tools.get(`file.${name}`)!, args, { workspace, ...rest })
  }
}

const sha256 = (text: string | Buffer): string => createHash('sha256').update(text).digest('hex')

test('FILE-1 no spelling of a path leaves the workspace', async (t) => {
  const { workspace, outside, call } = await makePlace(t)
  await writeFile(join(workspace, 'plain.txt'), 'inside')
  await mkdir(join(workspace, 'folder'))
  await mkdir(join(outside, 'sub'))
  await symlink(outside, join(workspace, 'link-folder'))
  await symlink(join(outside, 'secret.txt'), join(workspace, 'link-file'))
  await symlink(join(outside, 'new.txt'), join(workspace, 'link-dangling'))
  await symlink('plain.txt', join(workspace, 'link-inside'))
  await symlink('folder', join(workspace, 'link-folder-inside'))
  await link(join(outside, 'secret.txt'), join(workspace, 'hard'))
  execFileSync('mkfifo', [join(workspace, 'fifo')])
  const hostile = [
    '..',
    '../ws-evil/secret.txt',
    '../ws/plain.txt',
    'folder/../../ws-evil/secret.txt',
    'folder/../plain.txt',
    join(outside, 'secret.txt'),
    join(workspace, 'plain.txt'),
    '/etc/passwd',
    '/proc/self/root/etc/passwd',
    '/dev/zero',
    'link-folder/secret.txt',
    'link-file',
    'link-dangling',
    'link-inside',
    'link-folder-inside/x',
    'hard',
    'fifo',
    'folder',
    'plain.txt/x',
    'plain.txt/',
    'a//b',
    '.',
    './',
    '~',
    '~root/x',
    '..\\ws-evil\\secret.txt',
    'a\\b',
    'x\0y',
    'x\ny',
    '\u202etxt.exe',
    'zero\u200bwidth',
    '．．/ws-evil/secret.txt',
    '‥/secret.txt',
    'folder／../x',
    '\ud800',
    'n'.repeat(256),
    `${'d/'.repeat(600)}x`,
    'é'.repeat(130)
  ]
  for (const path of hostile) {
    const calls: readonly (readonly [string, JsonObject])[] = [
      ['read', { path }],
      ['write', { path, text: 'changed' }],
      ['write', { path, text: 'changed', mode: 'append' }],
      ['edit', { path, find: 'side', replace: 'changed' }]
    ]
    for (const [name, args] of calls) {
      const outcome = await call(name, args)
      const what = `${name} ${JSON.stringify(path.slice(0, 40))}: ${outcome.message}`
      assert.equal(outcome.status, 'refused', what)
      assert.match(String(outcome.code), /^(?:FILE_REFUSED|TOOL_INPUT_INVALID)$/, what)
      assert.deepEqual(outcome.changes, [], what)
      assert.ok(!outcome.message.includes(outside), what)
    }
  }
  for (const path of ['..', '/', 'link-folder', 'link-folder-inside', 'link-folder/sub', '../ws-evil', '~']) {
    assert.equal((await call('list', { path })).status, 'refused', path)
  }
  assert.deepEqual((await readdir(outside)).toSorted(), ['secret.txt', 'sub'])
  assert.equal(await readFile(join(outside, 'secret.txt'), 'utf8'), SECRET)
  assert.equal(await readFile(join(workspace, 'plain.txt'), 'utf8'), 'inside')
})

test('FILE-1 names are told apart by case and nothing folds them into a neighbour', async (t) => {
  const { workspace, call } = await makePlace(t)
  await call('write', { path: 'Name.txt', text: 'upper' })
  await call('write', { path: 'name.txt', text: 'lower' })
  assert.equal(await readFile(join(workspace, 'Name.txt'), 'utf8'), 'upper')
  assert.equal((await call('read', { path: 'NAME.TXT' })).code, 'FILE_MISSING')
  assert.equal(outputOf(await call('read', { path: './name.txt' })), 'lower')
})

test('FILE-1 a folder that is swapped for a link in a race leads no read and no write outside', async (t) => {
  const { workspace, outside, call } = await makePlace(t)
  await writeFile(join(outside, 'only-outside'), '')
  const swapper = spawn(
    process.execPath,
    [join(import.meta.dirname, 'swap-process.ts'), join(workspace, 'swap'), outside],
    {
      stdio: ['ignore', 'pipe', 'inherit']
    }
  )
  const ended = once(swapper, 'exit')
  let inside = 0
  try {
    await once(swapper.stdout, 'data')
    const until = performance.now() + 3000
    while (performance.now() < until) {
      const read = await call('read', { path: 'swap/secret.txt' })
      assert.notEqual(outputOf(read), SECRET)
      if (outputOf(read) === 'inside') inside++
      assert.doesNotMatch(outputOf(await call('list', { path: 'swap' })), /only-outside/)
      await call('write', { path: 'swap/written.txt', text: 'x' })
      await call('write', { path: 'swap/deep/written.txt', text: 'x' })
    }
  } finally {
    swapper.kill('SIGKILL')
    await ended
  }
  assert.deepEqual((await readdir(outside)).toSorted(), ['only-outside', 'secret.txt'])
  assert.ok(inside > 0, 'the race was never won by the real folder')
})

test('FILE-1 file size, workspace size and file count are limited before anything is written', async (t) => {
  const { workspace, call } = await makePlace(t)
  const limits = { ...tools.get('file.write')!.descriptor.limits, fileBytes: 100 }
  const large = await call('write', { path: 'a.txt', text: 'x'.repeat(101) }, { limits })
  assert.deepEqual([large.status, large.code, large.changes], ['error', 'FILE_TOO_LARGE', []])
  assert.equal((await call('write', { path: 'a.txt', text: 'x'.repeat(90) }, { limits })).status, 'ok')
  assert.equal(
    (await call('write', { path: 'a.txt', text: 'x'.repeat(11), mode: 'append' }, { limits })).code,
    'FILE_TOO_LARGE'
  )
  await writeFile(join(workspace, 'sparse'), '')
  await truncate(join(workspace, 'sparse'), LIMITS.workspaceBytesMax)
  const full = await call('write', { path: 'b.txt', text: 'x' })
  assert.deepEqual([full.status, full.code], ['error', 'FILE_TOO_LARGE'])
  assert.equal((await call('read', { path: 'sparse' })).code, 'FILE_TOO_LARGE')
  assert.deepEqual((await readdir(workspace)).toSorted(), ['a.txt', 'sparse'])
  assert.equal((await stat(join(workspace, 'a.txt'))).size, 90)
})

test('FILE-1 what root makes belongs to the workspace’s owner', async (t) => {
  if (process.geteuid?.() !== 0) return
  const { workspace, call } = await makePlace(t)
  await chown(workspace, 65534, 65534)
  for (const mode of ['create', 'overwrite', 'append']) {
    assert.equal((await call('write', { path: 'one/two/file.txt', text: 'x', mode })).status, 'ok', mode)
    for (const path of ['one', 'one/two', 'one/two/file.txt']) {
      const { uid, gid } = await stat(join(workspace, path))
      assert.deepEqual([uid, gid], [65534, 65534], `${mode} ${path}`)
    }
  }
  assert.equal((await call('edit', { path: 'one/two/file.txt', find: 'xx', replace: 'y' })).status, 'ok')
  assert.equal((await stat(join(workspace, 'one/two/file.txt'))).uid, 65534)
})

test('TRACK-1 every read, creation and change is told with path, size and hashes before and after', async (t) => {
  const { call } = await makePlace(t)
  const path = 'notes/day.txt'
  const first = await call('write', { path: './notes/day.txt', text: 'one' })
  assert.deepEqual(first.changes, [{ operation: 'create', path, size: 3, before: null, after: sha256('one') }])
  const second = await call('write', { path, text: ' two', mode: 'append' })
  const [one, two] = [sha256('one'), sha256('one two')]
  assert.deepEqual(second.changes, [{ operation: 'write', path, size: 7, before: one, after: two }])
  const read = await call('read', { path, offset: 4, bytes: 2 })
  assert.deepEqual(read.changes, [{ operation: 'read', path, size: 7, before: two, after: two }])
  const edited = await call('edit', { path, find: 'two', replace: 'three' })
  assert.deepEqual(edited.changes, [
    { operation: 'read', path, size: 7, before: two, after: two },
    { operation: 'write', path, size: 9, before: two, after: sha256('one three') }
  ])
  const refused = await call('write', { path, text: 'x', mode: 'create' })
  assert.deepEqual([refused.status, refused.code, refused.changes], ['refused', 'FILE_REFUSED', []])
  const fourth = await call('write', { path: 'bytes', base64: 'AP8=' })
  assert.deepEqual(fourth.changes[0]?.after, sha256(Buffer.from([0, 255])))
})

test('TRACK-1 a call tells the rules which paths it would touch', () => {
  const touches = (name: string, args: JsonObject) => tools.get(`file.${name}`)!.touches(args).paths
  assert.deepEqual(touches('read', { path: './a/./b.txt' }), ['a/b.txt'])
  assert.deepEqual(touches('write', { path: '../x', text: '' }), ['../x'])
  assert.deepEqual(touches('edit', { path: 'a', find: 'b', replace: 'c' }), ['a'])
  assert.deepEqual(touches('list', {}), [''])
  assert.deepEqual(touches('read', { path: 7 }), [])
})

test('file.read gives the asked range and says when there is more', async (t) => {
  const { workspace, call } = await makePlace(t)
  await writeFile(join(workspace, 'abc'), 'abcdefgh')
  const middle = await call('read', { path: 'abc', offset: 2, bytes: 3 })
  assert.deepEqual([outputOf(middle), middle.truncated], ['cde', true])
  const end = await call('read', { path: 'abc', offset: 5 })
  assert.deepEqual([outputOf(end), end.truncated], ['fgh', false])
  const beyond = await call('read', { path: 'abc', offset: 100 })
  assert.deepEqual([outputOf(beyond), beyond.truncated], ['', false])
  assert.deepEqual(
    [(await call('read', { path: 'none' })).status, (await call('read', { path: 'none' })).code],
    ['error', 'FILE_MISSING']
  )
})

test('file.list names files, folders and links, as deep as asked and never through a link', async (t) => {
  const { workspace, outside, call } = await makePlace(t)
  await mkdir(join(workspace, 'a/b'), { recursive: true })
  await writeFile(join(workspace, 'a/b/c.txt'), 'four')
  await symlink(outside, join(workspace, 'out'))
  const shallow = JSON.parse(outputOf(await call('list', {})))
  assert.deepEqual(
    shallow.entries.map((entry: { path: string }) => entry.path),
    ['a', 'out']
  )
  const deep = JSON.parse(outputOf(await call('list', { depth: 5 })))
  assert.deepEqual(deep, {
    entries: [
      { path: 'a', kind: 'directory', size: 0 },
      { path: 'a/b', kind: 'directory', size: 0 },
      { path: 'a/b/c.txt', kind: 'file', size: 4 },
      { path: 'out', kind: 'symlink', size: 0 }
    ],
    truncated: false
  })
  assert.equal(JSON.parse(outputOf(await call('list', { path: 'a/b' }))).entries[0].path, 'a/b/c.txt')
})

test('file.edit changes exactly one place unless told otherwise, and takes the new text literally', async (t) => {
  const { workspace, call } = await makePlace(t)
  await writeFile(join(workspace, 'f'), 'a b a')
  assert.equal((await call('edit', { path: 'f', find: 'a', replace: 'x' })).code, 'FILE_REFUSED')
  assert.equal((await call('edit', { path: 'f', find: 'zzz', replace: 'x' })).code, 'FILE_REFUSED')
  assert.equal(await readFile(join(workspace, 'f'), 'utf8'), 'a b a')
  assert.equal((await call('edit', { path: 'f', find: 'a', replace: '$&$1', all: true })).status, 'ok')
  assert.equal(await readFile(join(workspace, 'f'), 'utf8'), '$&$1 b $&$1')
  await writeFile(join(workspace, 'binary'), Buffer.from([0xff, 0xfe, 0x61]))
  assert.equal((await call('edit', { path: 'binary', find: 'a', replace: 'x' })).code, 'FILE_REFUSED')
  await writeFile(join(workspace, 'many'), 'a'.repeat(200_000))
  const grown = await call('edit', { path: 'many', find: 'a', replace: 'x'.repeat(1000), all: true })
  assert.equal(grown.code, 'FILE_TOO_LARGE')
})

test('a call that is cancelled or has no time left changes nothing', async (t) => {
  const { workspace, call } = await makePlace(t)
  const cancelled = await call('write', { path: 'x', text: 'x' }, { signal: AbortSignal.abort() })
  assert.deepEqual([cancelled.status, cancelled.code], ['killed', 'CANCELLED'])
  assert.deepEqual(await readdir(workspace), [])
})

test('SANDBOX-6 what confines the file tools here is tried and told', async () => {
  const state = await probeFileTools()
  assert.equal(state.available, true)
  assert.match(state.text, /native part/)
})
