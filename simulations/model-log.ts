// A log that is easy to believe: maps in memory, records as JSON, no store, no batches. It follows the same rules as the production log
// and is what the replication machine is first tried on.

import { compareBytes, fromHex, isZero, toHex } from '../src/base/bytes.ts'
import { type SigningKey, signingKeyFromSeed } from '../src/identity/ed25519.ts'
import type { ChainState, IngestOutcome } from '../src/log/chain-state.ts'
import { sha256 } from '../src/log/hash.ts'
import {
  type ChainKey,
  chainKeyOf,
  encodeForkProof,
  encodeHead,
  type ForkProof,
  type Head,
  type PublicKeyHex,
  parseChainKey,
  sealStatement,
  tryForkProof
} from '../src/log/statement.ts'
import type { MembersView, Place, RangeResult } from '../src/replication/contract.ts'
import { foldModel, type View } from './model-fold.ts'
import { decodeModelFrame, frameOf, type Line, type ModelRecord, type Stored, sealHolds } from './model-frame.ts'
import type { Appended, SimLog, SimLogOptions, SimRecord } from './sim-log.ts'

interface Snapshot {
  readonly lines: ReadonlyMap<ChainKey, Line>
}

export class ModelLog implements SimLog {
  readonly #options: SimLogOptions
  readonly #key: SigningKey
  readonly #lines = new Map<ChainKey, Line>()
  #recovering = true
  #view: View | null = null
  #changed = new Set<ChainKey>()
  #membersChanged = false

  constructor(options: SimLogOptions, snapshot: unknown) {
    this.#options = options
    this.#key = signingKeyFromSeed(options.seed)
    const lines = (snapshot as Snapshot | null)?.lines ?? new Map<ChainKey, Line>()
    for (const [key, line] of lines) this.#lines.set(key, copyLine(line))
  }

