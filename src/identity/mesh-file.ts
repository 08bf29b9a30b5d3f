// identity/mesh.json: which mesh this node belongs to, by which certificates, and the mesh's shared secrets, sealed.
// It lies beside the key, so that an empty store with its identity can recover (PROTOCOL §5).

import { equalBytes, toHex, tryParseHex } from '../base/bytes.ts'
import { LIMITS } from '../base/limits.ts'
import { MeshError } from '../base/mesh-error.ts'
import { createFile, type FilePort, hasErrno, readPrivateFile, replaceFile, systemFiles } from './atomic-file.ts'
import { type Certificate, encodeCertificate, tryDecodeCertificate } from './certificate.ts'
import { hideFields } from './hidden.ts'
import type { IdentityPlaces } from './identity-store.ts'
import { parseRecord } from './json-record.ts'
import { encodeMeshPreimage, type MeshPreimage, meshIdOf, tryDecodeMeshPreimage } from './mesh-id.ts'
import { type KeyRing, type SealPlace, sealedKeyId } from './seal.ts'

const FORMAT = 'pmesh-mesh'
const VERSION = 1
const FILE_BYTES_MAX = 262_144
const SECRET_BYTES = 32
const BOOTSTRAP_MAX = 64
const ADDRESS_LENGTH_MAX = 512

/** Made by `meshFile`: its secrets are hidden from inspection, JSON and spread. */
export interface MeshFile {
  readonly preimage: MeshPreimage
  /** 32 bytes, of the preimage. */
  readonly meshId: Uint8Array
  /** Own path, the founder's certificate first; empty on the founder's node. */
  readonly path: readonly Certificate[]
  /** 32 random bytes of the founder; topic names are made of it. */
  readonly meshSecret: Uint8Array
  /** 32 bytes, where the mesh keeps strangers out before Noise. */
  readonly psk?: Uint8Array
  /** Public key (hex) of the inviter. */
  readonly joinedVia?: string
  /** Multiaddrs of main hosts learned at joining. */
  readonly bootstrap: readonly string[]
  /** An encoded NamedFounder, when the path begins at a founder that the recovery key named. */
  readonly namedFounder?: Uint8Array
}

export type MeshFileFields = Omit<MeshFile, 'meshId'>

/** A mesh record with hidden secrets. Change it by `meshFile({ …every field })`: a spread copy lacks the secrets. */
export function meshFile(fields: MeshFileFields): MeshFile {
  const { preimage, path, meshSecret, psk, joinedVia, bootstrap, namedFounder } = fields
  const sound = meshSecret?.length === SECRET_BYTES && (psk === undefined || psk.length === SECRET_BYTES)
  if (!sound) throw new MeshError('INTERNAL', 'mesh record with a secret of another length')
  const record: MeshFile = {
    preimage,
    meshId: meshIdOf(preimage),
    path,
    meshSecret,
    bootstrap,
    ...(psk === undefined ? {} : { psk }),
    ...(joinedVia === undefined ? {} : { joinedVia }),
    ...(namedFounder === undefined ? {} : { namedFounder })
  }
  return hideFields(record, psk === undefined ? ['meshSecret'] : ['meshSecret', 'psk'])
}

/** Reads mesh.json; null when there is none. MESH_FILE_INVALID, IDENTITY_KEY_EXPOSED, IDENTITY_LOCKED. */
export function loadMeshFile(places: IdentityPlaces, ring: KeyRing): MeshFile | null {
  const file = places.meshFile
  const bytes = readPrivateFile(file, {
    bytesMax: FILE_BYTES_MAX,
    exposed: 'IDENTITY_KEY_EXPOSED',
    invalid: 'MESH_FILE_INVALID'
  })
  if (bytes === null) return null
  const record = parseRecord(bytes)
  if (record === null || record.format !== FORMAT || record.version !== VERSION) {
    throw invalid(file, 'the mesh file is cut, damaged, or of another version')
  }
  const preimage = tryDecodeMeshPreimage(tryParseHex(textOf(record.preimage)) ?? new Uint8Array())
  const path = listOf(record.path, LIMITS.certificatePathMax)?.map((text) =>
    tryDecodeCertificate(tryParseHex(text) ?? new Uint8Array())
  )
  const bootstrap = listOf(record.bootstrap, BOOTSTRAP_MAX)
  if (preimage === null || path === undefined || path.includes(null) || bootstrap === undefined) {
    throw invalid(file, 'the mesh file is damaged')
  }
  const namedFounder = typeof record.namedFounder === 'string' ? tryParseHex(record.namedFounder) : null
  const open = (name: string) => openSecret(file, ring, placeOf(preimage, name), textOf(record[name]))
  return meshFile({
    preimage,
    path: path.filter((certificate) => certificate !== null),
    bootstrap,
    meshSecret: open('meshSecret'),
    ...(record.psk === undefined ? {} : { psk: open('psk') }),
    ...(typeof record.joinedVia === 'string' ? { joinedVia: record.joinedVia } : {}),
    ...(namedFounder === null ? {} : { namedFounder })
  })
}

