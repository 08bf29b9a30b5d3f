// The node's own answer about an export: the codec, the hashes and the membership fold of the log, applied to its lines. A path of its own
// beside scripts/verify-export.mjs, which knows only docs/protocol.md; CHAIN-12 holds the two against each other.

import { createHash, type Hash } from 'node:crypto'
import { asBuffer, compareBytes, equalBytes, isZero, toHex, tryParseHex } from '../base/bytes.ts'
import type { ErrorCode } from '../base/errors.ts'
import { isMeshName, type MeshPreimage, meshIdOf } from '../identity/mesh-id.ts'
import { claimedHead, eventHeaders } from './append-check.ts'
import { type AppendBlocks, ENCODING_JSON, rowPayload, rowType } from './append-codec.ts'
import { type ControlRecord, tryParseControl } from './control-records.ts'
import { compareHeads, EXPORT_FORMAT, eraserOf } from './export.ts'
import { type ExportedAppend, readExportedAppend } from './export-append.ts'
import { foldMesh, insideCut } from './mesh-fold.ts'
import {
  type ChainKey,
  chainKeyOf,
  type Head,
  headSealValid,
  type PublicKeyHex,
  parseChainKey,
  tryDecodeForkProof,
  tryDecodeHead
} from './statement.ts'

/**
 * `incomplete`: what is there holds, and signed words say that more exists. `unknown`: nothing to check, an author whom nobody admitted, or
 * a newer format. Only `verified` is good.
 */
export type ExportVerdict = 'verified' | 'tampered' | 'incomplete' | 'unknown'

export interface ExportReport {
  readonly verdict: ExportVerdict
  readonly code: ErrorCode | null
  readonly message: string | null
  readonly events: number
  readonly erased: number
  readonly forks: readonly ChainKey[]
}

class ExportFault extends Error {
  readonly verdict: ExportVerdict
  readonly code: ErrorCode

  constructor(verdict: ExportVerdict, code: ErrorCode, message: string) {
    super(message)
    this.verdict = verdict
    this.code = code
  }
}

function demand(holds: boolean, code: ErrorCode, message: string, verdict: ExportVerdict = 'tampered'): asserts holds {
  if (!holds) throw new ExportFault(verdict, code, message)
}

interface End {
  readonly head: Head
  readonly sealed: boolean
  continued: boolean
}

interface Row {
  /** Appends that a later one may continue, and ends of lines. */
  ends: End[]
  /** Heads of branches that begin the epoch. */
  starts: number
  forked: boolean
  lastSeq: number
}

type Fields = Readonly<Record<string, unknown>>
const NEWLINE = 0x0a
/** An append of 192 KiB whose every byte JSON escapes is a fifth of this. */
const LINE_BYTES_MAX = 8 * 1024 * 1024
const KINDS = ['format', 'append', 'fork', 'witness', 'end'] as const

function parseLine(line: Uint8Array): Fields {
  try {
    const value: unknown = JSON.parse(Buffer.from(line).toString('utf8'))
    return typeof value === 'object' && value !== null ? (value as Fields) : {}
  } catch {
    // JSON.parse has no other way to say that the text is not JSON
    return {}
  }
}

const hexOf = (value: unknown, length: number): Uint8Array | null =>
  typeof value === 'string' && !/[A-F]/.test(value) ? tryParseHex(value, length) : null

class ExportVerifier {
  #stage = -1
  #preimage: MeshPreimage | null = null
  #mesh: Uint8Array = new Uint8Array(32)
  #author: PublicKeyHex | null = null
  #last: Head | null = null
  #digest: Hash = createHash('sha256')
  readonly rows = new Map<ChainKey, Row>()
  readonly #closed = new Set<ChainKey>()
  readonly #records: ControlRecord[] = []
  readonly #erasures = new Set<string>()
  readonly #erasers = new Map<string, { readonly key: ChainKey; readonly seq: number }>()
  readonly #demanded: { readonly head: Head; readonly counts: boolean }[] = []
  events = 0
  erased = 0