  snapshot(): Snapshot {
    return { lines: new Map([...this.#lines].map(([key, line]) => [key, copyLine(line)])) }
  }

  setRecovering(recovering: boolean): void {
    this.#recovering = recovering
  }

  states(): readonly ChainState[] {
    return [...this.#lines.keys()].map((key) => this.#state(key))
  }

  members(): MembersView {
    const { members } = this.#folded()
    return {
      members: [...members.values()],
      selfAdmitted: members.has(this.#key.publicKeyHex),
      observer: this.#options.observer
    }
  }

  takeChanges(): readonly ChainState[] {
    const states = [...this.#changed].map((key) => this.#state(key))
    this.#changed = new Set()
    return states
  }

  takeMembersChange(): boolean {
    const changed = this.#membersChanged
    this.#membersChanged = false
    return changed
  }

  append(records: readonly SimRecord[]): Promise<Appended | null> {
    if (this.#mustOpen(records)) return Promise.resolve(null)
    const written = records.map((record) => this.#encode(record))
    const opening = records[0]?.type === 'epoch-opened' ? records[0] : null
    const epoch = opening?.epoch ?? this.#ownEpoch()
    const key = chainKeyOf(this.#key.publicKey, 0, epoch)
    const tip = opening === null ? this.#tipOf(key) : null
    const body = Buffer.from(JSON.stringify(written))
    const statement = {
      mesh: this.#options.mesh,
      author: this.#key.publicKey,
      chain: 0,
      epoch,
      firstSeq: (tip?.lastSeq ?? 0) + 1,
      count: records.length,
      prev: tip?.link ?? opening?.kept?.link ?? new Uint8Array(32),
      lastId: sha256(body)
    }
    const head = sealStatement(statement, this.#key)
    const frame = frameOf(head, body)
    this.#store({ head, frame, records: written })
    return Promise.resolve({ head, frame })
  }

  async ingest(frame: Uint8Array): Promise<readonly IngestOutcome[]> {
    const appends = decodeModelFrame(this.#options.mesh, frame)
    if (appends === null) return [{ kind: 'invalid', key: null, code: 'EVENT_INVALID' }]
    return appends.map((append) => this.#take(append))
  }

  async witness(heads: readonly Head[]): Promise<readonly boolean[]> {
    return heads.map((head) => {
      const author = toHex(head.author)
      if (compareBytes(head.mesh, this.#options.mesh) !== 0 || !sealHolds(head)) return false
      if (!this.#folded().members.has(author)) return true
      const line = this.#line(head.key)
      if (line.witness === null || head.lastSeq > line.witness.lastSeq) {
        line.witness = head
        this.#touch(head.key)
      }
      return true
    })
  }

  async recordFork(proof: ForkProof): Promise<boolean> {
    if (!sealHolds(proof.a) || !sealHolds(proof.b) || tryForkProof(proof.a, proof.b) === null) return false
    this.#fork(proof)
    return true
  }

  async readRange(
    key: ChainKey,
    after: Place | null,
    tip: Place,
    bytesMax: number
  ): Promise<RangeResult | 'diverged' | 'unknown' | 'failed'> {
    const path = this.#path(key, tip)
    if (path === null) return 'unknown'
    let from = 0
    if (after !== null) {
      from = path.findIndex(({ head }) => head.lastSeq === after.seq && startsWith(head.link, after.link)) + 1
      if (from === 0) return 'diverged'
    }
    const frames: Uint8Array[] = []
    let size = 0
    let at = from
    for (; at < path.length; at++) {
      const { frame } = path[at] as Stored
      if (frames.length > 0 && size + frame.length > bytesMax) break
      frames.push(frame)
      size += frame.length
    }
    const last = path[at - 1]?.head
    const place = last === undefined ? { seq: 0, link: new Uint8Array(32) } : { seq: last.lastSeq, link: last.link }
    return { bytes: Buffer.concat(frames), last: place, more: at < path.length }
  }

  async readPoints(key: ChainKey, tip: Place, seqs: readonly number[]): Promise<readonly (Head | null)[]> {
    const path = this.#path(key, tip)
    if (path === null) return []
    return seqs.map((seq) => path.find(({ head }) => head.firstSeq <= seq && head.lastSeq >= seq)?.head ?? null)
  }

  tryHeadOf(frame: Uint8Array): Head | null {
    const appends = decodeModelFrame(this.#options.mesh, frame)
    const [first] = appends ?? []
    return appends?.length === 1 && first !== undefined && sealHolds(first.head) ? first.head : null
  }

  lastStampMs(): number | null {
    return null
  }

  stateHash(): string {
    const parts: string[] = []
    for (const key of [...this.#lines.keys()].sort()) {
      const state = this.#state(key)
      parts.push(key, state.fork === null ? 'one line' : 'forked', ...state.tips.map((tip) => toHex(tip.link)).sort())
    }
    for (const member of [...this.#folded().members.values()].sort((a, b) => (a.key < b.key ? -1 : 1))) {
      parts.push(member.key, String(member.removed), String(member.admits))
    }
    return toHex(sha256(Buffer.from(parts.join('\n'))))
  }

  /** Every stored event as `key@link:index`, for the checker of losses. */
  holds(head: Head): boolean {
    return this.#lines.get(head.key)?.byLink.has(toHex(head.link)) ?? false
  }

  #mustOpen(records: readonly SimRecord[]): boolean {
    if (records[0]?.type === 'epoch-opened') return false
    const line = this.#lines.get(chainKeyOf(this.#key.publicKey, 0, this.#ownEpoch()))
    return line !== undefined && line.fork !== null
  }

  #encode(record: SimRecord): ModelRecord {
    switch (record.type) {
      case 'app-note':
      case 'member-admitted':
        return record
      case 'member-removed':
        return { ...record, cuts: this.#cutsNow(record.subject) }
      case 'branch-witnessed':
        return { type: record.type, head: toHex(encodeHead(record.head)) }
      case 'epoch-opened': {
        const hex = (head: Head | null): string | null => (head === null ? null : toHex(encodeHead(head)))
        const fork = record.fork === null ? null : toHex(encodeForkProof(record.fork))
        return {
          type: record.type,
          fork,
          kept: hex(record.kept),
          branches: record.branches.map((head) => toHex(encodeHead(head)))
        }
      }
    }
  }

  #cutsNow(subject: PublicKeyHex): Record<ChainKey, { seq: number; id: string }> {
    const cuts: Record<ChainKey, { seq: number; id: string }> = {}
    for (const key of this.#lines.keys()) {
      const tip = this.#tipOf(key)
      if (key.startsWith(`${subject}/`) && tip !== null) cuts[key] = { seq: tip.lastSeq, id: toHex(tip.lastId) }
    }
    return cuts
  }

  #take(append: Stored): IngestOutcome {
    const { head } = append
    const { key } = head
    const author = toHex(head.author)
    if (!sealHolds(head)) return { kind: 'invalid', key, code: 'LOG_SEAL_INVALID' }
    const view = this.#folded()
    if (!view.members.has(author)) return { kind: 'stranger', key }
    const cut = this.#cutOf(key)
    if (cut !== null && head.lastSeq > cut.seq) return { kind: 'cut', key }
    const line = this.#line(key)
    const link = toHex(head.link)
    if (line.byLink.has(link)) return { kind: 'known', key }
    const prev = toHex(head.prev)
    const before = line.byLink.get(prev)
    const first = head.firstSeq === 1
    if (
      first ? head.epoch === 1 && !isZero(head.prev) : before === undefined || before.head.lastSeq !== head.firstSeq - 1
    ) {
      return { kind: 'gap', key, haveSeq: this.#tipOf(key)?.lastSeq ?? 0 }
    }
    const wanted = (view.wanted.get(key) ?? []).some(
      (other) => other.lastSeq >= head.lastSeq && !line.byLink.has(toHex(other.link))
    )
    if (author === this.#key.publicKeyHex && !this.#recovering && !wanted) return this.#ownOutcome(append, line)
    const sibling = this.#siblingOf(line, head)
    if (sibling !== null) {
      const proof = tryForkProof(sibling, head)
      if (proof === null) return { kind: 'gap', key, haveSeq: 0 }
      this.#fork(proof)
      if (wanted) this.#store(append)
      return { kind: 'fork', key, proof: line.fork ?? proof, stored: wanted }
    }
    if (line.fork !== null && head.firstSeq >= line.fork.a.firstSeq) {
      if (wanted) this.#store(append)
      return { kind: 'fork', key, proof: line.fork, stored: wanted }
    }
    this.#store(append)
    return { kind: 'stored', key, head }
  }

  /** An own append from elsewhere: not stored while this node writes, but what it proves is kept. */
  #ownOutcome(append: Stored, line: Line): IngestOutcome {
    const { head } = append
    const sibling = this.#siblingOf(line, head)
    const proof = sibling === null ? null : tryForkProof(sibling, head)
    if (proof === null) return { kind: 'own', key: head.key }
    this.#fork(proof)
    return { kind: 'fork', key: head.key, proof, stored: false }
  }

  #siblingOf(line: Line, head: Head): Head | null {
    for (const { head: other } of line.byLink.values())
      if (other.firstSeq === head.firstSeq && toHex(other.prev) === toHex(head.prev)) return other
    return null
  }

  #store(append: Stored): void {
    const { head } = append
    const line = this.#line(head.key)
    line.byLink.set(toHex(head.link), append)
    line.tips.delete(toHex(head.prev))
    line.tips.add(toHex(head.link))
    if (line.witness === null || head.lastSeq > line.witness.lastSeq) line.witness = head
    this.#touch(head.key)
    if (append.records.some((record) => record.type !== 'app-note')) this.#refold()
  }

  #fork(proof: ForkProof): void {
    const line = this.#line(proof.a.key)
    if (line.fork !== null && line.fork.a.firstSeq <= proof.a.firstSeq) return
    line.fork = proof
    this.#touch(proof.a.key)
  }

  #touch(key: ChainKey): void {
    this.#changed.add(key)
  }

  #refold(): void {
    this.#view = null
    this.#membersChanged = true
    for (const key of this.#lines.keys()) this.#changed.add(key)
  }

  #line(key: ChainKey): Line {
    let line = this.#lines.get(key)
    if (line === undefined) {
      line = { byLink: new Map(), tips: new Set(), fork: null, witness: null }
      this.#lines.set(key, line)
    }
    return line
  }

  #ownEpoch(): number {
    let epoch = 1
    for (const key of this.#lines.keys()) {
      const parsed = parseChainKey(key)
      if (parsed.author === this.#key.publicKeyHex && this.#tipOf(key) !== null) epoch = Math.max(epoch, parsed.epoch)
    }
    return epoch
  }

  #cutOf(key: ChainKey): { seq: number; id: Uint8Array } | null {
    const cuts = this.#folded().cuts.get(key.slice(0, 64))
    if (cuts === undefined) return null
    const cut = cuts[key]
    return cut === undefined ? { seq: 0, id: new Uint8Array(32) } : { seq: cut.seq, id: fromHex(cut.id) }
  }

  #tips(key: ChainKey): Head[] {
    const line = this.#lines.get(key)
    if (line === undefined) return []
    const cut = this.#cutOf(key)
    const tips = new Map<string, Head>()
    for (const name of line.tips) {
      let stored = line.byLink.get(name)
      while (stored !== undefined && cut !== null && stored.head.lastSeq > cut.seq)
        stored = line.byLink.get(toHex(stored.head.prev))
      if (stored !== undefined) tips.set(toHex(stored.head.link), stored.head)
    }
    return [...tips.values()].sort((a, b) => b.lastSeq - a.lastSeq || compareBytes(a.link, b.link))
  }

  #tipOf(key: ChainKey): Head | null {
    return this.#tips(key)[0] ?? null
  }

  #state(key: ChainKey): ChainState {
    const line = this.#line(key)
    const { wanted, closed } = this.#folded()
    const common = {
      fork: line.fork,
      wanted: wanted.get(key) ?? [],
      closed: closed.has(key),
      cut: this.#cutOf(key),
      witness: line.witness
    }
    return { key, ...parseChainKey(key), tips: this.#tips(key), ...common, upgradeNeeded: false }
  }

  #path(key: ChainKey, tip: Place): readonly Stored[] | null {
    const line = this.#lines.get(key)
    let stored = [...(line?.byLink.values() ?? [])].find(
      ({ head }) => head.lastSeq === tip.seq && startsWith(head.link, tip.link)
    )
    const cut = this.#cutOf(key)
    if (line === undefined || stored === undefined || (cut !== null && stored.head.lastSeq > cut.seq)) return null
    const path: Stored[] = []
    while (stored !== undefined) {
      path.push(stored)
      stored = stored.head.firstSeq === 1 ? undefined : line.byLink.get(toHex(stored.head.prev))
    }
    return path.reverse()
  }

  #folded(): View {
    this.#view ??= foldModel(this.#lines, this.#options.founder)
    return this.#view
  }
}

function copyLine(line: Line): Line {
  return { byLink: new Map(line.byLink), tips: new Set(line.tips), fork: line.fork, witness: line.witness }
}

function startsWith(link: Uint8Array, prefix: Uint8Array): boolean {
  return compareBytes(link.subarray(0, prefix.length), prefix) === 0
}
