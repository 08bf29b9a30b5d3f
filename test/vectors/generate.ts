// Golden vectors of format 1, from the reference implementation: `node test/vectors/generate.ts` writes the files that do not exist yet.
// Vectors are only ever added: an existing file is never written again, and test/log/format-vectors.test.ts pins every one.

import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as reference from './reference.ts'

const { text, zeros } = reference
const seed = (name: string): string => reference.sha256(text(`pmesh vector key ${name}`))
const bytes = (length: number, name: string): string => reference.sha256(text(`pmesh vector bytes ${name}`)).slice(0, length * 2)

export const SEEDS = { alice: seed('alice'), bob: seed('bob'), carol: seed('carol'), recovery: seed('recovery') }
const ALICE = reference.publicKey(SEEDS.alice)
const BOB = reference.publicKey(SEEDS.bob)
const CAROL = reference.publicKey(SEEDS.carol)
const PREIMAGE = { founder: ALICE, recovery: reference.publicKey(SEEDS.recovery), nonce: bytes(16, 'nonce'), name: 'vectors' }
const MESH = reference.meshId(PREIMAGE)
const START_MS = 1_763_625_600_000
const SCOPES = [reference.scopeId(ALICE, bytes(16, 'scope 1')), reference.scopeId(BOB, bytes(16, 'scope 2'))] as const

let salts = 0
function event(fields: Partial<reference.ReferenceEvent> & { json?: string } = {}): reference.ReferenceEvent {
  salts += 1
  const { json = '{}', ...rest } = fields
  const plain = { flags: 0, encoding: 0, type: 'app-note', scope: zeros(16), timeMs: START_MS + salts, timeCounter: 0 }
  return { ...plain, salt: bytes(16, `salt ${salts}`), payload: text(json), ...rest }
}

/** An erasable payload is filled with spaces to a multiple of 32. */
function erasable(json: string): Partial<reference.ReferenceEvent> {
  const length = Buffer.byteLength(json)
  return { flags: 1, payload: text(json + ' '.repeat(Math.ceil(length / 32) * 32 - length)) }
}

function append(events: readonly reference.ReferenceEvent[], place: Partial<reference.ReferenceAppend> = {}): reference.ReferenceAppend {
  return { mesh: MESH, seed: SEEDS.alice, chain: 0, epoch: 1, firstSeq: 1, prev: zeros(32), events, ...place }
}

const JSON_EDGE_CASES = [
  '{"b":1,"a":2}',
  ' {\t"spaced" :\r\n[ ] } ',
  '{"nfc":"\u00e9","nfd":"e\u0301"}',
  '{"escaped":"\\u00e9\\n\\/\\ud83d\\ude00","raw":"😀\u2028\u2029\u007f"}',
  '{"lone":"\\ud800"}',
  '{"same":1,"same":2}',
  '{"minus":-0,"big":1e21,"above":9007199254740993,"fraction":0.1}',
  '{"__proto__":{"a":null}}',
  '[]',
  'not JSON'
]

function appends() {
  const first = append([event({ type: 'chain-opened', json: '{"instance":"00"}' })])
  const second = append([event(), event({ json: '{"n":2}' })], { firstSeq: 2, prev: reference.computeAppend(first).link })
  const cases: [string, reference.ReferenceAppend][] = [
    ['one event', first],
    ['an append behind another', second],
    ['payloads that are odd JSON, or none', append(JSON_EDGE_CASES.map((json) => event({ json })))],
    ['empty payload', append([event({ payload: '' }), event({ payload: '', flags: 1 })])],
    ['payloads that are not UTF-8', append([event({ payload: 'ff00fe' }), event({ payload: 'efbbbf7b7d' }), event({ payload: 'c080' })])],
    ['erasable payloads, filled', append([event(erasable('{"text":"short"}')), event(erasable(`{"text":"${'x'.repeat(40)}"}`)), event(erasable(`{"t":"${'x'.repeat(24)}"}`))])],
    ['opaque ciphertext', append([event({ encoding: 1, payload: bytes(32, 'ciphertext') }), event({ encoding: 1, flags: 1, payload: bytes(32, 'other') })])],
    ['shortest and longest type', append([event({ type: 'a' }), event({ type: `app-${'x'.repeat(60)}` }), event({ type: 'a' }), event({ type: 'v2-9a-0' })])],
    ['two scopes and none', append([event({ scope: SCOPES[1] }), event(), event({ scope: SCOPES[0] }), event({ scope: SCOPES[1] })])],
    [
      'hybrid clock: the counter carries, the largest time',
      append([
        event({ timeMs: START_MS, timeCounter: 0xfffe }),
        event({ timeMs: START_MS, timeCounter: 0xffff }),
        event({ timeMs: START_MS + 1, timeCounter: 0 }),
        event({ timeMs: 2 ** 48 - 1, timeCounter: 0xffff })
      ])
    ],
    ['epoch 2 behind a kept head', append([event({ type: 'epoch-opened' })], { epoch: 2, prev: reference.computeAppend(second).link })],
    ['epoch 2 that keeps nothing', append([event({ type: 'epoch-opened' })], { epoch: 2, seed: SEEDS.bob })],
    ['largest numbers', append([event(), event()], { chain: 0xffff_ffff, epoch: 0xffff_ffff, firstSeq: Number.MAX_SAFE_INTEGER - 1, prev: bytes(32, 'prev') })],
    [
      'erased events',
      append([
        event({ ...erasable('{"text":"gone"}'), scope: SCOPES[0], erased: { author: BOB, chain: 0, epoch: 1, seq: 7 } }),
        event(),
        event({ ...erasable('{"text":"gone too"}'), erased: { author: CAROL, chain: 3, epoch: 2, seq: 2 ** 33 } }),
        event(erasable('{"text":"kept"}'))
      ])
    ]
  ]
  return cases.map(([name, input]) => ({ name, input, expected: reference.computeAppend(input) }))
}

