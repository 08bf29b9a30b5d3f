// Exports with one change each, by a forger without keys who mends count and digest, and what the change must be called.

import * as reference from '../vectors/reference.ts'
import {
  admission,
  append,
  event,
  linesOf,
  MESH,
  next,
  PREIMAGE,
  SEEDS,
  type Story,
  tellStory
} from './export-story.ts'

interface Line {
  readonly append: {
    author: string
    chain: number
    epoch: number
    firstSeq: number
    count: number
    prev: string
    lastId: string
    seal: string
    events: {
      header: string
      salt?: string
      text?: string
      payload?: string
      erased?: { author: string; chain: number; epoch: number; seq: number }
    }[]
  }
}

/** Lines with their last one recomputed, as a careful forger would. */
export function sealedUp(lines: readonly string[]): string {
  const appends = lines.filter((line) => line.startsWith('{"append"'))
  const events = appends.reduce((sum, line) => sum + (JSON.parse(line) as Line).append.events.length, 0)
  const end = `${JSON.stringify({ end: { events, digest: reference.sha256(reference.text(appends.join(''))) } })}\n`
  return [...lines.filter((line) => !line.startsWith('{"end"')), end].join('')
}

/** The export with append number `index` (over all lines) changed by `change`. */
function edited(index: number, change: (append: Line['append']) => void): string {
  const lines = linesOf(tellStory())
  const parsed = JSON.parse(lines[index] as string) as Line
  change(parsed.append)
  lines[index] = `${JSON.stringify(parsed)}\n`
  return sealedUp(lines)
}

export const flipped = (hex: string, at: number): string =>
  hex.slice(0, at) + (Number.parseInt(hex[at] ?? '0', 16) ^ 1).toString(16) + hex.slice(at + 1)
const HEADER_FIELDS = {
  format: 0,
  flags: 1,
  encoding: 2,
  mesh: 3,
  author: 35,
  chain: 67,
  epoch: 71,
  seq: 75,
  prev: 83,
  time: 115,
  scope: 123,
  payloadLength: 139,
  commitment: 143,
  typeLength: 175,
  type: 176
}

export type Mutation = readonly [name: string, content: string, verdict?: string | undefined, code?: string]

function lineAt(story: Story, of: (append: reference.ReferenceAppend) => boolean): number {
  return story.appends.findIndex(of) + 1
}

