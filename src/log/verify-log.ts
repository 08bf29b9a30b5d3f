// Verifies what the store holds: hashes, links, seals and sequence of every append, then the ends against rows, cuts and witnessed heads.
// An empty or unknown chain is "unknown", never valid. Bounded memory: one append at a time.

import { equalBytes, fromHex, isZero, toHex } from '../base/bytes.ts'
import type { ErrorCode } from '../base/errors.ts'
import { lastIdOf } from './append-check.ts'
import type { AppendReader, StoredBlocks } from './append-reader.ts'
import type { LogState } from './batch.ts'
import { cutSeqOf } from './removed-chain.ts'
import { type ChainKey, type Head, headSealValid, type PublicKeyHex } from './statement.ts'

export interface AuthorReport {
  readonly author: PublicKeyHex
  readonly events: number
  readonly chains: number
  readonly erased: number
  readonly sealsValid: boolean
  /** Null when everything held. */
  readonly fault: { readonly code: ErrorCode; readonly message: string } | null
}

interface Walk {
  readonly key: ChainKey
  /** Link in hex → last sequence number, of every append that a next one may follow. Two entries outside forks at most. */
  readonly ends: Map<string, number>
  /** Links of the row's tips that were found. */
  readonly tips: Set<string>
  highest: number
}

class AuthorWalk {
  readonly #state: LogState
  readonly author: PublicKeyHex
  events = 0
  erased = 0
  chains = 0
  sealsValid = true
  fault: AuthorReport['fault'] = null
  #walk: Walk | null = null
  readonly seen = new Set<ChainKey>()

  constructor(state: LogState, author: PublicKeyHex) {
    this.#state = state
    this.author = author
  }

  append({ head, blocks }: StoredBlocks): void {
    if (this.#walk?.key !== head.key) this.#begin(head.key)
    const walk = this.#walk as Walk
    this.events += head.count
    this.erased += blocks.rows.filter((row) => row.bodyAt < 0).length
    const place = `event ${head.firstSeq} of epoch ${head.epoch}`
    if (!equalBytes(lastIdOf(this.#state.mesh, blocks), head.lastId))
      this.#fail('LOG_HASH_MISMATCH', `${place}: the hash does not hold`)
    if (!headSealValid(head)) this.sealsValid = false
    this.#continues(walk, head, place)
    const fork = this.#state.rows.get(head.key)?.fork ?? null
    if (fork === null || head.lastSeq < fork.forkSeq - 1) walk.ends.clear()
    const link = toHex(head.link)
    walk.ends.set(link, head.lastSeq)
    walk.highest = Math.max(walk.highest, head.lastSeq)
    if (this.#state.rows.get(head.key)?.tips.some((tip) => equalBytes(tip.link, head.link)) === true)
      walk.tips.add(link)
  }

  #continues(walk: Walk, head: Head, place: string): void {
    if (head.firstSeq === 1) {
      if (head.epoch === 1 && !isZero(head.prev))
        this.#fail('LOG_PREVIOUS_MISMATCH', `${place} does not begin the chain`)
      return
    }
    const before = walk.ends.get(toHex(head.prev))
    if (before === head.firstSeq - 1) return
    const gap = ![...walk.ends.values()].includes(head.firstSeq - 1)
    if (gap) this.#fail('LOG_SEQUENCE_GAP', `event ${head.firstSeq - 1} before ${place} is missing`)
    else this.#fail('LOG_PREVIOUS_MISMATCH', `${place} does not continue event ${head.firstSeq - 1}`)
  }

  #begin(key: ChainKey): void {
    this.finishChain()
    this.chains++
    this.seen.add(key)
    this.#walk = { key, ends: new Map(), tips: new Set(), highest: 0 }
  }

  /** Compares the end of a chain with what signed heads prove to exist. */
  finishChain(): void {
    const walk = this.#walk
    if (walk === null) return
    this.checkEnds(walk.key, walk.tips, walk.highest)
    this.#walk = null
  }

  checkEnds(key: ChainKey, tips: ReadonlySet<string>, highest: number): void {
    const row = this.#state.rows.get(key)
    const cut = row === undefined ? null : cutSeqOf(this.#state, row)
    for (const tip of row?.tips ?? []) {
      if (!tips.has(toHex(tip.link)))
        this.#fail(
          'LOG_TRUNCATED',
          `the store ends before event ${tip.lastSeq} of epoch ${tip.epoch}, which it once held`
        )
      else if (!headSealValid(tip))
        this.#fail('LOG_SEAL_INVALID', `the last seal, of event ${tip.lastSeq} of epoch ${tip.epoch}, does not hold`)
    }
    const witness = row?.witness ?? null
    const counts = cut === null || (witness !== null && witness.lastSeq <= cut)
    if (witness !== null && counts && witness.lastSeq > highest) {
      this.#fail(
        'LOG_TRUNCATED',
        `a signed head proves event ${witness.lastSeq} of epoch ${witness.epoch}; the log here ends at ${highest}`
      )
    }
  }

  #fail(code: ErrorCode, message: string): void {
    this.fault ??= { code, message }
  }

  report(): AuthorReport {
    const { author, events, chains, erased, sealsValid } = this
    const unknown = events === 0 ? ({ code: 'LOG_UNKNOWN', message: 'no event of this author is here' } as const) : null
    return { author, events, chains, erased, sealsValid, fault: this.fault ?? unknown }
  }
}

export interface VerifyOptions {
  /** One author, or every member and author. */
  readonly author: PublicKeyHex | null
  readonly signal: AbortSignal
  readonly progress: (done: number, total: number) => void
}

/** One report per author, by key. Throws what the signal's reason is when aborted. */
export async function verifyLog(
  state: LogState,
  reader: AppendReader,
  options: VerifyOptions
): Promise<AuthorReport[]> {
  const authors =
    options.author === null
      ? new Set([...state.view.members.keys(), ...[...state.rows.values()].map((row) => row.author)])
      : new Set([options.author])
  const total = [...state.rows.values()].reduce((sum, row) => sum + (authors.has(row.author) ? row.events : 0), 0)
  const reports: AuthorReport[] = []
  let done = 0
  for (const author of [...authors].sort()) {
    const walk = new AuthorWalk(state, author)
    for await (const stored of reader.all(fromHex(author))) {
      options.signal.throwIfAborted()
      walk.append(stored)
      done += stored.head.count
      options.progress(done, total)
    }
    walk.finishChain()
    for (const row of state.rows.values())
      if (row.author === author && !walk.seen.has(row.key)) walk.checkEnds(row.key, new Set(), 0)
    reports.push(walk.report())
  }
  return reports
}
