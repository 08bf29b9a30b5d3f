// What the log keeps of one chain key, in memory and in the store's chain range. Opening reads these rows and nothing of the events.

import { compareBytes, equalBytes, fromHex, toHex } from '../base/bytes.ts'
import type { ChainState } from './chain-state.ts'
import type { Stamp } from './hybrid-clock.ts'
import type { MeshView } from './mesh-fold.ts'
import {
  type ChainKey,
  encodeHead,
  type ForkProof,
  HEAD_BYTES,
  type Head,
  type PublicKeyHex,
  parseChainKey,
  tryDecodeHead
} from './statement.ts'
import { chainSuffix, prefixed, RANGES, readU64, writeU64 } from './store-keys.ts'

/** Where an append stands in a forked chain key. */
export interface BranchAppend {
  readonly head: Head
  readonly prev: string
}

/** A fork that this node knows of. Everything before `forkSeq` is common to all branches. */
export interface ForkState {
  readonly proof: ForkProof
  readonly forkSeq: number
  /** Stored appends from the fork on, by link in hex. */
  readonly appends: ReadonlyMap<string, BranchAppend>
}

/** Replaced as a whole: a commit works on new rows and installs them once they are durable. */
export interface ChainRow {
  readonly key: ChainKey
  readonly author: PublicKeyHex
  readonly chain: number
  readonly epoch: number
  /** Ends of stored lines: highest lastSeq first, then by link. */
  readonly tips: readonly Head[]
  /** Stored events, branches included. */
  readonly events: number
  readonly lastStamp: Stamp
  readonly upgradeNeeded: boolean
  readonly fork: ForkState | null
  readonly witness: Head | null
}

const ROW_VERSION = 1
const FIXED_BYTES = 20

export function emptyRow(key: ChainKey): ChainRow {
  const { author, chain, epoch } = parseChainKey(key)
  return {
    key,
    author,
    chain,
    epoch,
    tips: [],
    events: 0,
    lastStamp: { ms: 0, counter: 0 },
    upgradeNeeded: false,
    fork: null,
    witness: null
  }
}

export function chainRowKey(range: number, row: { author: PublicKeyHex; chain: number; epoch: number }): Buffer {
  return prefixed(range, chainSuffix(fromHex(row.author), row.chain, row.epoch))
}

export function encodeChainRow(row: ChainRow): Buffer {
  const fixed = Buffer.alloc(FIXED_BYTES)
  fixed[0] = ROW_VERSION
  fixed[1] = row.upgradeNeeded ? 1 : 0
  writeU64(fixed, row.events, 2)
  fixed.writeUIntBE(row.lastStamp.ms, 10, 6)
  fixed.writeUInt16BE(row.lastStamp.counter, 16)
  fixed.writeUInt16BE(row.tips.length, 18)
  return Buffer.concat([fixed, ...row.tips.map(encodeHead)])
}

/** Null when the value is not a row of this version. */
export function tryDecodeChainRow(key: ChainKey, value: Uint8Array): ChainRow | null {
  const bytes = Buffer.from(value)
  if (bytes.length < FIXED_BYTES || bytes[0] !== ROW_VERSION) return null
  const count = bytes.readUInt16BE(18)
  if (bytes.length !== FIXED_BYTES + count * HEAD_BYTES) return null
  const tips: Head[] = []
  for (let index = 0; index < count; index++) {
    const head = tryDecodeHead(bytes.subarray(FIXED_BYTES + index * HEAD_BYTES, FIXED_BYTES + (index + 1) * HEAD_BYTES))
    if (head === null || head.key !== key) return null
    tips.push(head)
  }
  const lastStamp = { ms: bytes.readUIntBE(10, 6), counter: bytes.readUInt16BE(16) }
  return { ...emptyRow(key), tips, events: readU64(bytes, 2), lastStamp, upgradeNeeded: bytes[1] === 1 }
}

export function sortTips(tips: readonly Head[]): Head[] {
  return [...tips].sort((a, b) => b.lastSeq - a.lastSeq || compareBytes(a.link, b.link))
}

/** Ends of the lines of a forked chain key; the end of the common part when nothing behind it is stored. */
export function forkTips(fork: ForkState, commonTip: Head | null): Head[] {
  const parents = new Set([...fork.appends.values()].map((append) => append.prev))
  const leaves = [...fork.appends.values()]
    .filter((append) => !parents.has(toHex(append.head.link)))
    .map((append) => append.head)
  if (leaves.length > 0) return sortTips(leaves)
  return commonTip === null ? [] : [commonTip]
}

/** Links (hex) of the appends from the fork on that lead to one of `heads`: those that count. */
export function countedLinks(fork: ForkState, heads: readonly Head[]): ReadonlySet<string> {
  const counted = new Set<string>()
  for (const head of heads) {
    let link = toHex(head.link)
    for (;;) {
      const append = fork.appends.get(link)
      if (append === undefined || counted.has(link)) break
      counted.add(link)
      link = append.prev
    }
  }
  return counted
}

/** Whether an append ends exactly where a cut is. */
export function endsAtCut(head: Head, cut: { readonly seq: number; readonly id: Uint8Array }): boolean {
  return head.lastSeq === cut.seq && equalBytes(head.lastId, cut.id)
}

/** Heads that the counted lines of a forked chain key lead to. Of a removed author it is the branch that its cut names (PROTOCOL §5). */
export function vouchedHeads(
  known: Pick<MeshView, 'members' | 'wanted'>,
  row: ChainRow,
  fork: ForkState
): readonly Head[] {
  const cut = known.members.get(row.author)?.removal?.cuts.get(row.key)
  const named =
    cut === undefined ? [] : [...fork.appends.values()].map(({ head }) => head).filter((head) => endsAtCut(head, cut))
  return named.length > 0 ? named : (known.wanted.get(row.key) ?? [])
}

export function higherHead(a: Head | null, b: Head | null): Head | null {
  if (a === null) return b
  if (b === null) return a
  if (a.lastSeq !== b.lastSeq) return a.lastSeq > b.lastSeq ? a : b
  return compareBytes(a.link, b.link) <= 0 ? a : b
}

export interface RowFacts {
  readonly wanted: readonly Head[]
  readonly closed: boolean
  readonly cut: ChainState['cut']
}

export function chainStateOf(row: ChainRow, facts: RowFacts): ChainState {
  const { key, author, chain, epoch, tips, upgradeNeeded } = row
  return {
    key,
    author,
    chain,
    epoch,
    tips,
    fork: row.fork?.proof ?? null,
    wanted: facts.wanted,
    closed: facts.closed,
    cut: facts.cut,
    witness: higherHead(row.witness, tips[0] ?? null),
    upgradeNeeded
  }
}

export function chainKeyFromSuffix(suffix: Buffer): ChainKey {
  return `${suffix.toString('hex', 0, 32)}/${suffix.readUInt32BE(32)}/${suffix.readUInt32BE(36)}`
}

export const CHAIN_RANGE = RANGES.chain
