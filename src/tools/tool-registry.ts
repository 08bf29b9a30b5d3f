// Tools that a person registered on this node while it runs. What it may run is in its own index, and its code is compared with the hash that the
// log carries before every run. It reads no events: a registration on another node is news there, and never code here.

import { createHash } from 'node:crypto'
import { LIMITS } from '../base/limits.ts'
import { isMeshError, MeshError } from '../base/mesh-error.ts'
import type { EventDraft } from '../log/append-builder.ts'
import type { JsonSchema, Tool, ToolInvocation, ToolOutcome } from '../pipeline/contract.ts'
import { runEvent } from '../pipeline/run-events.ts'
import { type ArgumentCheck, compileArguments } from '../policy/argument-schema.ts'
import type { Tier } from '../policy/contract.ts'
import type { ScriptSandbox } from '../sandbox/script-sandbox.ts'
import type { WasmSandbox } from '../sandbox/wasm-sandbox.ts'
import { failedOutcome } from './builtin-tool.ts'
import { isScriptText, runScriptCode, SCRIPT_LIMITS, TOUCHES_NOTHING } from './script-tool.ts'
import { codeHashOf, TOOL_NAME, type ToolEntry, ToolFiles } from './tool-files.ts'
import { runWasmTool, WASM_LIMITS } from './wasm-tool.ts'

/** What is asked for, in the shape of the local API. */
export interface NewTool {
  readonly name: string
  readonly kind: 'script' | 'wasm'
  readonly description: string
  /** Base64 of the code. */
  readonly code: string
  readonly parameters: JsonSchema
  readonly tier: Tier | null
  readonly scope: 'operator' | 'admin'
  /** `workspace`: a WASM module sees and changes the files of its run. */
  readonly permissions: readonly string[]
  readonly replace: boolean
}

/** Resolves when the event is durable. */
export type RecordEvent = (draft: EventDraft) => Promise<void>

export interface ToolRegistryOptions {
  /** The home's folder `tools`; made when it is missing. */
  readonly folder: string
  /** Names that no registration may take: those of the built-ins. */
  readonly reserved: readonly string[]
  readonly script: ScriptSandbox
  readonly wasm: WasmSandbox
}

/** Words that stand for something else where a tool is named. */
const RESERVED = [
  'all',
  'any',
  'builtin',
  'command',
  'default',
  'fetch',
  'file',
  'help',
  'mcp',
  'none',
  'pmesh',
  'script',
  'tool',
  'wasm'
]
const PERMISSIONS: Readonly<Record<NewTool['kind'], readonly string[]>> = { script: [], wasm: ['workspace'] }
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/
const DESCRIPTION_MAX = 4096

interface Registered {
  readonly entry: ToolEntry
  readonly tool: Tool
}

export class ToolRegistry {
  readonly #options: ToolRegistryOptions
  readonly #files: ToolFiles
  readonly #reserved: ReadonlySet<string>
  readonly #registered = new Map<string, Registered>()
  /** Changes are made one after another. */
  #last: Promise<unknown> = Promise.resolve()

  /** Offers what was registered before. TOOL_UNAVAILABLE when the index is damaged. */
  constructor(options: ToolRegistryOptions) {
    this.#options = options
    this.#files = new ToolFiles(options.folder)
    this.#reserved = new Set([...RESERVED, ...options.reserved])
    for (const entry of this.#files.readIndex().values()) this.#offer(entry)
  }

  /** In order of names. */
  list(): Tool[] {
    return [...this.#registered.values()].map(({ tool }) => tool).toSorted((a, b) => compare(a, b))
  }

  /**
   * Stores the code, records `tool-registered`, and only then offers the tool. Who may do this is the caller's to check. TOOL_NAME_INVALID,
   * TOOL_EXISTS, TOOL_CODE_INVALID, TOOL_INPUT_INVALID, TOOL_SCHEMA_INVALID, TOOL_UNAVAILABLE, and what `recorded` throws.
   */
  register(asked: NewTool, recorded: RecordEvent): Promise<Tool> {
    return this.#inTurn(() => this.#register(asked, recorded))
  }

  /** Records `tool-removed` and forgets the tool and its code. TOOL_UNKNOWN, and what `recorded` throws. */
  remove(name: string, recorded: RecordEvent): Promise<void> {
    return this.#inTurn(async () => {
      const known = this.#registered.get(name)
      if (known === undefined)
        throw new MeshError('TOOL_UNKNOWN', `no tool is registered as ${JSON.stringify(name.slice(0, 120))}`)
      await recorded(runEvent('tool-removed', { name, codeHash: known.entry.codeHash }))
      this.#registered.delete(name)
      this.#writeIndex()
      this.#files.removeFolder(name)
    })
  }

  async #register(asked: NewTool, recorded: RecordEvent): Promise<Tool> {
    this.#checkName(asked.name)
    const before = this.#registered.get(asked.name)?.entry
    if (before !== undefined && !asked.replace)
      throw new MeshError('TOOL_EXISTS', `there is a tool ${asked.name} already`)
    if (before === undefined && this.#registered.size >= LIMITS.toolsRegisteredMax)
      throw new MeshError('TOOL_UNAVAILABLE', `this node has ${LIMITS.toolsRegisteredMax} registered tools already`)
    this.#checkDescription(asked)
    const code = this.#readCode(asked)
    const { replace: _, code: __, ...declared } = asked
    const entry: ToolEntry = { ...declared, permissions: [...asked.permissions], codeHash: codeHashOf(code) }
    const { name, codeHash } = entry

    this.#files.writeCode(entry, code)
    try {
      await recorded(runEvent('tool-registered', { ...entry, replaces: before?.codeHash ?? null }))
    } catch (error) {
      if (before?.codeHash !== codeHash) this.#files.removeCode(entry)
      throw error
    }
    const tool = this.#offer(entry)
    this.#writeIndex()
    if (before !== undefined && before.codeHash !== codeHash) this.#files.removeCode({ ...before, name })
    return tool
  }

