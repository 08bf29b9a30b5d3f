// pmesh credential set: seals a value into agents.toml. The value comes from a hidden prompt or stdin, never from the arguments.

import type { CommandContext } from '../command-context.ts'
import { openAgentsFile } from '../credential-store.ts'
import { readSecret } from '../secret-input.ts'

export async function setCredential(
  context: CommandContext,
  [provider, field = 'api_key']: readonly [string, string?]
): Promise<number> {
  const agents = await openAgentsFile(context)
  agents.credentialSet(provider, field, await readSecret(context, `${provider} ${field}`))
  if (context.out.json) context.out.value({ provider, field, state: 'sealed' })
  else context.out.remark(`sealed ${provider} ${field}`)
  return 0
}
