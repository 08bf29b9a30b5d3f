// pmesh agent show: what agents.toml says of one agent and its provider; needs no running node.

import { MeshError } from '../../base/mesh-error.ts'
import { readAgentsSection } from '../../config/agents-section.ts'
import type { CommandContext } from '../command-context.ts'
import { openAgentsFile } from '../credential-store.ts'
import { formatCount } from '../human-text.ts'
import type { Piece } from '../output.ts'
import { blockLines } from '../table.ts'

export async function showAgent(context: CommandContext, [name]: readonly [string]): Promise<number> {
  const section = readAgentsSection(await openAgentsFile(context), context.terminal.env)
  const agent = section.agents.get(name)
  if (agent === undefined)
    throw new MeshError('AGENT_UNKNOWN', `there is no agent ${name}`, { details: { agent: name } })
  const provider = section.provider(agent.provider)
  const { type, baseUrl, hasKey } = provider
  const { out } = context
  if (out.json) {
    out.value({ ...agent, provider: { name: agent.provider, type, baseUrl, hasKey } })
    return 0
  }
  out.line({ text: agent.name, style: 'bold' })
  const budget = agent.budgetMicrosPerDay === null ? 'none' : `$${(agent.budgetMicrosPerDay / 1e6).toFixed(2)} a day`
  const rows: (readonly [string, Piece])[] = [
    ['provider', `${agent.provider} (${type}) ${baseUrl}`],
    ['key', hasKey ? 'in agents.toml' : 'none'],
    ['model', agent.model],
    ['tools', agent.tools.join(' ') || 'none'],
    ['steps', `at most ${agent.stepsMax}`],
    ['tokens', `at most ${formatCount(agent.tokensMax)} in one run`],
    ['budget', budget],
    ...agent.system.split('\n').map((line, index) => [index === 0 ? 'system' : '', line === '' ? '-' : line] as const)
  ]
  for (const line of blockLines(rows)) out.line(...line)
  return 0
}
