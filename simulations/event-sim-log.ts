// The production event log on a store in memory, as a simulated node needs it. A crash keeps what was synced; a snapshot is a backup.

import { toHex } from '../src/base/bytes.ts'
import { silentLogger } from '../src/base/logger.ts'
import { ALL_RIGHTS, defaultRights, issueCertificate } from '../src/identity/certificate.ts'
import { type SigningKey, signingKeyFromSeed } from '../src/identity/ed25519.ts'
import { frameAppend } from '../src/log/append-codec.ts'
import type { StoredAppend } from '../src/log/batch.ts'
import type { ChainState, IngestOutcome } from '../src/log/chain-state.ts'
import { type ControlBody, type Cut, encodeControl } from '../src/log/control-records.ts'
import { EventLog, type LogCommit } from '../src/log/event-log.ts'
import { sha256 } from '../src/log/hash.ts'
import type { ChainKey, ForkProof, Head, PublicKeyHex } from '../src/log/statement.ts'
import type { MembersView, OwnRecord, Place, RangeResult } from '../src/replication/contract.ts'
import { MemoryStore, type MemoryStoreImage } from '../src/store/memory-store.ts'
import type { Appended, SimLog, SimLogKind, SimLogOptions, SimLogPorts, SimRecord } from './sim-log.ts'

class EventSimLog implements SimLog {
  readonly #log: EventLog
  readonly #store: MemoryStore
  readonly #key: SigningKey
  readonly #options: SimLogOptions
  readonly #ports: SimLogPorts
  #changed = new Map<ChainKey, ChainState>()
  #membersChanged = false
  #own: StoredAppend[] = []

  constructor(log: EventLog, store: MemoryStore, key: SigningKey, options: SimLogOptions, ports: SimLogPorts) {
    this.#log = log
    this.#store = store
    this.#key = key
    this.#options = options
    this.#ports = ports
    log.onCommit((commit) => this.#committed(commit))
  }

  #committed(commit: LogCommit): void {
    for (const state of commit.chains) this.#changed.set(state.key, state)
    if (commit.view !== null) this.#membersChanged = true
    for (const stored of commit.stored) if (stored.own) this.#own.push(stored)
  }

  get log(): EventLog {
    return this.#log
  }

