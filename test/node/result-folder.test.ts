import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm, utimes } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { ResultFolder } from '../../src/node/result-folder.ts'

async function folderOf(context: TestContext): Promise<string> {
  const home = await mkdtemp(join(tmpdir(), 'pmesh-results-'))
  context.after(() => rm(home, { recursive: true, force: true }))
  return join(home, 'results')
}

test('of the results in files the newest are kept: so many, and no more bytes than there is room for', async (context) => {
  const folder = await folderOf(context)
  const results = new ResultFolder(folder, { files: 3, bytes: 100 })
  const keep = async (name: string, size: number, second: number): Promise<void> => {
    assert.equal(await results.keep(name, new Uint8Array(size)), name)
    await utimes(join(folder, name), second, second)
  }
  for (const [index, name] of ['z', 'b', 'y', 'd'].entries()) await keep(name, 10, index + 1)
  assert.deepEqual((await readdir(folder)).sort(), ['b', 'd', 'y'])
  await keep('large', 85, 5)
  assert.deepEqual((await readdir(folder)).sort(), ['d', 'large'])
  await keep('huge', 200, 6)
  assert.deepEqual(await readdir(folder), ['huge'], 'the one that was just written stays whatever its size')
})

test('results that end at the same time are all counted', async (context) => {
  const folder = await folderOf(context)
  const results = new ResultFolder(folder, { files: 2, bytes: 1_000 })
  await Promise.all(['a', 'b', 'c', 'd', 'e'].map((name) => results.keep(name, Buffer.from(name))))
  const left = await readdir(folder)
  assert.equal(left.length, 2)
  assert.ok(left.includes('e'))
  assert.equal(await readFile(join(folder, 'e'), 'utf8'), 'e')
})
