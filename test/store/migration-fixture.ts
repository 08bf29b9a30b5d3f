// A store of schema version 1 and two migrations for the tests: each prefixes every entry of one range, one entry per commit.

import type { Migration } from '../../src/store/migration.ts'
import { type LevelStoreOptions, openLevelStore } from '../../src/store/open-level-store.ts'

export const ENTRIES = 5
export const NEW_VERSION = 3
export const PAYLOAD: Buffer = Buffer.from('a payload that no backup may hold')

export const MIGRATIONS: readonly Migration[] = [prefixing(1), prefixing(2)]

function prefixing(from: number): Migration {
  return {
    from,
    name: `prefix-${from}`,
    async run(store, { cursor, commit }) {
      for (let index = cursor?.[0] ?? 0; index < ENTRIES; index++) {
        const key = Buffer.from([0x30, index])
        const value = Buffer.concat([Buffer.from(`new${from} `), (await store.get(key)) ?? Buffer.alloc(0)])
        await commit([{ type: 'put', key, value }], Uint8Array.of(index + 1))
      }
    }
  }
}

export async function fillStore(options: LevelStoreOptions): Promise<void> {
  const store = await openLevelStore({ ...options, schemaVersion: 1 })
  for (let index = 0; index < ENTRIES; index++) {
    const record = { type: 'put' as const, key: Buffer.from([0x30, index]), value: Buffer.from(`old ${index}`) }
    const payload = { type: 'put' as const, key: Buffer.from([0x11, index]), value: PAYLOAD }
    await store.write([record, payload], { sync: true })
  }
  await store.close()
}
