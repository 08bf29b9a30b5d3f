import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { fromHex, toHex } from '../../src/base/bytes.ts'
import { isMeshError } from '../../src/base/mesh-error.ts'
import {
  ALL_RIGHTS,
  CERTIFICATE_BYTES,
  type Certificate,
  certificateId,
  certificateSignatureValid,
  defaultRights,
  encodeCertificate,
  issueCertificate,
  RIGHTS,
  tryDecodeCertificate
} from '../../src/identity/certificate.ts'
import {
  type CertificatePathInput,
  checkCertificatePath,
  checkGrant,
  FOUNDER_GRANT
} from '../../src/identity/certificate-path.ts'
import { type SigningKey, signingKeyFromSeed } from '../../src/identity/ed25519.ts'
import {
  encodeInvite,
  type Invite,
  inviteId,
  inviteSecret,
  parseInvite,
  tryParseInvite
} from '../../src/identity/invite.ts'
import { joinProof, joinProofValid } from '../../src/identity/join-proof.ts'
import { encodeMeshPreimage, isMeshName, meshIdOf, tryDecodeMeshPreimage } from '../../src/identity/mesh-id.ts'
import { encodeNamedFounder, refoundingValid, signRefounding } from '../../src/identity/refounding.ts'
import { TAGS } from '../../src/identity/tags.ts'
import { scanBytes } from '../canary.ts'

const keyOf = (fill: number): SigningKey => signingKeyFromSeed(new Uint8Array(32).fill(fill))
const [alice, bob, recovery, carol] = [keyOf(1), keyOf(2), keyOf(3), keyOf(4)]
const preimage = {
  founder: alice.publicKey,
  recovery: recovery.publicKey,
  nonce: new Uint8Array(16).fill(9),
  name: 'home'
}
const mesh = meshIdOf(preimage)
const nowMs = 1_790_000_000_000
const EIGHT_ORDER = '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05'

function grant(issuer: SigningKey, subject: Uint8Array, fields: Partial<Certificate> = {}): Certificate {
  return issueCertificate(issuer, { mesh, subject, rank: 1, role: 'admin', rights: ALL_RIGHTS, expiryMs: 0, ...fields })
}

function reasonOf(path: readonly Certificate[], input: Partial<CertificatePathInput> = {}): string {
  const subject = path.at(-1)?.subject ?? alice.publicKey
  const verdict = checkCertificatePath({ preimage, path, subject, nowMs, ...input })
  return verdict.ok ? 'ok' : verdict.reason
}

test('tags are fourteen, NUL-ended, and none is the beginning of another', () => {
  const tags = Object.values(TAGS).map((tag) => tag.toString('latin1'))
  assert.equal(new Set(tags).size, 14)
  for (const tag of tags) assert.match(tag, /^pmesh\/[a-z]+\/1\0$/)
})

test('mesh id, certificate, refounding and join proof keep their golden bytes', () => {
  assert.equal(toHex(mesh), '12270f359d601b726d71b719f96f98c3ad0638813bfbdf2e1c824e2a7371461c')
  assert.equal(
    toHex(meshIdOf({ ...preimage, recovery: null })),
    '2bb6617ba8a70def6a64023e3f78fb5808b03f264ff965f87beb56289c349254'
  )
  const bytes = encodeCertificate(grant(alice, bob.publicKey, { expiryMs: 1_800_000_000_000 }))
  assert.equal(bytes.length, CERTIFICATE_BYTES)
  assert.equal(
    toHex(bytes),
    '12270f359d601b726d71b719f96f98c3ad0638813bfbdf2e1c824e2a7371461c8139770ea87d175f56a35466c34c7ecccb8d8a91b4ee37a25df60f5b8fc9b3948a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c0001020000001f000001a3185c500059dc0fcba7eb44672c5701d0f598420d5e31378b4179d023783b11ebcfab4eb2ccf75cb32849ad209f0eac7816073585b83c74ac1a81568147b5b5266ba53c0f'
  )
  assert.equal(toHex(certificateId(bytes)), '762a26c72285b40743b59736c763f8195dfa4aaeb42ee51aef0b4a70836bba8b')
  const refounding = { mesh, founder: bob.publicKey, counter: 7, cuts: Buffer.from('cuts') }
  assert.equal(
    toHex(signRefounding(recovery, refounding)),
    '961b439397a960ac36e4811d17f4f33f3b5b5b523c4decea14b482133effd982f388e5e0b165e9a7b8ce95e659c9a7583310cccb6a78d63a8a332cac01c3a406'
  )
  const secret = new Uint8Array(16).fill(5)
  const [inviterNonce, joinerNonce] = [new Uint8Array(32).fill(6), new Uint8Array(32).fill(7)]
  const proof = joinProof(secret, { mesh, inviter: alice.publicKey, joiner: bob.publicKey, inviterNonce, joinerNonce })
  assert.equal(toHex(proof), 'a15e07e626b6126fbc71c71fdfc61e625995c563a33d2141da87e6f5f8a5bcd2')
})

