// pmesh credential remove.

import type { CommandContext } from '../command-context.ts'
import { openAgentsFile } from '../credential-store.ts'

export async function removeCredential(
  context: CommandContext,
  [provider, field = 'api_key']: readonly [string, string?]
): Promise<number> {
  const agents = await openAgentsFile(context)
  agents.credentialRemove(provider, field)
  if (context.out.json) context.out.value({ provider, field, removed: true })
  else context.out.remark(`removed ${provider} ${field}`)
  return 0
}
