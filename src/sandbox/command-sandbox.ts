// Runs programs that nobody trusts: boxed by the operating system, limited, watched, ended as a whole. Proves itself with a real command when
// it opens; where that fails it runs nothing and says why. Knows nothing of policy: which program runs is decided before.

import { createHash, randomUUID } from 'node:crypto'
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { ERRORS } from '../base/errors.ts'
import { LIMITS } from '../base/limits.ts'
import { isMeshError, MeshError } from '../base/mesh-error.ts'
import type { SandboxState } from '../pipeline/contract.ts'
import { namespaceAdvice, READ_ON } from './box-advice.ts'
import type { BoxBackend, BoxRequest, StartedBox } from './box-backend.ts'
import { BubblewrapBox } from './bubblewrap-box.ts'
import {
  type BoxedProcess,
  type CommandJob,
  type CommandOutcome,
  checkJob,
  outcomeOf,
  refused,
  type ServerEnd,
  type ServerJob
} from './command-job.ts'
import { type ControlGroup, ControlGroups } from './control-group.ts'
import { treeUse } from './process-tree.ts'
import { guardWorkspace, type WorkspaceGuard } from './protected-paths.ts'
import { type SandboxUser, type StopReason, superviseCall, watchUntil } from './supervisor.ts'
import { WORKSPACE_BOUNDS, walk } from './workspace-walk.ts'
import type { Workspaces } from './workspaces.ts'

const ENVIRONMENT = { PATH: '/usr/bin:/bin', LANG: 'C.UTF-8', TMPDIR: '/tmp' }
const PROBE_MS_MAX = 10_000
const PROBE_BYTES_MAX = 64 * 1024
/** Room for the lines that name the streams in an output. */
const LABEL_BYTES = 80
/** Without a group the watch sees the sum of memory only now and then: one process alone ends at this many times the limit. */
const ADDRESS_FACTOR = 8

export interface CommandSandbox {
  readonly report: SandboxState
  /** Hex of SHA-256 over what the box is made of. */
  readonly profile: string
  /** Never throws for what the program did; `refused` when there is no sandbox or it could not be set up. */
  run(job: CommandJob): Promise<CommandOutcome>
  /** SANDBOX_UNAVAILABLE, SANDBOX_FAILED, TOOL_INPUT_INVALID, FILE_REFUSED, FILE_TOO_LARGE, CANCELLED. */
  start(job: ServerJob): Promise<BoxedProcess>
  /** Ends what still runs. */
  close(): Promise<void>
}

export interface CommandSandboxOptions {
  readonly workspaces: Workspaces
  /** `bubblewrap` on Linux, `sandbox-runtime` elsewhere. */
  readonly backend?: 'bubblewrap' | 'sandbox-runtime'
  /** Path of bubblewrap. */
  readonly bubblewrap?: string
  /** False: memory and processes are watched even where a control group could be made. */
  readonly controlGroups?: boolean
}

/** Never throws for what the machine lacks: the report says it, and nothing runs. */
export async function openCommandSandbox(options: CommandSandboxOptions): Promise<CommandSandbox> {
  const { workspaces } = options
  let backend: BoxBackend | null = null
  try {
    const groups = options.controlGroups === false ? null : ControlGroups.open()
    backend = await openBackend(options, groups !== null)
    const sandbox = new BoxedCommands(backend, groups, workspaces)
    await probe(sandbox, workspaces)
    return sandbox
  } catch (error) {
    if (!isMeshError(error)) throw error
    await backend?.close()
    const { message, hint } = error
    return new NoSandbox(message, hint === ERRORS[error.code].hint ? READ_ON : hint)
  }
}

async function openBackend(options: CommandSandboxOptions, grouped: boolean): Promise<BoxBackend> {
  const { user, folder } = options.workspaces
  if (process.geteuid?.() === 0 && user === null) {
    throw new MeshError('SANDBOX_UNAVAILABLE', 'commands never run as root, and no other user is configured', {
      hint: 'run the node under an account of its own'
    })
  }
  if (options.backend === 'sandbox-runtime' || process.platform !== 'linux') {
    const { RuntimeBox } = await import('./runtime-box.ts')
    return await RuntimeBox.open({ user, folder: join(folder, '.runtime') })
  }
  return BubblewrapBox.open(options.bubblewrap ?? '/usr/bin/bwrap', user, { sharedSegments: grouped })
}

