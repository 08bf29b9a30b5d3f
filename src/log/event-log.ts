// The event log: one writer, many readers. Composes the commit writer, the own lane, the frame check and the readers; everything it tells
// others about is durable. It knows nothing of peers, sockets or LevelDB.

import { equalBytes, toHex, utf8 } from '../base/bytes.ts'
import type { Clock, Random } from '../base/clock.ts'
import { LIMITS } from '../base/limits.ts'
import type { Logger } from '../base/logger.ts'
import type { SigningKey } from '../identity/ed25519.ts'
import type { MeshPreimage } from '../identity/mesh-id.ts'
import { buildAppend, type EventDraft, prepareEvent } from './append-builder.ts'
import { AppendReader, type RangeFrame } from './append-reader.ts'
import type { Batch, LogState, StoredAppend } from './batch.ts'
import { chainStateOf, emptyRow } from './chain-row.ts'
import type { ChainState, IngestOutcome } from './chain-state.ts'
import { type CommitReport, CommitWriter, type Lane } from './commit-writer.ts'
import { type ControlBody, encodeControl } from './control-records.ts'
import type { EventStore } from './event-store.ts'
import { type CheckedAppend, type CheckedFrame, checkFrame } from './frame-check.ts'
import { HybridClock } from './hybrid-clock.ts'
import { openLogState } from './log-open.ts'
import type { MeshView } from './mesh-fold.ts'
import { type AppendedEvent, OwnLane, ownRow, type WriteMode } from './own-lane.ts'
import { cutSeqOf, cutsMoved, keysBehindCut, quarantined, quarantineStep } from './removed-chain.ts'
import { stageAppend, stageFork } from './stage-append.ts'
import { type ChainKey, chainKeyOf, type ForkProof, type Head, headSealValid, type PublicKeyHex, tryForkProof } from './statement.ts'
import { RANGES } from './store-keys.ts'

export interface EventLogOptions {
  readonly store: EventStore
  readonly preimage: MeshPreimage
  readonly key: SigningKey
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** Waits between attempts to open a failed store again; virtual in tests. */
  readonly pause: (ms: number) => Promise<void>
}

/** What one durable commit changed. */
export interface LogCommit {
  readonly number: number
  readonly stored: readonly StoredAppend[]
  readonly chains: readonly ChainState[]
  /** Set when membership, epochs or branches changed. */
  readonly view: MeshView | null
}

export interface EpochOpening {
  readonly fork: ForkProof | null
  readonly missing: Head | null
  readonly branches: readonly Head[]
  readonly instance: Uint8Array
}

export class EventLog {
  readonly #options: EventLogOptions
  readonly #writer: CommitWriter
  readonly #own: OwnLane
  readonly #clock: HybridClock
  readonly reader: AppendReader
  readonly mesh: Uint8Array
  /** Chain keys that the last opening found damaged and reset. */
  readonly damaged: readonly ChainKey[]
  #chains = new Map<ChainKey, ChainState>()
  readonly #listeners = new Set<(commit: LogCommit) => void>()
  #farFuture = new Map<PublicKeyHex, number>()

