// Founds a mesh of one: the record of the mesh beside the key, and the founder's first append in a new store (PROTOCOL §5).

import { mkdirSync } from 'node:fs'
import { toHex, utf8 } from '../base/bytes.ts'
import { systemClock, systemRandom } from '../base/clock.ts'
import type { Logger } from '../base/logger.ts'
import type { HomePaths } from '../config/paths.ts'
import { VERSION } from '../config/version.ts'
import type { Identity } from '../identity/identity-store.ts'
import { type MeshFile, meshFile, saveMeshFile } from '../identity/mesh-file.ts'
import { meshIdOf } from '../identity/mesh-id.ts'
import { type Instance, makeInstance } from '../log/beacon.ts'
import { encodeControl } from '../log/control-records.ts'
import { EventLog } from '../log/event-log.ts'
import { openLevelStore } from '../store/open-level-store.ts'
import { storePlace, writeMarker } from '../store/own-marker.ts'

export interface FoundingOptions {
  readonly paths: HomePaths
  readonly identity: Identity
  readonly name: string
  /** Public key that may name another founder; null for none. */
  readonly recovery: Uint8Array | null
  readonly logger: Logger
}

/** Payload of `chain-opened`: what the chain stands on, and which program writes it. */
export function chainOpened(certificate: Uint8Array, instance: Instance): Uint8Array {
  return utf8(
    JSON.stringify({ certificate: toHex(certificate), software: `pmesh/${VERSION}`, instance: toHex(instance) })
  )
}

export async function foundMesh(options: FoundingOptions): Promise<MeshFile> {
  const { paths, identity, logger } = options
  const { key, keyRing } = identity
  const preimage = {
    founder: key.publicKey,
    recovery: options.recovery,
    nonce: systemRandom.bytes(16),
    name: options.name
  }
  const mesh = meshFile({ preimage, path: [], meshSecret: systemRandom.bytes(32), bootstrap: [] })
  saveMeshFile(paths, keyRing.ring, mesh)
  mkdirSync(paths.store, { recursive: true, mode: 0o700 })
  const store = await openLevelStore({
    folder: paths.store,
    backups: paths.backups,
    expectedMesh: meshIdOf(preimage),
    logger
  })
  try {
    const log = await EventLog.open({ store, preimage, key, clock: systemClock, random: systemRandom, logger, pause })
    log.setWriteMode('open')
    const instance = makeInstance(systemClock.now(), systemRandom.bytes(8))
    await log.append([
      { type: 'chain-opened', payload: chainOpened(mesh.meshId, instance) },
      { type: 'mesh-founded', payload: encodeControl({ type: 'mesh-founded', preimage }) }
    ])
    const head = log.ownChain().tips[0]
    if (head !== undefined) await writeMarker(paths.marker, { ...storePlace(paths.store), head })
    await log.close()
  } finally {
    await store.close()
  }
  return mesh
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms).unref())
