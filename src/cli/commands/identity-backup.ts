// pmesh identity backup FILE and restore FILE: the key and the mesh record, sealed by a passphrase of the backup's own. Needs no node.

import { closeSync, existsSync, fsyncSync, openSync, readFileSync, writeSync } from 'node:fs'
import { resolve } from 'node:path'
import { MeshError } from '../../base/mesh-error.ts'
import { loadConfig } from '../../config/config-file.ts'
import { checkHome, prepareHome } from '../../config/paths.ts'
import { encodeIdentityBackup, parseIdentityBackup, restoreIdentity } from '../../identity/identity-backup.ts'
import { identityExists, loadIdentity } from '../../identity/identity-store.ts'
import { loadMeshFile } from '../../identity/mesh-file.ts'
import { peerIdOf } from '../../identity/peer-id.ts'
import type { CommandContext } from '../command-context.ts'
import { askHidden, newPassphrase, passphraseFromFile, withPassphrase } from '../secret-input.ts'

export async function backUpIdentity(context: CommandContext, [file]: readonly [string]): Promise<number> {
  const { paths, out } = context
  const path = resolve(file)
  if (existsSync(path)) throw new MeshError('USAGE', 'cannot back up: the file exists', { details: { file: path } })
  checkHome(paths)
  const identity = await withPassphrase(context, (passphrase) =>
    loadIdentity(paths, passphrase === undefined ? {} : { passphrase })
  )
  const mesh = loadMeshFile(paths, identity.keyRing.ring)
  out.note('the backup gets a passphrase of its own')
  const bytes = await encodeIdentityBackup(identity, mesh, { passphrase: await newPassphrase(context) })
  writePrivate(path, bytes)
  const result = { file: path, peerId: peerIdOf(identity.key.publicKey), mesh: mesh?.preimage.name ?? null }
  if (out.json) out.value(result)
  else out.remark(`backed up ${result.peerId} to ${path}; the log is not in it: the members send it`)
  return 0
}

export async function restoreIdentityBackup(context: CommandContext, [file]: readonly [string]): Promise<number> {
  const { paths, out } = context
  prepareHome(paths)
  if (identityExists(paths)) {
    throw new MeshError('MESH_ALREADY_MEMBER', 'cannot restore: this home has an identity', {
      details: { file: paths.identityKey },
      hint: 'Choose another home with --home.'
    })
  }
  const backup = await parseIdentityBackup(readBackup(resolve(file)), await backupPassphrase(context))
  const { seal } = loadConfig(paths.config, { env: context.terminal.env }).values.identity
  const options = seal === 'passphrase' ? { seal, passphrase: await newPassphrase(context) } : { seal }
  const { key } = await restoreIdentity(paths, backup, options)
  const result = { peerId: peerIdOf(key.publicKey), mesh: backup.mesh?.preimage.name ?? null, home: paths.home }
  if (out.json) out.value(result)
  else {
    out.remark(`restored ${result.peerId}; one copy may run, never two`)
    out.remark('next: ', { text: 'pmesh node start', style: 'bold' })
  }
  return 0
}

async function backupPassphrase(context: CommandContext): Promise<string> {
  const fromFile = passphraseFromFile(context)
  if (fromFile !== undefined) return fromFile
  if (!context.canAsk)
    throw new MeshError('IDENTITY_LOCKED', 'the backup is sealed by a passphrase and nobody can be asked')
  return askHidden(context, 'Passphrase of the backup')
}

function readBackup(path: string): Buffer {
  try {
    return readFileSync(path)
  } catch (cause) {
    throw new MeshError('USAGE', 'cannot read the backup', { details: { file: path }, cause })
  }
}

function writePrivate(path: string, bytes: Buffer): void {
  try {
    const file = openSync(path, 'wx', 0o600)
    try {
      writeSync(file, bytes)
      fsyncSync(file)
    } finally {
      closeSync(file)
    }
  } catch (cause) {
    throw new MeshError('USAGE', 'cannot write the backup', { details: { file: path }, cause })
  }
}
