// Finds the line of appends that a peer asks for: any stored append names the line that ends with it, unless it stands behind a cut.

import { equalBytes } from '../base/bytes.ts'
import type { AppendReader, LinePlace } from './append-reader.ts'
import type { LogState } from './batch.ts'
import type { ChainRow } from './chain-row.ts'
import { cutSeqOf } from './removed-chain.ts'
import type { ChainKey, Head } from './statement.ts'

export interface Line {
  readonly row: ChainRow
  readonly tip: Head
}

export class LineLookup {
  readonly #reader: AppendReader
  /** The line last asked for, per chain key: a fetch asks again and again for the same. */
  readonly #known = new Map<ChainKey, { tip: Head; fork: ChainRow['fork'] }>()

  constructor(reader: AppendReader) {
    this.#reader = reader
  }

  /** Null when the place is not stored or not served. */
  async find(state: LogState, key: ChainKey, place: LinePlace): Promise<Line | null> {
    const row = state.rows.get(key)
    if (row === undefined) return null
    const cut = cutSeqOf(state, row)
    if (cut !== null && place.seq > cut) return null
    const known = this.#known.get(key)
    if (known !== undefined && known.fork === row.fork && isAt(known.tip, place)) return { row, tip: known.tip }
    const ends = row.tips.filter((head) => isAt(head, place))
    const [tip] =
      ends.length > 0 ? ends : (await this.#reader.ending(row, place.seq)).filter((head) => isAt(head, place))
    if (tip === undefined) return null
    this.#known.set(key, { tip, fork: row.fork })
    return { row, tip }
  }

  /** Stored appends of the chain key went away. */
  forget(key: ChainKey): void {
    this.#known.delete(key)
  }

  forgetAll(): void {
    this.#known.clear()
  }
}

function isAt(head: Head, place: LinePlace): boolean {
  return head.lastSeq === place.seq && equalBytes(head.link.subarray(0, place.link.length), place.link)
}
