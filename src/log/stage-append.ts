// Decides what becomes of one received append (PROTOCOL §2 "Valid"): store it, or say why not. Works on a batch; order inside a batch matters.

import { equalBytes, fromHex, isZero, toHex } from '../base/bytes.ts'
import { refoundingValid } from '../identity/refounding.ts'
import { type AppendBlocks, type AppendRow, rowPayload, rowType } from './append-codec.ts'
import type { AppendReader } from './append-reader.ts'
import type { Batch } from './batch.ts'
import { type BranchAppend, type ChainRow, endsAtCut, type ForkState } from './chain-row.ts'
import type { IngestOutcome } from './chain-state.ts'
import { tryParseControl } from './control-records.ts'
import type { CheckedAppend } from './frame-check.ts'
import { insideCut } from './mesh-fold.ts'
import { type ForkProof, type Head, headSealValid, type PublicKeyHex, tryForkProof } from './statement.ts'

/**
 * `writer`: the own key while this node writes. Own appends of elsewhere are then not taken in: another copy lives, or this node forgot
 * something; either way it has to stop and recover first.
 */
export async function stageAppend(
  batch: Batch,
  reader: AppendReader,
  checked: CheckedAppend,
  writer: PublicKeyHex | null
): Promise<IngestOutcome> {
  if (checked.fault !== null) return checked.fault
  const { head, blocks } = checked
  const refused = refusedAuthor(batch, head, blocks)
  if (refused !== null) return refused
  const row = batch.row(head.key)
  if (row.fork !== null && head.firstSeq >= row.fork.forkSeq) return stageBranch(batch, row, row.fork, checked)
  const tip = row.tips[0]
  const nextSeq = tip === undefined ? 1 : tip.lastSeq + 1
  if (head.firstSeq > nextSeq) return { kind: 'gap', key: head.key, haveSeq: nextSeq - 1 }
  if (head.firstSeq < nextSeq) return stageOlder(batch, reader, row, checked)
  if (row.author === writer && !wants(batch, head)) return { kind: 'own', key: head.key }
  if (!follows(head, tip)) {
    if (tip === undefined) return { kind: 'invalid', key: head.key, code: 'LOG_PREVIOUS_MISMATCH' }
    return { kind: 'gap', key: head.key, haveSeq: nextSeq - 1 }
  }
  batch.store(head, blocks, false)
  return { kind: 'stored', key: head.key, head }
}

function refusedAuthor(batch: Batch, head: Head, blocks: AppendBlocks): IngestOutcome | null {
  const author = toHex(head.author)
  const member = batch.view.members.get(author)
  if (member === undefined) return namesFounder(batch, blocks, author) ? null : { kind: 'stranger', key: head.key }
  const place = { author, chain: head.chain, epoch: head.epoch, seq: head.lastSeq }
  if (insideCut(member, place) && !contradictsCut(batch, head)) return null
  return { kind: 'cut', key: head.key }
}

/** An append that ends at the cut must be the one that the cut names. */
function contradictsCut(batch: Batch, head: Head): boolean {
  const cut = batch.view.members.get(toHex(head.author))?.removal?.cuts.get(head.key)
  return cut !== undefined && cut.seq === head.lastSeq && !equalBytes(cut.id, head.lastId)
}

/** A `founder-named` record validates itself: it opens the chain of a founder that nobody has admitted. */
function namesFounder(batch: Batch, blocks: AppendBlocks, author: string): boolean {
  const { recovery } = batch.preimage
  if (recovery === null || !blocks.types.includes('founder-named')) return false
  const mesh = batch.mesh
  return blocks.rows.some((row: AppendRow) => {
    if (rowType(blocks, row) !== 'founder-named') return false
    const body = tryParseControl('founder-named', rowPayload(blocks, row) ?? new Uint8Array(0))
    if (body?.type !== 'founder-named' || body.founder !== author) return false
    return refoundingValid(
      recovery,
      { mesh, founder: fromHex(author), counter: body.counter, cuts: body.cutsBytes },
      body.signature
    )
  })
}

/** The first append of epoch 1 follows nothing; that of a later epoch names the kept head, which its own payload must repeat to have effect. */
function follows(head: Head, tip: Head | undefined): boolean {
  if (tip !== undefined) return equalBytes(head.prev, tip.link)
  return head.epoch > 1 || isZero(head.prev)
}

