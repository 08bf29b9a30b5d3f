// One hash over everything that is a function of the set of valid events (PROTOCOL §3): nodes that hold the same set have the same hash,
// whatever came first. Left out: witnesses, fork proofs (any two of several branches will do), branches that do not count, arrival order.

import { createHash, type Hash } from 'node:crypto'
import { toHex } from '../base/bytes.ts'
import { certificateId, encodeCertificate } from '../identity/certificate.ts'
import { suffixOf } from './append-rows.ts'
import type { EventLog } from './event-log.ts'
import { countedFilter } from './event-query.ts'
import type { MemberState, MeshView } from './mesh-fold.ts'
import { RANGES, rangeOf, SUFFIX_BYTES } from './store-keys.ts'

const INDEX_RANGES = [RANGES.byTime, RANGES.byType, RANGES.byScope] as const

/** Lower-case hex. Reads the whole log and keeps a place per append in memory: for tests and the simulator. */
export async function stateHash(log: EventLog): Promise<string> {
  const { state } = log
  const hash = createHash('sha256')
  hashView(hash, state.view)
  const counts = countedFilter(state)
  const counted = new Set<string>()
  for await (const stored of log.reader.all(null)) {
    if (!counts(stored)) continue
    const { head, blocks } = stored
    counted.add(toHex(suffixOf(head)))
    line(hash, 'append', head.key, String(head.firstSeq), String(head.count), toHex(head.link), toHex(head.lastId), String(blocks.count))
  }
  for (const key of [...state.rows.keys()].sort()) {
    const fork = state.rows.get(key)?.fork ?? null
    if (fork !== null) line(hash, 'fork', key, String(fork.forkSeq))
  }
  for (const range of INDEX_RANGES) {
    for await (const [key, value] of log.store.entries(rangeOf(Uint8Array.of(range)))) {
      if (counted.has(toHex(key.subarray(key.length - SUFFIX_BYTES)))) line(hash, 'index', toHex(key), toHex(value))
    }
  }
  return hash.digest('hex')
}

function line(hash: Hash, ...fields: readonly string[]): void {
  hash.update(`${fields.join(' ')}\n`)
}

function hashView(hash: Hash, view: MeshView): void {
  line(hash, 'founder', view.founder)
  for (const key of [...view.members.keys()].sort()) hashMember(hash, view.members.get(key) as MemberState)
  for (const key of [...view.wanted.keys()].sort()) {
    line(hash, 'wanted', key, ...(view.wanted.get(key) ?? []).map((head) => toHex(head.link)).sort())
  }
  for (const key of [...view.closed.keys()].sort()) {
    const kept = view.closed.get(key) ?? null
    line(hash, 'closed', key, kept === null ? 'empty' : toHex(kept.link))
  }
  line(hash, 'opened', ...[...view.opened].sort())
}

function hashMember(hash: Hash, { key, rank, role, rights, certificate, admission, invite, removal, changes }: MemberState): void {
  const proof = certificate === null ? 'founder' : toHex(certificateId(encodeCertificate(certificate)))
  const place = admission === null ? '' : `${admission.author}/${admission.chain}/${admission.epoch}/${admission.seq}`
  line(hash, 'member', key, String(rank), role, String(rights), proof, place, invite ?? '')
  if (removal !== null) {
    line(hash, 'removed', removal.by)
    for (const cut of [...removal.cuts].map(([chainKey, { seq, id }]) => `${chainKey} ${seq} ${toHex(id)}`).sort()) line(hash, 'cut', cut)
  }
  const texts = changes.map(({ from, role: given, rights: bits, version }) => `${from.chain}/${from.epoch}/${from.seq} ${given} ${bits} ${version}`)
  for (const text of texts.sort()) line(hash, 'change', text)
}
