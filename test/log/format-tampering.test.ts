import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { fromHex, toHex } from '../../src/base/bytes.ts'
import { claimedHead } from '../../src/log/append-check.ts'
import { type AppendBlocks, decodeBlocks, decodeFrame, frameAppend, sameBlocks } from '../../src/log/append-codec.ts'
import { checkFrame } from '../../src/log/frame-check.ts'
import { headSealValid, tryDecodeForkProof, tryDecodeHead, tryForkProof } from '../../src/log/statement.ts'
import * as reference from '../vectors/reference.ts'

const ALICE = '0a'.repeat(32)
const MALLORY = '0e'.repeat(32)
const MESH = '5e'.repeat(32)

let salts = 0
const event = (fields: Partial<reference.ReferenceEvent> = {}): reference.ReferenceEvent => ({
  flags: 0,
  encoding: 0,
  type: 'app-note',
  scope: reference.zeros(16),
  timeMs: 1_763_625_600_000,
  timeCounter: 7,
  salt: reference.u64(++salts).padEnd(32, '7'),
  payload: reference.text('{"a":1}'),
  ...fields
})
const erasable = event({ flags: 1, payload: '20'.repeat(32), scope: '31'.repeat(16) })
const append = (
  events: readonly reference.ReferenceEvent[],
  place: Partial<reference.ReferenceAppend> = {}
): reference.ReferenceAppend => ({
  mesh: MESH,
  seed: ALICE,
  chain: 2,
  epoch: 3,
  firstSeq: 5,
  prev: '99'.repeat(32),
  events,
  ...place
})

/** A frame of `forged` that carries the seal of `original`. */
function withSealOf(original: reference.ReferenceAppend, forged: reference.ReferenceAppend): Buffer {
  const computed = reference.computeAppend(forged)
  const seal = reference.computeAppend(original).seal
  const [header, body] = [Buffer.from(computed.headerBlock, 'hex'), Buffer.from(computed.bodyBlock, 'hex')]
  header.set(fromHex(seal), 83)
  return frameAppend(header, body)
}

function accepted(frame: Uint8Array, mesh: string = MESH): boolean {
  const { appends, rest } = checkFrame(fromHex(mesh), frame)
  return rest === null && appends.length > 0 && appends.every(({ fault }) => fault === null)
}

const frameOf = (input: reference.ReferenceAppend): Buffer => Buffer.from(reference.computeAppend(input).frame, 'hex')

test('CHAIN-1 flipping any field of the format is detected', async (t) => {
  const original = append([event(), erasable, event({ type: 'app-other' })])
  assert.equal(accepted(frameOf(original)), true)
  const first = original.events[0] as reference.ReferenceEvent
  const second = original.events[1] as reference.ReferenceEvent
  const withFirst = (fields: Partial<reference.ReferenceEvent>) => ({
    ...original,
    events: [{ ...first, ...fields }, ...original.events.slice(1)]
  })
  const withSecond = (fields: Partial<reference.ReferenceEvent>) => ({
    ...original,
    events: [first, { ...second, ...fields }, ...original.events.slice(2)]
  })
  const forgeries: Record<string, reference.ReferenceAppend> = {
    'flags: no longer erasable': withSecond({ flags: 0 }),
    'flags: now erasable': withFirst({ flags: 1, payload: '20'.repeat(32) }),
    encoding: withFirst({ encoding: 1 }),
    author: { ...original, seed: MALLORY },
    chain: { ...original, chain: 1 },
    epoch: { ...original, epoch: 4 },
    'first seq': { ...original, firstSeq: 6 },
    prev: { ...original, prev: '98'.repeat(32) },
    'time, milliseconds': withFirst({ timeMs: first.timeMs + 1 }),
    'time, counter': withFirst({ timeCounter: 8 }),
    'scope removed': withSecond({ scope: reference.zeros(16) }),
    'scope added': withFirst({ scope: second.scope }),
    'payload length': withFirst({ payload: `${first.payload}20` }),
    payload: withFirst({ payload: reference.text('{"a":2}') }),
    salt: withFirst({ salt: '00'.repeat(16) }),
    type: withFirst({ type: 'app-other' }),
    'an event less': { ...original, events: original.events.slice(0, 2) },
    'an event more': { ...original, events: [...original.events, event()] },
    'order of events': { ...original, events: [...original.events].reverse() },
    'commitment of an erased payload': withSecond({
      payload: '21'.repeat(32),
      erased: { author: MESH, chain: 0, epoch: 1, seq: 1 }
    })
  }
  for (const [name, forged] of Object.entries(forgeries)) {
    await t.test(name, () => assert.equal(accepted(withSealOf(original, forged)), false))
  }
  await t.test('mesh', () => assert.equal(accepted(frameOf(original), '5f'.repeat(32)), false))
  await t.test('format', () => {
    const frame = frameOf(original)
    frame[8] = 2
    assert.deepEqual(checkFrame(fromHex(MESH), frame).rest, { kind: 'format', key: '' })
  })
})