/** At or before the tip of an unforked chain, or of the common part of a forked one: known, or the proof of a fork. */
async function stageOlder(
  batch: Batch,
  reader: AppendReader,
  row: ChainRow,
  checked: CheckedAppend
): Promise<IngestOutcome> {
  const { head } = checked
  const siblings = await siblingsOf(batch, reader, row, head)
  if (siblings.some((sibling) => equalBytes(sibling.link, head.link))) return { kind: 'known', key: head.key }
  const proof = provenFork(siblings, head)
  if (proof === null) return { kind: 'gap', key: head.key, haveSeq: row.tips[0]?.lastSeq ?? 0 }
  const fork = await stageFork(batch, reader, proof)
  return stageBranch(batch, batch.row(head.key), fork, checked)
}

/** Stored appends at the same place, those staged in this batch included. */
export async function siblingsOf(batch: Batch, reader: AppendReader, row: ChainRow, head: Head): Promise<Head[]> {
  const staged = batch.stored.filter((other) => other.head.key === head.key && other.head.firstSeq === head.firstSeq)
  const stored = await reader.headsAt(row, head.firstSeq)
  return [...staged.map((other) => other.head), ...stored]
}

function provenFork(siblings: readonly Head[], head: Head): ForkProof | null {
  for (const sibling of siblings) {
    const proof = tryForkProof(sibling, head)
    if (proof !== null && headSealValid(proof.a) && headSealValid(proof.b)) return proof
  }
  return null
}

/** Records a fork at its place, with everything stored from there on. An earlier fork of the same chain key takes the place of a later one. */
export async function stageFork(batch: Batch, reader: AppendReader, proof: ForkProof): Promise<ForkState> {
  const { key, firstSeq } = proof.a
  const row = batch.row(key)
  if (row.fork !== null && row.fork.forkSeq <= firstSeq) return row.fork
  const appends = new Map<string, BranchAppend>()
  const add = (head: Head): void => {
    appends.set(toHex(head.link), { head, prev: toHex(head.prev) })
  }
  for await (const head of reader.headsFrom(row, firstSeq)) add(head)
  for (const { head } of batch.stored) if (head.key === key && head.firstSeq >= firstSeq) add(head)
  const fork: ForkState = { proof, forkSeq: firstSeq, appends }
  batch.recordFork(key, fork)
  return fork
}

/** True when a head that counts is not here yet and may lie behind this append. */
function wants(batch: Batch, head: Head, fork: ForkState | null = null): boolean {
  const cut = batch.view.members.get(toHex(head.author))?.removal?.cuts.get(head.key)
  // The branch that a cut names counts, and only when its last append is here it is known which one that is.
  if (fork !== null && cut !== undefined && ![...fork.appends.values()].some((append) => endsAtCut(append.head, cut)))
    return true
  return (batch.view.wanted.get(head.key) ?? []).some(
    (other) => other.lastSeq >= head.lastSeq && fork?.appends.has(toHex(other.link)) !== true
  )
}

/** Whether a branch begins where the common part ends, and that is stored. Two openings of one epoch may name different kept heads. */
function followsCommon(row: ChainRow, fork: ForkState, head: Head): boolean {
  if (fork.forkSeq === 1) return head.epoch > 1 || isZero(head.prev)
  for (const sibling of fork.appends.values()) {
    if (sibling.head.firstSeq === fork.forkSeq) return equalBytes(head.prev, sibling.head.prev)
  }
  const tip = row.tips[0]
  return tip !== undefined && equalBytes(head.prev, tip.link)
}

/** From the fork on: an append is kept when it leads towards a head that counts and is not here yet; else its head alone is evidence enough. */
function stageBranch(batch: Batch, row: ChainRow, fork: ForkState, checked: CheckedAppend): IngestOutcome {
  const { head, blocks } = checked
  if (fork.appends.has(toHex(head.link))) return { kind: 'known', key: head.key }
  const attached = head.firstSeq === fork.forkSeq ? followsCommon(row, fork, head) : fork.appends.has(toHex(head.prev))
  if (!attached) return { kind: 'gap', key: head.key, haveSeq: Math.min(fork.forkSeq - 1, row.tips[0]?.lastSeq ?? 0) }
  if (!wants(batch, head, fork)) return { kind: 'fork', key: head.key, proof: fork.proof, stored: false }
  batch.store(head, blocks, false)
  return { kind: 'fork', key: head.key, proof: fork.proof, stored: true }
}
