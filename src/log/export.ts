// Writes an export: JSON lines, byte for byte the same on every node that holds the same chains (docs/protocol.md "Export").
// Bounded memory: one append at a time, and chunks of a fixed size. Checks nothing: verify-export.ts and scripts/verify-export.mjs do.

import { isUtf8 } from 'node:buffer'
import { createHash } from 'node:crypto'
import { compareBytes, toHex } from '../base/bytes.ts'
import { MeshError } from '../base/mesh-error.ts'
import type { MeshPreimage } from '../identity/mesh-id.ts'
import { eventHeaders } from './append-check.ts'
import { type AppendBlocks, type AppendRow, rowPayload, rowSalt } from './append-codec.ts'
import type { EventPlace } from './control-records.ts'
import { encodeForkProof, encodeHead, type ForkProof, type Head, type PublicKeyHex } from './statement.ts'
import { readU64 } from './store-keys.ts'

export const EXPORT_FORMAT = 'pmesh-export/1'
const CHUNK_BYTES = 256 * 1024
const COMMITMENT_BYTES = 32

/** What an export is made of. `appends` come in the order of author, chain, epoch, firstSeq, link; of one author when it is named. */
export interface ExportSource {
  readonly mesh: Uint8Array
  readonly preimage: MeshPreimage
  appends(author?: PublicKeyHex): AsyncIterable<{ readonly head: Head; readonly blocks: AppendBlocks }>
  forks(): readonly ForkProof[]
  /** Highest verified head of each chain key. */
  witnesses(): readonly Head[]
}

export interface ExportOptions {
  /** Only this author's chains. */
  readonly author?: PublicKeyHex | null
  readonly signal?: AbortSignal
  /** Called now and then with the number of events written. */
  readonly onProgress?: (events: number) => void
}

export interface ExportSummary {
  readonly events: number
  readonly bytes: number
  /** Hex of the SHA-256 over all append lines: equal where the chains are equal. */
  readonly digest: string
}

/** Negative when `a` comes before `b` in an export: author, chain, epoch, firstSeq, link. */
export function compareHeads(a: Head, b: Head): number {
  const place = compareBytes(a.author, b.author) || a.chain - b.chain || a.epoch - b.epoch || a.firstSeq - b.firstSeq
  return place || compareBytes(a.link, b.link)
}

/** Writes all lines to `sink`, whose promise is waited for. CANCELLED when `signal` aborts; what `sink` got by then is no export. */
export async function exportLog(
  source: ExportSource,
  sink: (chunk: Buffer) => Promise<void>,
  options: ExportOptions = {}
): Promise<ExportSummary> {
  const author = options.author ?? null
  const writer = new LineWriter(sink)
  const digest = createHash('sha256')
  let events = 0
  let last: Head | null = null
  // Taken before the appends: a head that is signed while they are read is not missing from them.
  const ofAuthor = (head: Head): boolean => author === null || toHex(head.author) === author
  const forks = source
    .forks()
    .filter(({ a }) => ofAuthor(a))
    .sort((a, b) => compareHeads(a.a, b.a))
  const witnesses = source.witnesses().filter(ofAuthor).sort(compareHeads)
  await writer.line(headerLine(source, author))
  for await (const { head, blocks } of author === null ? source.appends() : source.appends(author)) {
    if (options.signal?.aborted === true) throw new MeshError('CANCELLED', 'the export was cancelled')
    if (last !== null && compareHeads(last, head) >= 0)
      throw new MeshError('INTERNAL', 'appends to export are out of order')
    last = head
    digest.update(await writer.line({ append: appendFields(source.mesh, head, blocks) }))
    events += blocks.count
    options.onProgress?.(events)
  }
  for (const fork of forks) await writer.line({ fork: toHex(encodeForkProof(fork)) })
  for (const head of witnesses) await writer.line({ witness: toHex(encodeHead(head)) })
  const end = { events, digest: digest.digest('hex') }
  await writer.line({ end })
  await writer.flush()
  return { ...end, bytes: writer.bytes }
}

class LineWriter {
  readonly #sink: (chunk: Buffer) => Promise<void>
  #waiting: Buffer[] = []
  #waitingBytes = 0
  bytes = 0

  constructor(sink: (chunk: Buffer) => Promise<void>) {
    this.#sink = sink
  }

  async line(value: object): Promise<Buffer> {
    const line = Buffer.from(`${JSON.stringify(value)}\n`, 'utf8')
    this.#waiting.push(line)
    this.#waitingBytes += line.length
    if (this.#waitingBytes >= CHUNK_BYTES) await this.flush()
    return line
  }

  async flush(): Promise<void> {
    const chunk = Buffer.concat(this.#waiting, this.#waitingBytes)
    this.#waiting = []
    this.#waitingBytes = 0
    this.bytes += chunk.length
    await this.#sink(chunk)
  }
}

function headerLine(source: ExportSource, author: PublicKeyHex | null): object {
  const { founder, recovery, nonce, name } = source.preimage
  const preimage = {
    founder: toHex(founder),
    recovery: recovery === null ? null : toHex(recovery),
    nonce: toHex(nonce),
    name
  }
  return { format: EXPORT_FORMAT, mesh: toHex(source.mesh), ...(author === null ? {} : { author }), preimage }
}

function appendFields(mesh: Uint8Array, head: Head, blocks: AppendBlocks): object {
  const headers = eventHeaders(mesh, blocks)
  const { chain, epoch, firstSeq, count } = head
  return {
    author: toHex(head.author),
    chain,
    epoch,
    firstSeq,
    count,
    prev: toHex(head.prev),
    lastId: toHex(head.lastId),
    seal: toHex(head.seal),
    events: blocks.rows.map((row, index) => ({
      header: toHex((headers[index] as { header: Buffer }).header),
      ...payloadFields(blocks, row)
    }))
  }
}

function payloadFields(blocks: AppendBlocks, row: AppendRow): object {
  const salt = rowSalt(blocks, row)
  const payload = rowPayload(blocks, row)
  if (salt === null || payload === null) return { erased: eraserOf(blocks, row) }
  return isUtf8(payload)
    ? { salt: toHex(salt), text: payload.toString('utf8') }
    : { salt: toHex(salt), payload: toHex(payload) }
}

/** Place of the erasure that took the payload of an absent row. */
export function eraserOf(blocks: AppendBlocks, row: AppendRow): EventPlace {
  const at = row.absentAt + COMMITMENT_BYTES
  const { header } = blocks
  const author = header.toString('hex', at, at + 32)
  return {
    author,
    chain: header.readUInt32BE(at + 32),
    epoch: header.readUInt32BE(at + 36),
    seq: readU64(header, at + 40)
  }
}