test('CHAIN-1 flipping any bit of a frame is detected, but for where an erasure stands, which no author signs', () => {
  const eraser = { author: '44'.repeat(32), chain: 0, epoch: 1, seq: 9 }
  const input = append([event(), { ...erasable, erased: eraser }, erasable])
  const frame = frameOf(input)
  assert.equal(accepted(frame), true)
  const placeAt = frame.indexOf(Buffer.from(eraser.author, 'hex'))
  const undetected = new Set<number>()
  for (let at = 0; at < frame.length; at++) {
    for (let bit = 0; bit < 8; bit++) {
      const forged = Buffer.from(frame)
      forged[at] = (forged[at] as number) ^ (1 << bit)
      if (accepted(forged)) undetected.add(at)
    }
  }
  assert.deepEqual(
    [...undetected],
    Array.from({ length: 48 }, (_, index) => placeAt + index)
  )
})

test('CHAIN-1 flipping any bit of a head, a fork proof or a beacon’s head is detected', () => {
  const left = reference.computeAppend(append([event()]))
  const right = reference.computeAppend(append([event()]))
  const proof = fromHex(reference.forkProof(left, right))
  assert.ok(tryDecodeForkProof(proof))
  const valid = (bytes: Uint8Array): boolean => {
    const head = tryDecodeHead(bytes)
    return head !== null && headSealValid(head)
  }
  assert.equal(valid(fromHex(left.head)), true)
  for (let at = 0; at < proof.length; at++) {
    const forged = Uint8Array.from(proof)
    forged[at] = (forged[at] as number) ^ 1
    assert.equal(tryDecodeForkProof(forged), null, `byte ${at}`)
    if (at < 212) assert.equal(valid(forged.subarray(0, 212)), false, `byte ${at}`)
  }
})

test('CHAIN-2 Mallory rewrites an event and chains everything again: without the author’s key no seal holds', () => {
  const first = append([event(), event()], { firstSeq: 1, epoch: 1, prev: reference.zeros(32) })
  const second = append([event()], { firstSeq: 3, epoch: 1, prev: reference.computeAppend(first).link })
  const frames = (appends: readonly reference.ReferenceAppend[]) => Buffer.concat(appends.map(frameOf))
  assert.equal(accepted(frames([first, second])), true)

  const forged = {
    ...first,
    events: [event({ payload: reference.text('{"a":"rewritten"}') }), ...first.events.slice(1)]
  }
  const behind = { ...second, prev: reference.computeAppend(forged).link }
  assert.equal(accepted(Buffer.concat([withSealOf(first, forged), withSealOf(second, behind)])), false)

  const [asMallory, alsoMallory] = [forged, behind].map((input) => reference.computeAppend({ ...input, seed: MALLORY }))
  const asAlice = (computed: ReturnType<typeof reference.computeAppend>): Buffer => {
    const header = Buffer.from(computed.headerBlock, 'hex')
    header.set(fromHex(reference.publicKey(ALICE)), 1)
    return frameAppend(header, Buffer.from(computed.bodyBlock, 'hex'))
  }
  assert.ok(asMallory && alsoMallory)
  assert.equal(accepted(Buffer.concat([asAlice(asMallory), asAlice(alsoMallory)])), false)
})

test('CHAIN-2 a good last seal vouches for inner ones only through their links', () => {
  const first = append([event()], { firstSeq: 1, epoch: 1, prev: reference.zeros(32) })
  const second = append([event()], { firstSeq: 2, epoch: 1, prev: reference.computeAppend(first).link })
  const badSeal = withSealOf(append([event()]), first)
  const mesh = fromHex(MESH)
  assert.equal(checkFrame(mesh, Buffer.concat([badSeal, frameOf(second)])).appends[0]?.fault?.kind, 'invalid')

  const badLink = toHex(claimedHead(mesh, decodeFrame(badSeal).appends[0] as AppendBlocks).link)
  const vouching = append([event()], { firstSeq: 2, epoch: 1, prev: badLink })
  const { appends } = checkFrame(mesh, Buffer.concat([badSeal, frameOf(vouching)]))
  assert.deepEqual(
    appends.map(({ fault }) => fault),
    [null, null]
  )
})

test('CHAIN-7 a rewritten suffix of the same length is found by its ids and makes a portable proof', () => {
  const common = append([event()], { firstSeq: 1, epoch: 1, prev: reference.zeros(32) })
  const behind = { firstSeq: 2, epoch: 1, prev: reference.computeAppend(common).link }
  const [told, rewritten] = [append([event(), event()], behind), append([event(), event()], behind)]
  const [a, b] = [told, rewritten].map((input) => tryDecodeHead(fromHex(reference.computeAppend(input).head)))
  assert.ok(a && b)
  assert.equal(a.lastSeq, b.lastSeq)
  const proof = tryForkProof(a, b)
  assert.ok(proof)
  assert.ok(headSealValid(proof.a) && headSealValid(proof.b))
  assert.equal(tryForkProof(a, a), null)
})

