// What a node offers to runs, whatever mesh it is in: sandboxes proved with real work, the tools on them, models, rules and the guard.
// Opened once per process, beside the node; closing it ends every sandboxed process.

import { join } from 'node:path'
import type { Logger } from '../base/logger.ts'
import { isMeshError, type MeshError, messageOf } from '../base/mesh-error.ts'
import { AgentsFile, readKeyV01 } from '../config/agents-file.ts'
import type { ConfigValues } from '../config/config-schema.ts'
import { type McpServerSection, readMcpSection } from '../config/mcp-section.ts'
import type { HomePaths } from '../config/paths.ts'
import type { Guard } from '../guard/contract.ts'
import { createPatternGuard } from '../guard/pattern-guard.ts'
import type { KeyRing } from '../identity/seal.ts'
import { type ModelBook, openModels } from '../model/model-book.ts'
import type { SandboxReport, Tool, ToolBox } from '../pipeline/contract.ts'
import { type LoadedPolicy, loadPolicy } from '../policy/policy-file.ts'
import { type CommandSandbox, openCommandSandbox } from '../sandbox/command-sandbox.ts'
import { ScriptSandbox } from '../sandbox/script-sandbox.ts'
import { wasmBox } from '../sandbox/wasm-box.ts'
import { WasmSandbox } from '../sandbox/wasm-sandbox.ts'
import { Workspaces } from '../sandbox/workspaces.ts'
import { createCalcTool } from '../tools/calc-tool.ts'
import { createCommandTool } from '../tools/command-tool.ts'
import { createFetchTool } from '../tools/fetch-tool.ts'
import { createFileTools } from '../tools/file-tools.ts'
import type { McpServers } from '../tools/mcp-servers.ts'
import { createScriptTool } from '../tools/script-tool.ts'
import { createToolBox } from '../tools/tool-box.ts'
import { ToolRegistry, type ToolRegistryOptions } from '../tools/tool-registry.ts'
import { guardedFetchFor } from '../web/guarded-fetch.ts'
import { createUrlGuard } from '../web/url-guard.ts'
import { mcpLaunch } from './mcp-launch.ts'

export interface ToolHostOptions {
  readonly paths: HomePaths
  readonly config: ConfigValues
  readonly keyRing: KeyRing
  readonly logger: Logger
}

export interface ToolHost {
  readonly guard: Guard
  readonly box: ToolBox
  /** TOOL_UNAVAILABLE while its index cannot be read: the node runs without the tools in it. */
  readonly registry: () => ToolRegistry
  readonly workspaces: Workspaces
  readonly models: ModelBook
  /** Null without a section `[mcp]`. */
  readonly servers: McpServers | null
  readonly report: SandboxReport
  /** Read anew: a changed file counts from the next call on. POLICY_INVALID, CONFIG_EXPOSED. */
  policy(): LoadedPolicy
  close(): Promise<void>
}

export async function openToolHost(options: ToolHostOptions): Promise<ToolHost> {
  const { paths, logger } = options
  // What may be refused comes before what would have to be closed again.
  const agentsFile = agentsFileOf(options)
  const workspaces = Workspaces.open({ paths })
  await workspaces.sweep()
  const { command, wasm, script } = await openSandboxes(workspaces, logger)
  const guard = createPatternGuard()
  const web = createUrlGuard()
  const builtins = [
    createCalcTool(),
    ...createFileTools(),
    createFetchTool(web),
    ...(script.report.available ? [createScriptTool(script)] : []),
    ...(command.report.available ? [createCommandTool(command, workspaces)] : [])
  ]
  const reserved = builtins.map(({ descriptor }) => descriptor.name)
  const registry = openedRegistry({ folder: join(paths.home, 'tools'), reserved, script, wasm }, logger)
  const servers = await startServers(agentsFile, command, workspaces, logger)
  const models = openModels({
    agentsFile,
    fetchFor: (origin) => guardedFetchFor(createUrlGuard({ allowPrivate: [placeOf(origin)] }))
  })
  return {
    guard,
    box: createToolBox([() => builtins, () => registered(registry), () => servers?.tools() ?? []], logger),
    servers,
    registry: () => {
      if (registry instanceof ToolRegistry) return registry
      throw registry
    },
    workspaces,
    models,
    report: {
      script: script.report,
      wasm: wasm.report,
      command: command.report,
      line: sandboxLine(script, wasm, command)
    },
    policy: () => loadPolicy(paths.policy),
    close: async () => {
      await Promise.all([script.close(), wasm.close(), servers?.close()])
      await command.close()
    }
  }
}