/** One change each: of every field, line and place, by a forger without keys who mends count and digest. */
export function systematic(): Mutation[] {
  const story = tellStory()
  const lines = linesOf(story)
  const mutations: Mutation[] = []
  const is = (name: keyof typeof SEEDS, epoch: number, firstSeq: number) =>
    lineAt(story, (one) => one.seed === SEEDS[name] && one.epoch === epoch && one.firstSeq === firstSeq)
  const [alice, aliceEnd, carol, bobSecond] = [is('alice', 1, 1), is('alice', 1, 6), is('carol', 1, 1), is('bob', 2, 1)]
  for (const [field, at] of Object.entries(HEADER_FIELDS)) {
    const expected = ['format', 'flags', 'encoding'].includes(field) ? undefined : 'tampered'
    mutations.push([
      `header ${field}`,
      edited(alice, ({ events }) => {
        if (events[1]) events[1].header = flipped(events[1].header, at * 2 + 1)
      }),
      expected
    ])
  }
  mutations.push([
    'unknown format',
    edited(alice, ({ events }) => {
      if (events[1]) events[1].header = `02${events[1].header.slice(2)}`
    }),
    'unknown',
    'EXPORT_INVALID'
  ])
  for (const field of ['author', 'prev', 'lastId', 'seal'] as const) {
    for (const index of [alice, aliceEnd, bobSecond])
      mutations.push([
        `${field} of line ${index}`,
        edited(index, (one) => {
          one[field] = flipped(one[field], 9)
        }),
        'tampered'
      ])
  }
  for (const field of ['chain', 'epoch', 'firstSeq', 'count'] as const)
    mutations.push([
      `${field} + 1`,
      edited(aliceEnd, (one) => {
        one[field] += 1
      }),
      'tampered'
    ])
  mutations.push([
    'salt',
    edited(carol, ({ events }) => {
      if (events[2]?.salt) events[2].salt = flipped(events[2].salt, 3)
    }),
    'tampered',
    'LOG_HASH_MISMATCH'
  ])
  mutations.push([
    'text',
    edited(carol, ({ events }) => {
      if (events[2]?.text) events[2].text = events[2].text.replace('not ', 'NOT ')
    }),
    'tampered',
    'LOG_HASH_MISMATCH'
  ])
  mutations.push([
    'text with a normalised letter',
    edited(aliceEnd, ({ events }) => {
      if (events[0]?.text) events[0].text = events[0].text.normalize('NFC')
    }),
    'tampered',
    'LOG_HASH_MISMATCH'
  ])
  mutations.push([
    'payload in hex',
    edited(aliceEnd, ({ events }) => {
      if (events[1]?.payload) events[1].payload = 'ff00ff'
    }),
    'tampered',
    'LOG_HASH_MISMATCH'
  ])
  mutations.push([
    'payload dropped',
    edited(carol, ({ events }) => {
      if (events[2]) events[2].text = ''
    }),
    'tampered',
    'LOG_HASH_MISMATCH'
  ])
  mutations.push([
    'payload withheld as erased by nobody',
    edited(carol, ({ events }) => {
      events[2] = { header: events[2]?.header ?? '', erased: { author: PREIMAGE.founder, chain: 0, epoch: 1, seq: 5 } }
    }),
    'tampered',
    'LOG_VERIFICATION_FAILED'
  ])
  mutations.push([
    'payload withheld as erased by the future',
    edited(carol, ({ events }) => {
      events[2] = { header: events[2]?.header ?? '', erased: { author: PREIMAGE.founder, chain: 0, epoch: 1, seq: 99 } }
    }),
    'incomplete',
    'LOG_VERIFICATION_FAILED'
  ])
  mutations.push([
    'a record withheld as erased',
    edited(alice, ({ events }) => {
      events[2] = { header: events[2]?.header ?? '', erased: { author: PREIMAGE.founder, chain: 0, epoch: 1, seq: 4 } }
    }),
    'tampered'
  ])
  mutations.push([
    'erased payload put back wrongly',
    edited(carol, ({ events }) => {
      events[1] = { header: events[1]?.header ?? '', salt: '00'.repeat(16), text: ' '.repeat(32) }
    }),
    'tampered',
    'LOG_HASH_MISMATCH'
  ])
  mutations.push([
    'event dropped',
    edited(aliceEnd, (one) => {
      one.events.splice(1, 1)
      one.count -= 1
    }),
    'tampered'
  ])
  mutations.push([
    'event doubled',
    edited(aliceEnd, (one) => {
      const [first] = one.events
      if (first) one.events.unshift(first)
      one.count += 1
    }),
    'tampered'
  ])
  mutations.push([
    'events swapped',
    edited(aliceEnd, ({ events }) => {
      events.reverse()
    }),
    'tampered'
  ])
  // Behind the head that Bob's epoch 2 keeps, and adopted by nobody: a node may hold its head alone.
  const uncounted = is('bob', 1, 5)
  for (const [index, line] of lines.entries()) {
    if (!line.startsWith('{"append"')) continue
    const rest = lines.filter((_, other) => other !== index)
    mutations.push([`line ${index} dropped`, sealedUp(rest), index === uncounted ? 'verified' : undefined])
    mutations.push([
      `line ${index} doubled`,
      sealedUp([...lines.slice(0, index), line, ...lines.slice(index)]),
      'tampered',
      'EXPORT_INVALID'
    ])
    const after = lines[index + 1] as string
    if (after.startsWith('{"append"'))
      mutations.push([
        `lines ${index} and ${index + 1} swapped`,
        sealedUp([...lines.slice(0, index), after, line, ...lines.slice(index + 2)]),
        'tampered'
      ])
  }
  return [...mutations, ...ofTheFile(story, lines), ...rechained(story)]
}