const anyInput = fc
  .array(
    fc.record({
      type: fc.constantFrom('app-a', 'app-b', 'chain-opened'),
      scope: fc.constantFrom(reference.zeros(16), '11'.repeat(16), '12'.repeat(16)),
      length: fc.integer({ min: 0, max: 3 }),
      state: fc.constantFrom('record', 'content', 'erased'),
      timeMs: fc.integer({ min: 0, max: 2 ** 48 - 1 })
    }),
    { minLength: 1, maxLength: 5 }
  )
  .map((rows) =>
    append(
      rows.map(({ type, scope, length, state, timeMs }) =>
        event({
          type,
          scope,
          timeMs,
          ...(state === 'record' ? { payload: '7b'.repeat(length) } : { flags: 1, payload: '20'.repeat(32 * length) }),
          ...(state === 'erased' ? { erased: { author: MESH, chain: 1, epoch: 1, seq: 3 } } : {})
        })
      )
    )
  )

test('CHAIN-1 encoded and decoded again, an append is the same; any other bytes are refused or are another append', () => {
  fc.assert(
    fc.property(anyInput, fc.nat(), fc.integer({ min: 1, max: 255 }), (input, where, change) => {
      const frame = frameOf(input)
      const { appends, fault } = decodeFrame(frame)
      const blocks = appends[0]
      assert.ok(fault === null && appends.length === 1 && blocks !== undefined)
      assert.deepEqual(frameAppend(blocks.header, blocks.body), frame)
      const forged = Buffer.from(frame)
      const at = where % frame.length
      forged[at] = (forged[at] as number) ^ change
      const other = decodeFrame(forged)
      const [changed] = other.appends
      if (other.fault !== null || changed === undefined) return
      const mesh = fromHex(MESH)
      const sameLink = toHex(claimedHead(mesh, changed).link) === toHex(claimedHead(mesh, blocks).link)
      const inPlaceOfErasure = blocks.rows.some(
        (row) => row.absentAt >= 0 && at - 8 >= row.absentAt + 32 && at - 8 < row.absentAt + 80
      )
      assert.equal(sameLink, inPlaceOfErasure, `byte ${at}`)
      assert.equal(sameBlocks(changed, blocks), false)
    }),
    { numRuns: 400 }
  )
})

test('CHAIN-1 one append has one encoding: tables that are doubled or unused, and bytes left over, are refused', () => {
  const { headerBlock, bodyBlock } = reference.computeAppend(
    append([
      event({ type: 'a', scope: '11'.repeat(16) }),
      event({ type: 'b', scope: '12'.repeat(16) }),
      event({ type: 'a', scope: '11'.repeat(16) })
    ])
  )
  const body = Buffer.from(bodyBlock, 'hex')
  const typesAt = 147 * 2
  const decode = (hex: string) => decodeBlocks(Buffer.from(hex, 'hex'), body)
  assert.equal(typeof decode(headerBlock), 'object')
  const [before, tables] = [headerBlock.slice(0, typesAt), headerBlock.slice(typesAt)]
  const types = '0002' + '0161' + '0162'
  const scopes = `0002${'11'.repeat(16)}${'12'.repeat(16)}`
  assert.ok(tables.startsWith(types + scopes))
  const rows = tables.slice((types + scopes).length)
  const variants: Record<string, string> = {
    'an unused type': `0003016101620163${scopes}${rows}`,
    'a type twice': `0003016101620161${scopes}${rows}`,
    'an empty type': `00030161016200${scopes}${rows}`,
    'an unused scope': `${types}0003${'11'.repeat(16)}${'12'.repeat(16)}${'13'.repeat(16)}${rows}`,
    'a scope of zeros': `${types}0003${'11'.repeat(16)}${'12'.repeat(16)}${'00'.repeat(16)}${rows}`,
    'a byte left over': `${types}${scopes}${rows}00`,
    'a byte too few': `${types}${scopes}${rows}`.slice(0, -2),
    'a table longer than the rows': `ffff${types.slice(4)}${scopes}${rows}`
  }
  for (const [name, variant] of Object.entries(variants)) {
    assert.equal(decode(before + variant), 'layout', name)
  }
  assert.equal(decodeBlocks(Buffer.from(headerBlock, 'hex'), Buffer.concat([body, Buffer.alloc(1)])), 'layout')
})

test('CHAIN-1 decoding never throws, whatever the bytes', () => {
  const frame = frameOf(append([event(), erasable]))
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
      decodeFrame(bytes)
      tryDecodeHead(bytes)
      tryDecodeForkProof(bytes)
    }),
    { numRuns: 1000 }
  )
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(frame.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 }),
      (changes) => {
        const forged = Buffer.from(frame)
        for (const [at, value] of changes) forged[at] = value
        decodeFrame(forged)
      }
    ),
    { numRuns: 3000 }
  )
  for (let length = 0; length < frame.length; length++)
    assert.notEqual(decodeFrame(frame.subarray(0, length)).appends.length, 1)
})
