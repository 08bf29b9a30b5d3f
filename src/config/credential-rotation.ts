// Rotation of the sealing key (ID-7): a new key beside the old one, then every sealed thing again under the new one, one rename each,
// then the old key is forgotten. A crash at any step leaves every value readable; the next rotation goes on from there.

import { readFileSync } from 'node:fs'
import { MeshError } from '../base/mesh-error.ts'
import { type FilePort, systemFiles } from '../identity/atomic-file.ts'
import { type Identity, resealIdentity } from '../identity/identity-store.ts'
import { resealMeshFile, sealedKeyIdsIn } from '../identity/mesh-file.ts'
import { AgentsFile, type AgentsFileOptions, readKeyV01 } from './agents-file.ts'
import type { HomePaths } from './paths.ts'

export interface RotationResult {
  /** With the new ring. Whoever still holds the old one cannot open new values. */
  readonly identity: Identity
  /** Credentials sealed again. */
  readonly credentials: number
}

/** CREDENTIAL_UNDECRYPTABLE names a value that does not open; then nothing has changed. */
export function rotateSealingKey(
  paths: HomePaths,
  identity: Identity,
  options: Omit<AgentsFileOptions, 'files' | 'keyV01'> = {},
  files: FilePort = systemFiles
): RotationResult {
  const agentsOptions = { ...options, keyV01: readKeyV01(paths.secretKeyV01), files }
  new AgentsFile(paths.agents, identity.keyRing.ring, agentsOptions).openAll()
  const both = identity.keyRing.rotating ? identity.keyRing : identity.keyRing.beginRotation(files)
  const credentials = new AgentsFile(paths.agents, both.ring, agentsOptions).resealAll()
  resealIdentity(paths, identity.key, both.ring, files)
  resealMeshFile(paths, both.ring, files)
  for (const file of [paths.agents, paths.identityKey, paths.meshFile]) assertSealedBy(file, both.ring.currentId)
  return { identity: { key: identity.key, keyRing: both.endRotation(files) }, credentials }
}

/** Read back from the disk: the old key is forgotten only when nothing needs it. */
function assertSealedBy(file: string, keyId: string): void {
  for (const id of sealedKeyIdsIn(readIfThere(file))) {
    if (id !== keyId) throw new MeshError('INTERNAL', 'a value is still sealed by the old key', { details: { file } })
  }
}

function readIfThere(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return ''
    throw error
  }
}
