// Backup of a store before a migration: one file with every entry outside the payload ranges, ended by its SHA-256.
// Payloads stay in place and are never copied, so an erasure reaches every copy (PROTOCOL §7).

import { createHash, type Hash } from 'node:crypto'
import { type FileHandle, mkdir, open, readdir, rename, rm } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { LIMITS } from '../base/limits.ts'
import { MeshError } from '../base/mesh-error.ts'
import type { EventStore, KeyRange, StoreEntry, StoreOperation } from '../log/event-store.ts'
import { PAYLOAD_RANGES } from './schema.ts'
import { storeError } from './store-errors.ts'

const MAGIC = Buffer.from('pmesh store backup 1\n')
const DIGEST_BYTES = 32
const ENTRY_HEAD_BYTES = 8
const PAGE_BYTES = 256 * 1024
const ENTRY_BYTES_MAX = 64 * 1024 * 1024
const BATCH_BYTES = 1024 * 1024
const NAME = /^store-v\d+-\d{8}T\d{9}Z\.backup$/

/** The parts of the key space outside the payload ranges. */
export function backedUpRanges(): KeyRange[] {
  const ranges: KeyRange[] = []
  let from = 0
  for (const excluded of [...PAYLOAD_RANGES].sort((a, b) => a - b)) {
    ranges.push({ from: Uint8Array.of(from), to: Uint8Array.of(excluded) })
    from = excluded + 1
  }
  return [...ranges, { from: Uint8Array.of(from), to: Uint8Array.of(0xff) }]
}

/** Writes `store-v<version>-<time>.backup` into `folder` (0700) and returns its path. Wholly there or not at all. STORE_FULL, STORE_FAILED. */
export async function writeBackup(store: EventStore, folder: string, version: number, nowMs: number): Promise<string> {
  const stamp = new Date(nowMs).toISOString().replaceAll(/[-:.]/g, '')
  const path = join(folder, `store-v${version}-${stamp}.backup`)
  const part = `${path}.part`
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 })
    await removeParts(folder)
    const file = await open(part, 'wx', 0o600)
    try {
      await writeEntries(store, file)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(part, path)
    await syncFolder(folder)
    return path
  } catch (cause) {
    throw storeError(cause, 'cannot write the backup', folder)
  }
}

async function writeEntries(store: EventStore, file: FileHandle): Promise<void> {
  const digest = createHash('sha256')
  await append(file, digest, [MAGIC])
  for (const range of backedUpRanges()) {
    for await (const page of store.pages(range, PAGE_BYTES)) {
      const parts: Uint8Array[] = []
      for (const [key, value] of page) parts.push(entryHead(key, value), key, value)
      await append(file, digest, parts)
    }
  }
  await file.writeFile(digest.digest())
}

async function append(file: FileHandle, digest: Hash, parts: readonly Uint8Array[]): Promise<void> {
  const bytes = Buffer.concat(parts)
  digest.update(bytes)
  await file.writeFile(bytes)
}

function entryHead(key: Uint8Array, value: Uint8Array): Buffer {
  const head = Buffer.allocUnsafe(ENTRY_HEAD_BYTES)
  head.writeUInt32BE(key.length, 0)
  head.writeUInt32BE(value.length, 4)
  return head
}

/** Reads the whole backup. STORE_DAMAGED when it does not hold. */
export async function checkBackup(path: string): Promise<void> {
  const entries = readBackup(path)
  while (!(await entries.next()).done);
}

/** Puts every entry of the backup in the place of what the store holds outside the payload ranges. Safe to repeat. STORE_DAMAGED when the file does not hold. */
export async function restoreBackup(store: EventStore, path: string): Promise<void> {
  await checkBackup(path)
  for (const range of backedUpRanges()) await clear(store, range)
  let batch: StoreOperation[] = []
  let bytes = 0
  for await (const [key, value] of readBackup(path)) {
    batch.push({ type: 'put', key, value })
    bytes += key.length + value.length
    if (bytes < BATCH_BYTES) continue
    await store.write(batch, { sync: false })
    batch = []
    bytes = 0
  }
  await store.write(batch, { sync: true })
}

async function clear(store: EventStore, range: KeyRange): Promise<void> {
  for await (const page of store.pages(range, PAGE_BYTES)) {
    await store.write(
      page.map(([key]) => ({ type: 'del', key })),
      { sync: false }
    )
  }
}

/** Reads entry by entry in bounded memory; the last step checks the digest. */
async function* readBackup(path: string): AsyncGenerator<StoreEntry> {
  let file: FileHandle
  try {
    file = await open(path, 'r')
  } catch (cause) {
    throw new MeshError('STORE_DAMAGED', 'the backup cannot be opened', { details: { file: path }, cause })
  }
  try {
    const digest = createHash('sha256')
    const end = (await file.stat()).size - DIGEST_BYTES
    const magic = await readExactly(file, 0, MAGIC.length, end, path)
    if (!magic.equals(MAGIC)) throw damaged(path)
    digest.update(magic)
    for (let at = MAGIC.length; at < end; ) {
      const head = await readExactly(file, at, ENTRY_HEAD_BYTES, end, path)
      const [keyBytes, valueBytes] = [head.readUInt32BE(0), head.readUInt32BE(4)]
      const entry = await readExactly(file, at + ENTRY_HEAD_BYTES, keyBytes + valueBytes, end, path)
      digest.update(head).update(entry)
      at += ENTRY_HEAD_BYTES + entry.length
      yield [entry.subarray(0, keyBytes), entry.subarray(keyBytes)]
    }
    const stored = await readExactly(file, end, DIGEST_BYTES, end + DIGEST_BYTES, path)
    if (!stored.equals(digest.digest())) throw damaged(path)
  } finally {
    await file.close()
  }
}

async function readExactly(file: FileHandle, at: number, length: number, end: number, path: string): Promise<Buffer> {
  if (at + length > end || length > ENTRY_BYTES_MAX) throw damaged(path)
  const bytes = Buffer.alloc(length)
  const { bytesRead } = await file.read(bytes, 0, length, at)
  if (bytesRead !== length) throw damaged(path)
  return bytes
}

function damaged(path: string): MeshError {
  return new MeshError('STORE_DAMAGED', 'the backup is damaged', { details: { file: path } })
}

/** Backups in `folder`, oldest first. */
export async function listBackups(folder: string): Promise<string[]> {
  const names = await readdir(folder)
  const stampOf = (name: string) => name.slice(name.indexOf('-', 'store-v'.length))
  return names
    .filter((name) => NAME.test(name))
    .sort((a, b) => (stampOf(a) < stampOf(b) ? -1 : 1))
    .map((name) => join(folder, name))
}

/** Removes the oldest backups beyond the limit; never `keep`. */
export async function pruneBackups(folder: string, keep: string): Promise<void> {
  const backups = (await listBackups(folder)).filter((path) => basename(path) !== basename(keep))
  for (const path of backups.slice(0, Math.max(0, backups.length + 1 - LIMITS.migrationBackupsMax))) await rm(path)
}

async function removeParts(folder: string): Promise<void> {
  for (const name of await readdir(folder)) if (name.endsWith('.backup.part')) await rm(join(folder, name))
}

async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
