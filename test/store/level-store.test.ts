import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  unlinkSync,
  writeFileSync
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { Level } from 'level'
import { silentLogger } from '../../src/base/logger.ts'
import { isMeshError } from '../../src/base/mesh-error.ts'
import type { EventStore } from '../../src/log/event-store.ts'
import { openLevelStore } from '../../src/store/open-level-store.ts'
import { eventStoreContract, keysIn } from '../contract/event-store.ts'

const hasCode = (code: string) => (error: unknown) => isMeshError(error) && error.code === code
const keyOf = (index: number) => Buffer.from([0x11, index >> 8, index & 255])
const put = (index: number, value: Uint8Array) => ({ type: 'put' as const, key: keyOf(index), value })
const payloads = { from: Buffer.from([0x11]), to: Buffer.from([0x12]) }

let home: string
let folder: string
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'pmesh-store-'))
  folder = join(home, 'store')
})
afterEach(() => rmSync(home, { recursive: true, force: true }))

function openStore(place = folder, expectedMesh?: Uint8Array): Promise<EventStore> {
  const mesh = expectedMesh === undefined ? {} : { expectedMesh }
  return openLevelStore({ folder: place, backups: join(home, 'backups'), logger: silentLogger, ...mesh })
}

function filesWith(bytes: Uint8Array, place = folder): string[] {
  return readdirSync(place).filter((name) => readFileSync(join(place, name)).includes(Buffer.from(bytes)))
}

/** Flips one bit in the middle of `bytes`, wherever they lie in the folder. */
function flipBit(bytes: Uint8Array): void {
  const [name] = filesWith(bytes)
  assert.ok(name !== undefined)
  const content = readFileSync(join(folder, name))
  const at = content.indexOf(Buffer.from(bytes)) + (bytes.length >> 1)
  content[at] = (content[at] as number) ^ 1
  writeFileSync(join(folder, name), content)
}

eventStoreContract('LevelStore', async () => {
  const own = mkdtempSync(join(tmpdir(), 'pmesh-contract-'))
  const store = await openLevelStore({
    folder: join(own, 'store'),
    backups: join(own, 'backups'),
    logger: silentLogger
  })
  const end = async () => {
    await store.close()
    rmSync(own, { recursive: true, force: true })
  }
  return { store, end }
})

test('ERASE-1 compaction takes deleted and overwritten payload bytes out of every file', async () => {
  const [tableSecret, deletedSecret, overwrittenSecret] = [randomBytes(64), randomBytes(64), randomBytes(64)]
  const secrets = [tableSecret, deletedSecret, overwrittenSecret]
  const store = await openStore()
  const filling = () => Array.from({ length: 200 }, (_, index) => put(1000 + index, randomBytes(3000)))
  await store.write([...filling(), put(5, tableSecret)], { sync: true })
  await store.compact(payloads)
  await store.write([...filling(), put(6, deletedSecret), put(7, overwrittenSecret)], { sync: true })
  for (const secret of secrets) assert.ok(filesWith(secret).length > 0)
  await store.write(
    [5, 6].map((index) => ({ type: 'del', key: keyOf(index) })),
    { sync: true }
  )
  await store.write([put(7, Buffer.from('gone'))], { sync: true })
  for (const index of [5, 6, 7])
    await store.compact({ from: keyOf(index), to: Buffer.concat([keyOf(index), Buffer.alloc(1)]) })
  for (const secret of secrets) assert.deepEqual(filesWith(secret), [])
  assert.equal((await keysIn(store, payloads)).length, 201)
  await store.close()
})

test('ERASE-1 compaction waits for readers that began before it, and does not wait for ever', {
  timeout: 20_000
}, async () => {
  const secret = randomBytes(64)
  const store = await openStore()
  await store.write([put(5, secret), put(6, secret)], { sync: true })
  const reading = store.pages({ ...payloads, limit: 2 }, 10)[Symbol.asyncIterator]()
  await reading.next()
  await store.write(
    [
      { type: 'del', key: keyOf(5) },
      { type: 'del', key: keyOf(6) }
    ],
    { sync: true }
  )
  let compacted = false
  const compacting = store.compact(payloads).then(() => {
    compacted = true
  })
  for (let round = 0; round < 150; round++) await store.write([put(900 + round, Buffer.alloc(10))], { sync: true })
  assert.equal(compacted, false)
  await reading.return?.()
  await compacting
  assert.deepEqual(filesWith(secret), [])
  await store.close()
})

