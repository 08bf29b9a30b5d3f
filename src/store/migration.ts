// What one migration is: it leads from a schema version to the next.

import type { EventStore, StoreOperation } from '../log/event-store.ts'

export interface MigrationContext {
  /** What the last `commit` of an interrupted run left; null at the start. */
  readonly cursor: Uint8Array | null
  /** Writes operations and cursor in one synced batch. Operations on payload ranges are refused (PROTOCOL §7). */
  commit(operations: readonly StoreOperation[], cursor: Uint8Array): Promise<void>
}

/** Leads from schema version `from` to the next. Goes on at its cursor; writes only through `commit`. */
export interface Migration {
  readonly from: number
  readonly name: string
  run(store: EventStore, context: MigrationContext): Promise<void>
}
