// The one writer. Everything that changes the log waits here in three lanes – own appends, gossip, sync – plus jobs; whenever the writer is
// free it stages what waits into one batch, writes it with fsync, installs the new state and only then answers. It never waits for company.

import { LIMITS } from '../base/limits.ts'
import type { Logger } from '../base/logger.ts'
import { isMeshError, MeshError, messageOf } from '../base/mesh-error.ts'
import { Batch, type LogState } from './batch.ts'
import type { EventStore } from './event-store.ts'
import type { ChainKey } from './statement.ts'

export type Lane = 'job' | 'own' | 'gossip' | 'sync'

/** Something that waits for the writer. `stage` puts its changes into the batch; afterwards exactly one of the others is called. */
export interface WriteRequest {
  stage(batch: Batch): Promise<void> | void
  /**
   * Own appends only: stages what fills whole appends while the batch before is on its way to the disk. Touches no store: what is being
   * written cannot be read yet. False: nothing was staged, and the request stays where it is.
   */
  stageAhead?(batch: Batch): boolean
  durable(): void
  failed(error: MeshError): void
}

export interface CommitReport {
  readonly batch: Batch
  readonly changed: readonly ChainKey[]
  readonly viewChanged: boolean
}

export interface CommitWriterOptions {
  readonly store: EventStore
  readonly logger: Logger
  /** Called with the new state, before the requests are answered. */
  readonly committed: (state: LogState, report: CommitReport) => void
  /** Reads the state again after a failed write. */
  readonly reload: () => Promise<LogState>
  /** Called once the state that was read again is in place. */
  readonly reloaded: (state: LogState) => void
  readonly pause: (ms: number) => Promise<void>
}

const RETRY_MS = 1000
const GOSSIP_PER_BATCH_MAX = 64
const LANES: readonly Lane[] = ['job', 'own', 'gossip', 'sync']

export class CommitWriter {
  readonly #options: CommitWriterOptions
  #state: LogState
  readonly #lanes: Record<Lane, WriteRequest[]> = { job: [], own: [], gossip: [], sync: [] }
  #running: Promise<void> | null = null
  /** The next batch, begun while one is being written. */
  #ahead: { readonly batch: Batch; readonly staged: WriteRequest[] } | null = null
  #failure: MeshError | null = null
  #closed = false

  constructor(state: LogState, options: CommitWriterOptions) {
    this.#state = state
    this.#options = options
  }

  get state(): LogState {
    return this.#state
  }

  /** The failure that the store has not recovered from, if any. */
  get failure(): MeshError | null {
    return this.#failure
  }

  push(lane: Lane, request: WriteRequest): void {
    const failure = this.#closed ? new MeshError('NODE_STOPPING', 'the log is closing') : this.#failure
    if (failure !== null) {
      request.failed(failure)
      return
    }
    this.#lanes[lane].push(request)
    this.#stageAhead()
    this.#running ??= this.#run()
  }

  /** Waits for what is queued; new requests are refused. */
  async close(): Promise<void> {
    this.#closed = true
    await this.#running
  }

  async #run(): Promise<void> {
    await Promise.resolve()
    try {
      while (this.#ahead !== null || LANES.some((lane) => this.#lanes[lane].length > 0)) await this.#commit()
    } finally {
      this.#running = null
    }
  }

  async #commit(): Promise<void> {
    const { batch, staged } = this.#ahead ?? { batch: new Batch(this.#state), staged: [] }
    this.#ahead = null
    for (const lane of LANES) await this.#stageLane(lane, batch, staged)
    try {
      if (batch.empty) {
        for (const request of staged) request.durable()
        return
      }
      const { operations, state, changed, viewChanged } = batch.finish()
      const written = this.#options.store.write(operations, { sync: true })
      this.#ahead = { batch: new Batch(state), staged: [] }
      this.#stageAhead()
      await written
      this.#state = state
      this.#options.committed(state, { batch, changed, viewChanged })
      for (const request of staged) request.durable()
      if (this.#ahead.staged.length === 0) this.#ahead = null
    } catch (error) {
      await this.#fail(error, staged)
    }
  }

  #stageAhead(): void {
    const queue = this.#lanes.own
    while (this.#ahead !== null) {
      const [request] = queue
      if (request?.stageAhead?.(this.#ahead.batch) !== true) return
      queue.shift()
      this.#ahead.staged.push(request)
    }
  }

  async #stageLane(lane: Lane, batch: Batch, staged: WriteRequest[]): Promise<void> {
    const queue = this.#lanes[lane]
    const limit = lane === 'gossip' ? GOSSIP_PER_BATCH_MAX : queue.length
    let taken = 0
    while (taken < limit && taken < queue.length) {
      if (lane === 'sync' && batch.bytes >= LIMITS.ingestBatchBytesTarget) break
      const request = queue[taken++] as WriteRequest
      try {
        await request.stage(batch)
        staged.push(request)
      } catch (error) {
        request.failed(storeFailure(error))
      }
    }
    queue.splice(0, taken)
  }

  /** A failed write leaves the store in doubt: everybody waiting is told, the store is opened again and read anew. */
  async #fail(error: unknown, staged: readonly WriteRequest[]): Promise<void> {
    const failure = storeFailure(error)
    this.#failure = failure
    this.#options.logger.error('the store cannot write', { code: failure.code, message: failure.message })
    const waiting = [...(this.#ahead?.staged ?? []), ...LANES.flatMap((lane) => this.#lanes[lane].splice(0))]
    this.#ahead = null
    for (const request of [...staged, ...waiting]) request.failed(failure)
    while (!this.#closed) {
      try {
        await this.#options.store.reopen()
        this.#state = await this.#options.reload()
        this.#failure = null
        this.#options.reloaded(this.#state)
        this.#options.logger.info('the store writes again')
        return
      } catch (cause) {
        this.#options.logger.warn('the store cannot be opened again', { message: messageOf(cause) })
        await this.#options.pause(RETRY_MS)
      }
    }
  }
}

function storeFailure(error: unknown): MeshError {
  return isMeshError(error)
    ? error
    : new MeshError('STORE_FAILED', `the store failed: ${messageOf(error)}`, { cause: error })
}
