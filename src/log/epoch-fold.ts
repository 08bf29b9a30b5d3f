// Which epochs are open, which are closed at which head, and which branches count (PROTOCOL §4 "Epoch"): the part of the mesh's fold that
// follows once members are settled. Pure; knows nothing of what is stored.

import { compareBytes, equalBytes, isZero, toHex } from '../base/bytes.ts'
import { LIMITS } from '../base/limits.ts'
import { hasRight } from '../identity/certificate.ts'
import type { Grant } from '../identity/certificate-path.ts'
import type { ControlRecord } from './control-records.ts'
import { type ChainKey, chainKeyOf, type Head, type PublicKeyHex } from './statement.ts'

/** A record of a member inside its cut, with what its author may do at its place. */
export interface SettledRecord {
  readonly author: PublicKeyHex
  readonly grant: Grant
  readonly record: ControlRecord
}

export interface EpochView {
  /** Heads whose lines count beside the unforked one, per chain key. */
  readonly wanted: ReadonlyMap<ChainKey, readonly Head[]>
  /** Kept head (null: none) of every epoch that a later one closed. */
  readonly closed: ReadonlyMap<ChainKey, Head | null>
  /** Chain keys of epochs above 1 that an authorised `epoch-opened` began. */
  readonly opened: ReadonlySet<ChainKey>
}

export function foldEpochs(mesh: Uint8Array, settled: readonly SettledRecord[]): EpochView {
  const wanted = new Map<ChainKey, Head[]>()
  const closed = new Map<ChainKey, Head | null>()
  const opened = new Set<ChainKey>()
  const witnessed = new Map<string, number>()
  const want = (head: Head): void => {
    const heads = wanted.get(head.key) ?? []
    const known = heads.some((other) => equalBytes(other.link, head.link))
    if (known || !equalBytes(head.mesh, mesh)) return
    heads.push(head)
    heads.sort((a, b) => compareBytes(a.link, b.link))
    wanted.set(head.key, heads)
  }
  const ordered = [...settled].sort((a, b) => compareRecords(a.record, b.record))
  for (const { author, grant, record } of ordered) {
    const { body, place } = record
    if (body.type === 'epoch-opened' && epochOpeningHolds(record)) {
      closed.set(chainKeyOf(place.author, place.chain, place.epoch - 1), body.kept)
      opened.add(chainKeyOf(place.author, place.chain, place.epoch))
      for (const head of body.kept === null ? body.branches : [body.kept, ...body.branches]) want(head)
    } else if (body.type === 'branch-witnessed' && mayWitness(grant)) {
      const counter = `${author} ${toHex(body.head.author)} ${body.head.epoch}`
      const count = witnessed.get(counter) ?? 0
      if (count >= LIMITS.branchesWitnessedMax) continue
      witnessed.set(counter, count + 1)
      want(body.head)
    }
  }
  return { wanted, closed, opened }
}

function mayWitness(grant: Grant): boolean {
  return grant.role !== 'observer' && hasRight(grant.rights, 'witness')
}

/** The order in which a fold reads records: by place, then by id. Never that of arrival. */
export function compareRecords(a: ControlRecord, b: ControlRecord): number {
  const [left, right] = [a.place, b.place]
  if (left.author !== right.author) return left.author < right.author ? -1 : 1
  return left.chain - right.chain || left.epoch - right.epoch || left.seq - right.seq || compareBytes(a.id, b.id)
}

/** Seq 1 of epoch k+1, everything it names is of epoch k, and its prev is the link of the kept head. */
export function epochOpeningHolds(record: ControlRecord): boolean {
  const { place, firstPrev, body } = record
  if (body.type !== 'epoch-opened' || place.seq !== 1 || place.epoch < 2 || firstPrev === null) return false
  const before = chainKeyOf(place.author, place.chain, place.epoch - 1)
  const named = [body.kept, body.missing, body.fork?.a ?? null, ...body.branches].filter((head) => head !== null)
  if (named.some((head) => head.key !== before)) return false
  return body.kept === null ? isZero(firstPrev) : equalBytes(firstPrev, body.kept.link)
}