/** Looks around in the box: only what it finds proves anything. */
const PROBE = [
  'set -e',
  'test "$(id -u)" != 0',
  'for folder in /root /home /Users; do test -z "$(ls -A $folder 2>/dev/null)"; done',
  'touch probe && rm probe',
  ...(process.platform === 'linux'
    ? [
        'grep -q "^NoNewPrivs:[[:space:]]*1$" /proc/self/status',
        'grep -q "^CapEff:[[:space:]]*0*$" /proc/self/status',
        'grep -q "^Seccomp:[[:space:]]*2$" /proc/self/status',
        'test "$(grep -c : /proc/net/dev)" = 1',
        'test ! -e /etc/shadow'
      ]
    : []),
  'echo boxed'
].join('\n')

async function probe(sandbox: BoxedCommands, workspaces: Workspaces): Promise<void> {
  const id = `probe-${randomUUID()}`
  const workspace = await workspaces.prepare(id)
  try {
    const { stdout, stderr, message } = await sandbox.run({
      program: '/bin/bash',
      args: ['-c', PROBE],
      workspace,
      limits: {
        timeMs: PROBE_MS_MAX,
        memoryBytes: LIMITS.toolMemoryBytesMax,
        outputBytes: PROBE_BYTES_MAX,
        processes: LIMITS.toolProcessesMax,
        fileBytes: LIMITS.toolFileBytesMax
      },
      signal: new AbortController().signal
    })
    if (stdout.toString('utf8') === 'boxed\n') return
    const said = stderr.toString('utf8').split('\n')[0] || message
    const hint = process.platform === 'linux' ? namespaceAdvice() : READ_ON
    throw new MeshError('SANDBOX_UNAVAILABLE', `a trial command was not boxed: ${said}`, { hint })
  } finally {
    await workspaces.remove(id)
  }
}

/** One box and all that belongs to it. */
interface OpenBox extends StartedBox {
  readonly group: ControlGroup | null
  readonly guard: WorkspaceGuard
  readonly job: ServerJob
}

class BoxedCommands implements CommandSandbox {
  readonly report: SandboxState
  readonly profile: string
  readonly #backend: BoxBackend
  readonly #groups: ControlGroups | null
  readonly #user: SandboxUser | null
  readonly #inUse = new Set<string>()
  readonly #open = new Set<OpenBox>()
  #closed = false

  constructor(backend: BoxBackend, groups: ControlGroups | null, { user }: Workspaces) {
    this.#backend = backend
    this.#groups = groups
    this.#user = user
    const memory = groups?.text ?? 'memory by watching (no control group can be made here)'
    const parts = [backend.text, 'network off', memory, `as user ${user?.uid ?? process.geteuid?.()}`]
    this.report = { available: true, text: parts.join(', ') }
    this.profile = createHash('sha256').update(backend.profile).digest('hex')
  }