function heads() {
  const left = reference.computeAppend(append([event()]))
  const right = reference.computeAppend(append([event(), event()]))
  const instance = reference.u64(START_MS) + bytes(8, 'instance')
  return {
    fork: { a: left.head, b: right.head, proof: reference.forkProof(left, right) },
    beacon: { seed: SEEDS.alice, head: left.head, timeMs: START_MS + 5, instance, beacon: reference.beacon(SEEDS.alice, left.head, START_MS + 5, instance) }
  }
}

function membership() {
  const certificates = [
    { mesh: MESH, subject: BOB, issuerSeed: SEEDS.alice, rank: 1, role: 2, rights: 31, expiryMs: 0 },
    { mesh: MESH, subject: CAROL, issuerSeed: SEEDS.bob, rank: 0xffff, role: 0, rights: 0xffff_ffff, expiryMs: Number.MAX_SAFE_INTEGER }
  ]
  const names = ['a', 'vectors', 'Büro 東京', 'x'.repeat(64)]
  const cuts = [{ chain: 0, epoch: 1, seq: 12, id: bytes(32, 'cut 1') }, { chain: 2, epoch: 3, seq: 0, id: zeros(32) }]
  const join = { secret: bytes(16, 'secret'), mesh: MESH, inviter: ALICE, joiner: BOB, inviterNonce: bytes(32, 'ours'), joinerNonce: bytes(32, 'theirs') }
  const preimages = names.flatMap((name) => [{ ...PREIMAGE, name }, { ...PREIMAGE, name, recovery: null }])
  return {
    meshes: preimages.map((preimage) => ({ preimage, bytes: reference.meshPreimage(preimage), mesh: reference.meshId(preimage) })),
    scopes: [ALICE, BOB].map((owner) => ({ owner, nonce: bytes(16, 'scope'), scope: reference.scopeId(owner, bytes(16, 'scope')) })),
    certificates: certificates.map((input) => {
      const certificate = reference.certificate(input)
      return { input, certificate, id: reference.sha256(certificate) }
    }),
    refoundings: [cuts, []].map((cuts, counter) => ({
      recovery: PREIMAGE.recovery,
      mesh: MESH,
      founder: BOB,
      counter: counter + 1,
      cuts,
      signature: reference.refounding(SEEDS.recovery, MESH, BOB, counter + 1, cuts)
    })),
    joinProofs: [{ ...join, proof: reference.joinProof(join.secret, join.mesh, join.inviter, join.joiner, join.inviterNonce, join.joinerNonce) }]
  }
}

function exported(): string {
  const founding = append([event({ type: 'mesh-founded', json: JSON.stringify(PREIMAGE) }), event({ type: 'member-admitted', json: JSON.stringify({ subject: BOB, certificate: reference.certificate({ mesh: MESH, subject: BOB, issuerSeed: SEEDS.alice, rank: 1, role: 1, rights: 17, expiryMs: 0 }), invite: null }) })])
  const opening = append([event({ type: 'chain-opened' }), event({ scope: SCOPES[1] })], { seed: SEEDS.bob })
  const opened = reference.computeAppend(opening)
  const next = { seed: SEEDS.bob, firstSeq: 3, prev: opened.link }
  const branches = [append([event({ payload: 'ff00fe' })], next), append([event(erasable('{"text":"\u2028é"}')), event({ payload: '' })], next)]
  const [left, right] = branches.map(reference.computeAppend) as [ReturnType<typeof reference.computeAppend>, ReturnType<typeof reference.computeAppend>]
  if (left.link > right.link) branches.reverse()
  const authors = [[founding], [opening, ...branches]]
  if (ALICE > BOB) authors.reverse()
  const witnesses = [reference.computeAppend(founding).head, right.head]
  if (ALICE > BOB) witnesses.reverse()
  return reference.exportLines(PREIMAGE, authors.flat(), [reference.forkProof(left, right)], witnesses).join('')
}

