// Credentials are masked, what only looks like one stays.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { maskValues, redactSecrets } from '../../src/guard/redact.ts'

/** Put together here so that scanners of this repository find no key. */
const filler = (length: number) => 'aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zC'.repeat(8).slice(0, length)

const SECRETS: readonly (readonly [string, string])[] = [
  ['anthropic-key', `sk-${'ant'}-api03-${filler(60)}`],
  ['api-key', `sk-${filler(48)}`],
  ['github-token', `ghp${'_'}${filler(36)}`],
  ['github-token', `github${'_pat_'}${filler(60)}`],
  ['aws-key', `AKIA${'ABCDEFGH12345678'}`],
  ['google-key', `AIza${filler(35)}`],
  ['slack-token', `xox${'b'}-${filler(40)}`],
  ['jwt', `eyJ${filler(20)}.eyJ${filler(30)}.${filler(43)}`]
]

test('well-known shapes of credentials are masked wherever they stand', () => {
  for (const [kind, secret] of SECRETS) {
    assert.equal(redactSecrets(`before ${secret} after`), `before [redacted:${kind}] after`)
  }
  assert.equal(redactSecrets(`Authorization: Bearer ${filler(40)}`), 'Authorization: Bearer [redacted:bearer-token]')
  assert.equal(redactSecrets(`{"api_key": "${filler(20)}"}`), '{"api_key": "[redacted:assigned-secret]"}')
  assert.equal(redactSecrets('password=hunter2-and-more x'), 'password=[redacted:assigned-secret] x')
  const url = (password: string): string => ['postgres', `//anna${password}@db/x`].join(':')
  assert.equal(redactSecrets(url(':s3cret!pw')), url(':[redacted:url-password]'))
})

test('a private key block is masked whole, and to the end of the text when it was cut', () => {
  const begin = `-----BEGIN ${'OPENSSH PRIVATE'} KEY-----\n${filler(64)}\n`
  const end = `-----END ${'OPENSSH PRIVATE'} KEY-----`
  assert.equal(redactSecrets(`a ${begin}${end} b`), 'a [redacted:private-key] b')
  assert.equal(redactSecrets(`a ${begin}`), 'a [redacted:private-key]')
})

test('peer ids, multiaddrs, hashes, UUIDs and prose stay', () => {
  const honest = [
    '12D3KooWQYhTNQdmr3ArTeUHRYzFg94BKyTkoWBDWez9kSCVe2Xo',
    '/ip4/10.0.0.4/tcp/4001/p2p/12D3KooWQYhTNQdmr3ArTeUHRYzFg94BKyTkoWBDWez9kSCVe2Xo',
    'sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08',
    '6ba7b810-9dad-11d1-80b4-00c04fd430c8',
    'The password must have twelve characters. See https://example.org:8443/a@b',
    'password: null'
  ]
  for (const text of honest) assert.equal(redactSecrets(text), text)
})

test('given values are masked, the longest first, short ones left', () => {
  assert.equal(
    maskValues('token12345 token1 abc', ['token1', 'token12345', 'abc', '']),
    '[redacted:secret] [redacted:secret] abc'
  )
})

test('masking twice changes nothing more', () => {
  const unit = fc.constantFrom('password=', 'Bearer ', 'sk-', filler(30), ' ', '"', ':', '//', '@', 'x')
  fc.assert(
    fc.property(fc.string({ unit, maxLength: 20 }), (text) => {
      const once = redactSecrets(text)
      assert.equal(redactSecrets(once), once)
    }),
    { numRuns: 500 }
  )
})
