// A command sandbox on a temporary home, as a node has one, and a look at the host's side of it.

import {
  accessSync,
  chmodSync,
  constants,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { ToolLimits, ToolOutcome } from '../../src/pipeline/contract.ts'
import {
  type CommandSandbox,
  type CommandSandboxOptions,
  openCommandSandbox
} from '../../src/sandbox/command-sandbox.ts'
import { Workspaces } from '../../src/sandbox/workspaces.ts'
import { createCommandTool } from '../../src/tools/command-tool.ts'

export const MIB = 1024 * 1024
export const SECRET = 'secret-that-no-box-may-see'

export const BOX_LIMITS: ToolLimits = {
  timeMs: 10_000,
  memoryBytes: 512 * MIB,
  outputBytes: MIB,
  processes: 64,
  fileBytes: 64 * MIB
}

/** Why there is nothing to test here; false where there is. */
export const skip = missingPrograms(['/usr/bin/bwrap', '/bin/bash', '/usr/bin/python3'])

function missingPrograms(programs: readonly string[]): string | false {
  const missing = programs.filter((program) => {
    try {
      accessSync(program, constants.X_OK)
      return false
    } catch {
      return true
    }
  })
  return missing.length === 0 ? false : `missing: ${missing.join(', ')}`
}

export interface CommandKit extends AsyncDisposable {
  /** Readable by everybody, as a home must never be: what keeps a program out is the box alone. */
  readonly home: string
  readonly outside: string
  readonly workspaces: Workspaces
  readonly sandbox: CommandSandbox
  readonly workspace: string
  /** Through the tool, as the pipeline calls it. */
  call(args: Record<string, unknown>, options?: CallOptions): Promise<CallResult>
  bash(script: string, options?: CallOptions): Promise<CallResult>
  python(script: string, options?: CallOptions): Promise<CallResult>
  /** A file outside with the secret in it, open to everybody. */
  secretFile(name: string): string
}

export interface CallOptions {
  readonly limits?: Partial<ToolLimits>
  readonly signal?: AbortSignal
  readonly workspace?: string
}
export interface CallResult extends ToolOutcome {
  readonly text: string
  readonly wallMs: number
}

/** As a node opens it, with the machine's workspaces in the home. */
export async function openSandboxOn(
  home: string,
  options: Partial<CommandSandboxOptions> = {}
): Promise<{ sandbox: CommandSandbox; workspaces: Workspaces }> {
  const paths = { home, workspaces: join(home, 'workspaces') }
  const workspaces = Workspaces.open({ paths, rootFolder: join(home, 'machine', 'workspaces') })
  return { workspaces, sandbox: await openCommandSandbox({ workspaces, ...options }) }
}

export async function openKit(options: Partial<CommandSandboxOptions> = {}): Promise<CommandKit> {
  const home = mkdtempSync(join(tmpdir(), 'pmesh-box-'))
  chmodSync(home, 0o755)
  const outside = join(home, 'outside')
  mkdirSync(outside)
  chmodSync(outside, 0o777)
  const { sandbox, workspaces } = await openSandboxOn(home, options)
  const tool = createCommandTool(sandbox, workspaces)
  const workspace = await workspaces.prepare('run-1')

  const call = async (args: Record<string, unknown>, more: CallOptions = {}): Promise<CallResult> => {
    const startedAt = performance.now()
    const outcome = await tool.run({
      arguments: args,
      argumentBytes: Buffer.from(JSON.stringify(args)),
      workspace: more.workspace ?? workspace,
      limits: { ...BOX_LIMITS, ...more.limits },
      signal: more.signal ?? new AbortController().signal
    })
    return { ...outcome, text: Buffer.from(outcome.output).toString('utf8'), wallMs: performance.now() - startedAt }
  }
  return {
    home,
    outside,
    workspaces,
    sandbox,
    workspace,
    call,
    bash: (script, more) => call({ program: 'bash', args: ['-c', script] }, more),
    python: (script, more) => call({ program: 'python3', args: ['-c', script] }, more),
    secretFile(name) {
      const path = join(outside, name)
      writeFileSync(path, `${SECRET}\n`)
      chmodSync(path, 0o666)
      return path
    },
    async [Symbol.asyncDispose]() {
      await sandbox.close()
      rmSync(home, { recursive: true, force: true })
    }
  }
}

/** Host processes whose argument list holds `marker`, zombies left out. */
export function processesWith(marker: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes(marker)
      } catch {
        return false
      }
    })
    .map(Number)
}

/** Polls until `condition` holds; false when it never does. */
export async function holdsWithin(timeMs: number, condition: () => boolean): Promise<boolean> {
  const deadline = performance.now() + timeMs
  while (!condition()) {
    if (performance.now() > deadline) return false
    await delay(10)
  }
  return true
}
