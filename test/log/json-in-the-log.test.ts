// JSON that two programs could read differently: where it comes from this machine it is refused, from others it is kept and means nothing.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { prng } from '../../simulations/prng.ts'
import { isMeshError } from '../../src/base/mesh-error.ts'
import type { SigningKey } from '../../src/identity/ed25519.ts'
import { buildAppend, fillPayload } from '../../src/log/append-builder.ts'
import { eventSize, FLAG_ERASABLE, frameAppend, NO_SCOPE } from '../../src/log/append-codec.ts'
import { encodeControl } from '../../src/log/control-records.ts'
import { queryPage } from '../../src/log/event-query.ts'
import type { Head } from '../../src/log/statement.ts'
import {
  type Built,
  build,
  certificateFor,
  founded,
  founding,
  kinds,
  note,
  noteTexts,
  OPENED,
  openLog,
  testMesh,
  verify
} from './log-kit.ts'

const mesh = testMesh()
const AMBIGUOUS = [
  '{"text":"a","text":"b"}',
  '{"text":-0}',
  '{"text":9007199254740993}',
  '{"text":"\\ud800"}',
  '{"text":"a"'
]

/** What a program that checks nothing would seal. */
function sealUnchecked(author: SigningKey, after: Head, type: string, payload: Uint8Array, flags: number): Built {
  const place = { author: author.publicKey, chain: 0, epoch: 1, firstSeq: after.lastSeq + 1, prev: after.link }
  const event = { type, payload, scope: NO_SCOPE, flags, size: eventSize(type.length, payload.length) }
  const stamp = () => ({ ms: 1_700_000_000_000, counter: after.lastSeq })
  const { head, blocks } = buildAppend(mesh.id, author, place, [event], stamp, prng(after.lastSeq, 'json'))
  return { head, frame: frameAppend(blocks.header, blocks.body) }
}

test('CHAIN-8 JSON outside the rules is refused at the local append, together with its batch', async () => {
  const log = await founded(mesh)
  const { events } = await verify(log, mesh.alice)
  for (const text of AMBIGUOUS) {
    const batch = [note('beside it'), { type: 'app-note', payload: Buffer.from(text) }]
    const refused = (error: unknown): boolean => isMeshError(error) && error.code === 'EVENT_INVALID'
    await assert.rejects(log.append(batch), refused, text)
  }
  assert.equal((await verify(log, mesh.alice)).events, events)
  assert.deepEqual(await noteTexts(log), [])
})

test('CHAIN-8 JSON outside the rules that another member signed is stored, verifies, and has no effect', async () => {
  const log = await founded(mesh)
  let last = build(mesh, mesh.bob, [OPENED])
  assert.deepEqual(kinds(await log.ingest(last.frame, 'sync')), ['stored'])
  for (const text of AMBIGUOUS) {
    last = sealUnchecked(mesh.bob, last.head, 'app-note', fillPayload(Buffer.from(text)), FLAG_ERASABLE)
    assert.deepEqual(kinds(await log.ingest(last.frame, 'sync')), ['stored'])
  }
  const { fault, events } = await verify(log, mesh.bob)
  assert.deepEqual({ fault, events }, { fault: null, events: 1 + AMBIGUOUS.length })
  const page = await queryPage(log, { author: mesh.bob.publicKeyHex, type: 'app-note' }, 100)
  assert.deepEqual(
    page.events.map(({ authorised }) => authorised),
    AMBIGUOUS.map(() => false)
  )
})

test('CHAIN-8 an admission whose JSON is outside the rules admits nobody, the same one inside them does', async () => {
  const certificate = certificateFor(mesh, mesh.alice, mesh.bob)
  const text = Buffer.from(encodeControl({ type: 'member-admitted', certificate, invite: null })).toString('utf8')
  const first = build(mesh, mesh.alice, founding(mesh))
  for (const [payload, admitted] of [
    [text, true],
    [text.replace('{', '{"invite":null,"invite":null,'), false]
  ] as const) {
    const log = await openLog(mesh, mesh.carol)
    const second = sealUnchecked(mesh.alice, first.head, 'member-admitted', Buffer.from(payload), 0)
    for (const { frame } of [first, second]) assert.deepEqual(kinds(await log.ingest(frame, 'sync')), ['stored'])
    assert.equal(log.view.members.has(mesh.bob.publicKeyHex), admitted)
    assert.equal((await verify(log, mesh.alice)).fault, null)
  }
})
