// What agents.toml says of providers, agents and judges, typed. Credentials are not read here: AgentsFile opens them where they stand.
// Tables of v0.1 ([agent.…], [core], …) are left alone and named in `unread`; a provider is checked when something refers to it.

import { z } from 'zod'
import { LIMITS } from '../base/limits.ts'
import { MeshError } from '../base/mesh-error.ts'
import type { AgentsFile } from './agents-file.ts'
import { substitute } from './substitution.ts'
import { type TomlTable, tomlStrings, tomlValueAt, withoutTomlTable, withTomlValues } from './toml-document.ts'

const NAME = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/
/** As events and the provider’s URL can carry it; it may hold slashes. */
const MODEL = /^[A-Za-z0-9][A-Za-z0-9._:/-]{0,79}$/
/** A tool’s name; `*` stands for any letters. */
const TOOL_PATTERN = /^[a-z*][a-z0-9_.*]{0,99}$/
const OLLAMA_URL = 'http://127.0.0.1:11434/v1'
const ANTHROPIC_URL = 'https://api.anthropic.com/v1'

/** US dollars for a million tokens, which is millionths of a dollar for one. */
const price = z.strictObject({
  input_usd_per_million: z.number().min(0).max(1e6),
  output_usd_per_million: z.number().min(0).max(1e6)
})
const provider = z.strictObject({
  type: z.enum(['anthropic', 'openai-compatible', 'ollama']),
  base_url: z.string().max(2048).optional(),
  api_key: z.string().optional(),
  prices: z.record(z.string().regex(MODEL), price).default({})
})
const budget = z.int().min(0).max(Number.MAX_SAFE_INTEGER)
const agent = z.strictObject({
  provider: z.string().regex(NAME),
  model: z.string().regex(MODEL),
  system: z
    .string()
    .max(64 * 1024)
    .default(''),
  tools: z.array(z.string().regex(TOOL_PATTERN)).max(256).default([]),
  max_steps: z.int().min(1).max(LIMITS.agentStepsMax).default(LIMITS.agentStepsMax),
  max_tokens: z.int().min(1).max(Number.MAX_SAFE_INTEGER).default(LIMITS.agentTokensMax),
  budget_micros_per_day: budget.optional()
})
const judges = z.strictObject({
  use: z
    .array(
      z
        .string()
        .regex(/^[A-Za-z0-9][A-Za-z0-9_-]{0,63}\/[A-Za-z0-9][A-Za-z0-9._:/-]*$/)
        .max(100)
    )
    .max(16)
    .default([]),
  remote: z.array(z.string().min(1).max(64)).max(16).default([]),
  budget_micros_per_day: budget.optional(),
  budget_calls_per_day: budget.optional()
})
const SECTIONS: readonly string[] = ['providers', 'agents', 'judges', 'mcp']

export interface ModelPrice {
  readonly inputMicrosPerToken: number
  readonly outputMicrosPerToken: number
}

export interface ProviderSection {
  readonly name: string
  readonly type: 'anthropic' | 'openai-compatible' | 'ollama'
  /** Without a trailing slash; paths such as `/chat/completions` are added to it. */
  readonly baseUrl: string
  /** Whether an api_key stands in the file; its value comes from AgentsFile.credential. */
  readonly hasKey: boolean
  /** Null when it is not known. A server of one’s own costs nothing unless the file says otherwise. */
  price(model: string): ModelPrice | null
}

export interface AgentSection {
  readonly name: string
  readonly provider: string
  readonly model: string
  readonly system: string
  /** Names of tools, `*` standing for any letters; none by default. */
  readonly tools: readonly string[]
  readonly stepsMax: number
  /** Tokens of one run, read and written. */
  readonly tokensMax: number
  readonly budgetMicrosPerDay: number | null
}

export interface JudgesSection {
  /** `PROVIDER/MODEL`, each once, in the file’s order. */
  readonly models: readonly string[]
  /** Names of members whose judges are asked. */
  readonly remote: readonly string[]
  readonly budgetMicrosPerDay: number | null
  readonly budgetCallsPerDay: number | null
}

export interface AgentsSection {
  readonly agents: ReadonlyMap<string, AgentSection>
  readonly judges: JudgesSection
  /** AGENT_INVALID for one that is not there or not in this form. */
  provider(name: string): ProviderSection
  /** Tables of other programs and of v0.1: nothing here uses them. */
  readonly unread: readonly string[]
}

/** AGENT_INVALID names the place; CONFIG_INVALID for what is no TOML or an unset `${NAME}`. */
export function readAgentsSection(file: AgentsFile, env: NodeJS.ProcessEnv = process.env): AgentsSection {
  const table = file.readTable()
  const agents = new Map<string, AgentSection>()
  for (const [name, value] of Object.entries(tableAt(table, 'agents'))) agents.set(name, agentOf(name, value, env))
  const section: AgentsSection = {
    agents,
    judges: judgesOf(table.judges ?? {}, env),
    provider: (name) => providerOf(table, name, env),
    unread: Object.keys(table).filter((key) => !SECTIONS.includes(key))
  }
  checkReferences(section)
  return section
}

/** `PROVIDER/MODEL` in its two parts. */
export function splitModelName(name: string): { readonly provider: string; readonly model: string } {
  const slash = name.indexOf('/')
  return { provider: name.slice(0, Math.max(0, slash)), model: name.slice(slash + 1) }
}

