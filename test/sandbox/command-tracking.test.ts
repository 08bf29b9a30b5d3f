// What a call made of its workspace, told by comparing: by processes in the box, by hostile names, under limits.

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import {
  chmodSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, beforeEach, describe, test } from 'node:test'
import { Worker } from 'node:worker_threads'
import type { FileChange } from '../../src/pipeline/contract.ts'
import { Workspaces } from '../../src/sandbox/workspaces.ts'
import { type CommandKit, openKit, SECRET, skip } from './command-kit.ts'

const SWAPPED = 40
/** In another thread: the walk does not let go of its own between looking and opening. */
const SWAP = `
const { workerData: { folder, count }, parentPort } = require('node:worker_threads')
const { renameSync } = require('node:fs')
parentPort.postMessage('up')
for (;;) for (let n = 0; n < count; n++) {
  renameSync(folder + '/d' + n, folder + '/x')
  renameSync(folder + '/l' + n, folder + '/d' + n)
  renameSync(folder + '/x', folder + '/l' + n)
}`

const sha256 = (text: string | Buffer): string => createHash('sha256').update(text).digest('hex')

describe('TRACK-1 by processes in the box', { skip }, () => {
  let kit: CommandKit
  before(async () => {
    kit = await openKit()
  })
  after(() => kit[Symbol.asyncDispose]())
  beforeEach(async () => {
    await kit.workspaces.remove('run-1')
    await kit.workspaces.prepare('run-1')
    await kit.bash('mkdir sub; printf one > a; printf two > b; printf three > sub/c; printf four > d')
  })

  const cases: [what: string, script: string, changes: FileChange[]][] = [
    ['a call that only reads', 'cat a b sub/c', []],
    ['a call that touches without a change', 'touch a; printf one > b.new; mv b.new keep; rm keep', []],
    [
      'create',
      'printf new > sub/n',
      [{ operation: 'create', path: 'sub/n', size: 3, before: null, after: sha256('new') }]
    ],
    [
      'write',
      'printf ONE > a',
      [{ operation: 'write', path: 'a', size: 3, before: sha256('one'), after: sha256('ONE') }]
    ],
    ['delete', 'rm a', [{ operation: 'delete', path: 'a', size: 0, before: sha256('one'), after: null }]],
    [
      'rename',
      'mv a sub/a2',
      [{ operation: 'rename', path: 'sub/a2', from: 'a', size: 3, before: sha256('one'), after: sha256('one') }]
    ],
    [
      'a file whose number another file has next',
      'rm a; printf new > z',
      [
        { operation: 'delete', path: 'a', size: 0, before: sha256('one'), after: null },
        { operation: 'create', path: 'z', size: 3, before: null, after: sha256('new') }
      ]
    ],
    [
      'rename over another file',
      'mv a b',
      [
        { operation: 'delete', path: 'b', size: 0, before: sha256('two'), after: null },
        { operation: 'rename', path: 'b', from: 'a', size: 3, before: sha256('one'), after: sha256('one') }
      ]
    ],
    [
      'a write by a new file under the old name, its times set back',
      'touch -r a stamp; printf ONE > x; mv x a; touch -r stamp a; rm stamp',
      [{ operation: 'write', path: 'a', size: 3, before: sha256('one'), after: sha256('ONE') }]
    ],
    [
      'a write by a grandchild that outlives its parent',
      '(setsid bash -c "sleep 0.05; printf late > late" >/dev/null 2>&1 &); sleep 0.3',
      [{ operation: 'create', path: 'late', size: 4, before: null, after: sha256('late') }]
    ],
    [
      'a folder moved with what is in it',
      'mv sub other',
      [
        {
          operation: 'rename',
          path: 'other/c',
          from: 'sub/c',
          size: 5,
          before: sha256('three'),
          after: sha256('three')
        }
      ]
    ],
    [
      'a link and a FIFO',
      'ln -s /etc/passwd l; mkfifo f',
      [
        { operation: 'create', path: 'f', size: 0, before: null, after: null },
        { operation: 'create', path: 'l', size: 11, before: null, after: sha256('/etc/passwd') }
      ]
    ],
    [
      'names that are no text',
      "printf x > $'n\\xff'; printf y > \"a b\"; printf z > $'new\\nline'",
      [
        { operation: 'create', path: 'a b', size: 1, before: null, after: sha256('y') },
        { operation: 'create', path: 'n\\xff', size: 1, before: null, after: sha256('x') },
        { operation: 'create', path: 'new\nline', size: 1, before: null, after: sha256('z') }
      ]
    ],
    [
      'files hidden by their mode',
      'mkdir m; printf x > m/y; chmod 0 m/y m',
      [{ operation: 'create', path: 'm/y', size: 1, before: null, after: sha256('x') }]
    ]
  ]
  for (const [what, script, changes] of cases) {
    test(`TRACK-1 ${what}`, async () => {
      const outcome = await kit.bash(script)
      assert.equal(outcome.status, 'ok', outcome.text)
      assert.deepEqual(outcome.changes, changes)
    })
  }

  test('TRACK-1 a call that is killed tells what it wrote until then', async () => {
    const { status, changes } = await kit.bash('printf ONE > a; sleep 20', { limits: { timeMs: 400 } })
    assert.equal(status, 'timeout')
    assert.deepEqual(
      changes.map(({ operation, path }) => [operation, path]),
      [['write', 'a']]
    )
  })

  test('TRACK-1 a workspace filled beyond its limit still has its files named', async () => {
    const { status, code, changes } = await kit.bash('truncate -s 60M s1 s2 s3 s4 s5 s6; sleep 20')
    assert.deepEqual([status, code], ['killed', 'FILE_TOO_LARGE'])
    assert.deepEqual(
      changes.map(({ path }) => path),
      ['s1', 's2', 's3', 's4', 's5', 's6']
    )
  })
})

