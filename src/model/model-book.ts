// The models of agents.toml by their names. The file is read anew when it has changed; credentials are opened when a model is asked.

import { type Clock, systemClock } from '../base/clock.ts'
import type { AgentsFile } from '../config/agents-file.ts'
import { type AgentsSection, readAgentsSection, splitModelName } from '../config/agents-section.ts'
import type { ChatModel, ChatPart, ChatRequest } from '../pipeline/contract.ts'
import type { Fetch } from './bounded-fetch.ts'

export interface ModelBookOptions {
  readonly agentsFile: AgentsFile
  /** A guarded fetch that may reach this origin besides the public net: the owner’s file names it. Asked once per origin and file. */
  fetchFor(origin: string): Fetch
  readonly clock?: Clock
  readonly env?: NodeJS.ProcessEnv
  readonly timeMsMax?: number
  readonly retryMsMin?: number
}

export interface ModelBook {
  /** What agents.toml says now. AGENT_INVALID, CONFIG_INVALID, CONFIG_EXPOSED. */
  section(): AgentsSection
  /** `PROVIDER/MODEL`. AGENT_INVALID where there is no such provider; faults of credentials come when it is asked. */
  model(name: string): ChatModel
}

export function openModels(options: ModelBookOptions): ModelBook {
  const { agentsFile, env } = options
  let read: { readonly text: string | null; readonly section: AgentsSection } | null = null
  const fetches = new Map<string, Fetch>()
  const section = (): AgentsSection => {
    const text = agentsFile.readText()
    if (read === null || read.text !== text) {
      read = { text, section: readAgentsSection(agentsFile, env) }
      fetches.clear()
    }
    return read.section
  }
  const fetchFor = (origin: string): Fetch => {
    const known = fetches.get(origin) ?? options.fetchFor(origin)
    fetches.set(origin, known)
    return known
  }
  return { section, model: (name) => namedModel({ ...options, fetchFor }, section(), name) }
}

function namedModel(options: ModelBookOptions, section: AgentsSection, name: string): ChatModel {
  const { provider: providerName, model } = splitModelName(name)
  const provider = section.provider(providerName)
  const { agentsFile, fetchFor, clock = systemClock, timeMsMax, retryMsMin } = options
  async function* stream(request: ChatRequest, signal: AbortSignal): AsyncGenerator<ChatPart> {
    const { createProviderModel } = await import('./provider-model.ts')
    const made = createProviderModel({
      provider,
      model,
      apiKey: provider.hasKey ? agentsFile.credential(providerName, 'api_key') : null,
      fetch: fetchFor(new URL(provider.baseUrl).origin),
      clock,
      ...(timeMsMax === undefined ? {} : { timeMsMax }),
      ...(retryMsMin === undefined ? {} : { retryMsMin })
    })
    yield* made.stream(request, signal)
  }
  return { name, offline: false, stream }
}
