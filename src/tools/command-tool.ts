// The tool `command`: one program with its arguments as an array, in the command sandbox. There is no shell unless the program is one. Which
// program may run is decided by policy before; the box is the boundary whatever was decided.

import { createHash } from 'node:crypto'
import { posix } from 'node:path'
import { LIMITS } from '../base/limits.ts'
import type { FileChange, JsonObject, Tool, ToolInvocation, ToolOutcome, ToolTouch } from '../pipeline/contract.ts'
import type { CommandSandbox } from '../sandbox/command-sandbox.ts'
import type { FileTracker } from '../sandbox/workspaces.ts'

const NAME = 'command'
const VERSION = 1
const ARGUMENTS_MAX = 1024
/** What Linux takes as one argument. */
const ARGUMENT_CHARS_MAX = 131_071
/** A name on the PATH of the box: no path, no option. */
const PROGRAM_PATTERN = '^[A-Za-z0-9_][A-Za-z0-9._+-]{0,99}$'
const FOLDER_PATTERN = '^(?!/)(?!(?:.*/)?\\.\\.(?:/|$))[^\\u0000]{1,1024}$'
const NO_NUL = '^[^\\u0000]*$'

const PARAMETERS = {
  type: 'object',
  additionalProperties: false,
  required: ['program'],
  properties: {
    program: { type: 'string', pattern: PROGRAM_PATTERN, description: 'Name of a program, for example ls.' },
    args: {
      type: 'array',
      maxItems: ARGUMENTS_MAX,
      items: { type: 'string', maxLength: ARGUMENT_CHARS_MAX, pattern: NO_NUL },
      description: 'Its arguments, one per item; nothing is expanded.'
    },
    stdin: { type: 'string', maxLength: LIMITS.toolInputBytesMax, description: 'Text for its standard input.' },
    cwd: { type: 'string', pattern: FOLDER_PATTERN, description: 'Folder in the workspace where it starts.' }
  }
} as const

const DESCRIPTION =
  'Runs one program without a shell, boxed: it sees its workspace and the system’s programs, no network, no secrets. ' +
  'Answers with what it wrote.'

/** `sandbox` runs it, `tracker` tells what it changed. */
export function createCommandTool(sandbox: CommandSandbox, tracker: FileTracker): Tool {
  const hash = createHash('sha256')
    .update(JSON.stringify([NAME, VERSION, PARAMETERS]))
    .digest('hex')
  return {
    descriptor: {
      name: NAME,
      kind: 'command',
      description: DESCRIPTION,
      descriptionUntrusted: false,
      parameters: PARAMETERS,
      tier: 'internal',
      hash,
      profile: sandbox.profile,
      taints: 'tool',
      limits: {
        timeMs: LIMITS.toolTimeMsMax,
        memoryBytes: LIMITS.toolMemoryBytesMax,
        outputBytes: LIMITS.toolOutputBytesMax,
        processes: LIMITS.toolProcessesMax,
        fileBytes: LIMITS.toolFileBytesMax
      }
    },
    touches,
    run: (invocation) => runCommand(sandbox, tracker, invocation)
  }
}

function touches(args: JsonObject): ToolTouch {
  const { program, argv, folder } = readArguments(args)
  return { paths: folder === null ? [] : [posix.normalize(folder)], hosts: [], argv: [program, ...argv] }
}

interface CommandArguments {
  readonly program: string
  readonly argv: readonly string[]
  readonly stdin: Uint8Array
  readonly folder: string | null
}

/** Of arguments that fit the schema; what does not is read as nothing, which no rule allows and nothing runs. */
function readArguments({ program, args, stdin, cwd }: JsonObject): CommandArguments {
  return {
    program: typeof program === 'string' ? program : '',
    argv: Array.isArray(args) ? args.map(String) : [],
    stdin: Buffer.from(typeof stdin === 'string' ? stdin : '', 'utf8'),
    folder: typeof cwd === 'string' ? cwd : null
  }
}

async function runCommand(
  sandbox: CommandSandbox,
  tracker: FileTracker,
  invocation: ToolInvocation
): Promise<ToolOutcome> {
  const { workspace, limits, signal } = invocation
  const { program, argv, stdin, folder } = readArguments(invocation.arguments)
  if (!new RegExp(PROGRAM_PATTERN).test(program)) return refusal('the program is not a plain name')
  const before = await tracker.snapshot(workspace)
  if (!before.complete) return refusal('the workspace holds more than can be tracked')
  const job = { program, args: argv, workspace, stdin, limits, signal, ...(folder === null ? {} : { folder }) }
  const { status, output, truncated, exitCode, signal: endedBy, code, message } = await sandbox.run(job)
  const outcome = { status, output, truncated, exitCode, signal: endedBy, code, message }
  if (status === 'refused') return { ...outcome, changes: [] }
  const after = await tracker.snapshot(workspace)
  return withChanges(outcome, tracker.compare(before, after), after.complete)
}

function withChanges(
  outcome: Omit<ToolOutcome, 'changes'>,
  changes: readonly FileChange[],
  complete: boolean
): ToolOutcome {
  if (complete) return { ...outcome, changes }
  const message = `${outcome.message}; the workspace holds more than can be tracked`
  const status = outcome.status === 'ok' ? 'error' : outcome.status
  return { ...outcome, status, code: 'FILE_TOO_LARGE', message, changes }
}

function refusal(message: string): ToolOutcome {
  return {
    status: 'refused',
    output: new Uint8Array(),
    truncated: false,
    exitCode: null,
    signal: null,
    code: 'TOOL_INPUT_INVALID',
    message,
    changes: []
  }
}