  #checkName(name: string): void {
    if (!TOOL_NAME.test(name))
      throw new MeshError('TOOL_NAME_INVALID', 'the name does not match ^[a-z][a-z0-9_]{0,99}$')
    if (this.#reserved.has(name)) throw new MeshError('TOOL_NAME_INVALID', `the name ${name} is reserved`)
  }

  #checkDescription(asked: NewTool): void {
    const invalid = (what: string) => new MeshError('TOOL_INPUT_INVALID', what)
    if (asked.description.length > DESCRIPTION_MAX) throw invalid(`the description is longer than ${DESCRIPTION_MAX}`)
    if (Buffer.byteLength(JSON.stringify(asked.parameters)) > LIMITS.toolSchemaBytesMax)
      throw invalid(`the schema is larger than ${LIMITS.toolSchemaBytesMax} bytes`)
    const allowed = PERMISSIONS[asked.kind]
    const foreign = asked.permissions.find((permission) => !allowed.includes(permission))
    if (foreign !== undefined)
      throw invalid(`a ${asked.kind} cannot have the permission ${JSON.stringify(foreign.slice(0, 100))}`)
    if (asked.parameters.type !== 'object')
      throw new MeshError('TOOL_SCHEMA_INVALID', 'the schema is not that of an object: it has no "type": "object"')
    compileArguments(asked.parameters)
  }

  #readCode({ kind, code }: NewTool): Buffer {
    const invalid = (what: string) => new MeshError('TOOL_CODE_INVALID', what)
    // Four characters are three bytes.
    if (code.length > Math.ceil(LIMITS.toolCodeBytesMax / 3) * 4)
      throw invalid(`the code is larger than ${LIMITS.toolCodeBytesMax} bytes`)
    if (!BASE64.test(code)) throw invalid('the code is not base64')
    const bytes = Buffer.from(code, 'base64')
    if (bytes.length === 0) throw invalid('there is no code')
    if (bytes.length > LIMITS.toolCodeBytesMax)
      throw invalid(`the code is larger than ${LIMITS.toolCodeBytesMax} bytes`)
    if (kind === 'script' && !isScriptText(bytes)) throw invalid('the script is not UTF-8')
    const refusal = kind === 'wasm' ? this.#options.wasm.refusal(bytes) : null
    if (refusal !== null) throw invalid(refusal)
    return bytes
  }

  #offer(entry: ToolEntry): Tool {
    const { script, wasm } = this.#options
    if (entry.kind === 'wasm') wasm.keepWarm()
    const { name, kind, codeHash, parameters, permissions } = entry
    const schema = compileArguments(parameters)
    const tool: Tool = {
      descriptor: {
        name,
        kind,
        description: entry.description,
        descriptionUntrusted: false,
        parameters,
        tier: entry.tier,
        hash: createHash('sha256')
          .update(JSON.stringify([kind, codeHash, parameters, permissions]))
          .digest('hex'),
        profile: (kind === 'script' ? script : wasm).profile,
        taints: 'tool',
        limits: kind === 'script' ? SCRIPT_LIMITS : WASM_LIMITS
      },
      touches: () => (permissions.includes('workspace') ? { ...TOUCHES_NOTHING, paths: ['.'] } : TOUCHES_NOTHING),
      run: (call) => this.#run(entry, schema, call)
    }
    this.#registered.set(name, { entry, tool })
    return tool
  }

  async #run(entry: ToolEntry, schema: ArgumentCheck, call: ToolInvocation): Promise<ToolOutcome> {
    // A run that was approved before the tool was removed or replaced finds another entry, and is not for this code.
    if (this.#registered.get(entry.name)?.entry !== entry)
      return failedOutcome('refused', 'TOOL_CODE_CHANGED', `the tool ${entry.name} was removed or replaced`)
    const verdict = schema.check(call.argumentBytes)
    if (!verdict.ok) return failedOutcome('refused', 'TOOL_INPUT_INVALID', faultOf(verdict))
    let code: Buffer
    try {
      code = this.#files.readCode(entry)
    } catch (error) {
      if (!isMeshError(error)) throw error
      return failedOutcome('refused', error.code, error.message)
    }
    if (entry.kind === 'script') return await runScriptCode(this.#options.script, code, call)
    const workspace = entry.permissions.includes('workspace')
    return await runWasmTool(this.#options.wasm, { name: entry.name, code, workspace }, call)
  }

  #writeIndex(): void {
    this.#files.writeIndex([...this.#registered.values()].map(({ entry }) => entry))
  }

  #inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const turn = this.#last.then(work, work)
    this.#last = turn.catch(() => undefined)
    return turn
  }
}

function faultOf({ pointer, message }: { readonly pointer: string; readonly message: string }): string {
  return `the arguments do not fit at ${pointer || '/'}: ${message}`
}

function compare(a: Tool, b: Tool): number {
  return a.descriptor.name < b.descriptor.name ? -1 : 1
}
