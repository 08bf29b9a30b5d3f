// agents.toml of this home, opened with what seals it. Works with and without a running node.

import { LIMITS } from '../base/limits.ts'
import { MeshError } from '../base/mesh-error.ts'
import { AgentsFile, type CredentialRow, readKeyV01, scanCredentials } from '../config/agents-file.ts'
import { loadConfig } from '../config/config-file.ts'
import { checkHome } from '../config/paths.ts'
import { parseToml } from '../config/toml-document.ts'
import { readPrivateFile } from '../identity/atomic-file.ts'
import { loadKeyRing } from '../identity/key-ring-file.ts'
import type { CommandContext } from './command-context.ts'
import { withPassphrase } from './secret-input.ts'

/** IDENTITY_MISSING when the home has no keys yet; IDENTITY_LOCKED. */
export async function openAgentsFile(context: CommandContext): Promise<AgentsFile> {
  const { paths } = context
  checkHome(paths)
  const file = await withPassphrase(context, (passphrase) =>
    loadKeyRing(paths.secretKey, passphrase === undefined ? {} : { passphrase })
  )
  if (file === null)
    throw new MeshError('IDENTITY_MISSING', 'there is nothing that seals credentials yet', {
      details: { file: paths.secretKey }
    })
  return new AgentsFile(paths.agents, file.ring, { ...agentsOptions(context), keyV01: readKeyV01(paths.secretKeyV01) })
}

/** What agents.toml holds, without opening anything: needs no key. CONFIG_EXPOSED, CONFIG_INVALID. */
export function credentialRows(agents: string): CredentialRow[] {
  const rules = { bytesMax: LIMITS.configBytesMax, exposed: 'CONFIG_EXPOSED', invalid: 'CONFIG_INVALID' } as const
  return scanCredentials(parseToml(readPrivateFile(agents, rules)?.toString('utf8') ?? '', agents))
}

/** Which plaintext the config allows, and the environment that references are read from. */
export function agentsOptions(context: CommandContext): {
  readonly allowPlaintext: readonly string[]
  readonly env: NodeJS.ProcessEnv
} {
  const { env } = context.terminal
  return { allowPlaintext: loadConfig(context.paths.config, { env }).values.security.allow_plaintext, env }
}
