// A path of certificates from the founder to a subject (PROTOCOL §5): what lets a node that lags admit a member at hello.
// Removals and changes come from the log by the two callbacks; without them only the bytes speak.

import { equalBytes, toHex } from '../base/bytes.ts'
import { LIMITS } from '../base/limits.ts'
import { ALL_RIGHTS, type Certificate, certificateSignatureValid, hasRight, type Role } from './certificate.ts'
import { checkPublicKey } from './ed25519.ts'
import { type MeshPreimage, meshIdOf } from './mesh-id.ts'
import { tryDecodeNamedFounder } from './refounding.ts'

/** Expiry counts only at hello, with this much doubt about the clocks (PROTOCOL §5). */
const EXPIRY_TOLERANCE_MS = 600_000

/** What a member may do, as its certificate or a later change says. */
export interface Grant {
  /** 0 for the founder; a greater number is lower. */
  readonly rank: number
  readonly role: Role
  readonly rights: number
}

export const FOUNDER_GRANT: Grant = { rank: 0, role: 'admin', rights: ALL_RIGHTS }

export type GrantVerdict = 'ok' | 'issuer-may-not-admit' | 'rank-not-below-issuer' | 'rights-beyond-issuer'

/** Whether an issuer may grant this much: only admins admit, a rank below their own, no right that they lack. */
export function checkGrant(issuer: Grant, granted: Grant): GrantVerdict {
  if (issuer.role !== 'admin' || !hasRight(issuer.rights, 'admit')) return 'issuer-may-not-admit'
  if (granted.rank <= issuer.rank) return 'rank-not-below-issuer'
  return (granted.rights & ~issuer.rights) === 0 ? 'ok' : 'rights-beyond-issuer'
}

export interface CertificatePathInput {
  readonly preimage: MeshPreimage
  /** The founder's certificate first, the subject's last; empty for the founder itself. */
  readonly path: readonly Certificate[]
  /** 32-byte public key. */
  readonly subject: Uint8Array
  /** An encoded `NamedFounder`: a path may begin at the founder that the recovery key named, too. */
  readonly namedFounder?: Uint8Array | null
  /** Wall clock in milliseconds. */
  readonly nowMs: number
  /** Known removals by hex of the key; an admission that the log shows inside the cut is the caller's to accept. */
  readonly removed?: (keyHex: string) => boolean
  /** What the log says of a key now, where it says more than its certificate. */
  readonly grantOf?: (keyHex: string) => Grant | undefined
}

export type CertificatePathReason =
  | Exclude<GrantVerdict, 'ok'>
  | 'path-empty'
  | 'path-too-long'
  | 'mesh-foreign'
  | 'issuer-broken'
  | 'signature-invalid'
  | 'expired'
  | 'removed'
  | 'key-refused'
  | 'subject-mismatch'

/** `certificate` is the subject's own, null for the founder. */
export type CertificatePathVerdict =
  | { readonly ok: true; readonly certificate: Certificate | null }
  | { readonly ok: false; readonly reason: CertificatePathReason }

const refuse = (reason: CertificatePathReason): CertificatePathVerdict => ({ ok: false, reason })

/** Checks cheap things first; the key check, a millisecond each, only behind a good signature. Never throws. */
export function checkCertificatePath(input: CertificatePathInput): CertificatePathVerdict {
  const { preimage, path, subject } = input
  if (path.length > LIMITS.certificatePathMax) return refuse('path-too-long')
  const mesh = meshIdOf(preimage)
  const last = path.at(-1)
  const founder = rootOf(input, mesh, path[0]?.issuer ?? subject)
  if (input.removed?.(toHex(founder)) === true) return refuse('removed')
  if (last === undefined) {
    if (!equalBytes(subject, founder)) return refuse('path-empty')
    return checkPublicKey(subject) === 'ok' ? { ok: true, certificate: null } : refuse('key-refused')
  }
  if (!equalBytes(last.subject, subject)) return refuse('subject-mismatch')
  let issuer = founder
  let grant = FOUNDER_GRANT
  for (const certificate of path) {
    const reason = checkLink(input, certificate, { mesh, issuer, grant })
    if (reason !== null) return refuse(reason)
    issuer = certificate.subject
    grant = input.grantOf?.(toHex(issuer)) ?? certificate
  }
  return { ok: true, certificate: last }
}

/** The founder that a path begins at: the one that the recovery key named when it is `first`, else the preimage's. */
function rootOf(input: CertificatePathInput, mesh: Uint8Array, first: Uint8Array): Uint8Array {
  const { preimage, namedFounder } = input
  if (namedFounder == null || equalBytes(first, preimage.founder)) return preimage.founder
  return tryDecodeNamedFounder(mesh, preimage.recovery, namedFounder)?.founder ?? preimage.founder
}

function checkLink(
  input: CertificatePathInput,
  certificate: Certificate,
  above: { readonly mesh: Uint8Array; readonly issuer: Uint8Array; readonly grant: Grant }
): CertificatePathReason | null {
  if (!equalBytes(certificate.mesh, above.mesh)) return 'mesh-foreign'
  if (!equalBytes(certificate.issuer, above.issuer)) return 'issuer-broken'
  const granted = checkGrant(above.grant, certificate)
  if (granted !== 'ok') return granted
  if (certificate.expiryMs !== 0 && certificate.expiryMs + EXPIRY_TOLERANCE_MS < input.nowMs) return 'expired'
  if (input.removed?.(toHex(certificate.subject)) === true) return 'removed'
  if (!certificateSignatureValid(certificate)) return 'signature-invalid'
  return checkPublicKey(certificate.subject) === 'ok' ? null : 'key-refused'
}
