// Schema version and mesh of a store, in its meta range, and the migrations between versions.

import { utf8 } from '../base/bytes.ts'
import { MeshError } from '../base/mesh-error.ts'
import type { EventStore } from '../log/event-store.ts'
import { prefixed, RANGES } from '../log/store-keys.ts'
import type { Migration } from './migration.ts'

/** Version of the key ranges and values that this program writes. Raised together with a new entry in `MIGRATIONS`. */
export const SCHEMA_VERSION = 1

/** One entry per version that can be left: `from` 1 leads to 2, and so on. */
export const MIGRATIONS: readonly Migration[] = []

/** Version u32. */
export const SCHEMA_KEY: Uint8Array = prefixed(RANGES.meta, utf8('schema'))
/** Mesh id, 32 bytes. */
export const MESH_KEY: Uint8Array = prefixed(RANGES.meta, utf8('mesh'))
/** Where an interrupted migration goes on: its own bytes. */
export const CURSOR_KEY: Uint8Array = prefixed(RANGES.meta, utf8('migration-cursor'))

/** Ranges that hold payloads: no migration rewrites them and no backup copies them (PROTOCOL §7). */
export const PAYLOAD_RANGES: readonly number[] = [RANGES.payload, RANGES.quarantine]

const VERSION_BYTES = 4

export function encodeSchemaVersion(version: number): Buffer {
  const bytes = Buffer.alloc(VERSION_BYTES)
  bytes.writeUInt32BE(version, 0)
  return bytes
}

/** Null when the store says nothing: it is new, damaged or another program's. STORE_DAMAGED when what it says is no version. */
export async function readSchemaVersion(store: EventStore): Promise<number | null> {
  const bytes = await store.get(SCHEMA_KEY)
  if (bytes === null) return null
  const version = bytes.length === VERSION_BYTES ? Buffer.from(bytes).readUInt32BE(0) : 0
  if (version < 1) throw new MeshError('STORE_DAMAGED', 'the store’s schema version cannot be read')
  return version
}

/** The mesh whose log the store holds; null while none is written. */
export function readStoreMesh(store: EventStore): Promise<Uint8Array | null> {
  return store.get(MESH_KEY)
}
