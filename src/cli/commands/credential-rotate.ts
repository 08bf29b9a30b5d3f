// pmesh credential rotate: a new sealing key for everything at rest. A running node would keep the old one, so it must be stopped.

import { MeshError } from '../../base/mesh-error.ts'
import { rotateSealingKey } from '../../config/credential-rotation.ts'
import { checkHome } from '../../config/paths.ts'
import { loadIdentity } from '../../identity/identity-store.ts'
import { isSocketLive } from '../../rpc/socket-file.ts'
import type { CommandContext } from '../command-context.ts'
import { agentsOptions } from '../credential-store.ts'
import { countOf } from '../human-text.ts'
import { withPassphrase } from '../secret-input.ts'

export async function rotateCredentials(context: CommandContext): Promise<number> {
  checkHome(context.paths)
  if (await isSocketLive(context.socket())) {
    throw new MeshError('NODE_RUNNING', 'cannot rotate: the running node holds the old key', {
      hint: 'pmesh node stop, then again.'
    })
  }
  const identity = await withPassphrase(context, (passphrase) =>
    loadIdentity(context.paths, passphrase === undefined ? {} : { passphrase })
  )
  const { credentials } = rotateSealingKey(context.paths, identity, agentsOptions(context))
  if (context.out.json) context.out.value({ rotated: true, credentials })
  else context.out.remark(`a new key seals the identity and ${countOf(credentials, 'credential')}`)
  return 0
}
