// Local appends: callers wait here with their batches; each time the writer is free, everything that waits becomes one or more sealed
// appends of the own chain. No caller's batch is cut; memory is bounded by letting callers wait (PROTOCOL §1 "Append").

import { utf8 } from '../base/bytes.ts'
import type { Random } from '../base/clock.ts'
import type { ErrorCode } from '../base/errors.ts'
import { LIMITS } from '../base/limits.ts'
import { MeshError } from '../base/mesh-error.ts'
import { hasRight } from '../identity/certificate.ts'
import type { SigningKey } from '../identity/ed25519.ts'
import { buildAppend, type EventDraft, type PreparedEvent, prepareBatch } from './append-builder.ts'
import type { Batch } from './batch.ts'
import type { ChainRow } from './chain-row.ts'
import type { CommitWriter } from './commit-writer.ts'
import { eventType, roleAtLeast } from './event-types.ts'
import type { HybridClock, Stamp } from './hybrid-clock.ts'
import { grantAt } from './mesh-fold.ts'
import { chainKeyOf, type Head } from './statement.ts'

export interface AppendedEvent {
  readonly id: Uint8Array
  readonly epoch: number
  readonly seq: number
}

/** `open`: appends run. `held`: they wait (recovering). A code: they are refused. */
export type WriteMode = 'open' | 'held' | ErrorCode

interface Caller {
  readonly events: readonly PreparedEvent[]
  readonly bytes: number
  resolve(events: AppendedEvent[]): void
  reject(error: MeshError): void
}

interface Group {
  readonly callers: Caller[]
  readonly events: PreparedEvent[]
  bytes: number
}

interface StagedGroup {
  readonly callers: readonly Caller[]
  /** Per caller, once its append is built. */
  readonly results: AppendedEvent[][]
}

export interface OwnLaneOptions {
  readonly mesh: Uint8Array
  readonly key: SigningKey
  readonly clock: HybridClock
  readonly random: Random
}

const WAITING_CALLERS_MAX = 65_536

export class OwnLane {
  readonly #options: OwnLaneOptions
  readonly #writer: CommitWriter
  #mode: WriteMode = 'held'
  #queue: Caller[] = []
  #queuedEvents = 0
  #queuedBytes = 0
  #room: (() => void)[] = []
  #requested = false
  /** The own chain cannot go on as it is known here; every commit looks again. */
  #blocked = false

  constructor(options: OwnLaneOptions, writer: CommitWriter) {
    this.#options = options
    this.#writer = writer
  }

  get mode(): WriteMode {
    return this.#mode
  }

  setMode(mode: WriteMode): void {
    this.#mode = mode
    if (mode === 'open') this.kick()
    else if (mode !== 'held') this.#refuseAll(new MeshError(mode, 'this node does not append'))
  }

  /** Looks again at what waits: after a commit that may have unblocked it. */
  kick(): void {
    this.#blocked = false
    this.#request()
  }

  /** Resolves when the events are on the disk. One caller's events are neighbours in one append. `first`: before everything that waits. */
  async append(drafts: readonly EventDraft[], first = false): Promise<AppendedEvent[]> {
    const { events, bytes } = prepareBatch(drafts)
    this.#assertWriting()
    while (
      this.#queuedEvents + events.length > LIMITS.appendQueueEventsMax ||
      this.#queuedBytes + bytes > LIMITS.appendQueueBytesMax
    ) {
      if (this.#room.length >= WAITING_CALLERS_MAX)
        throw new MeshError('LOG_QUEUE_FULL', 'too many callers wait to append')
      await new Promise<void>((resolve) => this.#room.push(resolve))
      this.#assertWriting()
    }
    return new Promise((resolve, reject) => {
      const caller: Caller = { events, bytes, resolve, reject }
      if (first) this.#queue.unshift(caller)
      else this.#queue.push(caller)
      this.#queuedEvents += events.length
      this.#queuedBytes += bytes
      this.#request()
    })
  }

  #assertWriting(): void {
    if (this.#mode !== 'open' && this.#mode !== 'held') throw new MeshError(this.#mode, 'this node does not append')
  }

  #request(): void {
    if (this.#requested || this.#blocked || this.#mode !== 'open' || this.#queue.length === 0) return
    this.#requested = true
    const staged: StagedGroup[] = []
    this.#writer.push('own', {
      stage: (batch) => {
        this.#requested = false
        this.#stage(batch, staged, false)
      },
      stageAhead: (batch) => {
        this.#stage(batch, staged, true)
        if (staged.length === 0) return false
        this.#requested = false
        queueMicrotask(() => this.#request())
        return true
      },
      durable: () => {
        for (const { callers, results } of staged) {
          for (const [index, caller] of callers.entries()) caller.resolve(results[index] as AppendedEvent[])
        }
        this.#wake()
        this.#request()
      },
      failed: (error) => {
        this.#requested = false
        for (const { callers } of staged) for (const caller of callers) caller.reject(error)
        this.#refuseAll(error)
      }
    })
  }

  #refuseAll(error: MeshError): void {
    const callers = this.#queue.splice(0)
    this.#queuedEvents = 0
    this.#queuedBytes = 0
    for (const caller of callers) caller.reject(error)
    this.#wake()
  }