  line(bytes: Uint8Array): void {
    const fields = parseLine(bytes)
    const stage = KINDS.findIndex((kind) => Object.hasOwn(fields, kind))
    const next = this.#stage < 0 ? stage === 0 : stage > 0 && stage >= this.#stage && this.#stage < 4
    demand(next, 'EXPORT_INVALID', 'unexpected line')
    if (stage !== this.#stage) this.#last = null
    this.#stage = stage
    if (stage === 0) this.#header(fields)
    else if (stage === 1) {
      this.#digest.update(bytes).update('\n')
      this.#append(fields.append)
    } else if (stage === 2) this.#fork(fields.fork)
    else if (stage === 3) this.#witness(fields.witness)
    else this.#end(fields.end)
  }

  #header(fields: Fields): void {
    const preimage = (fields.preimage ?? {}) as Fields
    const founder = hexOf(preimage.founder, 32)
    const recovery = preimage.recovery === null ? null : hexOf(preimage.recovery, 32)
    const nonce = hexOf(preimage.nonce, 16)
    const name = preimage.name
    demand(
      fields.format === EXPORT_FORMAT && founder !== null && nonce !== null,
      'EXPORT_INVALID',
      'not an export of pmesh'
    )
    demand(recovery !== null || preimage.recovery === null, 'EXPORT_INVALID', 'not an export of pmesh')
    demand(typeof name === 'string' && isMeshName(name), 'EXPORT_INVALID', 'not a name of a mesh')
    this.#preimage = { founder, recovery, nonce, name }
    this.#mesh = meshIdOf(this.#preimage)
    demand(fields.mesh === toHex(this.#mesh), 'STORE_FOREIGN', 'the mesh id does not follow from its preimage')
    this.#author = typeof fields.author === 'string' ? fields.author : null
  }

  #row(head: Head, compare: (a: Head, b: Head) => number): Row {
    demand(equalBytes(head.mesh, this.#mesh), 'STORE_FOREIGN', `a head of ${head.key} is of another mesh`)
    const excluded = this.#author !== null && toHex(head.author) !== this.#author
    demand(!excluded && (this.#last === null || compare(this.#last, head) < 0), 'EXPORT_INVALID', 'lines out of order')
    this.#last = head
    let row = this.rows.get(head.key)
    if (row === undefined) {
      row = { ends: [], starts: 0, forked: false, lastSeq: 0 }
      this.rows.set(head.key, row)
    }
    return row
  }

  #append(value: unknown): void {
    const read = readExportedAppend(value)
    demand(read !== 'format', 'EXPORT_INVALID', 'an event of a newer format', 'unknown')
    demand(read !== 'layout', 'EXPORT_INVALID', 'an append does not have the layout of one')
    const { blocks } = read as ExportedAppend
    const head = claimedHead(this.#mesh, blocks)
    this.#hashes(read as ExportedAppend, head)
    const row = this.#row(head, compareHeads)
    this.#continue(row, head)
    this.#note(head, blocks)
    this.events += head.count
  }

  #hashes({ blocks, headers, lastId }: ExportedAppend, head: Head): void {
    for (const [index, { header }] of eventHeaders(this.#mesh, blocks).entries()) {
      const given = headers[index] as Uint8Array
      const foreign = !equalBytes(given.subarray(3, 35), header.subarray(3, 35))
      demand(!foreign, 'STORE_FOREIGN', `event ${head.firstSeq + index} is of another mesh`)
      demand(
        equalBytes(given, header),
        'LOG_HASH_MISMATCH',
        `event ${head.firstSeq + index} is not what its header says`
      )
    }
    demand(
      equalBytes(head.lastId, lastId),
      'LOG_HASH_MISMATCH',
      `append ${head.firstSeq}: not the id of its last event`
    )
  }

  #continue(row: Row, head: Head): void {
    const sealed = headSealValid(head)
    if (head.firstSeq === 1) {
      demand(
        head.epoch > 1 || isZero(head.prev),
        'LOG_PREVIOUS_MISMATCH',
        `${head.key} does not begin at its beginning`
      )
      row.starts += 1
      row.forked ||= row.starts > 1
    } else {
      const before = row.ends.filter((end) => end.head.lastSeq === head.firstSeq - 1)
      demand(before.length > 0, 'LOG_SEQUENCE_GAP', `nothing leads to event ${head.firstSeq} of ${head.key}`)
      const parent = before.find((end) => equalBytes(end.head.link, head.prev))
      demand(
        parent !== undefined,
        'LOG_PREVIOUS_MISMATCH',
        `event ${head.firstSeq} of ${head.key} continues another line`
      )
      row.forked ||= parent.continued
      parent.continued = true
    }
    row.ends = row.ends.filter((end) => !end.continued || end.head.lastSeq >= head.firstSeq - 1)
    row.ends.push({ head, sealed, continued: false })
    row.lastSeq = Math.max(row.lastSeq, head.lastSeq)
  }

  #note(head: Head, blocks: AppendBlocks): void {
    const author = toHex(head.author)
    let headers: { id: Buffer }[] | null = null
    for (const [index, row] of blocks.rows.entries()) {
      const type = rowType(blocks, row)
      const payload = rowPayload(blocks, row)
      const seq = blocks.firstSeq + index
      if (type === 'event-erased') this.#erasures.add(`${head.key}/${seq}`)
      if (payload === null) {
        this.erased += 1
        const eraser = eraserOf(blocks, row)
        const key = chainKeyOf(eraser.author, eraser.chain, eraser.epoch)
        this.#erasers.set(`${key}/${eraser.seq}`, { key, seq: eraser.seq })
        continue
      }
      if (row.flags !== 0 || row.encoding !== ENCODING_JSON) continue
      const body = tryParseControl(type, payload)
      if (body === null) continue
      headers ??= eventHeaders(this.#mesh, blocks)
      const place = { author, chain: head.chain, epoch: head.epoch, seq }
      const firstPrev = seq === 1 ? head.prev : null
      this.#records.push({ place, id: (headers[index] as { id: Buffer }).id, firstPrev, body })
      if (body.type === 'epoch-opened' && seq === 1 && head.epoch > 1) this.#epochOpened(head, body)
    }
  }

  /** Has effect only where the append continues the head that it keeps; then the file must hold that head and the adopted branches. */
  #epochOpened(head: Head, { kept, branches }: { kept: Head | null; branches: readonly Head[] }): void {
    const before = chainKeyOf(head.author, head.chain, head.epoch - 1)
    const continues = kept === null ? isZero(head.prev) : equalBytes(kept.link, head.prev)
    const heads = kept === null ? branches : [kept, ...branches]
    if (!continues || heads.some(({ key }) => key !== before)) return
    this.#closed.add(before)
    for (const counted of heads) this.#demanded.push({ head: counted, counts: true })
  }

  #fork(value: unknown): void {
    const bytes = hexOf(value, 424)
    const proof = bytes === null ? null : tryDecodeForkProof(bytes)
    demand(proof !== null, 'LOG_SEAL_INVALID', 'a fork that is not proven')
    const first = (bytes as Uint8Array).subarray(0, 32)
    demand(
      equalBytes(first, proof.a.mesh) && compareBytes(proof.a.link, proof.b.link) < 0,
      'EXPORT_INVALID',
      'a fork proof out of order'
    )
    this.#row(proof.a, comparePlaces).forked = true
  }

  #witness(value: unknown): void {
    const bytes = hexOf(value, 212)
    const head = bytes === null ? null : tryDecodeHead(bytes)
    demand(head !== null, 'EXPORT_INVALID', 'a witness is not a head')
    this.#row(head, comparePlaces)
    demand(headSealValid(head), 'LOG_SEAL_INVALID', `a witness of ${head.key} is not signed by its author`)
    this.#demanded.push({ head, counts: false })
  }

  #end(value: unknown): void {
    const { events, digest } = (value ?? {}) as Fields
    const same = events === this.events && digest === this.#digest.digest('hex')
    demand(same, 'EXPORT_INVALID', 'number of events or digest do not fit the lines before')
  }

