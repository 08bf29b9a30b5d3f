// Floor of durable appends: callers wait for a group commit that hashes a chain, signs once per commit and writes one fsynced LevelDB batch.

import { generateKeyPairSync, hash, randomBytes, sign } from 'node:crypto'
import { inFolder } from '../measure.ts'
import { openRaw, type RawDatabase } from './raw-database.ts'

const HEAD_BYTES = 50
const SEAL_BYTES = 64
const KEY_BYTES = 25

interface Waiting {
  readonly payload: Buffer
  readonly done: () => void
}

/** Events per second with `callers` callers that each wait for their event before the next, for about `ms` milliseconds. */
export function appendFloor(callers: number, payloads: readonly Buffer[], ms: number): Promise<number> {
  return inFolder(async (folder) => {
    const database = await openRaw(folder)
    const chain = new RawChain(database)
    const start = performance.now()
    let count = 0
    const caller = async () => {
      while (performance.now() - start < ms) {
        await chain.append(payloads[count++ % payloads.length] as Buffer)
      }
    }
    await Promise.all(Array.from({ length: callers }, caller))
    const seconds = (performance.now() - start) / 1000
    await database.close()
    return count / seconds
  })
}

class RawChain {
  readonly #database: RawDatabase
  readonly #key = generateKeyPairSync('ed25519').privateKey
  readonly #author = randomBytes(16)
  #queue: Waiting[] = []
  #previous: Buffer = Buffer.alloc(32)
  #sequence = 0
  #running = false

  constructor(database: RawDatabase) {
    this.#database = database
  }

  append(payload: Buffer): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#queue.push({ payload, done: resolve })
      if (this.#running) return
      this.#running = true
      queueMicrotask(() => this.#pump().catch(reject))
    })
  }

  async #pump(): Promise<void> {
    while (this.#queue.length > 0) {
      const taken = this.#queue
      this.#queue = []
      const batch = this.#database.batch()
      for (const [index, { payload }] of taken.entries()) {
        const key = Buffer.allocUnsafe(KEY_BYTES)
        key[0] = 1
        this.#author.copy(key, 1)
        key.writeBigUInt64BE(BigInt(this.#sequence), 17)
        batch.put(key, this.#event(payload, index === taken.length - 1))
      }
      await batch.write({ sync: true })
      for (const { done } of taken) done()
    }
    this.#running = false
  }

  #event(payload: Buffer, sealed: boolean): Buffer {
    const signed = HEAD_BYTES + payload.length
    const event = Buffer.alloc(signed + SEAL_BYTES)
    event.writeUInt32BE(this.#sequence++, 4)
    event.writeDoubleBE(Date.now(), 8)
    this.#previous.copy(event, 16)
    event.writeUInt16BE(payload.length, 48)
    payload.copy(event, HEAD_BYTES)
    if (sealed) sign(null, event.subarray(0, signed), this.#key).copy(event, signed)
    this.#previous = hash('sha256', event, 'buffer')
    return event
  }
}