describe('TRACK-1 on a folder that others change', () => {
  let home: string
  let workspaces: Workspaces
  let folder: string
  before(() => {
    home = mkdtempSync(join(tmpdir(), 'pmesh-track-'))
    chmodSync(home, 0o755)
    workspaces = Workspaces.open({ paths: { home, workspaces: join(home, 'w') }, rootFolder: join(home, 'm', 'w') })
  })
  after(() => rmSync(home, { recursive: true, force: true }))
  beforeEach(async () => {
    await workspaces.remove('run')
    folder = await workspaces.prepare('run')
  })

  test('TRACK-1 links are not followed, neither folders nor files', async () => {
    const outside = join(home, 'outside')
    mkdirSync(outside, { recursive: true })
    writeFileSync(join(outside, 'secret'), SECRET)
    symlinkSync(outside, join(folder, 'folder'))
    symlinkSync(join(outside, 'secret'), join(folder, 'file'))
    const before = await workspaces.snapshot(folder)
    assert.deepEqual([...before.files.values()].map(({ path, hash }) => [path, hash]).sort(), [
      ['file', sha256(join(outside, 'secret'))],
      ['folder', sha256(outside)]
    ])
    writeFileSync(join(outside, 'secret'), 'changed')
    assert.deepEqual(await workspaces.changes(before, folder), [])
  })

  test('TRACK-1 a folder that is swapped for a link in a race never leads outside', async () => {
    const outside = join(home, 'elsewhere')
    mkdirSync(outside, { recursive: true })
    writeFileSync(join(outside, 'leak'), SECRET)
    for (let n = 0; n < SWAPPED; n++) {
      mkdirSync(join(folder, `d${n}`))
      symlinkSync(outside, join(folder, `l${n}`))
    }
    const racer = new Worker(SWAP, { eval: true, workerData: { folder, count: SWAPPED } })
    await once(racer, 'message')
    try {
      const until = performance.now() + 1_500
      while (performance.now() < until) {
        const { files } = await workspaces.snapshot(folder)
        assert.ok([...files.values()].every(({ path }) => !path.includes('leak')))
      }
    } finally {
      await racer.terminate()
    }
  })

  test('TRACK-1 a change with the same length and times set back is found', async () => {
    const path = join(folder, 'f')
    writeFileSync(path, 'aaaa')
    const time = new Date(1_000_000)
    utimesSync(path, time, time)
    const before = await workspaces.snapshot(folder)
    writeFileSync(path, 'bbbb')
    utimesSync(path, time, time)
    const [change] = await workspaces.changes(before, folder)
    assert.deepEqual([change?.operation, change?.before, change?.after], ['write', sha256('aaaa'), sha256('bbbb')])
  })

  test('TRACK-1 a workspace with more than can be tracked is told as such', async () => {
    const before = await workspaces.snapshot(folder)
    writeFileSync(join(folder, 'sparse'), '')
    truncateSync(join(folder, 'sparse'), 300 * 1024 * 1024)
    await assert.rejects(workspaces.changes(before, folder), { code: 'FILE_TOO_LARGE' })
  })

  test('TRACK-1 of two names of one file each is told', async () => {
    writeFileSync(join(folder, 'one'), 'x')
    const before = await workspaces.snapshot(folder)
    linkSync(join(folder, 'one'), join(folder, 'two'))
    writeFileSync(join(folder, 'two'), 'y')
    const changes = await workspaces.changes(before, folder)
    assert.deepEqual(
      changes.map(({ operation, path }) => [operation, path]),
      [
        ['write', 'one'],
        ['create', 'two']
      ]
    )
  })

  test('SANDBOX-1 workspaces are their user’s alone, and a run id is no path', async () => {
    const stats = lstatSync(folder)
    assert.equal(stats.mode & 0o777, 0o700)
    assert.equal(stats.uid, workspaces.user?.uid ?? process.geteuid?.())
    for (const id of ['', '.', '..', '../x', 'a/b', '/etc', 'a\0', 'x'.repeat(200)]) {
      await assert.rejects(workspaces.prepare(id), { code: 'FILE_REFUSED' })
      await assert.rejects(workspaces.remove(id), { code: 'FILE_REFUSED' })
    }
    symlinkSync(home, join(workspaces.folder, 'linked'))
    await assert.rejects(workspaces.prepare('linked'), { code: 'HOME_INVALID' })
    await workspaces.remove('linked')
    assert.ok(readdirSync(home).length > 0)
  })

  test('removing a workspace leaves nothing, whatever lies in it, and follows nothing', async () => {
    const kept = join(home, 'kept')
    mkdirSync(kept)
    writeFileSync(join(kept, 'file'), 'x')
    symlinkSync(kept, join(folder, 'away'))
    let deep = folder
    for (let level = 0; level < 120; level++) {
      deep = join(deep, 'deeper-and-deeper')
      mkdirSync(deep)
    }
    writeFileSync(join(deep, Buffer.from([0x66, 0xff]).toString('latin1')), 'x')
    chmodSync(deep, 0)
    await workspaces.remove('run')
    assert.equal(lstatSync(folder, { throwIfNoEntry: false }), undefined)
    assert.deepEqual(readdirSync(kept), ['file'])
  })

  test('as root, workspaces of a node whose home is gone go after a day', {
    skip: process.geteuid?.() !== 0 && 'not root'
  }, async () => {
    const open = (name: string) => {
      const own = join(home, name)
      mkdirSync(own)
      return Workspaces.open({ paths: { home: own, workspaces: join(own, 'w') }, rootFolder: join(home, 'm', 'w') })
    }
    const [gone, young, kept] = [open('orphan'), open('young-orphan'), open('living')]
    for (const { folder: one } of [gone, kept]) utimesSync(one, 1, 1)
    for (const name of ['orphan', 'young-orphan']) rmSync(join(home, name), { recursive: true })
    open('next')
    assert.deepEqual(
      [gone, young, kept].map((one) => lstatSync(one.folder, { throwIfNoEntry: false }) !== undefined),
      [false, true, true]
    )
  })

  test('old workspaces go when there are too many, the last used stay', async () => {
    for (let n = 0; n < 256; n++) {
      const old = await workspaces.prepare(`old-${n}`)
      utimesSync(old, n + 1, n + 1)
    }
    await workspaces.prepare('old-0')
    await workspaces.prepare('newest')
    const names = readdirSync(workspaces.folder)
    assert.ok(names.length <= 256)
    assert.ok(names.includes('old-0') && names.includes('newest') && !names.includes('old-1'))
  })
})