  private constructor(options: EventLogOptions, opened: Awaited<ReturnType<typeof openLogState>>) {
    this.#options = options
    this.mesh = opened.state.mesh
    this.damaged = opened.damaged
    this.reader = new AppendReader(options.store, this.mesh)
    this.#clock = new HybridClock(options.clock)
    this.#writer = new CommitWriter(opened.state, {
      store: options.store,
      logger: options.logger,
      committed: (_state, report) => this.#committed(report),
      reload: () => this.#reload(),
      pause: options.pause
    })
    this.#own = new OwnLane({ mesh: this.mesh, key: options.key, clock: this.#clock, random: options.random }, this.#writer)
    this.#install(opened.state)
  }

  /** Opens the store's log. STORE_FOREIGN when it holds another mesh, STORE_DAMAGED when rows do not decode. */
  static async open(options: EventLogOptions): Promise<EventLog> {
    const log = new EventLog(options, await openLogState(options.store, options.preimage, options.logger))
    for (const key of keysBehindCut(log.state)) log.#quarantine(key)
    return log
  }

  get state(): LogState {
    return this.#writer.state
  }

  get view(): MeshView {
    return this.state.view
  }

  get self(): PublicKeyHex {
    return this.#options.key.publicKeyHex
  }

  get store(): EventStore {
    return this.#options.store
  }

  /** Durable state of every chain key. */
  get chains(): ReadonlyMap<ChainKey, ChainState> {
    return this.#chains
  }

  /** Code of the failure that the store has not recovered from. */
  get failure(): string | null {
    return this.#writer.failure?.code ?? null
  }

  /** Authors whose stamps were more than a minute ahead of this machine's clock, with how far in ms. Local and momentary. */
  get farFuture(): ReadonlyMap<PublicKeyHex, number> {
    return this.#farFuture
  }

  get writeMode(): WriteMode {
    return this.#own.mode
  }

  setWriteMode(mode: WriteMode): void {
    this.#own.setMode(mode)
  }

  /** Own events, durable when it resolves. EVENT_…, LOG_QUEUE_FULL, LOG_RECOVERING, IDENTITY_IN_USE_TWICE, STORE_…. */
  append(drafts: readonly EventDraft[]): Promise<AppendedEvent[]> {
    return this.#own.append(drafts)
  }

  async appendRecord(body: ControlBody): Promise<AppendedEvent> {
    const [event] = await this.append([{ type: body.type, payload: encodeControl(body) }])
    return event as AppendedEvent
  }

  /** The own chain's newest epoch: its end, and its fork if there is one. */
  ownChain(): ChainState {
    let state: ChainState | undefined
    for (let epoch = 1; ; epoch++) {
      const next = this.#chains.get(chainKeyOf(this.self, 0, epoch))
      if (next === undefined || (next.tips.length === 0 && epoch > 1)) break
      state = next
    }
    return state ?? chainStateOf(emptyRow(chainKeyOf(this.self, 0, 1)), { wanted: [], closed: false, cut: null })
  }

  /** Closes the own current epoch at its end and opens the next (PROTOCOL §4 "Epoch"). Runs in any write mode. */
  openEpoch(opening: EpochOpening): Promise<Head> {
    return this.#job(async (batch) => {
      const { key, random } = this.#options
      const row = ownRow(batch, key.publicKeyHex)
      const kept = row.tips[0] ?? null
      const branches = opening.branches.filter((head) => head.key === row.key).slice(0, LIMITS.epochBranchesMax)
      const body: ControlBody = { type: 'epoch-opened', ...opening, branches, kept }
      const place = { author: key.publicKey, chain: 0, epoch: row.epoch + 1, firstSeq: 1, prev: kept?.link ?? new Uint8Array(32) }
      const events = [prepareEvent({ type: body.type, payload: encodeControl(body) })]
      const { head, blocks } = buildAppend(this.mesh, key, place, events, () => this.#clock.stamp(), random)
      batch.store(head, blocks, true)
      return head
    })
  }

  /** The costly part of taking in a frame, without any effect: for the gossip validator. */
  check(frame: Uint8Array): CheckedFrame {
    return checkFrame(this.mesh, frame)
  }

  /** Verifies and stores a frame of whole appends; one outcome per append, in order, durable when it resolves. Never throws for what a peer sent. */
  ingest(frame: Uint8Array, lane: 'gossip' | 'sync'): Promise<IngestOutcome[]> {
    return this.ingestChecked(this.check(frame), lane)
  }

  ingestChecked(checked: CheckedFrame, lane: 'gossip' | 'sync'): Promise<IngestOutcome[]> {
    return new Promise((resolve) => {
      const outcomes: IngestOutcome[] = []
      this.#writer.push(lane, {
        stage: async (batch) => {
          for (const append of checked.appends) outcomes.push(await stageAppend(batch, this.reader, append))
        },
        durable: () => {
          this.#observe(checked.appends)
          resolve(checked.rest === null ? outcomes : [...outcomes, checked.rest])
        },
        failed: () => resolve([{ kind: 'failed', key: checked.appends[0]?.head.key ?? null }])
      })
    })
  }

  /**
   * Notes heads that peers showed: raises the witness of admitted authors, and records the fork when one contradicts what is stored.
   * Heads whose seal does not hold are left out of the count that it returns.
   */
  recordHeads(heads: readonly Head[]): Promise<number> {
    const good = heads.filter((head) => this.view.members.has(toHex(head.author)) && equalBytes(head.mesh, this.mesh) && headSealValid(head))
    const news = good.filter((head) => !this.#chains.get(head.key)?.tips.some((tip) => equalBytes(tip.link, head.link)))
    if (news.length === 0) return Promise.resolve(good.length)
    return this.#job(async (batch) => {
      for (const head of news) await this.#noteHead(batch, head)
      return good.length
    })
  }

  async #noteHead(batch: Batch, head: Head): Promise<void> {
    const row = batch.row(head.key)
    for (const stored of await this.reader.headsAt(row, head.firstSeq)) {
      const proof = tryForkProof(stored, head)
      if (proof !== null && headSealValid(stored)) await stageFork(batch, this.reader, proof)
    }
    batch.witness(head)
  }

  /** Records a fork that a peer proved; false when it is known already or its author is not admitted. Seals must have been checked. */
  recordFork(proof: ForkProof): Promise<boolean> {
    return this.#job(async (batch) => {
      const row = batch.row(proof.a.key)
      if (!batch.view.members.has(row.author) || (row.fork !== null && row.fork.forkSeq <= proof.a.firstSeq)) return false
      await stageFork(batch, this.reader, proof)
      return true
    })
  }

  /** A frame of whole appends behind `afterSeq` on the line to `tip` (the highest when null); null when there is nothing to give. */
  readRange(key: ChainKey, tip: Uint8Array | null, afterSeq: number, bytesMax: number): Promise<RangeFrame | null> {
    const line = this.#line(key, tip)
    return line === null ? Promise.resolve(null) : this.reader.range(line.row, line.tip, afterSeq, bytesMax)
  }

  /** Heads of the appends that hold the given sequence numbers on the line to `tip`. */
  readPoints(key: ChainKey, tip: Uint8Array | null, seqs: readonly number[]): Promise<readonly (Head | null)[]> {
    const line = this.#line(key, tip)
    return line === null ? Promise.resolve(seqs.map(() => null)) : this.reader.points(line.row, line.tip, seqs)
  }

  #line(key: ChainKey, link: Uint8Array | null) {
    const row = this.state.rows.get(key)
    if (row === undefined) return null
    const cut = cutSeqOf(this.state, row)
    const stored = row.fork === null ? row.tips : [...row.tips, ...[...row.fork.appends.values()].map((append) => append.head)]
    const tip = link === null ? row.tips[0] : stored.find((head) => equalBytes(head.link.subarray(0, link.length), link))
    return tip === undefined || (cut !== null && tip.lastSeq > cut) ? null : { row, tip }
  }

  onCommit(listener: (commit: LogCommit) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Finishes what is queued. The store stays open: it is its opener's. */
  async close(): Promise<void> {
    this.#own.setMode('NODE_STOPPING')
    await this.#writer.close()
  }

  #job<Result>(run: (batch: Batch) => Promise<Result>, lane: Lane = 'job'): Promise<Result> {
    return new Promise((resolve, reject) => {
      let result: Result
      this.#writer.push(lane, {
        stage: async (batch) => {
          result = await run(batch)
        },
        durable: () => resolve(result),
        failed: reject
      })
    })
  }

  #committed({ batch, changed, viewChanged }: CommitReport): void {
    const before = this.#lastView
    this.#refresh(viewChanged ? [...this.state.rows.keys()] : changed)
    if (viewChanged) this.#followCuts(before)
    const chains = changed.map((key) => this.#chains.get(key) as ChainState)
    const commit: LogCommit = {
      number: this.state.commitNumber,
      stored: batch.stored,
      chains: viewChanged ? [...this.#chains.values()] : chains,
      view: viewChanged ? this.view : null
    }
    for (const listener of this.#listeners) listener(commit)
    this.#own.kick()
  }

  #lastView: MeshView | null = null

  #refresh(keys: Iterable<ChainKey>): void {
    const { rows, view } = this.state
    this.#lastView = view
    for (const key of keys) {
      const row = rows.get(key) ?? emptyRow(key)
      const cutSeq = cutSeqOf(this.state, row)
      const cut = view.members.get(row.author)?.removal?.cuts.get(key)
      this.#chains.set(
        key,
        chainStateOf(row, {
          wanted: view.wanted.get(key) ?? [],
          closed: view.closed.has(key),
          cut: cutSeq === null ? null : { seq: cutSeq, id: cut?.id ?? new Uint8Array(32) }
        })
      )
    }
    for (const [key, wanted] of view.wanted) {
      if (!this.#chains.has(key)) this.#chains.set(key, chainStateOf(emptyRow(key), { wanted, closed: view.closed.has(key), cut: null }))
    }
  }

  #followCuts(before: MeshView | null): void {
    for (const key of keysBehindCut(this.state)) this.#quarantine(key)
    if (before === null) return
    for (const author of cutsMoved(before, this.view)) this.#requalify(author)
  }

  #quarantine(key: ChainKey): void {
    this.#job((batch) => quarantineStep(batch, this.reader, key)).then(
      (more) => (more ? this.#quarantine(key) : undefined),
      (error: unknown) => this.#options.logger.warn('events behind a cut stay until the next start', { key, message: String(error) })
    )
  }

  /** Offers what an author's quarantine holds again: a more senior removal may have cut later. */
  #requalify(author: PublicKeyHex): void {
    const run = async (): Promise<void> => {
      for await (const { key, frame } of quarantined(this.store, author)) {
        const [outcome] = await this.ingest(frame, 'sync')
        if (outcome?.kind === 'stored' || outcome?.kind === 'known') await this.#job(async (batch) => batch.add({ type: 'del', key }))
      }
    }
    run().catch((error: unknown) => this.#options.logger.warn('quarantine stays as it is', { message: String(error) }))
  }

  #observe(appends: readonly CheckedAppend[]): void {
    for (const { head, blocks, fault } of appends) {
      const last = blocks.rows[blocks.count - 1]
      if (fault !== null || last === undefined) continue
      const stamp = { ms: last.timeMs, counter: last.timeCounter }
      const author = toHex(head.author)
      if (this.#clock.observe(stamp)) this.#farFuture.set(author, stamp.ms - this.#options.clock.now())
      else this.#farFuture.delete(author)
    }
  }

  async #reload(): Promise<LogState> {
    const { state } = await openLogState(this.store, this.#options.preimage, this.#options.logger)
    queueMicrotask(() => this.#install(this.state))
    return state
  }

  #install(state: LogState): void {
    this.#chains = new Map()
    this.#refresh(state.rows.keys())
    for (const row of state.rows.values()) if (row.author === this.self) this.#clock.restore(row.lastStamp)
  }
}

/** Local text facts that are never replicated: `local/NAME`. */
export function localKey(name: string): Buffer {
  return Buffer.concat([Uint8Array.of(RANGES.local), utf8(name)])
}

