// Where registered tools lie: one index, and per tool a folder with its code under the code's hash. A folder is 0700, a file 0600 and wholly old or
// wholly new. Does not know what a tool is for.

import { createHash } from 'node:crypto'
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { utf8 } from '../base/bytes.ts'
import { LIMITS } from '../base/limits.ts'
import { MeshError } from '../base/mesh-error.ts'
import { readPrivateFile, replaceFile } from '../identity/atomic-file.ts'
import { parseRecord } from '../identity/json-record.ts'
import { TIERS } from '../policy/contract.ts'

export const TOOL_NAME = /^[a-z][a-z0-9_]{0,99}$/

const ENTRY = z.strictObject({
  name: z.string().regex(TOOL_NAME),
  kind: z.enum(['script', 'wasm']),
  description: z.string().max(4096),
  /** Lower-case hex of SHA-256. */
  codeHash: z.string().regex(/^[0-9a-f]{64}$/),
  parameters: z.record(z.string(), z.unknown()),
  tier: z.enum(TIERS).nullable(),
  scope: z.enum(['operator', 'admin']),
  permissions: z.array(z.string()).max(32)
})
const INDEX = z.strictObject({
  format: z.literal('pmesh-tools'),
  version: z.literal(1),
  tools: z.array(ENTRY).max(LIMITS.toolsRegisteredMax)
})
const INDEX_BYTES_MAX = 16 * 1024 * 1024
const ENDINGS = { script: 'js', wasm: 'wasm' } as const

export type ToolEntry = z.output<typeof ENTRY>
type Code = Pick<ToolEntry, 'name' | 'kind' | 'codeHash'>

export function codeHashOf(code: Uint8Array): string {
  return createHash('sha256').update(code).digest('hex')
}

export class ToolFiles {
  readonly #folder: string
  readonly #index: string

  /** `folder` is made when it is missing; its parent is a private folder of this user. */
  constructor(folder: string) {
    this.#folder = folder
    this.#index = join(folder, 'index.json')
  }

  /** Entries by name. TOOL_UNAVAILABLE when the index is damaged or not this user's alone. */
  readIndex(): Map<string, ToolEntry> {
    const rules = { bytesMax: INDEX_BYTES_MAX, exposed: 'TOOL_UNAVAILABLE', invalid: 'TOOL_UNAVAILABLE' } as const
    const bytes = readPrivateFile(this.#index, rules)
    if (bytes === null) return new Map()
    const index = INDEX.safeParse(parseRecord(bytes))
    if (!index.success) {
      throw new MeshError('TOOL_UNAVAILABLE', 'the index of registered tools is damaged', {
        details: { file: this.#index },
        hint: 'Move the file away and register the tools again.',
        cause: index.error
      })
    }
    return new Map(index.data.tools.map((entry) => [entry.name, entry]))
  }

  writeIndex(entries: Iterable<ToolEntry>): void {
    mkdirSync(this.#folder, { recursive: true, mode: 0o700 })
    const tools = [...entries].toSorted((a, b) => (a.name < b.name ? -1 : 1))
    replaceFile(this.#index, utf8(`${JSON.stringify({ format: 'pmesh-tools', version: 1, tools }, null, 2)}\n`))
  }

  writeCode(code: Code, bytes: Uint8Array): void {
    mkdirSync(join(this.#folder, code.name), { recursive: true, mode: 0o700 })
    replaceFile(this.#codePath(code), bytes)
  }

  /** The code, which is what was registered. TOOL_CODE_CHANGED when it is gone, another, or open to others. */
  readCode(code: Code): Buffer {
    const rules = {
      bytesMax: LIMITS.toolCodeBytesMax,
      exposed: 'TOOL_CODE_CHANGED',
      invalid: 'TOOL_CODE_CHANGED'
    } as const
    const bytes = readPrivateFile(this.#codePath(code), rules)
    if (bytes === null) throw new MeshError('TOOL_CODE_CHANGED', `the code of ${code.name} is gone`)
    if (codeHashOf(bytes) !== code.codeHash)
      throw new MeshError('TOOL_CODE_CHANGED', `the code of ${code.name} is not what was registered`)
    return bytes
  }

  /** Code that no entry names any more. */
  removeCode(code: Code): void {
    rmSync(this.#codePath(code), { force: true })
  }

  removeFolder(name: string): void {
    rmSync(join(this.#folder, name), { recursive: true, force: true })
  }

  #codePath({ name, kind, codeHash }: Code): string {
    return join(this.#folder, name, `${codeHash}.${ENDINGS[kind]}`)
  }
}