/** Writes mesh.json where there is none, or over the same mesh's. MESH_ALREADY_MEMBER when it is another mesh's. */
export function saveMeshFile(
  places: IdentityPlaces,
  ring: KeyRing,
  mesh: MeshFile,
  files: FilePort = systemFiles
): void {
  const current = loadMeshFile(places, ring)
  if (current === null) {
    createMeshFile(places, ring, mesh, files)
  } else if (equalBytes(current.meshId, mesh.meshId)) {
    replaceFile(places.meshFile, encode(ring, mesh), files)
  } else {
    throw alreadyMember(places)
  }
}

/** Exchanges one mesh for another, when the file still holds `expectedMeshId`: for a join that leaves a mesh of one. */
export function replaceMesh(
  places: IdentityPlaces,
  ring: KeyRing,
  expectedMeshId: Uint8Array,
  mesh: MeshFile,
  files: FilePort = systemFiles
): void {
  const current = loadMeshFile(places, ring)
  if (current === null || !equalBytes(current.meshId, expectedMeshId)) throw alreadyMember(places)
  replaceFile(places.meshFile, encode(ring, mesh), files)
}

function createMeshFile(places: IdentityPlaces, ring: KeyRing, mesh: MeshFile, files: FilePort): void {
  try {
    createFile(places.meshFile, encode(ring, mesh), files)
  } catch (cause) {
    throw hasErrno(cause, 'EEXIST') ? alreadyMember(places) : cause
  }
}

/** Writes mesh.json again, sealed by the ring's current key; nothing where there is none. A step of a rotation. */
export function resealMeshFile(places: IdentityPlaces, ring: KeyRing, files: FilePort = systemFiles): void {
  const mesh = loadMeshFile(places, ring)
  if (mesh !== null) replaceFile(places.meshFile, encode(ring, mesh), files)
}

/** Key ids that seal values in a file of ours: a rotation ends when only the current one is left. */
export function sealedKeyIdsIn(text: string): Set<string> {
  const ids = [...text.matchAll(/enc2:v1:[0-9a-f]{8}:[A-Za-z0-9_-]+/g)].map(([value]) => sealedKeyId(value))
  return new Set(ids.filter((id) => id !== null))
}

function encode(ring: KeyRing, mesh: MeshFile): Buffer {
  const { preimage, psk, joinedVia } = mesh
  const record = {
    format: FORMAT,
    version: VERSION,
    preimage: toHex(encodeMeshPreimage(preimage)),
    path: mesh.path.map((certificate) => toHex(encodeCertificate(certificate))),
    meshSecret: ring.seal(placeOf(preimage, 'meshSecret'), mesh.meshSecret),
    ...(psk === undefined ? {} : { psk: ring.seal(placeOf(preimage, 'psk'), psk) }),
    ...(joinedVia === undefined ? {} : { joinedVia }),
    ...(mesh.namedFounder === undefined ? {} : { namedFounder: toHex(mesh.namedFounder) }),
    bootstrap: mesh.bootstrap
  }
  return Buffer.from(`${JSON.stringify(record, null, 2)}\n`)
}

function placeOf(preimage: MeshPreimage, name: string): SealPlace {
  return { purpose: 'mesh', name: [toHex(meshIdOf(preimage)), name] }
}

function openSecret(file: string, ring: KeyRing, place: SealPlace, text: string): Uint8Array {
  const verdict = ring.open(place, text)
  if (verdict.ok) return verdict.bytes
  if (verdict.reason !== 'key-unknown') throw invalid(file, 'a sealed value in the mesh file is damaged')
  throw new MeshError('IDENTITY_LOCKED', 'the mesh file was sealed by another secret.key', { details: { file } })
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

function listOf(value: unknown, lengthMax: number): string[] | undefined {
  if (!Array.isArray(value) || value.length > lengthMax) return undefined
  const sound = value.every((item) => typeof item === 'string' && item.length <= ADDRESS_LENGTH_MAX)
  return sound ? (value as string[]) : undefined
}

function invalid(file: string, message: string): MeshError {
  return new MeshError('MESH_FILE_INVALID', message, { details: { file } })
}

function alreadyMember(places: IdentityPlaces): MeshError {
  return new MeshError('MESH_ALREADY_MEMBER', 'this home belongs to another mesh', {
    details: { file: places.meshFile }
  })
}
