// LevelDB as the floors use it: no checks, no schema, nothing of the product.

import { Level } from 'level'

export type RawDatabase = Level<Uint8Array, Uint8Array>

export async function openRaw(folder: string): Promise<RawDatabase> {
  const options = { keyEncoding: 'buffer', valueEncoding: 'buffer', writeBufferSize: 16 * 1024 * 1024 }
  const database = new Level<Uint8Array, Uint8Array>(folder, options)
  await database.open()
  return database
}

export function numberKey(index: number): Buffer {
  const key = Buffer.alloc(8)
  key.writeUInt32BE(index, 4)
  return key
}