test('a second process gets STORE_LOCKED and the first goes on', async () => {
  const store = await openStore()
  const program = `
    import { openLevelStore } from ${JSON.stringify(join(import.meta.dirname, '../../src/store/open-level-store.ts'))}
    import { silentLogger } from ${JSON.stringify(join(import.meta.dirname, '../../src/base/logger.ts'))}
    await openLevelStore({ folder: ${JSON.stringify(folder)}, backups: 'none', logger: silentLogger }).catch((error) => console.log(error.code))`
  const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
    encoding: 'utf8',
    timeout: 30_000
  })
  assert.equal(stdout.trim(), 'STORE_LOCKED')
  await assert.rejects(openStore(), hasCode('STORE_LOCKED'))
  await store.write([put(1, Buffer.from('x'))], { sync: true })
  await store.close()
})

test('CHAIN-10 a process killed while it writes loses nothing that it acknowledged', { timeout: 60_000 }, async () => {
  const program = `
    import { openLevelStore } from ${JSON.stringify(join(import.meta.dirname, '../../src/store/open-level-store.ts'))}
    import { silentLogger } from ${JSON.stringify(join(import.meta.dirname, '../../src/base/logger.ts'))}
    const store = await openLevelStore({ folder: ${JSON.stringify(folder)}, backups: 'none', logger: silentLogger })
    for (let index = 0; ; index++) {
      const key = Buffer.from([0x11, index >> 8, index & 255])
      await store.write([{ type: 'put', key, value: Buffer.alloc(20_000, index) }, { type: 'put', key: Buffer.concat([key, key]), value: key }], { sync: true })
      process.stdout.write(index + '\\n')
    }`
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit']
  })
  let output = ''
  for await (const chunk of child.stdout) {
    output += chunk
    if (output.split('\n').length > 60) child.kill('SIGKILL')
  }
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
  const acknowledged = output.lastIndexOf('\n') < 0 ? 0 : output.slice(0, output.lastIndexOf('\n')).split('\n').length
  assert.ok(acknowledged >= 60)
  const store = await openStore()
  const keys = await keysIn(store, payloads)
  assert.ok(
    keys.length >= 2 * acknowledged && keys.length % 2 === 0,
    `${keys.length} entries of ${acknowledged} acknowledged batches`
  )
  await store.close()
})

test('a flipped bit in a value, and a truncated or missing table, are STORE_DAMAGED', async () => {
  const value = randomBytes(4000)
  const fill = async () => {
    const store = await openStore()
    await store.write([put(1, value)], { sync: true })
    await store.close()
  }
  await fill()
  flipBit(value)
  const damaged = await openStore()
  await assert.rejects(damaged.get(keyOf(1)), hasCode('STORE_DAMAGED'))
  await assert.rejects(damaged.getMany([keyOf(1)]), hasCode('STORE_DAMAGED'))
  await assert.rejects(keysIn(damaged, payloads), hasCode('STORE_DAMAGED'))
  await damaged.close()

  const [table] = filesWith(Buffer.from(value.subarray(0, 1000)))
  truncateSync(join(folder, table as string), 1500)
  const truncated = await openStore()
  await assert.rejects(truncated.get(keyOf(1)), hasCode('STORE_DAMAGED'))
  await truncated.close()
  unlinkSync(join(folder, table as string))
  await assert.rejects(openStore(), hasCode('STORE_DAMAGED'))
})

test('a store that lost or garbled CURRENT or its manifest is STORE_DAMAGED, never a new empty one', async () => {
  for (const harm of ['missing-current', 'garbled-current', 'missing-manifest', 'garbled-manifest']) {
    const place = join(home, harm)
    const store = await openStore(place)
    await store.write([put(1, Buffer.from('x'))], { sync: true })
    await store.close()
    const manifest = readdirSync(place).find((name) => name.startsWith('MANIFEST')) as string
    if (harm === 'missing-current') unlinkSync(join(place, 'CURRENT'))
    if (harm === 'garbled-current') writeFileSync(join(place, 'CURRENT'), 'MANI')
    if (harm === 'missing-manifest') unlinkSync(join(place, manifest))
    if (harm === 'garbled-manifest')
      writeFileSync(join(place, manifest), readFileSync(join(place, manifest)).fill(0x55, 8, 60))
    await assert.rejects(openStore(place), hasCode('STORE_DAMAGED'), harm)
  }
})