function ofTheFile(story: Story, lines: readonly string[]): Mutation[] {
  const all = lines.join('')
  const header = JSON.parse(lines[0] as string) as { mesh: string; preimage: reference.Preimage }
  const withHeader = (changed: object): string =>
    [`${JSON.stringify({ ...header, ...changed })}\n`, ...lines.slice(1)].join('')
  const elsewhere = { ...PREIMAGE, name: 'elsewhere' }
  const truncated = story.appends.filter((one) => !(one.seed === SEEDS.carol && one.firstSeq > 3))
  const carolsHead = reference.computeAppend(
    story.appends.find((one) => one.seed === SEEDS.carol && one.firstSeq > 3) as reference.ReferenceAppend
  ).head
  const withoutCarols = story.witnesses.filter((head) => head !== carolsHead)
  const liar = next(truncated.find((one) => one.seed === SEEDS.carol && one.chain === 0) as reference.ReferenceAppend, [
    event('app-note', { another: 'end' })
  ])
  const contradicting = story.witnesses.map((head) => (head === carolsHead ? reference.computeAppend(liar).head : head))
  return [
    ['foreign mesh id', withHeader({ mesh: flipped(MESH, 5) }), 'tampered', 'STORE_FOREIGN'],
    ['foreign mesh and preimage', withHeader({ mesh: reference.meshId(elsewhere), preimage: elsewhere }), 'tampered'],
    ['another name', withHeader({ preimage: elsewhere }), 'tampered', 'STORE_FOREIGN'],
    ['another format', withHeader({ format: 'pmesh-export/2' }), 'tampered', 'EXPORT_INVALID'],
    ['no header', lines.slice(1).join(''), 'tampered', 'EXPORT_INVALID'],
    ['two headers', [lines[0], ...lines].join(''), 'tampered', 'EXPORT_INVALID'],
    ['no events', sealedUp(lines.slice(0, 1)), 'unknown', 'LOG_UNKNOWN'],
    ['an empty file', '', 'incomplete', 'EXPORT_INVALID'],
    ['not JSON', `${all}garbage\n`, 'tampered', 'EXPORT_INVALID'],
    ['no end', lines.slice(0, -1).join(''), 'incomplete', 'EXPORT_INVALID'],
    ['cut inside a line', all.slice(0, -40), 'incomplete', 'EXPORT_INVALID'],
    [
      'a byte of the end',
      all.replace(/"digest":"./, (text) => flipped(text, text.length - 1)),
      'tampered',
      'EXPORT_INVALID'
    ],
    ['tail truncated, witness kept', linesOf({ ...story, appends: truncated }).join(''), 'incomplete', 'LOG_TRUNCATED'],
    [
      'tail truncated, witness gone: nothing in the file tells',
      linesOf({ ...story, appends: truncated, witnesses: withoutCarols }).join(''),
      'verified'
    ],
    [
      'CHAIN-7 a witness contradicts the end',
      linesOf({ ...story, witnesses: contradicting }).join(''),
      'tampered',
      'LOG_FORKED'
    ],
    [
      'a witness of an inner append is no contradiction',
      linesOf({
        ...story,
        witnesses: story.witnesses.map((head) =>
          head === carolsHead
            ? reference.computeAppend(truncated.find((one) => one.seed === SEEDS.carol) as reference.ReferenceAppend)
                .head
            : head
        )
      }).join(''),
      'verified'
    ],
    [
      'a witness with a bad seal',
      linesOf({ ...story, witnesses: story.witnesses.map((head) => flipped(head, 423)) }).join(''),
      'tampered',
      'LOG_SEAL_INVALID'
    ],
    [
      'a fork proof with a bad seal',
      linesOf({ ...story, forks: story.forks.map((fork) => flipped(fork, 423)) }).join(''),
      'tampered',
      'LOG_SEAL_INVALID'
    ],
    [
      'a fork proof of one head',
      linesOf({ ...story, forks: story.forks.map((fork) => fork.slice(0, 424).repeat(2)) }).join(''),
      'tampered'
    ],
    ['no fork proof: the branches tell by themselves', linesOf({ ...story, forks: [] }).join(''), 'verified']
  ]
}

/** Whole chains written anew, by somebody who does not have the author's key. */
function rechained(story: Story): Mutation[] {
  const carols = story.appends.filter((one) => one.seed === SEEDS.carol && one.chain === 0)
  const others = story.appends.filter((one) => !carols.includes(one))
  const asMallory = carols.map((one) => ({ ...one, seed: SEEDS.mallory }))
  const mallory = append(SEEDS.mallory, {}, [
    event('chain-opened', {}),
    admission('mallory', reference.publicKey(SEEDS.mallory), 1, 2)
  ])
  const sorted = (appends: readonly reference.ReferenceAppend[]) =>
    [...appends].sort((a, b) => (reference.publicKey(a.seed) < reference.publicKey(b.seed) ? -1 : 1))
  const withMallory = linesOf({ ...story, appends: sorted([...story.appends, mallory]) }).join('')
  const forged = linesOf({ ...story, appends: sorted([...others, ...asMallory]) }).map((line) =>
    line.replaceAll(reference.publicKey(SEEDS.mallory), reference.publicKey(SEEDS.carol))
  )
  const inOrder = [
    forged[0] as string,
    ...forged
      .slice(1)
      .filter((line) => line.startsWith('{"append"'))
      .sort(),
    ...forged.filter((line) => /^\{"(fork|witness)/.test(line))
  ]
  return [
    ['CHAIN-2 a stranger’s chain, well formed', withMallory, 'unknown', 'LOG_UNKNOWN'],
    ['CHAIN-2 Carol’s chain rewritten with another key', sealedUp(inOrder), 'tampered']
  ]
}

/** Flips, drops and swaps at places that a seed chooses. */
export function random(count: number): Mutation[] {
  let state = 20_261_120
  const below = (limit: number): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
    return Math.floor((state / 2 ** 32) * limit)
  }
  const lines = linesOf(tellStory())
  return Array.from({ length: count }, (_, number) => {
    const index = 1 + below(lines.length - 2)
    const line = lines[index] as string
    const places = [...line.matchAll(/[0-9a-f]{32,}/g)]
    const place = places[below(places.length)] as RegExpExecArray
    const at = place.index + below(place[0].length)
    const changed = flipped(line, at)
    return [`random flip ${number}: line ${index} at ${at}`, sealedUp(lines.with(index, changed))]
  })
}
