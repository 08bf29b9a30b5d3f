// One hash over everything that is a function of the set of valid events (PROTOCOL §3): nodes that hold the same set have the same hash,
// whatever came first. Left out: witnesses, fork proofs (any two of several branches will do), branches that do not count, arrival order.

import { createHash } from 'node:crypto'
import { toHex } from '../base/bytes.ts'
import { certificateId, encodeCertificate } from '../identity/certificate.ts'
import { suffixOf } from './append-rows.ts'
import type { EventLog } from './event-log.ts'
import { countedFilter } from './event-query.ts'
import type { MemberState, MeshView } from './mesh-fold.ts'
import { RANGES, rangeOf, SUFFIX_BYTES } from './store-keys.ts'

const INDEX_RANGES = [RANGES.byTime, RANGES.byType, RANGES.byScope] as const

/** Lower-case hex over `stateLines`. */
export async function stateHash(log: EventLog): Promise<string> {
  const hash = createHash('sha256')
  for await (const text of stateLines(log)) hash.update(`${text}\n`)
  return hash.digest('hex')
}

/** What the hash covers, a line per fact. Reads the whole log and keeps a place per append in memory: for tests and the simulator. */
export async function* stateLines(log: EventLog): AsyncGenerator<string> {
  const { state } = log
  yield* viewLines(state.view)
  const counts = countedFilter(state)
  const counted = new Set<string>()
  for await (const stored of log.reader.all(null)) {
    if (!counts(stored)) continue
    const { head } = stored
    counted.add(toHex(suffixOf(head)))
    yield `append ${head.key} ${head.firstSeq} ${head.count} ${toHex(head.link)} ${toHex(head.lastId)}`
  }
  for (const key of [...state.rows.keys()].sort()) {
    const fork = state.rows.get(key)?.fork ?? null
    if (fork !== null) yield `fork ${key} ${fork.forkSeq}`
  }
  for (const range of INDEX_RANGES) {
    for await (const [key, value] of log.store.entries(rangeOf(Uint8Array.of(range)))) {
      if (counted.has(toHex(key.subarray(key.length - SUFFIX_BYTES)))) yield `index ${toHex(key)} ${toHex(value)}`
    }
  }
}

function* viewLines(view: MeshView): Generator<string> {
  yield `founder ${view.founder}`
  for (const key of [...view.members.keys()].sort()) yield* memberLines(view.members.get(key) as MemberState)
  for (const key of [...view.wanted.keys()].sort()) {
    const links = (view.wanted.get(key) ?? []).map((head) => toHex(head.link))
    yield `wanted ${key} ${links.sort().join(' ')}`
  }
  for (const key of [...view.closed.keys()].sort()) {
    const kept = view.closed.get(key) ?? null
    yield `closed ${key} ${kept === null ? 'empty' : toHex(kept.link)}`
  }
  yield `opened ${[...view.opened].sort().join(' ')}`
}

function* memberLines({
  key,
  rank,
  role,
  rights,
  certificate,
  admission,
  invite,
  removal,
  changes
}: MemberState): Generator<string> {
  const proof = certificate === null ? 'founder' : toHex(certificateId(encodeCertificate(certificate)))
  const place = admission === null ? '' : `${admission.author}/${admission.chain}/${admission.epoch}/${admission.seq}`
  yield `member ${key} ${rank} ${role} ${rights} ${proof} ${place} ${invite ?? ''}`
  if (removal !== null) {
    yield `removed ${key} ${removal.by}`
    yield* [...removal.cuts].map(([chainKey, { seq, id }]) => `cut ${chainKey} ${seq} ${toHex(id)}`).sort()
  }
  yield* changes
    .map(
      ({ from, role: given, rights: bits, version }) =>
        `change ${from.chain}/${from.epoch}/${from.seq} ${given} ${bits} ${version}`
    )
    .sort()
}
