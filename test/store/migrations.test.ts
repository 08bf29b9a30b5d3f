import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { silentLogger } from '../../src/base/logger.ts'
import { isMeshError, MeshError } from '../../src/base/mesh-error.ts'
import type { EventStore } from '../../src/log/event-store.ts'
import type { Migration } from '../../src/store/migration.ts'
import type { MigrationStep } from '../../src/store/migrations.ts'
import { type LevelStoreOptions, openLevelStore, rollBackLevelStore } from '../../src/store/open-level-store.ts'
import { CURSOR_KEY, readSchemaVersion } from '../../src/store/schema.ts'
import { ENTRIES, fillStore, MIGRATIONS, NEW_VERSION, PAYLOAD } from './migration-fixture.ts'

let home: string
let options: LevelStoreOptions
beforeEach(async () => {
  home = mkdtempSync(join(tmpdir(), 'pmesh-migration-'))
  options = {
    folder: join(home, 'store'),
    backups: join(home, 'backups'),
    logger: silentLogger,
    migrations: MIGRATIONS,
    schemaVersion: NEW_VERSION
  }
  await fillStore(options)
})
afterEach(() => rmSync(home, { recursive: true, force: true }))

const hasCode = (code: string) => (error: unknown) => isMeshError(error) && error.code === code
const everything = { from: Buffer.from([0]), to: Buffer.from([0xff]) }

async function contents(store: EventStore): Promise<string[]> {
  const all: string[] = []
  for await (const [key, value] of store.entries(everything))
    all.push(`${Buffer.from(key).toString('hex')}=${Buffer.from(value).toString('hex')}`)
  return all
}

async function contentsAt(schemaVersion: number): Promise<string[]> {
  const store = await openLevelStore({ ...options, schemaVersion })
  const all = await contents(store)
  await store.close()
  return all
}

/** Runs `what` in a child that kills itself with SIGKILL when the step is reached for the `count`-th time. */
function killedAt(what: 'open' | 'roll-back', step: MigrationStep, count = 1): void {
  const child = join(import.meta.dirname, 'migration-child.ts')
  const { signal, stderr } = spawnSync(process.execPath, [child, home, what, step, String(count)], {
    encoding: 'utf8',
    timeout: 60_000
  })
  assert.equal(signal, 'SIGKILL', `${what} was not killed at ${step}: ${stderr}`)
}

async function assertMigrated(): Promise<void> {
  const store = await openLevelStore(options)
  assert.equal(await readSchemaVersion(store), NEW_VERSION)
  assert.equal(await store.get(CURSOR_KEY), null)
  for (let index = 0; index < ENTRIES; index++) {
    const value = await store.get(Buffer.from([0x30, index]))
    assert.equal(Buffer.from(value ?? []).toString(), `new2 new1 old ${index}`, 'each entry is migrated exactly once')
    assert.deepEqual(Buffer.from((await store.get(Buffer.from([0x11, index]))) ?? []), PAYLOAD)
  }
  await store.close()
  assert.equal(existsSync(`${options.folder}.migration`), false)
}

test('BACKUP-1 a migration makes a backup first, without payloads, and leaves the payloads in place', async () => {
  await assertMigrated()
  const [name] = readdirSync(options.backups)
  assert.match(name ?? '', /^store-v1-\d{8}T\d{9}Z\.backup$/)
  const backup = readFileSync(join(options.backups, name as string))
  assert.ok(backup.includes('old 3'))
  assert.equal(backup.includes(PAYLOAD), false)
  assert.equal(statSync(join(options.backups, name as string)).mode & 0o777, 0o600)
})

test('BACKUP-1 a migration killed at any step resumes, and each entry is migrated once', {
  timeout: 120_000
}, async () => {
  killedAt('open', 'backup-started')
  killedAt('open', 'backup-written')
  killedAt('open', 'journal-written')
  killedAt('open', 'migration-started')
  killedAt('open', 'migration-committed', 2)
  killedAt('open', 'version-written')
  killedAt('open', 'migration-committed', 3)
  killedAt('open', 'version-written')
  await assertMigrated()
  assert.deepEqual(
    readdirSync(options.backups).filter((name) => name.endsWith('.part')),
    []
  )
})

test('BACKUP-1 an interrupted migration is never backed up half-way: rollback after it restores the store as it was', async () => {
  const before = await contentsAt(1)
  killedAt('open', 'migration-committed', 2)
  await assertMigrated()
  assert.equal(await rollBackLevelStore(options), 1)
  assert.deepEqual(await contentsAt(1), before)
})

test('BACKUP-1 a migration that fails leaves a store that the next start takes up', async () => {
  const failing = MIGRATIONS.map((migration, index) => {
    if (index === 0) return migration
    return { ...migration, run: () => Promise.reject(new MeshError('STORE_FULL', 'cannot write')) }
  })
  await assert.rejects(openLevelStore({ ...options, migrations: failing }), hasCode('STORE_FULL'))
  await assertMigrated()
})

test('BACKUP-1 rollback restores everything but the payloads, also when it is killed at any step', {
  timeout: 60_000
}, async () => {
  const before = await contentsAt(1)
  await assertMigrated()
  killedAt('roll-back', 'rollback-started')
  killedAt('open', 'rollback-restored')
  assert.deepEqual(await contentsAt(1), before)
  await assertMigrated()
  assert.equal(await rollBackLevelStore(options), 1)
  assert.deepEqual(await contentsAt(1), before)
})

test('BACKUP-1 a damaged, truncated or missing backup is refused before anything is changed', async () => {
  await assertMigrated()
  const migrated = await contentsAt(NEW_VERSION)
  const path = join(options.backups, readdirSync(options.backups)[0] as string)
  const whole = readFileSync(path)
  const flipped = Buffer.from(whole)
  flipped[whole.indexOf('old 3')] = 0x4f
  for (const bytes of [flipped, whole.subarray(0, -40), whole.subarray(0, 10), Buffer.alloc(0)]) {
    writeFileSync(path, bytes)
    await assert.rejects(rollBackLevelStore(options), hasCode('STORE_DAMAGED'))
    assert.deepEqual(await contentsAt(NEW_VERSION), migrated)
  }
  rmSync(path)
  await assert.rejects(rollBackLevelStore(options), hasCode('STORE_DAMAGED'))
  assert.deepEqual(await contentsAt(NEW_VERSION), migrated)
})

test('BACKUP-1 a newer store is refused with both versions named, and is not touched', async () => {
  await assertMigrated()
  const migrated = await contentsAt(NEW_VERSION)
  await assert.rejects(openLevelStore({ ...options, schemaVersion: 1 }), (error) => {
    assert.ok(hasCode('STORE_TOO_NEW')(error))
    assert.match((error as MeshError).message, /version 3.*up to 1/)
    return true
  })
  assert.deepEqual(await contentsAt(NEW_VERSION), migrated)
})

test('BACKUP-1 a migration that would write to a payload range is stopped', async () => {
  const erasing: Migration = {
    from: 1,
    name: 'erasing',
    run: (_store, { commit }) => commit([{ type: 'del', key: Buffer.from([0x11, 0]) }], PAYLOAD)
  }
  await assert.rejects(openLevelStore({ ...options, migrations: [erasing] }), hasCode('INTERNAL'))
  await assertMigrated()
})

test('BACKUP-1 only the newest backups are kept', async () => {
  for (let round = 0; round < 5; round++) {
    await assertMigrated()
    await rollBackLevelStore(options)
  }
  assert.equal(readdirSync(options.backups).length, 3)
})
