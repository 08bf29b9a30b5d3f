// Takes a store from its schema version to this program's: backup first, then one migration per version, each resumable.
// A journal beside the store says that a backup exists and what is under way, so that an interrupted store is never backed up half-way.

import { readFileSync, rmSync } from 'node:fs'
import { basename, join } from 'node:path'
import { utf8 } from '../base/bytes.ts'
import { type Clock, systemClock } from '../base/clock.ts'
import type { Logger } from '../base/logger.ts'
import { MeshError } from '../base/mesh-error.ts'
import { hasErrno, replaceFile } from '../identity/atomic-file.ts'
import type { EventStore, StoreOperation } from '../log/event-store.ts'
import type { Migration } from './migration.ts'
import { checkBackup, listBackups, pruneBackups, restoreBackup, writeBackup } from './migration-backup.ts'
import { CURSOR_KEY, encodeSchemaVersion, PAYLOAD_RANGES, readSchemaVersion, SCHEMA_KEY } from './schema.ts'
import { storeError } from './store-errors.ts'

export type MigrationStep =
  | 'backup-started'
  | 'backup-written'
  | 'journal-written'
  | 'migration-started'
  | 'migration-committed'
  | 'version-written'
  | 'journal-removed'
  | 'rollback-started'
  | 'rollback-restored'

/** Told when a step is reached: progress for whoever waits, and where tests end the process. */
export type StepObserver = (step: MigrationStep) => void

export interface MigrationOptions {
  /** The store's folder: the journal lies beside it. */
  readonly folder: string
  readonly backups: string
  readonly migrations: readonly Migration[]
  readonly schemaVersion: number
  readonly logger: Logger
  readonly clock?: Clock
  readonly onStep?: StepObserver
}

interface Journal {
  readonly state: 'migrating' | 'rolling-back'
  /** File name in the backups folder. */
  readonly backup: string
}

/** Brings an open store to `schemaVersion`. STORE_TOO_NEW, STORE_DAMAGED, STORE_FULL, STORE_FAILED; after a failure the next call goes on. */
export async function migrateStore(store: EventStore, options: MigrationOptions): Promise<void> {
  const { schemaVersion, logger, onStep } = options
  const found = (await readSchemaVersion(store)) ?? 0
  if (found > schemaVersion) {
    throw new MeshError(
      'STORE_TOO_NEW',
      `the store has schema version ${found}, this program knows up to ${schemaVersion}`,
      {
        details: { folder: options.folder, found, known: schemaVersion }
      }
    )
  }
  const journal = readJournal(options.folder)
  if (found === schemaVersion) {
    if (journal !== null) removeJournal(options.folder)
    return
  }
  const backup = journal?.backup ?? (await backUp(store, found, options))
  for (let version = found; version < schemaVersion; version++) {
    const migration = options.migrations.find((candidate) => candidate.from === version)
    if (migration === undefined) throw new MeshError('INTERNAL', `no migration leads from schema version ${version}`)
    logger.info('migrating the store', { from: version, to: version + 1, migration: migration.name })
    await runMigration(store, migration, onStep)
  }
  removeJournal(options.folder)
  onStep?.('journal-removed')
  await pruneBackups(options.backups, backup)
}

async function backUp(store: EventStore, version: number, options: MigrationOptions): Promise<string> {
  options.onStep?.('backup-started')
  const path = await writeBackup(store, options.backups, version, (options.clock ?? systemClock).now())
  options.onStep?.('backup-written')
  writeJournal(options.folder, { state: 'migrating', backup: basename(path) })
  options.logger.info('wrote a backup of the store', { backup: path })
  options.onStep?.('journal-written')
  return basename(path)
}

async function runMigration(store: EventStore, migration: Migration, onStep?: StepObserver): Promise<void> {
  onStep?.('migration-started')
  await migration.run(store, {
    cursor: await store.get(CURSOR_KEY),
    async commit(operations, cursor) {
      const refused = operations.find((operation) => PAYLOAD_RANGES.includes(operation.key[0] ?? 0))
      if (refused !== undefined)
        throw new MeshError('INTERNAL', `migration ${migration.name} writes to a payload range`)
      await store.write([...operations, { type: 'put', key: CURSOR_KEY, value: cursor }], { sync: true })
      onStep?.('migration-committed')
    }
  })
  const done: StoreOperation[] = [
    { type: 'put', key: SCHEMA_KEY, value: encodeSchemaVersion(migration.from + 1) },
    { type: 'del', key: CURSOR_KEY }
  ]
  await store.write(done, { sync: true })
  onStep?.('version-written')
}

/**
 * Puts a backup (the newest when none is named) in the place of everything but the payloads, and returns the schema version it has.
 * Interrupted, it goes on at the next `finishRollback`. STORE_DAMAGED when there is no backup or it does not hold; nothing is changed then.
 */
export async function rollBackStore(store: EventStore, options: MigrationOptions, backup?: string): Promise<number> {
  const chosen = basename(backup ?? (await newestBackup(options.backups)))
  await checkBackup(join(options.backups, chosen))
  writeJournal(options.folder, { state: 'rolling-back', backup: chosen })
  options.onStep?.('rollback-started')
  await finishRollback(store, options)
  return (await readSchemaVersion(store)) ?? 0
}

/** Ends a rollback that was interrupted; true when there was one. Comes before any look at the store's schema. */
export async function finishRollback(store: EventStore, options: MigrationOptions): Promise<boolean> {
  const journal = readJournal(options.folder)
  if (journal?.state !== 'rolling-back') return false
  options.logger.warn('restoring the store from a backup', { backup: journal.backup })
  await restoreBackup(store, join(options.backups, journal.backup))
  options.onStep?.('rollback-restored')
  removeJournal(options.folder)
  options.onStep?.('journal-removed')
  return true
}

async function newestBackup(folder: string): Promise<string> {
  const newest = (await listBackups(folder)).at(-1)
  if (newest === undefined)
    throw new MeshError('STORE_DAMAGED', 'there is no backup of the store', { details: { folder } })
  return newest
}

function journalPath(folder: string): string {
  return `${folder}.migration`
}

function writeJournal(folder: string, journal: Journal): void {
  try {
    replaceFile(journalPath(folder), utf8(`${JSON.stringify(journal)}\n`))
  } catch (cause) {
    throw storeError(cause, 'cannot write the journal of the migration', folder)
  }
}

function removeJournal(folder: string): void {
  rmSync(journalPath(folder), { force: true })
}

function readJournal(folder: string): Journal | null {
  const path = journalPath(folder)
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (cause) {
    if (hasErrno(cause, 'ENOENT')) return null
    throw new MeshError('STORE_FAILED', 'the journal of the migration cannot be read', {
      details: { file: path },
      cause
    })
  }
  const journal = tryParseJournal(text)
  if (journal === null)
    throw new MeshError('STORE_DAMAGED', 'the journal of the migration is damaged', { details: { file: path } })
  return journal
}

function tryParseJournal(text: string): Journal | null {
  try {
    const { state, backup } = JSON.parse(text) as { state?: unknown; backup?: unknown }
    if (state !== 'migrating' && state !== 'rolling-back') return null
    return typeof backup === 'string' && backup === basename(backup) && backup !== '' ? { state, backup } : null
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof TypeError) return null
    throw error
  }
}
