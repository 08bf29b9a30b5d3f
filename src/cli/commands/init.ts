// pmesh init: makes the home, the identity and a mesh of one before the first start. Needs no node and starts none.

import { systemRandom } from '../../base/clock.ts'
import { silentLogger } from '../../base/logger.ts'
import { MeshError } from '../../base/mesh-error.ts'
import { loadConfig, setConfigValue } from '../../config/config-file.ts'
import { prepareHome } from '../../config/paths.ts'
import { signingKeyFromSeed } from '../../identity/ed25519.ts'
import { createIdentity, identityExists } from '../../identity/identity-store.ts'
import type { SealMethod } from '../../identity/key-wrapping.ts'
import { isMeshName } from '../../identity/mesh-id.ts'
import { fingerprintWords, peerIdOf } from '../../identity/peer-id.ts'
import { recoveryWords } from '../../identity/recovery-words.ts'
import type { CommandContext } from '../command-context.ts'
import { shortPath } from '../human-text.ts'
import { newPassphrase } from '../secret-input.ts'
import { blockLines } from '../table.ts'

export interface InitOptions {
  readonly name?: string
  readonly meshName?: string
  readonly recoveryKey?: true
  readonly seal?: SealMethod
}

const MESH_NAME = 'home'

export async function initHome(context: CommandContext, _args: readonly [], options: InitOptions): Promise<number> {
  const { paths } = context
  const { meshName = MESH_NAME } = options
  if (!isMeshName(meshName)) throw new MeshError('USAGE', 'a mesh name is 1 to 64 bytes of text')
  prepareHome(paths)
  if (identityExists(paths)) {
    throw new MeshError('MESH_ALREADY_MEMBER', 'cannot make an identity: this home has one', {
      details: { file: paths.identityKey },
      hint: 'pmesh node start uses it; another --home makes another node.'
    })
  }
  if (options.name !== undefined) setConfigValue(paths.config, 'node.name', options.name)
  if (options.seal !== undefined) setConfigValue(paths.config, 'identity.seal', options.seal)
  const seal = loadConfig(paths.config, { env: context.terminal.env }).values.identity.seal
  const { key, keyRing } = await createIdentity(
    paths,
    seal === 'passphrase' ? { seal, passphrase: await newPassphrase(context) } : { seal }
  )
  const recoverySeed = options.recoveryKey === true ? systemRandom.bytes(32) : null
  const { foundMesh } = await import('../../node/found-mesh.ts')
  const mesh = await foundMesh({
    paths,
    identity: { key, keyRing },
    name: meshName,
    recovery: recoverySeed === null ? null : signingKeyFromSeed(recoverySeed).publicKey,
    logger: silentLogger
  })
  const recovery = recoverySeed === null ? null : recoveryWords(recoverySeed)
  const result = {
    home: paths.home,
    peerId: peerIdOf(key.publicKey),
    fingerprint: fingerprintWords(key.publicKey),
    mesh: mesh.preimage.name,
    sealedBy: seal
  }
  if (context.out.json) context.out.value({ ...result, ...(recovery === null ? {} : { recoveryWords: recovery }) })
  else print(context, result, recovery)
  return 0
}

function print(context: CommandContext, result: Readonly<Record<string, string>>, recovery: string | null): void {
  const { out } = context
  const rows: [string, string][] = [
    ['home', shortPath(result.home ?? '', context.userHome)],
    ['peer id', result.peerId ?? ''],
    ['words', result.fingerprint ?? ''],
    ['mesh', `${result.mesh} (founded here)`],
    ['sealed by', result.sealedBy ?? '']
  ]
  for (const row of blockLines(rows, '')) out.remark(...row)
  if (recovery !== null) {
    const words = recovery.split(' ')
    out.line()
    out.line({ text: 'Recovery key: write these words down; they are shown once and kept nowhere.', style: 'bold' })
    for (let start = 0; start < words.length; start += 8) out.line(`  ${words.slice(start, start + 8).join(' ')}`)
    out.line()
  }
  out.remark('next: ', { text: 'pmesh node start', style: 'bold' })
}
