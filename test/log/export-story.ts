// A mesh in a few appends for the tests of exports: Alice founds it, Bob forks his chain and goes on in epoch 2, Carol has payloads erased.
// Made by the slow reference, so that the exporter and both verifiers are held against a third opinion.

import { fromHex } from '../../src/base/bytes.ts'
import { claimedHead } from '../../src/log/append-check.ts'
import { type AppendBlocks, decodeFrame } from '../../src/log/append-codec.ts'
import type { ExportSource } from '../../src/log/export.ts'
import { type Head, tryDecodeForkProof, tryDecodeHead } from '../../src/log/statement.ts'
import * as reference from '../vectors/reference.ts'

const { text, zeros } = reference
const seed = (name: string): string => reference.sha256(text(`export story ${name}`))
export const SEEDS = {
  alice: seed('alice'),
  bob: seed('bob'),
  carol: seed('carol'),
  mallory: seed('mallory'),
  recovery: seed('recovery')
}
const keyOf = (name: keyof typeof SEEDS): string => reference.publicKey(SEEDS[name])
export const PREIMAGE: reference.Preimage = {
  founder: keyOf('alice'),
  recovery: keyOf('recovery'),
  nonce: '4e'.repeat(16),
  name: 'story'
}
export const MESH = reference.meshId(PREIMAGE)

let salts = 0
export function event(
  type: string,
  json: unknown,
  fields: Partial<reference.ReferenceEvent> = {}
): reference.ReferenceEvent {
  salts += 1
  const payload = text(typeof json === 'string' ? json : JSON.stringify(json))
  return {
    flags: 0,
    encoding: 0,
    type,
    scope: zeros(16),
    timeMs: 1_763_625_600_000 + salts,
    timeCounter: 0,
    salt: reference.u64(salts).padEnd(32, 'a'),
    payload,
    ...fields
  }
}

const note = (words: string): reference.ReferenceEvent => event('app-note', { words })
const content = (words: string, fields: Partial<reference.ReferenceEvent> = {}): reference.ReferenceEvent => {
  const json = JSON.stringify({ words })
  return event('app-note', json + ' '.repeat((32 - (Buffer.byteLength(json) % 32)) % 32), { flags: 1, ...fields })
}

export function append(
  seed: string,
  place: Partial<reference.ReferenceAppend>,
  events: readonly reference.ReferenceEvent[]
): reference.ReferenceAppend {
  return { mesh: MESH, seed, chain: 0, epoch: 1, firstSeq: 1, prev: zeros(32), ...place, events }
}

/** The append that continues `before`. */
export function next(
  before: reference.ReferenceAppend,
  events: readonly reference.ReferenceEvent[]
): reference.ReferenceAppend {
  return {
    ...before,
    firstSeq: before.firstSeq + before.events.length,
    prev: reference.computeAppend(before).link,
    events
  }
}

export function admission(
  issuer: keyof typeof SEEDS,
  subject: string,
  rank: number,
  role: number,
  rights = 31
): reference.ReferenceEvent {
  const certificate = reference.certificate({
    mesh: MESH,
    subject,
    issuerSeed: SEEDS[issuer],
    rank,
    role,
    rights,
    expiryMs: 0
  })
  return event('member-admitted', { subject, certificate, invite: null })
}

export interface Story {
  readonly appends: readonly reference.ReferenceAppend[]
  readonly forks: readonly string[]
  readonly witnesses: readonly string[]
}

const linkOf = (one: reference.ReferenceAppend): string => reference.computeAppend(one).link
const headOf = (one: reference.ReferenceAppend): string => reference.computeAppend(one).head
const orderOf = (one: reference.ReferenceAppend): string =>
  reference.publicKey(one.seed) +
  reference.u32(one.chain) +
  reference.u32(one.epoch) +
  reference.u64(one.firstSeq) +
  linkOf(one)
const sorted = <Item>(items: readonly Item[], order: (item: Item) => string): Item[] =>
  [...items].sort((a, b) => (order(a) < order(b) ? -1 : 1))

export function tellStory(): Story {
  salts = 0
  const founded = append(SEEDS.alice, {}, [
    event('chain-opened', { certificate: MESH }),
    event('mesh-founded', PREIMAGE),
    admission('alice', keyOf('bob'), 1, 2)
  ])
  const erasing = next(founded, [
    event('event-erased', {
      target: { author: keyOf('carol'), chain: 0, epoch: 1, from: 2, to: 2 },
      reason: 'request'
    }),
    note('after the erasure')
  ])
  const aliceEnd = next(erasing, [
    note('é e\u0301 \u2028 "quoted" \\ 😀'),
    event('app-note', '', { payload: 'ff00fe' }),
    event('app-note', '')
  ])

  const bobFirst = append(SEEDS.bob, {}, [event('chain-opened', {}), admission('bob', keyOf('carol'), 2, 1, 17)])
  const told = next(bobFirst, [note('told to Alice'), note('more')])
  const restored = next(bobFirst, [note('written again after a restore')])
  const kept = next(told, [note('kept')])
  const [a, b] = [reference.computeAppend(told), reference.computeAppend(restored)]
  const fork = reference.forkProof(a, b)
  const opening = { fork, missing: null, kept: headOf(told), branches: [headOf(restored)], instance: '01'.repeat(16) }
  const bobSecond = append(SEEDS.bob, { epoch: 2, prev: a.link }, [event('epoch-opened', opening), note('epoch 2')])
  const bobEnd = next(bobSecond, [note('the end of Bob’s chain')])

  const eraser = { author: keyOf('alice'), chain: 0, epoch: 1, seq: 4 }
  const carolFirst = append(SEEDS.carol, {}, [
    event('chain-opened', {}),
    content('secret', { erased: eraser }),
    content('not secret', { scope: '5c'.repeat(16) })
  ])
  const carolEnd = next(carolFirst, [content('Carol’s last words')])
  const carolOther = append(SEEDS.carol, { chain: 7 }, [note('another chain')])

  const appends = [
    founded,
    erasing,
    aliceEnd,
    bobFirst,
    told,
    restored,
    kept,
    bobSecond,
    bobEnd,
    carolFirst,
    carolEnd,
    carolOther
  ]
  const ends = [aliceEnd, kept, bobEnd, carolEnd, carolOther]
  return { appends: sorted(appends, orderOf), forks: [fork], witnesses: sorted(ends, orderOf).map(headOf) }
}

export const linesOf = (story: Story): string[] =>
  reference.exportLines(PREIMAGE, story.appends, story.forks, story.witnesses)

/** What a node would export that holds the story. */
export function sourceOf(story: Story): ExportSource {
  const { founder, recovery, nonce, name } = PREIMAGE
  const mesh = fromHex(MESH)
  return {
    mesh,
    preimage: {
      founder: fromHex(founder),
      recovery: recovery === null ? null : fromHex(recovery),
      nonce: fromHex(nonce),
      name
    },
    async *appends(author) {
      for (const one of story.appends) {
        if (author !== undefined && reference.publicKey(one.seed) !== author) continue
        const blocks = decodeFrame(fromHex(reference.computeAppend(one).frame)).appends[0] as AppendBlocks
        yield { head: claimedHead(mesh, blocks), blocks }
      }
    },
    forks: () => story.forks.map((fork) => tryDecodeForkProof(fromHex(fork))).filter((fork) => fork !== null),
    witnesses: () => [...story.witnesses].reverse().map((head) => tryDecodeHead(fromHex(head)) as Head)
  }
}
