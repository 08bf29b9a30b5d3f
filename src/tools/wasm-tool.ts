// How a registered WASM module runs: the arguments come by stdin as they were approved. With the permission `workspace` the files of the run are
// copied in, and what the module wrote is put back through the same door as the file tools, after the module has ended well.

import { LIMITS } from '../base/limits.ts'
import { isMeshError, MeshError } from '../base/mesh-error.ts'
import type { FileChange, ToolInvocation, ToolLimits, ToolOutcome } from '../pipeline/contract.ts'
import type { WasmFile, WasmRun } from '../sandbox/wasm-answer.ts'
import type { WasmSandbox } from '../sandbox/wasm-sandbox.ts'
import { failedOutcome } from './builtin-tool.ts'
import { openWorkspace, type WorkspaceFiles } from './workspace-files.ts'

export const WASM_LIMITS: ToolLimits = {
  timeMs: LIMITS.toolTimeMsMax,
  memoryBytes: LIMITS.wasmMemoryBytesMax,
  outputBytes: LIMITS.toolOutputEventBytesMax,
  processes: 1,
  fileBytes: LIMITS.toolFileBytesMax
}

export interface WasmTool {
  readonly name: string
  readonly code: Uint8Array
  /** Whether it may see and change the files of the run. */
  readonly workspace: boolean
}

export async function runWasmTool(sandbox: WasmSandbox, tool: WasmTool, call: ToolInvocation): Promise<ToolOutcome> {
  const changes: FileChange[] = []
  try {
    const folder = tool.workspace ? await openWorkspace({ ...call, record: (change) => changes.push(change) }) : null
    const files = folder === null ? null : await copyIn(folder, call.limits)
    const run = await sandbox.run({
      module: tool.code,
      input: call.argumentBytes,
      args: [tool.name],
      files,
      limits: call.limits,
      signal: call.signal
    })
    if (folder !== null) await copyOut(folder, run)
    return { ...run.outcome, changes }
  } catch (error) {
    if (call.signal.aborted) return failedOutcome('killed', 'CANCELLED', 'the call was cancelled', changes)
    if (!isMeshError(error)) throw error
    return failedOutcome('refused', error.code, error.message, changes)
  }
}

/** Plain files only: links are neither followed nor shown. */
async function copyIn(folder: WorkspaceFiles, limits: ToolLimits): Promise<WasmFile[]> {
  const { entries, truncated } = await folder.list('', LIMITS.jsonDepthMax)
  const paths = entries.filter((entry) => entry.kind === 'file')
  const bytes = paths.reduce((sum, entry) => sum + entry.size, 0)
  if (truncated || paths.length > LIMITS.wasmFilesMax || bytes > limits.fileBytes)
    throw new MeshError('FILE_TOO_LARGE', 'the workspace is too large to be copied for a module')
  const files: WasmFile[] = []
  for (const { path } of paths) files.push({ path, bytes: (await folder.read(path)).bytes })
  return files
}

async function copyOut(folder: WorkspaceFiles, run: WasmRun): Promise<void> {
  const removed = run.files.find((file) => file.bytes === null)
  if (removed !== undefined) throw new MeshError('FILE_REFUSED', `a module may not delete files: ${removed.path}`)
  for (const { path, bytes } of run.files) await folder.write(path, Buffer.from(bytes!), 'overwrite')
}
