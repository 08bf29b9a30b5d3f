// Follows the cuts of removed authors (PROTOCOL §5): moves what stands behind a cut to quarantine, and offers it again when a more senior
// removal cuts later or its author is admitted again. Steps are small commits; a step that a crash prevented is taken at the next opening.

import type { Logger } from '../base/logger.ts'
import { messageOf } from '../base/mesh-error.ts'
import type { AppendReader } from './append-reader.ts'
import type { Batch, LogState } from './batch.ts'
import type { EventStore } from './event-store.ts'
import { checkFrame } from './frame-check.ts'
import type { MeshView } from './mesh-fold.ts'
import { cutsMoved, keysBehindCut, quarantined, quarantineStep } from './removed-chain.ts'
import { stageAppend } from './stage-append.ts'
import type { ChainKey, PublicKeyHex } from './statement.ts'

export interface CutFollowerOptions {
  readonly store: EventStore
  readonly reader: AppendReader
  readonly mesh: Uint8Array
  readonly logger: Logger
  /** Runs a change alone in the writer's order; resolves when it is durable. */
  readonly job: <Result>(run: (batch: Batch) => Promise<Result>) => Promise<Result>
}

export class CutFollower {
  readonly #options: CutFollowerOptions
  readonly #moving = new Set<ChainKey>()
  readonly #offering = new Map<PublicKeyHex, 'once' | 'again'>()

  constructor(options: CutFollowerOptions) {
    this.#options = options
  }

  /** Goes after whatever the state holds behind a cut, and after cuts that moved since `before`. */
  follow(state: LogState, before: MeshView | null): void {
    for (const key of keysBehindCut(state)) this.#quarantine(key)
    if (before === null) return
    for (const author of cutsMoved(before, state.view)) this.#offer(author)
  }

  #quarantine(key: ChainKey): void {
    if (this.#moving.has(key)) return
    this.#moving.add(key)
    const { job, reader, logger } = this.#options
    const move = async (): Promise<void> => {
      while (await job((batch) => quarantineStep(batch, reader, key)));
    }
    move()
      .catch((error: unknown) =>
        logger.warn('events behind a cut stay until the next start', { key, message: messageOf(error) })
      )
      .finally(() => this.#moving.delete(key))
  }

  #offer(author: PublicKeyHex): void {
    if (this.#offering.has(author)) {
      this.#offering.set(author, 'again')
      return
    }
    this.#offering.set(author, 'once')
    this.#offerAll(author)
      .catch((error: unknown) =>
        this.#options.logger.warn('quarantine stays as it is', { author, message: messageOf(error) })
      )
      .finally(() => {
        const again = this.#offering.get(author) === 'again'
        this.#offering.delete(author)
        if (again) this.#offer(author)
      })
  }

  async #offerAll(author: PublicKeyHex): Promise<void> {
    const { store, reader, mesh, job } = this.#options
    for await (const { key, frame } of quarantined(store, author)) {
      const { appends } = checkFrame(mesh, frame)
      await job(async (batch) => {
        for (const append of appends) {
          const outcome = await stageAppend(batch, reader, { ...append, fault: null }, null)
          const back =
            outcome.kind === 'stored' || outcome.kind === 'known' || (outcome.kind === 'fork' && outcome.stored)
          if (back) batch.add({ type: 'del', key })
        }
      })
    }
  }
}
