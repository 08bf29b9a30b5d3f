// The costly, state-free part of taking in appends: decode, hash, verify. Runs while an earlier batch is on its way to the disk.
// One seal is verified per contiguous run: the last. When it does not hold, the run ends at the last seal that does (PROTOCOL §1).

import { equalBytes } from '../base/bytes.ts'
import { claimedHead } from './append-check.ts'
import { type AppendBlocks, decodeFrame } from './append-codec.ts'
import type { IngestOutcome } from './chain-state.ts'
import { type Head, headSealValid } from './statement.ts'

export interface CheckedAppend {
  readonly head: Head
  readonly blocks: AppendBlocks
  /** Null: hashes and seal hold. */
  readonly fault: (IngestOutcome & { kind: 'invalid' }) | null
}

export interface CheckedFrame {
  readonly appends: readonly CheckedAppend[]
  /** What stopped the decoding before the end of the frame, if anything. */
  readonly rest: IngestOutcome | null
}

export function checkFrame(mesh: Uint8Array, frame: Uint8Array): CheckedFrame {
  const { appends, fault } = decodeFrame(frame)
  const checked: CheckedAppend[] = []
  let run: { head: Head; blocks: AppendBlocks }[] = []
  for (const blocks of appends) {
    const head = claimedHead(mesh, blocks)
    const last = run.at(-1)
    if (last !== undefined && !continues(last.head, head)) {
      checked.push(...sealRun(run))
      run = []
    }
    run.push({ head, blocks })
  }
  checked.push(...sealRun(run))
  return { appends: checked, rest: restOf(fault, appends) }
}

function restOf(fault: 'layout' | 'format' | null, appends: readonly AppendBlocks[]): IngestOutcome | null {
  if (fault === null) return appends.length > 0 ? null : { kind: 'invalid', key: null, code: 'EVENT_INVALID' }
  return fault === 'format' ? { kind: 'format', key: '' } : { kind: 'invalid', key: null, code: 'EVENT_INVALID' }
}

function continues(before: Head, head: Head): boolean {
  return before.key === head.key && head.firstSeq === before.lastSeq + 1 && equalBytes(head.prev, before.link)
}

function sealRun(run: readonly { head: Head; blocks: AppendBlocks }[]): CheckedAppend[] {
  let good = run.length - 1
  while (good >= 0 && !headSealValid((run[good] as { head: Head }).head)) good--
  return run.map(({ head, blocks }, index) => ({
    head,
    blocks,
    fault: index <= good ? null : { kind: 'invalid', key: head.key, code: 'LOG_SEAL_INVALID' }
  }))
}