test('a mesh preimage reads back, and names that are empty, long, broken or carry controls are refused', () => {
  assert.deepEqual(tryDecodeMeshPreimage(encodeMeshPreimage(preimage))?.name, 'home')
  assert.equal(tryDecodeMeshPreimage(encodeMeshPreimage({ ...preimage, recovery: null }))?.recovery, null)
  for (const name of ['', 'x'.repeat(65), 'é'.repeat(33), '\ud800', 'a\u001b[2J', 'a\nb'])
    assert.equal(isMeshName(name), false, name)
  assert.ok(isMeshName('é'.repeat(32)))
  const bytes = encodeMeshPreimage(preimage)
  assert.equal(tryDecodeMeshPreimage(bytes.subarray(0, 80)), null)
  assert.equal(tryDecodeMeshPreimage(Buffer.concat([bytes.subarray(0, 80), Buffer.from([0xff])])), null)
})

test('every byte of a certificate is under its signature', () => {
  const bytes = encodeCertificate(grant(alice, bob.publicKey, { role: 'member', rights: 0x80000001, expiryMs: 5 }))
  const decoded = tryDecodeCertificate(bytes)
  assert.ok(decoded !== null && certificateSignatureValid(decoded))
  assert.deepEqual(encodeCertificate(decoded), bytes)
  for (let index = 0; index < bytes.length; index++) {
    const changed = Buffer.from(bytes)
    changed[index] = (changed[index] ?? 0) ^ 1
    const other = tryDecodeCertificate(changed)
    assert.ok(other === null || !certificateSignatureValid(other), `byte ${index}`)
  }
  assert.equal(tryDecodeCertificate(bytes.subarray(1)), null)
  const unknownRole = Buffer.from(bytes)
  unknownRole[98] = 3
  assert.equal(tryDecodeCertificate(unknownRole), null)
})

test('MEMBER-4 only admins with the right admit, a rank below their own, no right that they lack', () => {
  const admin = { rank: 1, role: 'admin', rights: ALL_RIGHTS } as const
  assert.equal(checkGrant(FOUNDER_GRANT, admin), 'ok')
  assert.equal(checkGrant(admin, admin), 'rank-not-below-issuer')
  assert.equal(checkGrant(admin, { ...admin, rank: 2 }), 'ok')
  assert.equal(checkGrant({ ...admin, role: 'member' }, { ...admin, rank: 2 }), 'issuer-may-not-admit')
  assert.equal(checkGrant({ ...admin, rights: RIGHTS.remove }, { ...admin, rank: 2 }), 'issuer-may-not-admit')
  assert.equal(checkGrant({ ...admin, rights: RIGHTS.admit }, { ...admin, rank: 2 }), 'rights-beyond-issuer')
  assert.equal(defaultRights('observer'), 0)
  assert.equal(defaultRights('member'), RIGHTS.approve | RIGHTS.witness)
})

test('MEMBER-5 a path from the founder is accepted, and each broken one is refused for its reason', () => {
  const toBob = grant(alice, bob.publicKey)
  const toCarol = grant(bob, carol.publicKey, { rank: 2, role: 'member', rights: RIGHTS.approve })
  assert.equal(reasonOf([]), 'ok')
  assert.equal(reasonOf([toBob]), 'ok')
  assert.equal(reasonOf([toBob, toCarol]), 'ok')
  assert.equal(reasonOf([], { subject: bob.publicKey }), 'path-empty')
  assert.equal(reasonOf([toBob], { subject: carol.publicKey }), 'subject-mismatch')
  assert.equal(reasonOf([toCarol]), 'issuer-broken')
  assert.equal(reasonOf([toBob], { preimage: { ...preimage, name: 'other' } }), 'mesh-foreign')
  assert.equal(reasonOf([{ ...toBob, rights: 1 }]), 'signature-invalid')
  assert.equal(reasonOf([toBob, grant(bob, carol.publicKey)]), 'rank-not-below-issuer')
  assert.equal(reasonOf([toBob, toCarol], { removed: (key) => key === bob.publicKeyHex }), 'removed')
  assert.equal(reasonOf([toBob, toCarol], { removed: (key) => key === alice.publicKeyHex }), 'removed')
  const demoted = (key: string) =>
    key === bob.publicKeyHex ? { rank: 1, role: 'member' as const, rights: 0 } : undefined
  assert.equal(reasonOf([toBob, toCarol], { grantOf: demoted }), 'issuer-may-not-admit')
})

