// What becomes of damage that a read meets while the log is open: the chain key that it hits goes back to what is whole, so that peers give
// the rest again; damage that no chain key accounts for is left to the next opening, which reads everything.

import type { Logger } from '../base/logger.ts'
import { isMeshError, messageOf } from '../base/mesh-error.ts'
import { type AppendReader, isDamage } from './append-reader.ts'
import type { Batch } from './batch.ts'
import type { EventStore } from './event-store.ts'
import { DOUBTED_KEY } from './log-open.ts'
import { repairChain } from './log-repair.ts'
import type { ChainKey } from './statement.ts'

export interface DamageHealerOptions {
  readonly store: EventStore
  readonly reader: AppendReader
  readonly logger: Logger
  /** Runs a change alone in the writer's order; resolves when it is durable. */
  readonly job: <Result>(run: (batch: Batch) => Promise<Result>) => Promise<Result>
  /** Called when a chain key has been set back. */
  readonly healed: (key: ChainKey) => void
}

export class DamageHealer {
  readonly #options: DamageHealerOptions
  readonly #healing = new Set<ChainKey>()

  constructor(options: DamageHealerOptions) {
    this.#options = options
  }

  /** Passes a read of a chain key on; one that meets damage starts the repair. */
  async reading<Result>(key: ChainKey, read: Promise<Result>): Promise<Result> {
    try {
      return await read
    } catch (error) {
      if (isDamage(error)) this.start(key)
      throw error
    }
  }

  /** True for an error that says damage, whatever it hits. */
  note(error: unknown): boolean {
    if (!isMeshError(error) || !isDamage(error)) return false
    const { chain } = error.details
    if (typeof chain === 'string') this.start(chain)
    else this.#doubtStore()
    return true
  }

  /** False when nothing is wrong with the chain key. */
  async heal(key: ChainKey): Promise<boolean> {
    const { store, reader, job, healed } = this.#options
    const done = await job(async (batch) => {
      const repair = batch.stored.some(({ head }) => head.key === key)
        ? null
        : await repairChain(store, reader, batch.row(key), 'blocks')
      if (repair === null || !repair.lost) return false
      batch.repair(repair)
      return true
    })
    if (done) healed(key)
    return done
  }

  start(key: ChainKey): void {
    if (this.#healing.has(key)) return
    this.#healing.add(key)
    const { logger } = this.#options
    logger.warn('a part of the store cannot be read; the chain is set back to what is whole', { key })
    this.heal(key)
      .catch((error: unknown) => {
        logger.error('a damaged chain cannot be set back', { key, message: messageOf(error) })
        this.#doubtStore()
      })
      .finally(() => this.#healing.delete(key))
  }

  #doubtStore(): void {
    const { job, logger } = this.#options
    job(async (batch) => batch.add({ type: 'put', key: DOUBTED_KEY, value: Uint8Array.of(1) })).catch(
      (error: unknown) =>
        logger.error('the next opening will not know that the store is damaged', { message: messageOf(error) })
    )
  }
}
