// What is asked of the command sandbox and what it answers.

import { constants } from 'node:os'
import type { Readable, Writable } from 'node:stream'
import type { ErrorCode } from '../base/errors.ts'
import { MeshError } from '../base/mesh-error.ts'
import type { ToolLimits, ToolOutcome, ToolStatus } from '../pipeline/contract.ts'
import type { ProcessEnd, StopReason, Supervision } from './supervisor.ts'

export interface CommandJob {
  /** A name on the box's own PATH (/usr/bin:/bin), or an absolute path in the box. */
  readonly program: string
  readonly args: readonly string[]
  /** Host path of a folder that `Workspaces` prepared; /workspace in the box. One box at a time has it. */
  readonly workspace: string
  /** Relative to the workspace; its root when left out. */
  readonly folder?: string
  readonly stdin?: Uint8Array
  /** Added to PATH, HOME, LANG and TMPDIR: all there is. */
  readonly environment?: Readonly<Record<string, string>>
  /** Absolute host paths that the program may read, at the same place in the box. The sandbox's user must be able to. */
  readonly readable?: readonly string[]
  readonly limits: ToolLimits
  readonly signal: AbortSignal
}

/** A boxed server: no limit of time and output; its reader holds it back. */
export type ServerJob = Omit<CommandJob, 'stdin' | 'limits'> & {
  readonly limits: Pick<ToolLimits, 'memoryBytes' | 'processes' | 'fileBytes'>
}

export interface CommandOutcome extends ToolOutcome {
  readonly stdout: Buffer
  readonly stderr: Buffer
  /** Files that the program planted and that were removed (protected-paths.ts). */
  readonly planted: readonly string[]
}

export interface ServerEnd extends ProcessEnd {
  /** Why it was ended; null when it ended by itself. */
  readonly reason: StopReason | null
}

export interface BoxedProcess {
  readonly stdin: Writable
  readonly stdout: Readable
  readonly stderr: Readable
  /** Settles when everything of it is gone and its workspace swept. */
  readonly exited: Promise<ServerEnd>
  /** Resolves like `exited`. */
  kill(): Promise<void>
}

const FOLDER_PATTERN = /^(?!\/)(?!(?:.*\/)?\.\.(?:\/|$))[^\0]{1,4096}$/

/** TOOL_INPUT_INVALID, FILE_REFUSED. */
export function checkJob({ program, args, folder }: ServerJob): void {
  if (program === '' || [program, ...args].some((argument) => argument.includes('\0'))) {
    throw new MeshError('TOOL_INPUT_INVALID', 'a program or an argument is empty or holds a NUL')
  }
  if (folder !== undefined && !FOLDER_PATTERN.test(folder)) {
    throw new MeshError('FILE_REFUSED', 'the folder is not inside the workspace')
  }
}

const STOPPED: Record<StopReason, { status: ToolStatus; code: ErrorCode; message: string }> = {
  timeout: {
    status: 'timeout',
    code: 'TOOL_TIMEOUT',
    message: 'the time was up; the program and all it started were ended'
  },
  output: { status: 'output', code: 'TOOL_FAILED', message: 'it wrote more than its limit and was ended' },
  memory: { status: 'memory', code: 'TOOL_FAILED', message: 'it used more memory than its limit and was ended' },
  disk: { status: 'killed', code: 'FILE_TOO_LARGE', message: 'its files outgrew the workspace and it was ended' },
  killed: { status: 'killed', code: 'CANCELLED', message: 'it was cancelled' }
}

export function outcomeOf(supervision: Supervision, outOfMemory: boolean, planted: readonly string[]): CommandOutcome {
  const { stdout, stderr, end } = supervision
  const reason = supervision.reason ?? (outOfMemory ? 'memory' : null)
  const ended = reason === null ? ownEnd(end) : STOPPED[reason]
  const note = planted.length === 0 ? '' : `; removed what it planted: ${planted.slice(0, 8).join(', ')}`
  return {
    ...ended,
    message: `${ended.message}${note}`,
    output: labelled(stdout, stderr),
    truncated: reason === 'output',
    exitCode: end.exitCode,
    signal: end.signal ?? shellSignal(end.exitCode),
    changes: [],
    stdout,
    stderr,
    planted
  }
}

function ownEnd({ exitCode }: ProcessEnd): { status: ToolStatus; code: ErrorCode | null; message: string } {
  if (exitCode === 0) return { status: 'ok', code: null, message: 'it ended with exit code 0' }
  const signal = shellSignal(exitCode)
  const how = signal === null ? `exit code ${exitCode}` : `exit code ${exitCode} (${signal})`
  return { status: 'error', code: 'TOOL_FAILED', message: `it ended with ${how}` }
}

/** A box hands the signal of its program on as 128 and its number. */
function shellSignal(exitCode: number | null): string | null {
  const number = (exitCode ?? 0) - 128
  return Object.entries(constants.signals).find(([, value]) => value === number)?.[0] ?? null
}

/** Lengths in the labels: what a program writes cannot pass for another stream. */
function labelled(stdout: Buffer, stderr: Buffer): Buffer {
  const streams: [string, Buffer][] = [['stdout', stdout]]
  if (stderr.length > 0) streams.push(['stderr', stderr])
  return Buffer.concat(
    streams.flatMap(([name, bytes]) => [Buffer.from(`${name} (${bytes.length} bytes):\n`), bytes, Buffer.from('\n')])
  )
}

export function refused(code: ErrorCode, message: string): CommandOutcome {
  return {
    status: 'refused',
    output: new Uint8Array(),
    truncated: false,
    exitCode: null,
    signal: null,
    code,
    message,
    changes: [],
    stdout: Buffer.alloc(0),
    stderr: Buffer.alloc(0),
    planted: []
  }
}
