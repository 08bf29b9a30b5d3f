// One file from which a lost node comes back: its key and its mesh record, sealed by a passphrase (argon2id) of the backup's own.
// The log is not in it: the members send it. Two nodes restored from one backup are one identity in use twice (PROTOCOL §4).

import { fromHex, toHex, tryParseHex, utf8 } from '../base/bytes.ts'
import { MeshError } from '../base/mesh-error.ts'
import { encodeCertificate, tryDecodeCertificate } from './certificate.ts'
import { hideFields } from './hidden.ts'
import { createIdentity, type Identity, type IdentityPlaces } from './identity-store.ts'
import { parseRecord } from './json-record.ts'
import {
  createWrapping,
  openWrapping,
  type PassphraseCost,
  type SealOptions,
  tryReadWrappingHeader,
  type Wrapping
} from './key-wrapping.ts'
import { type MeshFile, meshFile, saveMeshFile } from './mesh-file.ts'
import { encodeMeshPreimage, tryDecodeMeshPreimage } from './mesh-id.ts'
import { KeyRing, type SealPlace } from './seal.ts'

const FORMAT = 'pmesh-backup'
const VERSION = 1
const BACKUP_BYTES_MAX = 262_144
const PLACE: SealPlace = { purpose: 'identity', name: ['backup'] }

export interface IdentityBackup {
  /** Hidden like every secret. */
  readonly seed: Uint8Array
  readonly mesh: MeshFile | null
}

/** Bytes of a backup file. USAGE for a short passphrase. Write it 0600. */
export async function encodeIdentityBackup(
  identity: Identity,
  mesh: MeshFile | null,
  options: { readonly passphrase: string; readonly cost?: PassphraseCost }
): Promise<Buffer> {
  const wrapping = await createWrapping({ ...options, seal: 'passphrase' })
  const seed = toHex(identity.key.seed)
  const content = mesh === null ? { seed } : { seed, ...encodeMesh(mesh) }
  const sealed = ringOf(wrapping).seal(PLACE, utf8(JSON.stringify(content)))
  return utf8(`${JSON.stringify({ format: FORMAT, version: VERSION, ...wrapping.header, sealed }, null, 2)}\n`)
}

/** Opens a backup. IDENTITY_KEY_INVALID when it is cut or damaged, IDENTITY_LOCKED for another passphrase. */
export async function parseIdentityBackup(bytes: Uint8Array, passphrase: string): Promise<IdentityBackup> {
  const record = bytes.length <= BACKUP_BYTES_MAX ? parseRecord(bytes) : null
  const header = record === null ? null : tryReadWrappingHeader(record)
  if (record?.format !== FORMAT || record.version !== VERSION || header?.seal !== 'passphrase') throw damaged()
  const ring = ringOf(await openWrapping(header, { passphrase }))
  const verdict = ring.open(PLACE, typeof record.sealed === 'string' ? record.sealed : '')
  if (!verdict.ok && verdict.reason === 'not-authentic') {
    throw new MeshError('IDENTITY_LOCKED', 'the passphrase does not open the backup, or the backup was changed')
  }
  const content = verdict.ok ? parseRecord(verdict.bytes) : null
  const seed = tryParseHex(textOf(content?.seed), 32)
  if (content === null || seed === null) throw damaged()
  return hideFields({ seed, mesh: content.preimage === undefined ? null : decodeMesh(content) }, ['seed'])
}

/** Puts a backup into a home without identity. IDENTITY_KEY_INVALID when a key is there. */
export async function restoreIdentity(
  places: IdentityPlaces,
  backup: IdentityBackup,
  options: SealOptions
): Promise<Identity> {
  const identity = await createIdentity(places, { ...options, seed: backup.seed })
  if (backup.mesh !== null) saveMeshFile(places, identity.keyRing.ring, backup.mesh)
  return identity
}

function ringOf(wrapping: Wrapping): KeyRing {
  if (wrapping.key === null) throw new MeshError('INTERNAL', 'a backup without a passphrase')
  return new KeyRing({ id: '00000000', bytes: wrapping.key })
}

function encodeMesh(mesh: MeshFile): object {
  return {
    preimage: toHex(encodeMeshPreimage(mesh.preimage)),
    path: mesh.path.map((certificate) => toHex(encodeCertificate(certificate))),
    meshSecret: toHex(mesh.meshSecret),
    psk: mesh.psk === undefined ? undefined : toHex(mesh.psk),
    joinedVia: mesh.joinedVia,
    namedFounder: mesh.namedFounder === undefined ? undefined : toHex(mesh.namedFounder),
    bootstrap: mesh.bootstrap
  }
}

function decodeMesh(content: Readonly<Record<string, unknown>>): MeshFile {
  const preimage = tryDecodeMeshPreimage(tryParseHex(textOf(content.preimage)) ?? new Uint8Array())
  const meshSecret = tryParseHex(textOf(content.meshSecret), 32)
  const psk = content.psk === undefined ? undefined : tryParseHex(textOf(content.psk), 32)
  const path = textsOf(content.path).map((text) => tryDecodeCertificate(tryParseHex(text) ?? new Uint8Array()))
  if (preimage === null || meshSecret === null || psk === null || path.includes(null)) throw damaged()
  return meshFile({
    preimage,
    path: path.filter((certificate) => certificate !== null),
    meshSecret,
    bootstrap: textsOf(content.bootstrap),
    ...(psk === undefined ? {} : { psk }),
    ...(typeof content.joinedVia === 'string' ? { joinedVia: content.joinedVia } : {}),
    ...(typeof content.namedFounder === 'string' ? { namedFounder: fromHex(content.namedFounder) } : {})
  })
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

function textsOf(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : []
}

function damaged(): MeshError {
  return new MeshError('IDENTITY_KEY_INVALID', 'the backup is cut, damaged, or of another version', {
    hint: 'Use another copy of the backup.'
  })
}
