// The marker beside the store (PROTOCOL §4): how far the own chain was, on which machine and in which folder.
// It tells a restored or copied store from the one that was left here. It is evidence, not data: without it a node recovers from peers.

import { createHmac } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import { open, rename, rm } from 'node:fs/promises'
import { hostname } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { toHex, tryParseHex, utf8 } from '../base/bytes.ts'
import { LIMITS } from '../base/limits.ts'
import type { Logger } from '../base/logger.ts'
import { messageOf } from '../base/mesh-error.ts'
import { hasErrno } from '../identity/atomic-file.ts'
import { encodeHead, HEAD_BYTES, type Head, headSealValid, tryDecodeHead } from '../log/statement.ts'

/** Where a store lies. */
export interface StorePlace {
  /** Hex; the same for every process of one machine, derived so that the machine's own id stays private. */
  readonly machineId: string
  /** Inode number of the store's folder: a copy has another. */
  readonly inode: string
}

export interface OwnMarker extends StorePlace {
  readonly head: Head
}

const FORMAT = 1
const MACHINE_FILES = ['/etc/machine-id', '/var/lib/dbus/machine-id']

/** The place of the store in `folder`, which exists. */
export function storePlace(folder: string): StorePlace {
  return { machineId: machineId(), inode: statSync(folder, { bigint: true }).ino.toString() }
}

function machineId(): string {
  return createHmac('sha256', 'pmesh store marker').update(machineName()).digest('hex')
}

function machineName(): string {
  for (const file of MACHINE_FILES) {
    try {
      const text = readFileSync(file, 'utf8').trim()
      if (text !== '') return text
    } catch (error) {
      // Systems without the file, and containers that hide it, are told apart by their host name.
      if (!hasErrno(error, 'ENOENT') && !hasErrno(error, 'EACCES')) throw error
    }
  }
  return hostname()
}

/** Null when there is none, or when it cannot be believed; the latter is logged. */
export function readMarker(path: string, logger: Logger): OwnMarker | null {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if (!hasErrno(error, 'ENOENT'))
      logger.warn('the store’s marker cannot be read', { file: path, why: messageOf(error) })
    return null
  }
  const marker = tryParseMarker(text)
  if (marker === null) logger.warn('the store’s marker is damaged', { file: path })
  return marker
}

function tryParseMarker(text: string): OwnMarker | null {
  try {
    const { format, head, machineId, inode } = JSON.parse(text) as Record<string, unknown>
    if (format !== FORMAT || typeof head !== 'string' || typeof machineId !== 'string' || typeof inode !== 'string')
      return null
    const bytes = tryParseHex(head, HEAD_BYTES)
    const decoded = bytes === null ? null : tryDecodeHead(bytes)
    return decoded !== null && headSealValid(decoded) ? { head: decoded, machineId, inode } : null
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof TypeError) return null
    throw error
  }
}

/** True when the marker was written here, for this very folder. Whether the store reaches its head is the log's question. */
export function markerFits(marker: OwnMarker, place: StorePlace): boolean {
  return marker.machineId === place.machineId && marker.inode === place.inode
}

/** Replaces the marker by one rename, fsynced. Throws the error of the file system. */
export async function writeMarker(path: string, marker: OwnMarker): Promise<void> {
  const { head, machineId, inode } = marker
  const text = JSON.stringify({ format: FORMAT, head: toHex(encodeHead(head)), machineId, inode })
  const part = join(dirname(path), `.${basename(path)}.part`)
  await rm(part, { force: true })
  const file = await open(part, 'wx', 0o600)
  try {
    await file.writeFile(utf8(`${text}\n`))
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(part, path)
  if (process.platform === 'win32') return
  const folder = await open(dirname(path), 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

export interface OwnMarkerWriterOptions {
  readonly path: string
  readonly place: StorePlace
  readonly logger: Logger
  /** Least time between two writes. */
  readonly intervalMs?: number
}

/** Keeps the marker near the own head without ever being waited for by an append. A failed write is logged and tried again. */
export class OwnMarkerWriter {
  readonly #options: OwnMarkerWriterOptions
  #pending: Head | null = null
  #timer: NodeJS.Timeout | null = null
  #writing: Promise<void> = Promise.resolve()
  #stopped = false
  #writes = 0

  constructor(options: OwnMarkerWriterOptions) {
    this.#options = options
  }

  /** Markers written so far. */
  get writes(): number {
    return this.#writes
  }

  /** The own chain reached `head`, durably. Returns at once. */
  note(head: Head): void {
    this.#pending = head
    if (this.#timer === null && !this.#stopped) this.#schedule()
  }

  /** Writes what is pending now. */
  async flush(): Promise<void> {
    this.#writing = this.#writing.then(() => this.#write())
    await this.#writing
  }

  /** Writes the last head and ends; later heads are not written. */
  async stop(): Promise<void> {
    this.#stopped = true
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    await this.flush()
  }

  #schedule(): void {
    const tick = async (): Promise<void> => {
      await this.flush()
      this.#timer = null
      if (this.#pending !== null && !this.#stopped) this.#schedule()
    }
    this.#timer = setTimeout(() => void tick(), this.#options.intervalMs ?? LIMITS.markerIntervalMs)
    this.#timer.unref()
  }

  async #write(): Promise<void> {
    const head = this.#pending
    if (head === null) return
    this.#pending = null
    const { path, place, logger } = this.#options
    try {
      await writeMarker(path, { ...place, head })
      this.#writes++
    } catch (error) {
      this.#pending ??= head
      logger.warn('cannot write the store’s marker', { file: path, why: messageOf(error) })
    }
  }
}