test('expiry of a certificate counts ten minutes late', () => {
  const expiring = [grant(alice, bob.publicKey, { expiryMs: nowMs })]
  assert.equal(reasonOf(expiring, { nowMs: nowMs + 600_000 }), 'ok')
  assert.equal(reasonOf(expiring, { nowMs: nowMs + 600_001 }), 'expired')
})

test('a path of eight certificates is read and one of nine is not', () => {
  const path: Certificate[] = []
  let issuer = alice
  for (let rank = 1; rank <= 9; rank++) {
    const subject = keyOf(100 + rank)
    path.push(grant(issuer, subject.publicKey, { rank }))
    issuer = subject
  }
  assert.equal(reasonOf(path.slice(0, 8)), 'ok')
  assert.equal(reasonOf(path), 'path-too-long')
})

test('ID-4 a certificate for a key of small or mixed order is refused at admission', () => {
  assert.equal(reasonOf([grant(alice, fromHex(EIGHT_ORDER))]), 'key-refused')
  const mixed = fromHex(MIXED_ORDER)
  assert.equal(reasonOf([grant(alice, mixed)]), 'key-refused')
  assert.equal(reasonOf([grant(alice, bob.publicKey)]), 'ok')
})

const MIXED_ORDER = 'e996f4ea4724575852e3dbf6b5669f0accf709b66472198bfa14e6f030f43553'

test('MEMBER-5 only the recovery key names a new founder, for exactly these fields', () => {
  const refounding = { mesh, founder: bob.publicKey, counter: 1, cuts: Buffer.from('c') }
  const signature = signRefounding(recovery, refounding)
  assert.ok(refoundingValid(recovery.publicKey, refounding, signature))
  assert.equal(refoundingValid(alice.publicKey, refounding, signature), false)
  for (const change of [
    { mesh: carol.publicKey },
    { founder: carol.publicKey },
    { counter: 2 },
    { cuts: Buffer.from('d') },
    { counter: -1 }
  ]) {
    assert.equal(refoundingValid(recovery.publicKey, { ...refounding, ...change }, signature), false)
  }
})

test('MEMBER-2 a join proof binds secret, mesh, both keys and both nonces', () => {
  const secret = inviteSecret(alice, new Uint8Array(16).fill(1))
  const nonces = { inviterNonce: new Uint8Array(32).fill(6), joinerNonce: new Uint8Array(32).fill(7) }
  const fields = { mesh, inviter: alice.publicKey, joiner: bob.publicKey, ...nonces }
  const proof = joinProof(secret, fields)
  assert.ok(joinProofValid(secret, fields, proof))
  assert.equal(joinProofValid(new Uint8Array(16), fields, proof), false)
  const others = [{ mesh: bob.publicKey }, { inviter: bob.publicKey }, { joiner: carol.publicKey }]
  for (const change of [
    ...others,
    { inviterNonce: nonces.joinerNonce },
    { joinerNonce: nonces.inviterNonce },
    { joinerNonce: new Uint8Array(31) }
  ]) {
    assert.equal(joinProofValid(secret, { ...fields, ...change }, proof), false)
  }
  assert.equal(joinProofValid(secret, fields, proof.subarray(1)), false)
})

const invite: Invite = {
  mesh,
  inviter: alice.publicKey,
  secret: new Uint8Array(16).fill(5),
  expiryMs: 1_800_000_000_000,
  meshName: 'home',
  doors: ['/ip4/192.168.1.7/tcp/4702']
}
const INVITE_TEXT =
  'pmesh1-ABInDzWdYBtybXG3GflvmMOtBjiBO_vfLhyCTipzcUYciojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1wAAAGjGFxQABAFBQUFBQUFBQUFBQUFBQUFBGhvbWUBGS9pcDQvMTkyLjE2OC4xLjcvdGNwLzQ3MDIHyRoZ'

