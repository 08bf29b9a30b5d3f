// Results that are too long for events, as files of this node: the newest are kept, in number and in bytes. The log has the hash of each.

import { mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { LIMITS } from '../base/limits.ts'
import { hasErrno } from '../identity/atomic-file.ts'

interface ResultFile {
  readonly path: string
  readonly size: number
  readonly writtenMs: number
}

export interface ResultBounds {
  readonly files: number
  readonly bytes: number
}

const BOUNDS: ResultBounds = { files: LIMITS.resultFilesMax, bytes: LIMITS.resultFilesBytesMax }

export class ResultFolder {
  readonly #folder: string
  readonly #bounds: ResultBounds
  /** One at a time: two that look at once would each leave room for themselves alone. */
  #last: Promise<unknown> = Promise.resolve()

  constructor(folder: string, bounds: ResultBounds = BOUNDS) {
    this.#folder = folder
    this.#bounds = bounds
  }

  /** Writes the file durably and answers its name; the oldest others go where there are too many. Throws what the file system throws. */
  keep(name: string, bytes: Uint8Array): Promise<string> {
    const kept = this.#last.then(() => this.#keep(name, bytes))
    this.#last = kept.catch(() => undefined)
    return kept
  }

  async #keep(name: string, bytes: Uint8Array): Promise<string> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 })
    const path = join(this.#folder, name)
    await writeFile(path, bytes, { mode: 0o600, flush: true })
    const others = (await this.#files()).filter((file) => file.path !== path)
    let room = this.#bounds.bytes - bytes.length
    for (const [index, file] of others.entries()) {
      room -= file.size
      if (index + 1 >= this.#bounds.files || room < 0) await rm(file.path, { force: true })
    }
    return name
  }

  /** The newest first. */
  async #files(): Promise<ResultFile[]> {
    const files: ResultFile[] = []
    for (const entry of await readdir(this.#folder, { withFileTypes: true })) {
      const path = join(this.#folder, entry.name)
      const stats = entry.isFile() ? await statOf(path) : null
      if (stats !== null) files.push({ path, size: stats.size, writtenMs: stats.mtimeMs })
    }
    return files.sort((a, b) => b.writtenMs - a.writtenMs || (a.path < b.path ? 1 : -1))
  }
}

async function statOf(path: string) {
  try {
    return await stat(path)
  } catch (error) {
    // Its owner may remove results at any time.
    if (hasErrno(error, 'ENOENT')) return null
    throw error
  }
}
