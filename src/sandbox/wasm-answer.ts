// What the host makes of the answer of a module's process. The process counts as the guest's: every field is looked at, and a path that could
// leave the folder makes the whole answer worthless.

import { createHash } from 'node:crypto'
import { utf8 } from '../base/bytes.ts'
import { LIMITS } from '../base/limits.ts'
import type { FileChange, ToolOutcome, ToolStatus } from '../pipeline/contract.ts'
import { tryDecodeFrame, type WasmAnswer, type WasmEnd } from './wasm-frame.ts'
import type { GuestEnd, GuestExit } from './wasm-guest.ts'

export interface WasmFile {
  /** Below the module's folder `/`, with slashes, without `.` and `..`. */
  readonly path: string
  readonly bytes: Uint8Array
}

export interface WasmRun {
  /** Its output is stdout; after a failure stderr follows it. `changes` are what `files` does to those given. */
  readonly outcome: ToolOutcome
  /** To be written back, null for a file that is gone; empty unless the module ended with 0. */
  readonly files: readonly { readonly path: string; readonly bytes: Uint8Array | null }[]
}

/** `given`: the files that the module saw; null when it has no folder. */
export function readAnswer(ended: GuestEnd, given: readonly WasmFile[] | null, outputBytes: number): WasmRun {
  if (ended.end !== 'answered') return { outcome: outcomeOfEnd(ended), files: [] }
  const frame = tryDecodeFrame(ended.bytes)
  const answer = frame === null ? null : tryReadHeader(frame.header, given, frame.parts.length)
  if (frame === null || answer === null)
    return { outcome: wasmOutcome('error', 'the process of the module gave no answer'), files: [] }
  const [stdout, stderr, ...contents] = frame.parts as [Uint8Array, Uint8Array, ...Uint8Array[]]
  const isGood = answer.end === 'exit' && answer.exitCode === 0
  const whole = isGood ? stdout : Buffer.concat([stdout, stderr])
  const outcome: ToolOutcome = {
    ...wasmOutcome(...ENDS[isGood ? 'exit' : answer.end === 'exit' ? 'failed' : answer.end]),
    output: whole.subarray(0, outputBytes),
    truncated: answer.end === 'output' || whole.length > outputBytes,
    exitCode: answer.end === 'exit' ? answer.exitCode : null
  }
  if (!isGood) return { outcome, files: [] }
  const files = [
    ...answer.files.map((path, index) => ({ path, bytes: contents[index] ?? null })),
    ...answer.removed.map((path) => ({ path, bytes: null }))
  ]
  return { outcome: { ...outcome, changes: changesOf(files, given ?? []) }, files }
}

const ENDS: Readonly<Record<WasmEnd | 'failed', readonly [ToolStatus, string]>> = {
  exit: ['ok', ''],
  failed: ['error', 'the module ended with another code than 0'],
  trap: ['error', 'the module trapped'],
  memory: ['memory', 'the module needed more memory than there is'],
  output: ['output', 'the module wrote more than its limit'],
  unloadable: ['refused', 'the module cannot be loaded'],
  fault: ['error', 'the process of the module did not understand its job']
}

export function wasmOutcome(status: ToolStatus, message: string): ToolOutcome {
  const codes: Partial<Record<ToolStatus, ToolOutcome['code']>> = {
    error: 'TOOL_FAILED',
    timeout: 'TOOL_TIMEOUT',
    refused: 'TOOL_CODE_INVALID'
  }
  return {
    status,
    output: utf8(''),
    truncated: false,
    exitCode: null,
    signal: null,
    code: codes[status] ?? null,
    message,
    changes: []
  }
}

function outcomeOfEnd(ended: Exclude<GuestEnd, { end: 'answered' }>): ToolOutcome {
  if (ended.end === 'late') return wasmOutcome('timeout', 'the module took longer than its limit and was killed')
  if (ended.end === 'cancelled') return wasmOutcome('killed', 'the call was cancelled')
  if (ended.end === 'flooded') return wasmOutcome('output', 'the process of the module answered more than its limit')
  const { exitCode, signal } = ended.exit
  const outcome = ranOutOfMemory(ended.exit)
    ? wasmOutcome('memory', 'the process of the module ran out of memory')
    : wasmOutcome('error', 'the process of the module ended by itself')
  return { ...outcome, exitCode, signal }
}

/** V8 aborts when its heap is full; a box may give that as a code, and a control group kills. */
function ranOutOfMemory({ exitCode, signal }: GuestExit): boolean {
  return ['SIGABRT', 'SIGTRAP', 'SIGKILL'].includes(signal ?? '') || [128 + 5, 128 + 6, 128 + 9].includes(exitCode ?? 0)
}

function tryReadHeader(
  header: Readonly<Record<string, unknown>>,
  given: readonly WasmFile[] | null,
  parts: number
): WasmAnswer | null {
  const { end, exitCode, files, removed } = header
  const known = new Set(given?.map((file) => file.path))
  const fits =
    typeof end === 'string' &&
    Object.hasOwn(ENDS, end) &&
    Number.isSafeInteger(exitCode) &&
    isPaths(files, isInside) &&
    isPaths(removed, (path) => known.has(path)) &&
    (given !== null || files.length === 0) &&
    parts === files.length + 2
  return fits ? ({ end, exitCode, files, removed } as WasmAnswer) : null
}

function isPaths(value: unknown, fits: (path: string) => boolean): value is string[] {
  return (
    Array.isArray(value) &&
    value.length <= LIMITS.wasmFilesMax &&
    new Set(value).size === value.length &&
    value.every((path) => typeof path === 'string' && fits(path))
  )
}

function isInside(path: string): boolean {
  const names = path.split('/')
  return (
    path.length <= 4096 &&
    path.isWellFormed() &&
    !/[\0\\]/.test(path) &&
    names.every((name) => name !== '' && name !== '.' && name !== '..')
  )
}

function changesOf(files: WasmRun['files'], given: readonly WasmFile[]): FileChange[] {
  const before = new Map(given.map((file) => [file.path, file.bytes]))
  return files.map(({ path, bytes }) => {
    const old = before.get(path)
    const operation = bytes === null ? 'delete' : old === undefined ? 'create' : 'write'
    return {
      operation,
      path,
      size: bytes?.length ?? 0,
      before: old === undefined ? null : sha256(old),
      after: bytes === null ? null : sha256(bytes)
    }
  })
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