test('damage in the write-ahead log of a young store does not make it another program’s', async () => {
  const value = randomBytes(2000)
  const store = await openStore()
  await store.write([put(1, value)], { sync: true })
  const copy = join(home, 'copy')
  mkdirSync(copy)
  for (const name of readdirSync(folder)) writeFileSync(join(copy, name), readFileSync(join(folder, name)))
  await store.close()
  const [log] = filesWith(value, copy)
  writeFileSync(join(copy, log as string), readFileSync(join(copy, log as string)).fill(0, 0, 40))
  const reopened = await openStore(copy)
  assert.equal(await reopened.get(keyOf(1)), null)
  await reopened.close()
})

test('a folder with foreign files, another program’s database or another mesh’s log is STORE_FOREIGN and stays as it is', async () => {
  mkdirSync(join(home, 'photos'))
  writeFileSync(join(home, 'photos', 'holiday.jpg'), 'x')
  await assert.rejects(openStore(join(home, 'photos')), hasCode('STORE_FOREIGN'))
  assert.deepEqual(readdirSync(join(home, 'photos')), ['holiday.jpg'])

  const other = new Level<string, string>(join(home, 'other'))
  await other.put('theirs', 'value')
  await other.close()
  await assert.rejects(openStore(join(home, 'other')), hasCode('STORE_FOREIGN'))
  await other.open()
  assert.equal(await other.get('theirs'), 'value')
  await other.close()

  writeFileSync(join(home, 'file'), 'x')
  await assert.rejects(openStore(join(home, 'file')), hasCode('STORE_FOREIGN'))

  const [ours, theirs] = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)]
  await (await openStore(folder, ours)).close()
  await assert.rejects(openStore(folder, theirs), hasCode('STORE_FOREIGN'))
  await (await openStore(folder, ours)).close()
  assert.equal(statSync(folder).mode & 0o777, 0o700)
})

const mount = join(tmpdir(), `pmesh-full-${process.pid}`)
const tmpfs = mountSmallDisk(mount)
test(
  'a full disk is STORE_FULL, acknowledged batches survive it, and the store goes on once there is space',
  tmpfs,
  async (context) => {
    context.after(() => {
      spawnSync('umount', ['-l', mount])
      rmSync(mount, { recursive: true, force: true })
    })
    const place = join(mount, 'store')
    const store = await openStore(place)
    await store.write([put(0, randomBytes(1000))], { sync: true })
    const ballast = join(mount, 'ballast')
    writeFileSync(ballast, new Uint8Array(20 * 1024 * 1024))
    let acknowledged = 0
    const fill = async () => {
      for (let index = 1; index < 1000; index++) {
        await store.write([put(index, randomBytes(100_000))], { sync: true })
        acknowledged = index
      }
    }
    await assert.rejects(fill(), hasCode('STORE_FULL'))
    rmSync(ballast)
    await assert.rejects(store.write([put(2000, Buffer.from('x'))], { sync: true }), hasCode('STORE_FULL'))
    await store.reopen()
    const keys = await keysIn(store, payloads)
    assert.ok(
      keys.length === acknowledged + 1 || keys.length === acknowledged + 2,
      `${keys.length} of ${acknowledged + 1}`
    )
    await store.write([put(2000, Buffer.from('x'))], { sync: true })
    await store.close()
  }
)

function mountSmallDisk(place: string): { skip?: string } {
  if (process.platform !== 'linux' || process.getuid?.() !== 0)
    return { skip: 'needs root to mount a small file system' }
  mkdirSync(place, { recursive: true })
  const { status } = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=32m', 'tmpfs', place])
  if (status === 0) return {}
  rmSync(place, { recursive: true, force: true })
  return { skip: 'cannot mount a small file system here' }
}
