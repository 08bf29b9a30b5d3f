// pmesh tool register: code from a file becomes a tool of this node, named by the hash of its code.

import { readFileSync, statSync } from 'node:fs'
import { LIMITS } from '../../base/limits.ts'
import { MeshError } from '../../base/mesh-error.ts'
import type { CommandContext } from '../command-context.ts'
import { printTool } from './tool-show.ts'

export interface ToolRegisterOptions {
  readonly code: string
  readonly kind?: 'script' | 'wasm'
  readonly schema?: string
  readonly tier?: 'read-only' | 'internal' | 'external' | 'irreversible'
  readonly scope: 'operator' | 'admin'
  readonly permission?: readonly string[]
  readonly description: string
  readonly replace?: true
}

/** The code travels as Base64 on one line of the socket. */
const CODE_BYTES_MAX = Math.floor(((LIMITS.rpcLineBytesMax - 64 * 1024) * 3) / 4)
const WASM_MAGIC = '\0asm'

export async function registerTool(
  context: CommandContext,
  [name]: readonly [string],
  options: ToolRegisterOptions
): Promise<number> {
  const code = readBytes(options.code, CODE_BYTES_MAX)
  const isWasm = code.subarray(0, 4).toString('latin1') === WASM_MAGIC
  const tool = await context.call('tool/register', {
    name,
    kind: options.kind ?? (isWasm ? 'wasm' : 'script'),
    description: options.description,
    code: code.toString('base64'),
    parameters: options.schema === undefined ? { type: 'object', properties: {} } : readSchema(options.schema),
    tier: options.tier ?? null,
    scope: options.scope,
    permissions: [...(options.permission ?? [])],
    replace: options.replace === true
  })
  const { out } = context
  if (out.json) out.value(tool)
  else {
    printTool(out, tool)
    if (options.tier === undefined) out.note('no --tier: it counts as irreversible, and every call asks')
  }
  return 0
}

function readSchema(file: string): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(readBytes(file, LIMITS.configBytesMax).toString('utf8'))
  } catch (error) {
    if (error instanceof MeshError) throw error
    throw new MeshError('USAGE', 'the schema is not JSON', { details: { file }, cause: error })
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new MeshError('USAGE', 'the schema is not a JSON object', { details: { file } })
  return value as Record<string, unknown>
}

function readBytes(file: string, bytesMax: number): Buffer {
  try {
    const { size } = statSync(file)
    if (size === 0 || size > bytesMax)
      throw new MeshError('USAGE', `the file has ${size} bytes; 1 to ${bytesMax} are possible`, { details: { file } })
    return readFileSync(file)
  } catch (error) {
    if (error instanceof MeshError) throw error
    throw new MeshError('USAGE', 'cannot read the file', { details: { file }, cause: error })
  }
}
