// Opens the store of a home: folder, schema, migrations, mesh, in this order. Nothing is created over what it does not understand.

import { equalBytes } from '../base/bytes.ts'
import type { Logger } from '../base/logger.ts'
import { MeshError } from '../base/mesh-error.ts'
import type { EventStore } from '../log/event-store.ts'
import { LevelStore } from './level-store.ts'
import type { Migration } from './migration.ts'
import { finishRollback, migrateStore, rollBackStore, type StepObserver } from './migrations.ts'
import {
  encodeSchemaVersion,
  MESH_KEY,
  MIGRATIONS,
  readSchemaVersion,
  readStoreMesh,
  SCHEMA_KEY,
  SCHEMA_VERSION
} from './schema.ts'
import { inspectStoreFolder } from './store-folder.ts'

export interface LevelStoreOptions {
  readonly folder: string
  /** Folder of the backups that migrations make; created when one is made. */
  readonly backups: string
  /** The store is of this mesh, or new and then marked with it. */
  readonly expectedMesh?: Uint8Array
  readonly logger: Logger
  readonly migrations?: readonly Migration[]
  readonly schemaVersion?: number
  readonly onStep?: StepObserver
}

/** STORE_LOCKED, STORE_DAMAGED, STORE_TOO_NEW, STORE_FOREIGN, STORE_FULL, STORE_FAILED. */
export async function openLevelStore(options: LevelStoreOptions): Promise<EventStore> {
  const { folder, backups, logger, migrations = MIGRATIONS, schemaVersion = SCHEMA_VERSION, onStep } = options
  const isNew = inspectStoreFolder(folder) === 'new'
  const store = await LevelStore.open(folder, isNew)
  try {
    const migration = {
      folder,
      backups,
      migrations,
      schemaVersion,
      logger,
      ...(onStep === undefined ? {} : { onStep })
    }
    await finishRollback(store, migration)
    await prepareSchema(store, folder, schemaVersion)
    await migrateStore(store, migration)
    if (options.expectedMesh !== undefined) await checkMesh(store, options.expectedMesh, folder)
    return store
  } catch (error) {
    await store.close()
    throw error
  }
}

/** Puts the newest backup, or the named one, in the place of the store’s contents, payloads excepted. Returns its schema version. */
export async function rollBackLevelStore(options: LevelStoreOptions, backup?: string): Promise<number> {
  const { folder, backups, logger, migrations = MIGRATIONS, schemaVersion = SCHEMA_VERSION, onStep } = options
  const store = await LevelStore.open(folder, inspectStoreFolder(folder) === 'new')
  try {
    const migration = {
      folder,
      backups,
      migrations,
      schemaVersion,
      logger,
      ...(onStep === undefined ? {} : { onStep })
    }
    return await rollBackStore(store, migration, backup)
  } finally {
    await store.close()
  }
}

async function prepareSchema(store: LevelStore, folder: string, schemaVersion: number): Promise<void> {
  if ((await readSchemaVersion(store)) !== null) return
  const first = await store.firstEntry()
  if (first === 'none') return await markNew(store, schemaVersion)
  if (first === 'own')
    throw new MeshError('STORE_DAMAGED', 'the store’s schema version is missing', { details: { folder } })
  throw new MeshError('STORE_FOREIGN', 'the folder holds another program’s database', { details: { folder } })
}

// Flushed, so that damage in the first write-ahead log cannot make a store look like another program's.
async function markNew(store: LevelStore, schemaVersion: number): Promise<void> {
  await store.write([{ type: 'put', key: SCHEMA_KEY, value: encodeSchemaVersion(schemaVersion) }], { sync: true })
  await store.flush()
}

async function checkMesh(store: EventStore, expected: Uint8Array, folder: string): Promise<void> {
  const mesh = await readStoreMesh(store)
  if (mesh === null) return await store.write([{ type: 'put', key: MESH_KEY, value: expected }], { sync: true })
  if (!equalBytes(mesh, expected)) {
    throw new MeshError('STORE_FOREIGN', 'the store holds the log of another mesh', { details: { folder } })
  }
}
