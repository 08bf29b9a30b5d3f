// pmesh agent list: agents of agents.toml as the node reads them.

import type { CommandContext } from '../command-context.ts'
import type { Piece } from '../output.ts'
import { tableLines } from '../table.ts'

export async function listAgents(context: CommandContext): Promise<number> {
  const page = await context.call('agent/list', {})
  const { out } = context
  if (out.json) {
    out.value(page)
    return 0
  }
  if (page.items.length === 0) {
    out.note('no agents   pmesh agent add NAME --provider ollama --type ollama --model MODEL')
    return 0
  }
  const columns = [{ title: 'AGENT' }, { title: 'PROVIDER' }, { title: 'MODEL' }, { title: 'KEY' }, { title: 'TOOLS' }]
  const rows = page.items.map((agent): Piece[] => [
    agent.name,
    agent.provider,
    agent.model,
    agent.hasKey ? 'sealed' : 'none',
    agent.tools.join(' ') || '-'
  ])
  for (const line of tableLines(columns, rows, '  ', 'dim')) out.line(...line)
  return 0
}
