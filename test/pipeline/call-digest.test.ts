import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { type CallIdentity, callDigest } from '../../src/pipeline/call-digest.ts'

const hex = (byte: number, length: number): string => Buffer.alloc(length, byte).toString('hex')

const CALL: CallIdentity = {
  mesh: Buffer.alloc(32, 1),
  executor: hex(2, 32),
  epoch: 3,
  task: hex(4, 16),
  attempt: 5,
  call: 6,
  tool: 'file.write',
  toolHash: hex(7, 32),
  workspace: '/var/lib/x/é',
  profile: hex(8, 32),
  expiresAtMs: 1_700_000_000_123,
  nonce: hex(9, 16),
  argumentBytes: Buffer.from('{"path":"a"}')
}

test('APPROVE-1 the digest of a call is the one that the protocol writes down', () => {
  const u32 = (value: number): string => value.toString(16).padStart(8, '0')
  const sized = (bytes: Uint8Array): string => u32(bytes.length) + Buffer.from(bytes).toString('hex')
  const text = [
    Buffer.from('pmesh/call/1\0').toString('hex'),
    hex(1, 32),
    hex(2, 32),
    u32(3),
    hex(4, 16),
    u32(5),
    u32(6),
    sized(Buffer.from('file.write')),
    hex(7, 32),
    sized(Buffer.from('/var/lib/x/é')),
    hex(8, 32),
    (1_700_000_000_123).toString(16).padStart(16, '0'),
    hex(9, 16),
    sized(Buffer.from('{"path":"a"}'))
  ].join('')
  const expected = createHash('sha256').update(Buffer.from(text, 'hex')).digest('hex')
  assert.equal(callDigest(CALL), expected)
  assert.equal(expected, 'a0770e2a3ae47b67a698b499e5893d6d62940328a6266909f675d212b0c33aea')
})

const changes: readonly (readonly [keyof CallIdentity, CallIdentity[keyof CallIdentity]])[] = [
  ['mesh', Buffer.alloc(32, 0xff)],
  ['executor', hex(0xff, 32)],
  ['epoch', 4],
  ['task', hex(0xff, 16)],
  ['attempt', 6],
  ['call', 7],
  ['tool', 'file.writ'],
  ['toolHash', hex(0xff, 32)],
  ['workspace', '/var/lib/x/e'],
  ['profile', hex(0xff, 32)],
  ['expiresAtMs', 1_700_000_000_124],
  ['nonce', hex(0xff, 16)],
  ['argumentBytes', Buffer.from('{"path":"b"}')]
]
for (const [field, value] of changes) {
  test(`APPROVE-1 another ${field} is another digest`, () => {
    assert.notEqual(callDigest({ ...CALL, [field]: value }), callDigest(CALL))
  })
}

test('APPROVE-1 bytes do not move from one field to its neighbour', () => {
  const moved = { ...CALL, tool: `${CALL.tool}x`, workspace: CALL.workspace.slice(1) }
  assert.notEqual(callDigest(moved), callDigest(CALL))
})
