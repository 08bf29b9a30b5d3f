// What happens to stored events when the cut of a removed author moves (PROTOCOL §5): behind the cut they go to quarantine – kept, never
// served, out of every view – and come back when a more senior removal cuts later. Works in steps of bounded size, highest appends first.

import { asBuffer, equalBytes, fromHex, toHex } from '../base/bytes.ts'
import { LIMITS } from '../base/limits.ts'
import { frameAppend } from './append-codec.ts'
import type { AppendReader } from './append-reader.ts'
import { removeOperations, suffixOf } from './append-rows.ts'
import type { Batch, LogState } from './batch.ts'
import { forkTips } from './chain-row.ts'
import type { EventStore } from './event-store.ts'
import type { ChainKey, Head, PublicKeyHex } from './statement.ts'
import { prefixed, RANGES, rangeOf } from './store-keys.ts'

/** Highest valid sequence number of a chain key: 0 for a removed author's unlisted one and for who is not admitted, null when all is valid. */
export function cutSeqOf(state: Pick<LogState, 'view'>, row: { key: ChainKey; author: PublicKeyHex }): number | null {
  const member = state.view.members.get(row.author)
  if (member === undefined) return 0
  const { removal } = member
  return removal === null ? null : (removal.cuts.get(row.key)?.seq ?? 0)
}

/** Chain keys that hold events behind their author's cut. */
export function keysBehindCut(state: LogState): ChainKey[] {
  const keys: ChainKey[] = []
  for (const row of state.rows.values()) {
    const cut = cutSeqOf(state, row)
    if (cut !== null && row.tips.some((tip) => tip.lastSeq > cut)) keys.push(row.key)
  }
  return keys
}

/** Moves the highest appends behind the cut to quarantine, about a megabyte at a time. True when more are left. */
export async function quarantineStep(batch: Batch, reader: AppendReader, key: ChainKey): Promise<boolean> {
  const row = batch.row(key)
  const cut = cutSeqOf(batch, row)
  if (cut === null || row.tips.every((tip) => tip.lastSeq <= cut)) return false
  const heads: Head[] = []
  let below: Head | null = null
  // The append that the cut falls into may be as long as an append can be, and so may the one before it.
  for await (const head of reader.headsFrom(row, Math.max(1, cut - 2 * LIMITS.appendEventsMax))) {
    if (head.lastSeq > cut) heads.push(head)
    else if (below === null || head.lastSeq > below.lastSeq) below = head
  }
  const gone = new Set<string>()
  let bytes = 0
  let events = 0
  while (heads.length > 0 && bytes < LIMITS.ingestBatchBytesMax) {
    const head = heads.pop() as Head
    gone.add(toHex(head.link))
    bytes += await quarantine(batch, reader, head)
    events += head.count
  }
  const tip = heads.at(-1) ?? below
  const fork =
    row.fork === null
      ? null
      : { ...row.fork, appends: new Map([...row.fork.appends].filter(([link]) => !gone.has(link))) }
  const tips = fork !== null ? forkTips(fork, tip) : tip === null ? [] : [tip]
  batch.setRow({ ...row, tips, events: row.events - events, fork })
  // Whatever becomes of the events, their author has signed them: the own lane must never write over them.
  batch.witness(row.tips[0] as Head)
  return heads.length > 0
}

async function quarantine(batch: Batch, reader: AppendReader, head: Head): Promise<number> {
  const suffix = suffixOf(head)
  const stored = await reader.bySuffix(suffix)
  if (stored === null) return 0
  const link = toHex(head.link)
  const records = batch.dropRecords((record) => record.link === link)
  const value = frameAppend(stored.blocks.header, stored.blocks.body)
  batch.add(...removeOperations(head, stored.blocks, records), {
    type: 'put',
    key: prefixed(RANGES.quarantine, suffix),
    value
  })
  return value.length
}

/** Quarantined appends of an author in key order, as frames to offer again. */
export async function* quarantined(
  store: EventStore,
  author: PublicKeyHex
): AsyncGenerator<{ key: Uint8Array; frame: Buffer }> {
  for await (const [key, value] of store.entries(rangeOf(prefixed(RANGES.quarantine, fromHex(author)))))
    yield { key, frame: asBuffer(value) }
}

/** Authors whose cut changed between two states, or who are admitted again: more of theirs may be valid now. */
export function cutsMoved(before: LogState['view'], after: LogState['view']): PublicKeyHex[] {
  const moved: PublicKeyHex[] = []
  for (const [author, member] of after.members) {
    if (!before.members.has(author)) moved.push(author)
    const old = before.members.get(author)?.removal ?? null
    if (old !== null && member.removal !== old && !sameCuts(old.cuts, member.removal?.cuts ?? null)) moved.push(author)
  }
  return moved
}

function sameCuts(a: ReadonlyMap<ChainKey, { seq: number; id: Uint8Array }>, b: typeof a | null): boolean {
  if (b === null || a.size !== b.size) return false
  for (const [key, cut] of a) {
    const other = b.get(key)
    if (other === undefined || other.seq !== cut.seq || !equalBytes(other.id, cut.id)) return false
  }
  return true
}
