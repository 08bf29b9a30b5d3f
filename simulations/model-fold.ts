// What the records of the model log say: who is a member, cut where, and which branches count.

import { compareBytes, toHex } from '../src/base/bytes.ts'
import { type ChainKey, chainKeyOf, type Head, type PublicKeyHex, parseChainKey } from '../src/log/statement.ts'
import type { MemberView } from '../src/replication/contract.ts'
import { headFromHex, type Line, type ModelRecord, sealHolds } from './model-frame.ts'

export interface View {
  readonly members: ReadonlyMap<PublicKeyHex, MemberView>
  readonly cuts: ReadonlyMap<PublicKeyHex, Readonly<Record<ChainKey, { readonly seq: number; readonly id: string }>>>
  readonly wanted: ReadonlyMap<ChainKey, readonly Head[]>
  readonly closed: ReadonlySet<ChainKey>
}

/** Members, cuts and counting branches: one pass over everything that is stored. */
export function foldModel(lines: ReadonlyMap<ChainKey, Line>, founder: PublicKeyHex): View {
  const written: { author: PublicKeyHex; key: ChainKey; record: ModelRecord }[] = []
  for (const [key, line] of lines) {
    for (const { head, records } of line.byLink.values()) {
      for (const record of records)
        if (record.type !== 'app-note') written.push({ author: toHex(head.author), key, record })
    }
  }
  const members = new Map<PublicKeyHex, MemberView>([[founder, { key: founder, removed: false, admits: true }]])
  for (let grown = true; grown; ) {
    grown = false
    for (const { author, record } of written) {
      if (
        record.type !== 'member-admitted' ||
        members.get(author)?.admits !== true ||
        members.has(record.subject ?? '')
      )
        continue
      members.set(record.subject ?? '', { key: record.subject ?? '', removed: false, admits: record.admin ?? false })
      grown = true
    }
  }
  const cuts = new Map<PublicKeyHex, NonNullable<ModelRecord['cuts']>>()
  const wanted = new Map<ChainKey, Head[]>()
  const closed = new Set<ChainKey>()
  const want = (text: string | null | undefined): void => {
    const head = text == null ? null : headFromHex(text)
    if (head === null || !sealHolds(head)) return
    const heads = wanted.get(head.key) ?? []
    if (!heads.some((other) => compareBytes(other.link, head.link) === 0)) wanted.set(head.key, [...heads, head])
  }
  for (const { author, key, record } of written) {
    const member = members.get(author)
    if (record.type === 'member-removed' && author === founder) {
      const subject = members.get(record.subject ?? '')
      if (subject !== undefined) members.set(subject.key, { ...subject, removed: true })
      cuts.set(record.subject ?? '', record.cuts ?? {})
    } else if (record.type === 'branch-witnessed' && member !== undefined) want(record.head)
    else if (record.type === 'epoch-opened') {
      const { chain, epoch } = parseChainKey(key)
      closed.add(chainKeyOf(author, chain, epoch - 1))
      for (const text of [record.kept, ...(record.branches ?? [])]) want(text)
    }
  }
  return { members, cuts, wanted, closed }
}
