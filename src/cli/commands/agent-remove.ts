// pmesh agent remove: takes the agent's table out of agents.toml; its provider and the credential stay.

import { removeAgent } from '../../config/agents-section.ts'
import type { CommandContext } from '../command-context.ts'
import { openAgentsFile } from '../credential-store.ts'

export async function removeAgentCommand(context: CommandContext, [name]: readonly [string]): Promise<number> {
  removeAgent(await openAgentsFile(context), name)
  if (context.out.json) context.out.value({ name, removed: true })
  else context.out.remark(`removed ${name}`)
  return 0
}
