// A log that is easy to believe: maps in memory, records as JSON, no store, no batches. It follows the same rules as the production log
// and is what the replication machine is first tried on.

import { compareBytes, fromHex, isZero, toHex } from '../src/base/bytes.ts'
import { type SigningKey, signingKeyFromSeed } from '../src/identity/ed25519.ts'
import type { ChainState, IngestOutcome } from '../src/log/chain-state.ts'
import { sha256 } from '../src/log/hash.ts'
import {
  type ChainKey, chainKeyOf, encodeForkProof, encodeHead, type ForkProof, HEAD_BYTES, type Head, headSealValid, type PublicKeyHex,
  parseChainKey, sealStatement, tryDecodeHead, tryForkProof
} from '../src/log/statement.ts'
import type { MembersView, MemberView, Place, RangeResult } from '../src/replication/contract.ts'
import type { Appended, SimLog, SimLogOptions, SimRecord } from './sim-log.ts'

interface Stored {
  readonly head: Head
  readonly frame: Uint8Array
  readonly records: readonly ModelRecord[]
}

/** A record as it is written: heads and proofs as hex. */
interface ModelRecord {
  readonly type: string
  readonly text?: string
  readonly subject?: string
  readonly admin?: boolean
  readonly cuts?: Readonly<Record<ChainKey, { readonly seq: number; readonly id: string }>>
  readonly head?: string
  readonly fork?: string | null
  readonly kept?: string | null
  readonly branches?: readonly string[]
}

interface Line {
  readonly byLink: Map<string, Stored>
  readonly tips: Set<string>
  fork: ForkProof | null
  witness: Head | null
}

interface Snapshot {
  readonly lines: ReadonlyMap<ChainKey, Line>
}

interface View {
  readonly members: ReadonlyMap<PublicKeyHex, MemberView>
  readonly cuts: ReadonlyMap<PublicKeyHex, Readonly<Record<ChainKey, { readonly seq: number; readonly id: string }>>>
  readonly wanted: ReadonlyMap<ChainKey, readonly Head[]>
  readonly closed: ReadonlySet<ChainKey>
}

const seals = new Map<string, boolean>()

/** Remembers what was verified: the same seal is met on every simulated node. */
export function sealHolds(head: Head): boolean {
  const name = toHex(head.link)
  const known = seals.get(name)
  if (known !== undefined) return known
  if (seals.size > 500_000) seals.clear()
  const valid = headSealValid(head)
  seals.set(name, valid)
  return valid
}

const decoded = new Map<string, Head | null>()