  /** Demanded heads that are no end of a line: only a second reading can find them. */
  get unmet(): Head[] {
    const ends = new Set([...this.rows.values()].flatMap((row) => row.ends.map(({ head }) => toHex(head.link))))
    return this.#demanded.map(({ head }) => head).filter((head) => !ends.has(toHex(head.link)))
  }

  /** `found`: links of `unmet` heads that stand inside the file. */
  finish(found: ReadonlySet<string>): void {
    demand(this.#stage === 4, 'EXPORT_INVALID', 'the file ends before its last line', 'incomplete')
    demand(this.events > 0, 'LOG_UNKNOWN', 'there is no event: nothing can be said', 'unknown')
    const unsigned = [...this.rows.values()].some((row) => row.ends.some((end) => !end.continued && !end.sealed))
    demand(!unsigned, 'LOG_SEAL_INVALID', 'a chain ends with a seal that does not hold')
    const unmet = new Set(this.unmet.map((head) => toHex(head.link)).filter((link) => !found.has(link)))
    const lacking = this.#demanded.filter(
      ({ head, counts }) => unmet.has(toHex(head.link)) && (counts || !this.#excused(head))
    )
    const inside = lacking.find(({ head }) => head.lastSeq <= this.#lastSeq(head.key))
    demand(inside === undefined, 'LOG_FORKED', `${inside?.head.key} contradicts a head that its author signed`)
    const absent = [...this.#erasers].filter(([place]) => !this.#erasures.has(place)).map(([, eraser]) => eraser)
    const gone = absent.find(({ key, seq }) => seq <= this.#lastSeq(key))
    demand(gone === undefined, 'LOG_VERIFICATION_FAILED', 'a payload is gone without an erasure')
    this.#membership()
    demand(
      lacking.length === 0,
      'LOG_TRUNCATED',
      `${lacking[0]?.head.key} goes on to event ${lacking[0]?.head.lastSeq}`,
      'incomplete'
    )
    demand(absent.length === 0, 'LOG_VERIFICATION_FAILED', 'pending: an erasure is not here', 'incomplete')
  }

  #lastSeq(key: ChainKey): number {
    return this.rows.get(key)?.lastSeq ?? 0
  }

  /** A forked chain, or one that a later epoch closed, may keep lines that do not count as heads only. */
  #excused(head: Head): boolean {
    return this.rows.get(head.key)?.forked === true || this.#closed.has(head.key)
  }

  #membership(): void {
    if (this.#author !== null) return
    const { members } = foldMesh(this.#mesh, this.#preimage as MeshPreimage, this.#records)
    for (const [key, { lastSeq }] of this.rows) {
      const { author, chain, epoch } = parseChainKey(key)
      const member = members.get(author)
      demand(member !== undefined, 'LOG_UNKNOWN', `nobody admitted ${author}`, 'unknown')
      const inside = lastSeq === 0 || insideCut(member, { author, chain, epoch, seq: lastSeq })
      demand(inside, 'LOG_VERIFICATION_FAILED', `${key} goes beyond the cut of its removed author`)
    }
  }
}

function comparePlaces(a: Head, b: Head): number {
  return compareBytes(a.author, b.author) || a.chain - b.chain || a.epoch - b.epoch
}

/** Lines without their ends. A line that is too long, or a last one without an end, is a fault of the file. */
async function* linesOf(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  let rest: Buffer = Buffer.alloc(0)
  for await (const chunk of chunks) {
    const bytes = rest.length === 0 ? asBuffer(chunk) : Buffer.concat([rest, chunk])
    let from = 0
    for (let at = bytes.indexOf(NEWLINE); at >= 0; at = bytes.indexOf(NEWLINE, from)) {
      yield bytes.subarray(from, at)
      from = at + 1
    }
    rest = Buffer.from(bytes.subarray(from))
    demand(rest.length <= LINE_BYTES_MAX, 'EXPORT_INVALID', 'the line is too long')
  }
  demand(rest.length === 0, 'EXPORT_INVALID', 'the last line is cut off', 'incomplete')
}

/** Links among `wanted` of the appends in the file. */
async function linksIn(
  lines: AsyncIterable<Uint8Array>,
  wanted: ReadonlySet<string>,
  mesh: Uint8Array
): Promise<Set<string>> {
  const found = new Set<string>()
  for await (const line of lines) {
    const read = readExportedAppend(parseLine(line).append)
    if (typeof read === 'string') continue
    const link = toHex(claimedHead(mesh, read.blocks).link)
    if (wanted.has(link)) found.add(link)
  }
  return found
}

/**
 * Verifies an export; never throws for what the file says. `open` gives its bytes from the beginning, in chunks of any size, and is called
 * again when a signed head has to be looked for. Bounded memory: one line at a time.
 */
export async function verifyExport(open: () => AsyncIterable<Uint8Array>): Promise<ExportReport> {
  const verifier = new ExportVerifier()
  const report = (verdict: ExportVerdict, code: ErrorCode | null, message: string | null): ExportReport => {
    const forks = [...verifier.rows].filter(([, row]) => row.forked).map(([key]) => key)
    return { verdict, code, message, events: verifier.events, erased: verifier.erased, forks }
  }
  let number = 0
  try {
    for await (const line of linesOf(open())) {
      number += 1
      verifier.line(line)
    }
    const wanted = verifier.unmet
    const [first] = wanted
    const links = new Set(wanted.map((head) => toHex(head.link)))
    verifier.finish(first === undefined ? links : await linksIn(linesOf(open()), links, first.mesh))
    return report('verified', null, null)
  } catch (error) {
    if (error instanceof ExportFault) return report(error.verdict, error.code, `line ${number}: ${error.message}`)
    throw error
  }
}