  #wake(): void {
    const waiting = this.#room
    this.#room = []
    for (const resolve of waiting) resolve()
  }

  /** Fills `staged` with every caller taken, before anything can go wrong with it: nobody is left without an answer. */
  #stage(batch: Batch, staged: StagedGroup[], fullOnly: boolean): void {
    if (this.#mode !== 'open') return
    this.#blocked = wouldFork(ownRow(batch, this.#options.key.publicKeyHex))
    if (this.#blocked) return
    const groups = this.#takeGroups(batch, fullOnly)
    for (const { callers } of groups) staged.push({ callers, results: [] })
    if (groups.length > 0) this.#stepClock(batch)
    groups.forEach((group, index) => {
      const { head, ids } = this.#build(batch, group.events)
      const { results } = staged[index] as StagedGroup
      let at = 0
      for (const caller of group.callers) {
        results.push(
          caller.events.map((_event, offset) => ({
            id: ids[at + offset] as Buffer,
            epoch: head.epoch,
            seq: head.firstSeq + at + offset
          }))
        )
        at += caller.events.length
      }
    })
  }

  /** Appends `clock-stepped` first when the clock was set back (PROTOCOL §4 "Clock"). */
  #stepClock(batch: Batch): void {
    const step = this.#options.clock.stepBack()
    if (step === null) return
    const text = (stamp: Stamp): string => `${stamp.ms}.${stamp.counter}`
    const payload = utf8(JSON.stringify({ from: text(step.from), to: text(step.to) }))
    this.#build(batch, prepareBatch([{ type: 'clock-stepped', payload }]).events, step.to)
  }

  #takeGroups(batch: Batch, fullOnly: boolean): Group[] {
    const groups: Group[] = []
    const most = LIMITS.commitAppendsMax - batch.stored.length
    let taken = 0
    for (const caller of this.#queue) {
      const refusal = this.#refusal(batch, caller)
      if (refusal !== null) {
        taken++
        this.#release(caller)
        caller.reject(refusal)
        continue
      }
      const open = groups.at(-1)
      const fits =
        open !== undefined &&
        open.events.length + caller.events.length <= LIMITS.appendEventsMax &&
        open.bytes + caller.bytes <= LIMITS.appendBytesTarget
      if (!fits && (groups.length >= most || (fullOnly && this.#queuedBytes < LIMITS.appendBytesTarget))) break
      const group = fits ? open : { callers: [], events: [], bytes: 0 }
      if (!fits) groups.push(group)
      group.callers.push(caller)
      for (const event of caller.events) group.events.push(event)
      group.bytes += caller.bytes
      this.#release(caller)
      taken++
    }
    this.#queue.splice(0, taken)
    return groups
  }

  #release(caller: Caller): void {
    this.#queuedEvents -= caller.events.length
    this.#queuedBytes -= caller.bytes
  }

  /** A local append is refused unless it is authorised (PROTOCOL §2). */
  #refusal(batch: Batch, caller: Caller): MeshError | null {
    const author = this.#options.key.publicKeyHex
    const row = ownRow(batch, author)
    const grant = grantAt(batch.view, { author, chain: 0, epoch: row.epoch, seq: (row.tips[0]?.lastSeq ?? 0) + 1 })
    const checked = new Set<string>()
    for (const { type } of caller.events) {
      if (checked.has(type)) continue
      checked.add(type)
      const rule = eventType(type)
      if (grant === null) return new MeshError('EVENT_FORBIDDEN', 'this node is not a member of the mesh')
      if (
        rule === null ||
        !roleAtLeast(grant.role, rule.role) ||
        (rule.right !== null && !hasRight(grant.rights, rule.right))
      ) {
        return new MeshError('EVENT_FORBIDDEN', `a node with the role ${grant.role} cannot append ${type}`)
      }
    }
    return null
  }

  #build(batch: Batch, events: readonly PreparedEvent[], first?: Stamp): { head: Head; ids: readonly Buffer[] } {
    const { mesh, key, clock, random } = this.#options
    const row = ownRow(batch, key.publicKeyHex)
    const tip = row.tips[0]
    const place = {
      author: key.publicKey,
      chain: 0,
      epoch: row.epoch,
      firstSeq: (tip?.lastSeq ?? 0) + 1,
      prev: tip?.link ?? new Uint8Array(32)
    }
    const { head, blocks, ids } = buildAppend(mesh, key, place, events, () => first ?? clock.stamp(), random)
    batch.store(head, blocks, true)
    return { head, ids }
  }
}

/** True when an append at the end of this chain key would contradict what the own key has signed already: it waits for the next epoch. */
function wouldFork(row: ChainRow): boolean {
  return row.fork !== null || (row.witness !== null && row.witness.lastSeq > (row.tips[0]?.lastSeq ?? 0))
}

/** The row of the newest epoch of the own main chain that has events; epochs known only by their heads may lie between. */
export function ownRow(batch: Batch, self: string): ChainRow {
  let row = batch.row(chainKeyOf(self, 0, 1))
  for (let epoch = 2; ; epoch++) {
    const key = chainKeyOf(self, 0, epoch)
    if (!batch.knows(key)) return row
    const next = batch.row(key)
    if (next.tips.length > 0) row = next
  }
}