function headFromHex(text: string): Head | null {
  let head = decoded.get(text)
  if (head === undefined) {
    head = tryDecodeHead(fromHex(text))
    if (decoded.size > 100_000) decoded.clear()
    decoded.set(text, head)
  }
  return head
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
    return { members: [...members.values()], selfAdmitted: members.has(this.#key.publicKeyHex), observer: this.#options.observer }
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

  append(records: readonly SimRecord[]): Promise<Appended> {
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

  async readRange(key: ChainKey, after: Place | null, tip: Place, bytesMax: number): Promise<RangeResult | 'diverged' | 'unknown' | 'failed'> {
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

  stateHash(): string {
    const parts: string[] = []
    for (const key of [...this.#lines.keys()].sort()) {
      const state = this.#state(key)
      const restricted = state.fork !== null || state.closed
      const held = restricted ? state.wanted.filter((head) => this.#lines.get(key)?.byLink.has(toHex(head.link))) : state.tips
      parts.push(key, restricted ? 'restricted' : 'open', ...held.map((head) => toHex(head.link)).sort())
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
        return { type: record.type, fork, kept: hex(record.kept), branches: record.branches.map((head) => toHex(encodeHead(head))) }
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
    if (first ? head.epoch === 1 && !isZero(head.prev) : before === undefined || before.head.lastSeq !== head.firstSeq - 1) {
      return { kind: 'gap', key, haveSeq: this.#tipOf(key)?.lastSeq ?? 0 }
    }
    const wanted = (view.wanted.get(key) ?? []).some((other) => other.lastSeq >= head.lastSeq && !line.byLink.has(toHex(other.link)))
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
    for (const { head: other } of line.byLink.values()) if (other.firstSeq === head.firstSeq && toHex(other.prev) === toHex(head.prev)) return other
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
      while (stored !== undefined && cut !== null && stored.head.lastSeq > cut.seq) stored = line.byLink.get(toHex(stored.head.prev))
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
    const common = { fork: line.fork, wanted: wanted.get(key) ?? [], closed: closed.has(key), cut: this.#cutOf(key), witness: line.witness }
    return { key, ...parseChainKey(key), tips: this.#tips(key), ...common, upgradeNeeded: false }
  }

  #path(key: ChainKey, tip: Place): readonly Stored[] | null {
    const line = this.#lines.get(key)
    let stored = [...(line?.byLink.values() ?? [])].find(({ head }) => head.lastSeq === tip.seq && startsWith(head.link, tip.link))
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
    this.#view ??= this.#fold()
    return this.#view
  }

  #fold(): View {
    const written: { author: PublicKeyHex; key: ChainKey; record: ModelRecord }[] = []
    for (const [key, line] of this.#lines) {
      for (const { head, records } of line.byLink.values()) {
        for (const record of records) if (record.type !== 'app-note') written.push({ author: toHex(head.author), key, record })
      }
    }
    const members = new Map<PublicKeyHex, MemberView>([[this.#options.founder, { key: this.#options.founder, removed: false, admits: true }]])
    for (let grown = true; grown; ) {
      grown = false
      for (const { author, record } of written) {
        if (record.type !== 'member-admitted' || members.get(author)?.admits !== true || members.has(record.subject ?? '')) continue
        members.set(record.subject ?? '', { key: record.subject ?? '', removed: false, admits: record.admin ?? false })
        grown = true
      }
    }
    const cuts = new Map<PublicKeyHex, NonNullable<ModelRecord['cuts']>>()
    const wanted = new Map<ChainKey, Head[]>()
    const closed = new Set<ChainKey>()
    const want = (text: string | null | undefined): void => {
      const head = text == null ? null : headFromHex(text)
      if (head === null || !sealHolds(head)) return
      const heads = wanted.get(head.key) ?? []
      if (!heads.some((other) => compareBytes(other.link, head.link) === 0)) wanted.set(head.key, [...heads, head])
    }
    for (const { author, key, record } of written) {
      const member = members.get(author)
      if (record.type === 'member-removed' && author === this.#options.founder) {
        const subject = members.get(record.subject ?? '')
        if (subject !== undefined) members.set(subject.key, { ...subject, removed: true })
        cuts.set(record.subject ?? '', record.cuts ?? {})
      } else if (record.type === 'branch-witnessed' && member !== undefined) want(record.head)
      else if (record.type === 'epoch-opened') {
        const { chain, epoch } = parseChainKey(key)
        closed.add(chainKeyOf(author, chain, epoch - 1))
        for (const text of [record.kept, ...(record.branches ?? [])]) want(text)
      }
    }
    return { members, cuts, wanted, closed }
  }
}

function copyLine(line: Line): Line {
  return { byLink: new Map(line.byLink), tips: new Set(line.tips), fork: line.fork, witness: line.witness }
}

function startsWith(link: Uint8Array, prefix: Uint8Array): boolean {
  return compareBytes(link.subarray(0, prefix.length), prefix) === 0
}

function frameOf(head: Head, body: Uint8Array): Buffer {
  const frame = Buffer.alloc(4 + HEAD_BYTES + body.length)
  frame.writeUInt32BE(body.length, 0)
  frame.set(encodeHead(head), 4)
  frame.set(body, 4 + HEAD_BYTES)
  return frame
}


/** Null when anything but the seals does not hold. */
function decodeModelFrame(mesh: Uint8Array, frame: Uint8Array): Stored[] | null {
  const bytes = Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength)
  const appends: Stored[] = []
  for (let at = 0; at < bytes.length; ) {
    if (at + 4 + HEAD_BYTES > bytes.length) return null
    const end = at + 4 + HEAD_BYTES + bytes.readUInt32BE(at)
    const head = tryDecodeHead(bytes.subarray(at + 4, at + 4 + HEAD_BYTES))
    const body = bytes.subarray(at + 4 + HEAD_BYTES, end)
    if (head === null || end > bytes.length || compareBytes(head.mesh, mesh) !== 0) return null
    if (compareBytes(sha256(body), head.lastId) !== 0) return null
    const append = { head, frame: Buffer.from(bytes.subarray(at, end)), records: JSON.parse(body.toString()) as ModelRecord[] }
    appends.push(append)
    at = end
  }
  return appends.length > 0 ? appends : null
}
