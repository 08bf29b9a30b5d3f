// file.read, file.write, file.list and file.edit: the run's own folder and nothing else. Every file that is read or changed is told with
// its hashes.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import { LIMITS } from '../base/limits.ts'
import { MeshError } from '../base/mesh-error.ts'
import type { FileChange, SandboxState, Tool, ToolTouch } from '../pipeline/contract.ts'
import { builtinTool, TOOL_LIMITS } from './builtin-tool.ts'
import { PINNED_TEXT } from './pinned-place.ts'
import { openWorkspace } from './workspace-files.ts'
import { parseFilePath, tryParseWorkspacePath } from './workspace-path.ts'

const PROBE_MS_MAX = 10_000
const PATH = z.string().min(1).max(LIMITS.filePathBytesMax).describe('Relative to the workspace, with / between names.')

/** The four file tools, confined to the workspace of the call. */
export function createFileTools(): readonly Tool[] {
  return [fileRead(), fileWrite(), fileList(), fileEdit()]
}

/** What holds the file tools in the workspace here, tried with a real write. */
export async function probeFileTools(): Promise<SandboxState> {
  const workspace = await mkdtemp(join(tmpdir(), 'pmesh-files-'))
  try {
    const args = { path: 'probe/file.txt', text: 'x', mode: 'create' }
    const limits = { ...TOOL_LIMITS, timeMs: PROBE_MS_MAX }
    const signal = new AbortController().signal
    const outcome = await fileWrite().run({
      arguments: args,
      argumentBytes: new Uint8Array(0),
      workspace,
      limits,
      signal
    })
    const text = outcome.status === 'ok' ? `fs-safe with its native part, ${PINNED_TEXT}` : outcome.message
    return { available: outcome.status === 'ok', text }
  } finally {
    await rm(workspace, { recursive: true, force: true })
  }
}

function touchesPath({ path = '' }: { readonly path?: string | undefined }): Partial<ToolTouch> {
  return { paths: [tryParseWorkspacePath(path) ?? path] }
}

function fileRead(): Tool {
  return builtinTool({
    name: 'file.read',
    version: 1,
    description: 'Reads a file of the workspace, or `bytes` bytes of it from `offset` on.',
    arguments: z.strictObject({
      path: PATH,
      offset: z.int().min(0).optional(),
      bytes: z.int().min(1).max(LIMITS.toolOutputBytesMax).optional()
    }),
    tier: 'read-only',
    taints: 'file',
    touches: touchesPath,
    async run({ path, offset = 0, bytes = LIMITS.toolOutputEventBytesMax }, call) {
      const files = await openWorkspace(call)
      const content = await files.read(parseFilePath(path), { offset, bytes: Math.min(bytes, call.limits.outputBytes) })
      return { output: content.bytes, truncated: offset + content.bytes.length < content.size }
    }
  })
}

function fileWrite(): Tool {
  return builtinTool({
    name: 'file.write',
    version: 1,
    description:
      'Writes a file of the workspace whole, from `text` or from `base64`. `mode` is overwrite unless it says create (refused when the file is there) or append.',
    arguments: z.strictObject({
      path: PATH,
      text: z.string().optional(),
      base64: z.base64().optional(),
      mode: z.enum(['create', 'overwrite', 'append']).optional()
    }),
    tier: 'internal',
    taints: null,
    touches: touchesPath,
    async run({ path, text, base64, mode = 'overwrite' }, call) {
      if ((text === undefined) === (base64 === undefined)) {
        throw new MeshError('TOOL_INPUT_INVALID', 'either text or base64 is needed')
      }
      const files = await openWorkspace(call)
      const bytes = text === undefined ? Buffer.from(base64 ?? '', 'base64') : Buffer.from(text)
      return { output: told(await files.write(parseFilePath(path), bytes, mode)) }
    }
  })
}

function fileList(): Tool {
  return builtinTool({
    name: 'file.list',
    version: 1,
    description:
      'Lists files and folders of the workspace, or of the folder `path` in it, `depth` levels deep (1 unless given).',
    arguments: z.strictObject({
      path: PATH.optional(),
      depth: z.int().min(1).max(LIMITS.fileListDepthMax).optional()
    }),
    tier: 'read-only',
    taints: 'file',
    touches: touchesPath,
    async run({ path = '', depth = 1 }, call) {
      const folder = tryParseWorkspacePath(path)
      if (folder === null) throw new MeshError('FILE_REFUSED', 'the path is not a plain path inside the workspace')
      const files = await openWorkspace(call)
      return { output: JSON.stringify(await files.list(folder, depth)) }
    }
  })
}

function fileEdit(): Tool {
  return builtinTool({
    name: 'file.edit',
    version: 1,
    description:
      'Replaces `find` by `replace` in a text file of the workspace. `find` must stand there exactly once, unless `all` is true.',
    arguments: z.strictObject({
      path: PATH,
      find: z.string().min(1),
      replace: z.string(),
      all: z.boolean().optional()
    }),
    tier: 'internal',
    taints: null,
    touches: touchesPath,
    async run({ path, find, replace, all = false }, call) {
      const place = parseFilePath(path)
      const files = await openWorkspace(call)
      const content = await files.read(place, { offset: 0, bytes: LIMITS.fileEditBytesMax + 1 })
      if (content.size > LIMITS.fileEditBytesMax) {
        throw new MeshError('FILE_TOO_LARGE', `more than ${LIMITS.fileEditBytesMax} bytes: ${place}`)
      }
      const parts = textOf(content.bytes, place).split(find)
      const found = parts.length - 1
      if (found === 0) throw new MeshError('FILE_REFUSED', `the text to find is not in the file: ${place}`)
      if (found > 1 && !all) {
        throw new MeshError('FILE_REFUSED', `the text to find is ${found} times in the file: ${place}`)
      }
      // Before it is built: a short text found often and replaced by a long one.
      const size = content.size + found * (Buffer.byteLength(replace) - Buffer.byteLength(find))
      if (size > LIMITS.fileEditBytesMax) {
        throw new MeshError('FILE_TOO_LARGE', `more than ${LIMITS.fileEditBytesMax} bytes: ${place}`)
      }
      const change = await files.write(place, Buffer.from(parts.join(replace)), 'overwrite')
      return { output: told(change, { replaced: found }) }
    }
  })
}

function textOf(bytes: Buffer, path: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch (cause) {
    throw new MeshError('FILE_REFUSED', `not text in UTF-8: ${path}`, { cause })
  }
}

function told({ operation, path, size, after }: FileChange, more: Readonly<Record<string, number>> = {}): string {
  return JSON.stringify({ operation, path, size, sha256: after, ...more })
}