/** All of them at once; where one cannot even be opened, none stays open. */
async function openSandboxes(workspaces: Workspaces, logger: Logger) {
  const opening = openCommandSandbox({ workspaces })
  const [command, wasm, script] = await Promise.allSettled([
    opening,
    opening.then((sandbox) => openWasm(sandbox, workspaces, logger)),
    ScriptSandbox.open()
  ])
  if (command.status === 'fulfilled' && wasm.status === 'fulfilled' && script.status === 'fulfilled')
    return { command: command.value, wasm: wasm.value, script: script.value }
  // The command sandbox last: processes of modules stand in it.
  for (const opened of [script, wasm, command]) if (opened.status === 'fulfilled') await opened.value.close()
  const failed = [command, wasm, script].find(({ status }) => status === 'rejected') as PromiseRejectedResult
  throw failed.reason
}

/** Processes of modules stand in the sandbox of commands where there is one; where it cannot start them, Node's own permissions remain. */
async function openWasm(command: CommandSandbox, workspaces: Workspaces, logger: Logger): Promise<WasmSandbox> {
  const box = wasmBox(command, workspaces)
  // Nothing waits started before there is a module to run.
  if (box === null) return WasmSandbox.open({ warm: 0 })
  const boxed = await WasmSandbox.open({ box, warm: 0 })
  if (boxed.report.available) return boxed
  logger.warn('modules are not boxed by the operating system', { message: boxed.report.text })
  await boxed.close()
  return WasmSandbox.open({ warm: 0 })
}

/** Opened, or why it could not be. */
function openedRegistry(options: ToolRegistryOptions, logger: Logger): ToolRegistry | MeshError {
  try {
    return new ToolRegistry(options)
  } catch (error) {
    if (!isMeshError(error)) throw error
    logger.error('the registered tools are not usable', { message: error.message })
    return error
  }
}

function registered(registry: ToolRegistry | MeshError): readonly Tool[] {
  return registry instanceof ToolRegistry ? registry.list() : []
}

/** Begins to start the owner's MCP servers; what speaks with them is loaded only where there are any. */
async function startServers(
  agentsFile: AgentsFile,
  command: CommandSandbox,
  workspaces: Workspaces,
  logger: Logger
): Promise<McpServers | null> {
  const sections = mcpSections(agentsFile, logger)
  if (sections.length === 0) return null
  const { McpServers } = await import('../tools/mcp-servers.ts')
  const servers = new McpServers({ sections, start: mcpLaunch(command, workspaces), profile: command.profile, logger })
  servers.start()
  return servers
}

/** A section that cannot be read offers no server; the node runs without. */
function mcpSections(agentsFile: AgentsFile, logger: Logger): readonly McpServerSection[] {
  try {
    return readMcpSection(agentsFile)
  } catch (error) {
    logger.error('the MCP servers of agents.toml are not usable', { message: messageOf(error) })
    return []
  }
}

function sandboxLine(
  ...sandboxes: readonly { readonly report: { readonly available: boolean; readonly text: string } }[]
): string {
  const [script, wasm, command] = sandboxes.map(({ report }) => report)
  const mark = (available: boolean | undefined): string => (available === true ? '✓' : '✗')
  return `wasm ${mark(wasm?.available)} · script ${mark(script?.available)} · command ${mark(command?.available)} (${command?.text ?? ''})`
}

function agentsFileOf({ paths, config, keyRing }: ToolHostOptions): AgentsFile {
  return new AgentsFile(paths.agents, keyRing, {
    allowPlaintext: config.security.allow_plaintext,
    keyV01: readKeyV01(paths.secretKeyV01)
  })
}

/** `host:port` of an origin that the owner's file names. */
function placeOf(origin: string): string {
  const { hostname, port, protocol } = new URL(origin)
  return `${hostname}:${port === '' ? (protocol === 'https:' ? '443' : '80') : port}`
}
