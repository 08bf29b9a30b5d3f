// The event log: one writer, many readers. Composes the commit writer, the own lane, the frame check and the readers; everything it tells
// others about is durable. It knows nothing of peers, sockets or LevelDB.

import { equalBytes, toHex } from '../base/bytes.ts'
import type { Clock, Random } from '../base/clock.ts'
import type { Logger } from '../base/logger.ts'
import { messageOf } from '../base/mesh-error.ts'
import type { SigningKey } from '../identity/ed25519.ts'
import type { MeshPreimage } from '../identity/mesh-id.ts'
import type { EventDraft } from './append-builder.ts'
import { AppendReader, isDamage, type LinePlace, type RangeFrame } from './append-reader.ts'
import type { Batch, LogState, StoredAppend } from './batch.ts'
import { chainStateOf, emptyRow } from './chain-row.ts'
import type { ChainState, IngestOutcome } from './chain-state.ts'
import { type CommitReport, CommitWriter } from './commit-writer.ts'
import { type ControlBody, encodeControl } from './control-records.ts'
import { CutFollower } from './cut-follower.ts'
import { DamageHealer } from './damage-healer.ts'
import { type EpochOpening, stageEpoch } from './epoch-opening.ts'
import type { EventStore } from './event-store.ts'
import { type CheckedFrame, checkFrame } from './frame-check.ts'
import { HybridClock } from './hybrid-clock.ts'
import { LineLookup } from './line-lookup.ts'
import { openLogState } from './log-open.ts'
import type { MeshView } from './mesh-fold.ts'
import { type AppendedEvent, OwnLane, type WriteMode } from './own-lane.ts'
import { RemoteClocks } from './remote-clocks.ts'
import { cutSeqOf } from './removed-chain.ts'
import { siblingsOf, stageAppend, stageFork } from './stage-append.ts'
import {
  type ChainKey,
  chainKeyOf,
  type ForkProof,
  type Head,
  headSealValid,
  type PublicKeyHex,
  tryForkProof
} from './statement.ts'

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

export class EventLog {
  readonly #options: EventLogOptions
  readonly #writer: CommitWriter
  readonly #own: OwnLane
  readonly #clock: HybridClock
  readonly #cuts: CutFollower
  readonly #healer: DamageHealer
  readonly reader: AppendReader
  readonly mesh: Uint8Array
  /** Chain keys that the opening found damaged and set back; the own one also when something is lost and nobody can say what: it has to recover. */
  readonly damaged: readonly ChainKey[]
  #chains = new Map<ChainKey, ChainState>()
  readonly #listeners = new Set<(commit: LogCommit) => void>()
  readonly #lines: LineLookup
  readonly #remoteClocks: RemoteClocks

