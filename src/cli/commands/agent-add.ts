// pmesh agent add: a table in agents.toml, and with --type the provider's too. A running node reads it with its next task.

import { MeshError } from '../../base/mesh-error.ts'
import type { AgentsFile } from '../../config/agents-file.ts'
import { addAgent, readAgentsSection } from '../../config/agents-section.ts'
import { tomlValueAt, withTomlValues } from '../../config/toml-document.ts'
import type { CommandContext } from '../command-context.ts'
import { openAgentsFile } from '../credential-store.ts'

export interface AgentAddOptions {
  readonly provider: string
  readonly model: string
  readonly system?: string
  readonly tools?: readonly string[]
  readonly type?: string
  readonly baseUrl?: string
}

export async function addAgentCommand(
  context: CommandContext,
  [name]: readonly [string],
  options: AgentAddOptions
): Promise<number> {
  const file = await openAgentsFile(context)
  const { type, baseUrl, ...entry } = options
  if (readAgentsSection(file, context.terminal.env).agents.has(name))
    throw new MeshError('AGENT_EXISTS', `there is an agent ${name} already`, { details: { agent: name } })
  if (type !== undefined) addProvider(file, entry.provider, type, baseUrl)
  else if (tomlValueAt(file.readTable(), ['providers', entry.provider]) === undefined)
    throw new MeshError(
      'AGENT_INVALID',
      `there is no provider ${entry.provider} in agents.toml yet: --type makes one`,
      {
        hint: `pmesh agent add ${name} --provider ${entry.provider} --type ollama|openai-compatible|anthropic --model ${entry.model}`
      }
    )
  else if (baseUrl !== undefined) throw new MeshError('USAGE', '--base-url is for a new provider: it takes --type')
  addAgent(file, { name, ...entry })
  if (context.out.json) context.out.value({ name, ...entry })
  else context.out.remark(`added ${name}   pmesh agent test ${name}`)
  return 0
}

/** USAGE over a provider that is there: other agents and judges use it. */
function addProvider(file: AgentsFile, name: string, type: string, baseUrl: string | undefined): void {
  const path = ['providers', name]
  if (tomlValueAt(file.readTable(), [...path, 'type']) !== undefined)
    throw new MeshError('USAGE', `there is a provider ${name} already: leave --type out`, {
      details: { file: file.path }
    })
  const values = [
    { path: [...path, 'type'], value: type },
    ...(baseUrl === undefined ? [] : [{ path: [...path, 'base_url'], value: baseUrl }])
  ]
  file.edit((text) => withTomlValues(text, values, file.path))
}