test('MEMBER-2 an invite is one line that reads back, wrapped or not', () => {
  assert.equal(encodeInvite(invite), INVITE_TEXT)
  const read = parseInvite(` ${INVITE_TEXT.slice(0, 80)}\r\n  ${INVITE_TEXT.slice(80)}\n`)
  assert.deepEqual(
    [toHex(read.mesh), toHex(read.inviter), toHex(read.secret)],
    [toHex(mesh), alice.publicKeyHex, '05'.repeat(16)]
  )
  assert.deepEqual(
    [read.expiryMs, read.meshName, read.doors, read.psk],
    [invite.expiryMs, 'home', invite.doors, undefined]
  )
  const psk = new Uint8Array(32).fill(8)
  assert.equal(toHex(parseInvite(encodeInvite({ ...invite, psk, doors: [] })).psk ?? mesh), toHex(psk))
})

test('an invite that is cut, changed or of another version is INVITE_INVALID', () => {
  const texts = [
    '',
    'pmesh1-',
    'pmesh2-AAAA',
    INVITE_TEXT.slice(1),
    `${INVITE_TEXT}A`,
    INVITE_TEXT.toLowerCase(),
    'x'.repeat(100_000)
  ]
  for (let length = 0; length < INVITE_TEXT.length; length += 7) texts.push(INVITE_TEXT.slice(0, length))
  for (let index = 7; index < INVITE_TEXT.length; index += 11) {
    texts.push(`${INVITE_TEXT.slice(0, index)}${INVITE_TEXT[index] === 'A' ? 'B' : 'A'}${INVITE_TEXT.slice(index + 1)}`)
  }
  for (const text of texts) {
    assert.throws(
      () => parseInvite(text),
      (error) => isMeshError(error) && error.code === 'INVITE_INVALID',
      text.slice(0, 80)
    )
  }
  const doors = ['192.168.1.7', `/${'x'.repeat(300)}`]
  for (const fields of [
    { secret: new Uint8Array(15) },
    { secret: new Uint8Array(33) },
    { meshName: '' },
    { doors },
    { doors: Array<string>(9).fill('/ip4/1.2.3.4') }
  ]) {
    assert.throws(
      () => encodeInvite({ ...invite, ...fields }),
      (error) => isMeshError(error) && error.code === 'INVITE_INVALID'
    )
  }
})

test('an invite’s secret comes from the inviter’s key and the nonce alone', () => {
  const nonce = new Uint8Array(16).fill(1)
  assert.equal(toHex(inviteSecret(alice, nonce)), '27615ac4457fd27c72b3c69950fd7264')
  assert.notDeepEqual(inviteSecret(bob, nonce), inviteSecret(alice, nonce))
  assert.notDeepEqual(inviteSecret(alice, new Uint8Array(16)), inviteSecret(alice, nonce))
  assert.equal(inviteId(new Uint8Array(16).fill(5)), 'f98a594c16784dbe')
})

test('ID-9 a parsed invite shows its secret in no inspection and no JSON', () => {
  const secret = Uint8Array.from({ length: 16 }, (_, index) => index * 11 + 2)
  const psk = Uint8Array.from({ length: 32 }, (_, index) => index * 5 + 1)
  const read = tryParseInvite(encodeInvite({ ...invite, secret, psk }))
  assert.ok(read !== null)
  const shown = [inspect(read, { showHidden: true, depth: 9 }), JSON.stringify(read), JSON.stringify({ ...read })].join(
    '\n'
  )
  assert.deepEqual(scanBytes(shown, [secret, psk]), [])
  assert.equal(toHex(read.secret), toHex(secret))
})

test('MEMBER-5 a path may begin at the founder that the recovery key named, and at no other', () => {
  const refounding = { mesh, founder: bob.publicKey, counter: 1, cuts: new Uint8Array(0) }
  const namedFounder = encodeNamedFounder({ ...refounding, signature: signRefounding(recovery, refounding) })
  const forged = encodeNamedFounder({ ...refounding, signature: signRefounding(alice, refounding) })
  const path = [grant(bob, carol.publicKey)]
  assert.equal(reasonOf(path, { namedFounder }), 'ok')
  assert.equal(reasonOf([], { namedFounder, subject: bob.publicKey }), 'ok')
  assert.equal(reasonOf(path), 'issuer-broken')
  assert.equal(reasonOf(path, { namedFounder: forged }), 'issuer-broken')
  assert.equal(reasonOf([], { namedFounder: forged, subject: bob.publicKey }), 'path-empty')
  assert.equal(reasonOf([grant(alice, carol.publicKey)], { namedFounder }), 'ok')
})