  async run(job: CommandJob): Promise<CommandOutcome> {
    try {
      const { timeMs, outputBytes } = job.limits
      return await this.#boxed(job, timeMs, async (box) => {
        const supervision = await superviseCall(box.process, {
          stdin: job.stdin ?? new Uint8Array(),
          timeMs,
          outputBytesMax: Math.max(0, outputBytes - LABEL_BYTES),
          signal: job.signal,
          watch: () => lookAt(box)
        })
        const outOfMemory = box.group?.outOfMemory() ?? false
        const planted = await box.guard.sweep()
        if (box.begun() || supervision.reason !== null || outOfMemory || supervision.end.signal !== null) {
          return outcomeOf(supervision, outOfMemory, planted)
        }
        return notBegun(supervision.stderr)
      })
    } catch (error) {
      if (isMeshError(error)) return refused(error.code, error.message)
      throw error
    }
  }

  start(job: ServerJob): Promise<BoxedProcess> {
    return new Promise((resolve, reject) => {
      const exited: Promise<ServerEnd> = this.#boxed(job, null, async (box) => {
        const { stdin, stdout, stderr } = box.process
        const stopped = watchServer(box, job.signal)
        const kill = (): Promise<void> => stopped.stop('killed').then(() => exited.then(() => undefined))
        resolve({ stdin, stdout, stderr, exited, kill })
        const end = await box.process.exited
        await box.process.gone()
        stopped.over()
        await box.guard.sweep()
        return { ...end, reason: stopped.reason() }
      })
      exited.catch(reject)
    })
  }

  async close(): Promise<void> {
    this.#closed = true
    await Promise.all([...this.#open].map((box) => box.process.kill()))
    await this.#backend.close()
  }

  /** Sets a box up, hands it to `work`, and leaves nothing of it behind. */
  async #boxed<Result>(
    job: ServerJob,
    timeMs: number | null,
    work: (box: OpenBox) => Promise<Result>
  ): Promise<Result> {
    if (this.#closed) throw new MeshError('SANDBOX_UNAVAILABLE', 'the sandbox is closed')
    checkJob(job)
    if (job.signal.aborted) throw new MeshError('CANCELLED', 'it was cancelled before it began')
    if (this.#inUse.has(job.workspace)) throw new MeshError('SANDBOX_FAILED', 'another program has the workspace')
    this.#inUse.add(job.workspace)
    let group: ControlGroup | null = null
    let box: OpenBox | null = null
    try {
      const guard = await guardWorkspace(job.workspace)
      group = this.#groups?.make(job.limits.memoryBytes, this.#user) ?? null
      const started = await this.#backend.start(this.#request(job, timeMs, guard), group)
      box = { ...started, group, guard, job }
      this.#open.add(box)
      return await work(box)
    } finally {
      if (box !== null) {
        await box.process.kill()
        this.#open.delete(box)
      }
      await group?.remove()
      this.#inUse.delete(job.workspace)
    }
  }

  #request(job: ServerJob, timeMs: number | null, guard: WorkspaceGuard): BoxRequest {
    const { memoryBytes, processes, fileBytes } = job.limits
    return {
      argv: [job.program, ...job.args],
      workspace: job.workspace,
      folder: job.folder ?? '.',
      environment: { ...ENVIRONMENT, HOME: this.#backend.inside(job.workspace), ...job.environment },
      readOnly: guard.readOnly,
      pinned: guard.pinned,
      readable: job.readable ?? [],
      limits: {
        processes,
        fileBytes,
        addressBytes: this.#groups === null && timeMs !== null ? memoryBytes * ADDRESS_FACTOR : null,
        cpuSeconds: timeMs === null ? null : Math.ceil(timeMs / 1000) + 1
      }
    }
  }
}

function watchServer(box: OpenBox, signal: AbortSignal) {
  const over = new AbortController()
  let reason: StopReason | null = null
  const stop = async (why: StopReason): Promise<void> => {
    reason ??= why
    await box.process.kill()
  }
  const stopQuietly = (why: StopReason): void => {
    // Whoever awaits `exited` hears of a tree that does not die.
    stop(why).catch(() => undefined)
  }
  const cancel = (): void => stopQuietly('killed')
  signal.addEventListener('abort', cancel)
  if (signal.aborted) cancel()
  void watchUntil(over.signal, () => lookAt(box), stopQuietly)
  return {
    stop,
    reason: () => reason,
    over() {
      over.abort()
      signal.removeEventListener('abort', cancel)
    }
  }
}

/** What no single process's limits can hold: the memory of all together, and all that lies in the workspace. */
async function lookAt({ process, group, job }: OpenBox): Promise<StopReason | null> {
  const disk = statSync(job.workspace).dev
  const { residentBytes, unlinkedDiskBytes, unlinkedMemoryBytes } = treeUse(process.tree().slice(1), disk)
  const memoryBytes = residentBytes + unlinkedMemoryBytes
  if (group === null ? memoryBytes > job.limits.memoryBytes : group.outOfMemory()) return 'memory'
  let bytes = unlinkedDiskBytes
  const complete = await walk(job.workspace, WORKSPACE_BOUNDS, (entry) => {
    if (entry.kind === 'file') bytes += entry.size
  })
  return complete && bytes <= LIMITS.workspaceBytesMax ? null : 'disk'
}

function notBegun(stderr: Buffer): CommandOutcome {
  return { ...refused('SANDBOX_FAILED', 'the box could not be set up'), stderr }
}

class NoSandbox implements CommandSandbox {
  readonly report: SandboxState
  readonly profile = createHash('sha256').digest('hex')

  constructor(reason: string, advice: string) {
    this.report = { available: false, text: `no OS sandbox, commands do not run: ${reason}`, advice }
  }

  async run(): Promise<CommandOutcome> {
    return refused('SANDBOX_UNAVAILABLE', this.report.text)
  }

  async start(): Promise<BoxedProcess> {
    throw new MeshError('SANDBOX_UNAVAILABLE', this.report.text)
  }

  async close(): Promise<void> {
    // Nothing was opened.
  }
}