  states(): readonly ChainState[] {
    return [...this.#log.chains.values()]
  }

  members(): MembersView {
    const { members } = this.#log.view
    const list = [...members.values()].map(({ key, removal, role }) => ({
      key,
      removed: removal !== null,
      admits: role === 'admin'
    }))
    const self = members.get(this.#key.publicKeyHex)
    return { members: list, selfAdmitted: self !== undefined, observer: this.#options.observer }
  }

  setRecovering(recovering: boolean): void {
    this.#log.setWriteMode(recovering ? 'held' : 'open')
  }

  async append(records: readonly SimRecord[]): Promise<Appended | null> {
    const opening = records[0]?.type === 'epoch-opened' ? records[0] : null
    this.#own = []
    if (opening !== null) await this.#openEpoch(opening)
    else {
      const { fork, closed } = this.#log.ownChain()
      if ((fork !== null && !closed) || this.#log.writeMode !== 'open') return null
      await this.#log.append(records.map((record) => this.#draft(record)))
    }
    const last = this.#own.at(-1)
    return last === undefined ? null : { head: last.head, frame: frameAppend(last.blocks.header, last.blocks.body) }
  }

  async #openEpoch(record: OwnRecord & { readonly type: 'epoch-opened' }): Promise<void> {
    const { fork, missing, branches } = record
    if (this.#log.ownChain().epoch < record.epoch)
      await this.#log.openEpoch({ fork, missing, branches, instance: this.#ports.instance() })
  }

  #draft(record: SimRecord): { type: string; payload: Uint8Array } {
    if (record.type === 'app-note')
      return { type: record.type, payload: Buffer.from(JSON.stringify({ text: record.text })) }
    const body = this.#body(record)
    return { type: body.type, payload: encodeControl(body) }
  }

  #body(record: Exclude<SimRecord, { readonly type: 'app-note' | 'epoch-opened' }> | SimRecord): ControlBody {
    switch (record.type) {
      case 'branch-witnessed':
        return { type: record.type, head: record.head }
      case 'member-removed':
        return { type: record.type, subject: record.subject, cuts: this.#cuts(record.subject) }
      case 'member-admitted': {
        const role = record.admin ? 'admin' : 'member'
        const certificate = issueCertificate(this.#key, {
          mesh: this.#options.mesh,
          subject: Buffer.from(record.subject, 'hex'),
          rank: record.admin ? 10 : 20,
          role,
          rights: record.admin ? ALL_RIGHTS : defaultRights(role),
          expiryMs: 0
        })
        return { type: record.type, certificate, invite: null }
      }
      default:
        throw new Error(`no body of ${record.type}`)
    }
  }

  #cuts(subject: PublicKeyHex): Cut[] {
    const cuts: Cut[] = []
    for (const { author, chain, epoch, tips } of this.#log.chains.values()) {
      const [tip] = tips
      if (author === subject && tip !== undefined) cuts.push({ chain, epoch, seq: tip.lastSeq, id: tip.lastId })
    }
    return cuts
  }

  ingest(frame: Uint8Array): Promise<readonly IngestOutcome[]> {
    return this.#log.ingest(frame, 'sync')
  }

  witness(heads: readonly Head[]): Promise<readonly boolean[]> {
    return this.#log.recordHeads(heads)
  }

  recordFork(proof: ForkProof): Promise<boolean> {
    return this.#log.recordFork(proof)
  }

  readRange(
    key: ChainKey,
    after: Place | null,
    tip: Place,
    bytesMax: number
  ): Promise<RangeResult | 'diverged' | 'unknown' | 'failed'> {
    return this.#log.readRange(key, after, tip, bytesMax)
  }

  readPoints(key: ChainKey, tip: Place, seqs: readonly number[]): Promise<readonly (Head | null)[]> {
    return this.#log.readPoints(key, tip, seqs)
  }

  takeChanges(): readonly ChainState[] {
    const states = [...this.#changed.values()]
    this.#changed = new Map()
    return states
  }

  takeMembersChange(): boolean {
    const changed = this.#membersChanged
    this.#membersChanged = false
    return changed
  }

  tryHeadOf(frame: Uint8Array): Head | null {
    const { appends, rest } = this.#log.check(frame)
    const [first] = appends
    return rest === null && appends.length === 1 && first !== undefined && first.fault === null ? first.head : null
  }

  async holds(head: Head): Promise<boolean> {
    const row = this.#log.state.rows.get(head.key)
    if (row === undefined) return false
    const heads = await this.#log.reader.headsAt(row, head.firstSeq)
    return heads.some((other) => toHex(other.link) === toHex(head.link))
  }

  lastStampMs(author: PublicKeyHex): number | null {
    let newest: number | null = null
    for (const row of this.#log.state.rows.values()) {
      if (row.author === author) newest = Math.max(newest ?? 0, row.lastStamp.ms)
    }
    return newest
  }

  stateHash(): string {
    const parts: string[] = []
    for (const state of [...this.states()].sort((a, b) => (a.key < b.key ? -1 : 1))) {
      if (state.tips.length === 0 && state.witness === null) continue
      parts.push(
        state.key,
        state.fork === null ? 'one line' : 'forked',
        ...state.tips.map((tip) => toHex(tip.link)).sort()
      )
    }
    const { members, closed, opened } = this.#log.view
    for (const member of [...members.values()].sort((a, b) => (a.key < b.key ? -1 : 1))) {
      parts.push(member.key, member.role, String(member.rank), String(member.rights), String(member.removal !== null))
    }
    parts.push(...[...closed.keys()].sort(), ...[...opened].sort())
    return toHex(sha256(Buffer.from(parts.join('\n'))))
  }

  snapshot(): MemoryStoreImage {
    return this.#store.snapshot()
  }
}

export const eventLogKind: SimLogKind = {
  damaged(snapshot, fromNewest) {
    const image = snapshot as MemoryStoreImage
    const gone = image.log.length - 1 - fromNewest
    return gone < 0 ? image : { ...image, log: image.log.filter((_, index) => index !== gone) }
  },
  async open(options, snapshot, ports) {
    const store = new MemoryStore()
    if (snapshot !== null) {
      store.restore(snapshot as MemoryStoreImage)
      await store.reopen()
    }
    const key = signingKeyFromSeed(options.seed)
    const log = await EventLog.open({
      store,
      preimage: options.preimage,
      key,
      clock: ports.clock,
      random: ports.random,
      logger: silentLogger,
      pause: () => Promise.resolve()
    })
    return new EventSimLog(log, store, key, options, ports)
  }
}