/** JSON as payloads may hold it: accepted or refused at a local append, without effect from others. */
function jsonCases() {
  const bom = Buffer.from('efbbbf', 'hex')
  const deep = (levels: number): string => `${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}`
  const accepted: [string, string | Buffer][] = [
    ['an empty object', '{}'],
    ['white space around and inside', ' \t\r\n{ "a" :\n[ 1 , 2 ] }\n '],
    ['keys in any order', '{"b":1,"a":2}'],
    ['the same letters in NFC and NFD are two keys', '{"\u00e9":1,"e\u0301":2}'],
    ['null, false, empty text and a missing key are four things', '{"null":null,"false":false,"text":""}'],
    ['an empty key', '{"":1}'],
    ['__proto__ as a key', '{"__proto__":{"constructor":null}}'],
    ['a surrogate pair in escapes', '{"a":"\\ud83d\\ude00"}'],
    ['every short escape', '{"a":"\\"\\\\\\/\\b\\f\\n\\r\\t\\u0000"}'],
    ['raw line separators and delete', '{"a":"\u2028\u2029\u007f"}'],
    ['the largest integers', '{"a":9007199254740991,"b":-9007199254740991}'],
    ['zero in its spellings', '{"a":0,"b":0.0,"c":0e5}'],
    ['fractions and exponents', '{"a":0.1,"b":-1.5e-7,"c":1E+2,"d":1e15}'],
    ['a number too small to tell from zero', '{"a":1e-400}'],
    ['the same key in different objects', '{"a":{"a":[{"a":1},{"a":2}]}}'],
    ['64 levels', deep(64)]
  ]
  const refused: [string, string | Buffer][] = [
    ['nothing', ''],
    ['white space alone', '  '],
    ['an array', '[]'],
    ['a text', '"a"'],
    ['a number', '1'],
    ['null', 'null'],
    ['two objects', '{}{}'],
    ['text behind the object', '{} x'],
    ['a byte order mark', Buffer.concat([bom, Buffer.from('{}')])],
    ['bytes that are not UTF-8', Buffer.from('7b2261223a22ff227d', 'hex')],
    ['an overlong encoding', Buffer.from('7b2261223a22c080227d', 'hex')],
    ['an encoded surrogate', Buffer.from('7b2261223a22eda080227d', 'hex')],
    ['a key twice', '{"a":1,"a":1}'],
    ['a key twice, once escaped', '{"a":1,"\\u0061":2}'],
    ['a key twice, deep inside', '{"x":[{"a":1,"b":2,"a":3}]}'],
    ['a lone high surrogate', '{"a":"\\ud800"}'],
    ['a lone low surrogate', '{"a":"\\udc00"}'],
    ['surrogates in the wrong order', '{"a":"\\ude00\\ud83d"}'],
    ['a lone surrogate in a key', '{"\\ud800":1}'],
    ['minus zero', '{"a":-0}'],
    ['minus zero as a fraction', '{"a":-0.0}'],
    ['minus zero with an exponent', '{"a":-0e1}'],
    ['a negative number that rounds to minus zero', '{"a":-1e-400}'],
    ['1e21', '{"a":1e21}'],
    ['2^53', '{"a":9007199254740992}'],
    ['-2^53', '{"a":-9007199254740992}'],
    ['2^53 + 1', '{"a":9007199254740993}'],
    ['a number that becomes infinite', '{"a":1e999}'],
    ['a leading zero', '{"a":01}'],
    ['a leading plus', '{"a":+1}'],
    ['a bare point', '{"a":1.}'],
    ['a bare fraction', '{"a":.5}'],
    ['an empty exponent', '{"a":1e}'],
    ['NaN', '{"a":NaN}'],
    ['undefined', '{"a":undefined}'],
    ['hexadecimal', '{"a":0x10}'],
    ['a trailing comma', '{"a":1,}'],
    ['a trailing comma in an array', '{"a":[1,]}'],
    ['a comment', '{"a":1/**/}'],
    ['single quotes', "{'a':1}"],
    ['a key without quotes', '{a:1}'],
    ['a raw line end in a text', '{"a":"\n"}'],
    ['a raw NUL', '{"a":"\0"}'],
    ['an unknown escape', '{"a":"\\x41"}'],
    ['a broken escape', '{"a":"\\u00g0"}'],
    ['an unfinished text', '{"a":"b'],
    ['an unfinished object', '{"a":1'],
    ['65 levels', deep(65)]
  ]
  const rows = (cases: [string, string | Buffer][], accepts: boolean) =>
    cases.map(([name, value]) => ({ name, accepted: accepts, payload: Buffer.from(value as string).toString('hex') }))
  return [...rows(accepted, true), ...rows(refused, false)]
}

/** Name of each file and its content. */
export function vectorFiles(): Map<string, string> {
  salts = 0
  const json = (value: unknown): string => `${JSON.stringify(value, null, 1)}\n`
  return new Map([
    ['appends-1.json', json(appends())],
    ['heads-1.json', json(heads())],
    ['membership-1.json', json(membership())],
    ['json-1.json', json(jsonCases())],
    ['export-1.jsonl', exported()]
  ])
}

if (import.meta.main) {
  for (const [name, content] of vectorFiles()) {
    const file = join(import.meta.dirname, name)
    if (!existsSync(file)) writeFileSync(file, content, { flag: 'wx' })
  }
}