/** Writes `[agents.NAME]`, comments kept. AGENT_EXISTS, AGENT_INVALID, USAGE. */
export function addAgent(
  file: AgentsFile,
  entry: {
    readonly name: string
    readonly provider: string
    readonly model: string
    readonly system?: string
    readonly tools?: readonly string[]
  }
): void {
  const { name, ...rest } = entry
  if (readAgentsSection(file).agents.has(name))
    throw new MeshError('AGENT_EXISTS', `there is an agent ${name} already`, { details: { agent: name } })
  const parsed = agentOf(name, rest, {})
  readAgentsSection(file).provider(parsed.provider)
  const values = Object.entries(rest).filter(([, value]) => value !== undefined)
  const changes = values.map(([key, value]) => ({ path: ['agents', name, key], value }))
  file.edit((text) => withTomlValues(text, changes, file.path))
}

/** Takes `[agents.NAME]` out, comments around it kept. AGENT_UNKNOWN. */
export function removeAgent(file: AgentsFile, name: string): void {
  if (tomlValueAt(file.readTable(), ['agents', name]) === undefined)
    throw new MeshError('AGENT_UNKNOWN', `there is no agent ${name}`, { details: { agent: name } })
  file.edit((text) => withoutTomlTable(text, ['agents', name], file.path))
}

function agentOf(name: string, value: unknown, env: NodeJS.ProcessEnv): AgentSection {
  const place = `agents.${name}`
  if (!NAME.test(name)) throw invalid(place, 'a name is a word of letters, digits, - and _')
  const entry = parsed(agent, value, place, env)
  return {
    name,
    provider: entry.provider,
    model: entry.model,
    system: entry.system,
    tools: entry.tools,
    stepsMax: entry.max_steps,
    tokensMax: entry.max_tokens,
    budgetMicrosPerDay: entry.budget_micros_per_day ?? null
  }
}

function judgesOf(value: unknown, env: NodeJS.ProcessEnv): JudgesSection {
  const entry = parsed(judges, value, 'judges', env)
  return {
    models: [...new Set(entry.use)],
    remote: [...new Set(entry.remote)],
    budgetMicrosPerDay: entry.budget_micros_per_day ?? null,
    budgetCallsPerDay: entry.budget_calls_per_day ?? null
  }
}

function providerOf(table: TomlTable, name: string, env: NodeJS.ProcessEnv): ProviderSection {
  const place = `providers.${name}`
  const value = tomlValueAt(table, ['providers', name])
  if (value === undefined) throw invalid(place, 'there is no such provider')
  const entry = parsed(provider, value, place, env)
  const free = entry.type === 'ollama' ? { inputMicrosPerToken: 0, outputMicrosPerToken: 0 } : null
  return {
    name,
    type: entry.type,
    baseUrl: baseUrlOf(entry.type, entry.base_url, place),
    hasKey: entry.api_key !== undefined && entry.api_key !== '',
    price: (model) => {
      const known = Object.hasOwn(entry.prices, model) ? entry.prices[model] : undefined
      if (known === undefined) return free
      return {
        inputMicrosPerToken: known.input_usd_per_million,
        outputMicrosPerToken: known.output_usd_per_million
      }
    }
  }
}

function baseUrlOf(type: ProviderSection['type'], text: string | undefined, place: string): string {
  const fallback = type === 'anthropic' ? ANTHROPIC_URL : type === 'ollama' ? OLLAMA_URL : null
  const given = text ?? fallback
  if (given === null) throw invalid(`${place}.base_url`, 'it is missing')
  const url = URL.parse(given)
  if (url === null || !/^https?:$/.test(url.protocol)) throw invalid(`${place}.base_url`, 'it is no http or https URL')
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '')
    throw invalid(`${place}.base_url`, 'it holds more than a host, a port and a path')
  return url.href.replace(/\/+$/, '')
}

/** Providers of agents and judges are there, and what a budget in money limits has a price: an unknown cost cannot be limited. */
function checkReferences(section: AgentsSection): void {
  const { models, budgetMicrosPerDay } = section.judges
  for (const name of models) {
    const { provider: from, model } = splitModelName(name)
    checkPrice(section, 'judges', from, model, budgetMicrosPerDay)
  }
  for (const one of section.agents.values())
    checkPrice(section, `agents.${one.name}`, one.provider, one.model, one.budgetMicrosPerDay)
}

function checkPrice(section: AgentsSection, place: string, from: string, model: string, limit: number | null): void {
  const known = section.provider(from).price(model)
  if (limit !== null && known === null)
    throw invalid(`${place}.budget_micros_per_day`, `it needs a price: providers.${from}.prices."${model}"`)
}

function tableAt(table: TomlTable, key: string): TomlTable {
  const value = table[key] ?? {}
  if (typeof value !== 'object' || Array.isArray(value)) throw invalid(key, 'it is no table')
  return value as TomlTable
}

function parsed<Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
  place: string,
  env: NodeJS.ProcessEnv
): z.output<Schema> {
  const result = schema.safeParse(substituted(value, place, env))
  if (result.success) return result.data
  const issue = result.error.issues[0]
  throw invalid([place, ...(issue?.path ?? [])].join('.'), issue?.message ?? 'it does not fit')
}

/** Every `${NAME}` put in, except in a credential, which AgentsFile reads. */
function substituted(value: unknown, place: string, env: NodeJS.ProcessEnv): unknown {
  if (typeof value !== 'object' || value === null) return value
  const copy = structuredClone(value) as Record<string, unknown>
  for (const { path, text } of tomlStrings(value)) {
    const key = path.at(-1)
    if (key === undefined || key === 'api_key') continue
    const parent = tomlValueAt(copy, path.slice(0, -1)) as Record<string, unknown>
    parent[key] = substitute(text, [place, ...path].join('.'), env)
  }
  return copy
}

function invalid(place: string, what: string): MeshError {
  return new MeshError('AGENT_INVALID', `agents.toml: ${place}: ${what}`, { details: { place } })
}