  private constructor(options: EventLogOptions, opened: Awaited<ReturnType<typeof openLogState>>) {
    this.#options = options
    this.mesh = opened.state.mesh
    this.reader = new AppendReader(options.store, this.mesh)
    this.#lines = new LineLookup(this.reader)
    this.#clock = new HybridClock(options.clock)
    this.#remoteClocks = new RemoteClocks(this.#clock, options.clock, this.self)
    this.#writer = new CommitWriter(opened.state, {
      store: options.store,
      logger: options.logger,
      committed: (_state, report) => this.#committed(report),
      reload: async () => (await openLogState(options.store, options.preimage, options.logger)).state,
      reloaded: (state) => this.#reloaded(state),
      pause: options.pause
    })
    this.#own = new OwnLane(
      { mesh: this.mesh, key: options.key, clock: this.#clock, random: options.random },
      this.#writer
    )
    const parts = {
      store: options.store,
      reader: this.reader,
      mesh: this.mesh,
      logger: options.logger,
      job: this.#job.bind(this)
    }
    this.#cuts = new CutFollower(parts)
    this.#healer = new DamageHealer({ ...parts, healed: (key) => this.#lines.forget(key) })
    this.#install(opened.state)
    const own = this.ownChain().key
    this.damaged = opened.lossy && !opened.damaged.includes(own) ? [...opened.damaged, own] : opened.damaged
  }

  /** Opens the store's log. STORE_FOREIGN when it holds another mesh, STORE_DAMAGED when rows do not decode. */
  static async open(options: EventLogOptions): Promise<EventLog> {
    const log = new EventLog(options, await openLogState(options.store, options.preimage, options.logger))
    log.#cuts.follow(log.state, null)
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
    return this.#remoteClocks.farFuture
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

  /** The opening of the own chain: before everything that waits already. */
  appendFirst(drafts: readonly EventDraft[]): Promise<AppendedEvent[]> {
    return this.#own.append(drafts, true)
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
      if (next === undefined) break
      if (next.tips.length > 0 || epoch === 1) state = next
    }
    return state ?? chainStateOf(emptyRow(chainKeyOf(this.self, 0, 1)), { wanted: [], closed: false, cut: null })
  }

  /**
   * Closes the epoch that the fork or the missing head is of, the own current one when neither is named, and opens the next
   * (PROTOCOL §4 "Epoch"). Runs in any write mode. EVENT_INVALID when that epoch is not an own one or the next is begun already.
   */
  openEpoch(opening: EpochOpening): Promise<Head> {
    const { key, random } = this.#options
    return this.#job(async (batch) => stageEpoch(batch, { key, random, clock: this.#clock }, opening))
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
          const writer = this.#own.mode === 'open' ? this.self : null
          for (const append of checked.appends) outcomes.push(await stageAppend(batch, this.reader, append, writer))
        },
        durable: () => {
          this.#remoteClocks.observe(checked.appends, outcomes)
          resolve(checked.rest === null ? outcomes : [...outcomes, checked.rest])
        },
        failed: (error) => {
          const key = checked.appends[0]?.head.key ?? null
          if (isDamage(error) && key !== null) this.#healer.start(key)
          resolve([{ kind: 'failed', key }])
        }
      })
    })
  }

  /**
   * Notes heads that peers showed: raises the witness of admitted authors, and records the fork when one contradicts what is stored.
   * Tells for each head whether it is a good one of this mesh.
   */
  async recordHeads(heads: readonly Head[]): Promise<boolean[]> {
    const valid = heads.map(
      (head) => this.view.members.has(toHex(head.author)) && equalBytes(head.mesh, this.mesh) && headSealValid(head)
    )
    const news = heads.filter(
      (head, index) => valid[index] && !this.#chains.get(head.key)?.tips.some((tip) => equalBytes(tip.link, head.link))
    )
    if (news.length > 0) {
      await this.#job(async (batch) => {
        for (const head of news) await this.#noteHead(batch, head)
      })
    }
    return valid
  }

  async #noteHead(batch: Batch, head: Head): Promise<void> {
    const row = batch.row(head.key)
    for (const stored of await siblingsOf(batch, this.reader, row, head)) {
      const proof = tryForkProof(stored, head)
      if (proof !== null && headSealValid(stored)) await stageFork(batch, this.reader, proof)
    }
    batch.witness(head)
  }

  /** Records a fork that a peer proved; false when the proof does not hold or its author is not admitted. */
  recordFork(proof: ForkProof): Promise<boolean> {
    const holds =
      tryForkProof(proof.a, proof.b) !== null &&
      equalBytes(proof.a.mesh, this.mesh) &&
      headSealValid(proof.a) &&
      headSealValid(proof.b)
    if (!holds || !this.view.members.has(toHex(proof.a.author))) return Promise.resolve(false)
    return this.#job(async (batch) => {
      const { fork } = batch.row(proof.a.key)
      if (fork === null || fork.forkSeq > proof.a.firstSeq) await stageFork(batch, this.reader, proof)
      return true
    })
  }

  /**
   * A frame of whole appends behind `after` (null: from the start) on the line to `tip`, any stored append of that line named by 16 or more
   * bytes of its link. `unknown`: the tip is not stored or not served; `diverged`: the line does not contain `after`.
   */
  async readRange(
    key: ChainKey,
    after: LinePlace | null,
    tip: LinePlace,
    bytesMax: number
  ): Promise<RangeFrame | 'unknown' | 'diverged'> {
    const line = await this.#healer.reading(key, this.#lines.find(this.state, key, tip))
    return line === null ? 'unknown' : this.#healer.reading(key, this.reader.range(line.row, line.tip, after, bytesMax))
  }

  /** Heads of the appends that hold the given sequence numbers on the line to `tip`, null where it has none; empty when the tip is not stored. */
  async readPoints(key: ChainKey, tip: LinePlace, seqs: readonly number[]): Promise<readonly (Head | null)[]> {
    const line = await this.#healer.reading(key, this.#lines.find(this.state, key, tip))
    return line === null ? [] : this.#healer.reading(key, this.reader.points(line.row, line.tip, seqs))
  }

  /**
   * Tells the log of an error that a reader met: damage to a chain key starts its repair, other damage the repair of all at the next opening.
   * True when it says damage.
   */
  noteDamage(error: unknown): boolean {
    return this.#healer.note(error)
  }

  /**
   * Sets a chain key back to what can be read whole, so that peers give the rest again; what was lost stays witnessed. False when nothing is
   * wrong with it. The own chain appends nothing until it is whole again or its next epoch is open.
   */
  healDamage(key: ChainKey): Promise<boolean> {
    return this.#healer.heal(key)
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

  #job<Result>(run: (batch: Batch) => Promise<Result>): Promise<Result> {
    return new Promise((resolve, reject) => {
      let result: Result
      this.#writer.push('job', {
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
    if (viewChanged) this.#cuts.follow(this.state, before)
    const chains = changed.map((key) => this.#chains.get(key) as ChainState)
    const commit: LogCommit = {
      number: this.state.commitNumber,
      stored: batch.stored,
      chains: viewChanged ? [...this.#chains.values()] : chains,
      view: viewChanged ? this.view : null
    }
    this.#announce(commit)
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
      if (!this.#chains.has(key))
        this.#chains.set(key, chainStateOf(emptyRow(key), { wanted, closed: view.closed.has(key), cut: null }))
    }
  }

  /** What the failed write left on the disk is news to everybody: it may be there although its callers were told that it failed. */
  #reloaded(state: LogState): void {
    const [end] = this.ownChain().tips
    this.#install(state)
    if (end !== undefined && (state.rows.get(end.key)?.tips[0]?.lastSeq ?? 0) < end.lastSeq) this.#keepInMind(end)
    this.#announce({ number: state.commitNumber, stored: [], chains: [...this.#chains.values()], view: state.view })
    this.#cuts.follow(state, null)
    this.#own.kick()
  }

  /** The store came back with less of the own chain than it had acknowledged: nothing is written over that. */
  #keepInMind(end: Head): void {
    this.recordHeads([end]).catch((error: unknown) =>
      this.#options.logger.error('the own end is forgotten', { message: messageOf(error) })
    )
  }

  #install(state: LogState): void {
    this.#chains = new Map()
    this.#lines.forgetAll()
    this.#refresh(state.rows.keys())
    const own = state.rows.get(this.ownChain().key)
    if (own !== undefined) this.#clock.restore(own.lastStamp)
  }

  #announce(commit: LogCommit): void {
    for (const listener of this.#listeners) {
      try {
        listener(commit)
      } catch (error) {
        this.#options.logger.error('a listener of the log failed', { message: messageOf(error) })
      }
    }
  }
}
