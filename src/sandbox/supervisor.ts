// One process and everything below it: started by its argument array, never through a shell, in a group of its own; ended as a whole. A call
// settles when the first process ends, not when its pipes close: a daemon can hold those. Does not know what boxes the process in.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Duplex, Readable, Writable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { MeshError } from '../base/mesh-error.ts'
import { isMissing } from './missing-file.ts'
import { isRunning, processTree } from './process-tree.ts'

/** Between TERM and KILL. */
const GRACE_MS = 150
/** The kernel needs a moment to end a namespace after its first process. */
const GONE_MS_MAX = 2_000
const GONE_POLL_MS = 1
/** For what still stands in the pipes of processes that are gone. */
const DRAIN_MS_MAX = 250
const WATCH_MS_MIN = 50
/** A look at a large workspace takes a fifth of the time, unless that would leave it unseen for too long. */
const WATCH_REST_FACTOR = 4
const WATCH_MS_MAX = 1_000
const STDIN_PIECE_BYTES = 64 * 1024

export interface Launch {
  /** The first is an absolute path. */
  readonly argv: readonly string[]
  /** All of it: nothing is inherited. */
  readonly environment: Readonly<Record<string, string>>
  readonly folder: string
  /** Null: as this process. */
  readonly user: SandboxUser | null
  /** Descriptors from 3 on. */
  readonly descriptors: readonly (number | 'pipe')[]
}

export interface SandboxUser {
  readonly uid: number
  readonly gid: number
}

export interface ProcessEnd {
  readonly exitCode: number | null
  readonly signal: NodeJS.Signals | null
}

export class SupervisedProcess {
  readonly pid: number
  /** Settles when the first process ends; others may still run: `gone` waits for those. */
  readonly exited: Promise<ProcessEnd>
  readonly #child: ChildProcess
  readonly #below = new Set<number>()
  #running = true
  #killing: Promise<void> | null = null

  private constructor(child: ChildProcess, pid: number) {
    this.#child = child
    this.pid = pid
    this.exited = new Promise((resolve) => {
      child.once('exit', (exitCode, signal) => {
        this.#running = false
        resolve({ exitCode, signal })
      })
    })
  }

  /** SANDBOX_FAILED when the program cannot be started. */
  static async start(launch: Launch): Promise<SupervisedProcess> {
    const [program, ...args] = launch.argv
    const child = spawn(program as string, args, {
      cwd: launch.folder,
      env: { ...launch.environment },
      stdio: ['pipe', 'pipe', 'pipe', ...launch.descriptors],
      detached: true,
      ...(launch.user === null ? {} : { uid: launch.user.uid, gid: launch.user.gid })
    })
    if (child.pid === undefined) {
      const [cause] = await once(child, 'error')
      throw new MeshError('SANDBOX_FAILED', 'the sandbox cannot be started', {
        details: { program: String(program) },
        cause
      })
    }
    return new SupervisedProcess(child, child.pid)
  }

  get stdin(): Writable {
    return this.#child.stdin as Writable
  }

  get stdout(): Readable {
    return this.#child.stdout as Readable
  }

  get stderr(): Readable {
    return this.#child.stderr as Readable
  }

  /** The pipe at descriptor `number`, from 3 on. */
  pipe(number: number): Duplex {
    return this.#child.stdio[number] as Duplex
  }

  /** A process that must be gone before this one counts as gone, wherever it hangs in the tree by then. */
  include(pid: number): void {
    this.#below.add(pid)
  }

  /** This process and everything below it, as far as it still runs. */
  tree(): number[] {
    return this.#running ? processTree(this.pid) : []
  }

  /** Ends the whole tree: TERM, a moment, KILL. Resolves when nothing of it runs any more. */
  kill(): Promise<void> {
    this.#killing ??= this.#end()
    return this.#killing
  }

  async #end(): Promise<void> {
    if (this.#running) {
      const below = this.tree().slice(1)
      // The first process stays: a box falls with it, and nothing in the box would have its moment.
      send(below.length > 0 ? below : [-this.pid], 'SIGTERM')
      await settledWithin(this.exited, GRACE_MS)
    }
    if (this.#running) {
      for (const pid of this.tree().slice(1)) this.#below.add(pid)
      send([...this.#below, -this.pid], 'SIGKILL')
    }
    await this.exited
    await this.gone()
  }

  /** After `exited`: resolves when everything below is dead. SANDBOX_FAILED when something will not die. */
  async gone(): Promise<void> {
    const deadline = performance.now() + GONE_MS_MAX
    while ([...this.#below].some(isRunning)) {
      if (performance.now() > deadline) throw new MeshError('SANDBOX_FAILED', 'a process of the call does not end')
      await delay(GONE_POLL_MS)
    }
  }
}

export interface Supervision {
  readonly end: ProcessEnd
  /** Why it was ended from outside; null when it ended by itself. */
  readonly reason: StopReason | null
  readonly stdout: Buffer
  readonly stderr: Buffer
}

export type StopReason = 'timeout' | 'output' | 'killed' | 'memory' | 'disk'

export interface CallBounds {
  readonly stdin: Uint8Array
  readonly timeMs: number
  /** Both streams together. */
  readonly outputBytesMax: number
  readonly signal: AbortSignal
  /** Looks at what the call uses up, again and again while it runs. */
  readonly watch: () => Promise<StopReason | null>
}

/** Runs `process` to its end within bounds. Its tree is gone when this resolves. */
export async function superviseCall(process: SupervisedProcess, bounds: CallBounds): Promise<Supervision> {
  const ended = new AbortController()
  const stopped: { reason: StopReason | null } = { reason: null }
  const stop = (why: StopReason): void => {
    if (ended.signal.aborted) return
    stopped.reason ??= why
    // Awaited below: a tree that does not die is reported there.
    process.kill().catch(() => undefined)
  }
  const output = collect(process, bounds.outputBytesMax, () => stop('output'))
  const timer = setTimeout(() => stop('timeout'), bounds.timeMs)
  const cancel = (): void => stop('killed')
  bounds.signal.addEventListener('abort', cancel)
  if (bounds.signal.aborted) cancel()
  void watchUntil(ended.signal, bounds.watch, stop)
  void feed(process.stdin, bounds.stdin)
  try {
    const end = await process.exited
    const { reason } = stopped
    // Pipes close with the last process that holds them: mostly everything is gone by then.
    await settledWithin(output.closed, DRAIN_MS_MAX)
    await (reason === null ? process.gone() : process.kill())
    return { end, reason, stdout: output.stdout(), stderr: output.stderr() }
  } finally {
    ended.abort()
    clearTimeout(timer)
    bounds.signal.removeEventListener('abort', cancel)
    process.stdout.destroy()
    process.stderr.destroy()
  }
}

interface CollectedOutput {
  readonly closed: Promise<unknown>
  stdout(): Buffer
  stderr(): Buffer
}

function collect(process: SupervisedProcess, bytesMax: number, full: () => void): CollectedOutput {
  let room = bytesMax
  const gather = (stream: Readable): Buffer[] => {
    const pieces: Buffer[] = []
    stream.on('data', (piece: Buffer) => {
      if (room > 0) pieces.push(piece.subarray(0, room))
      room -= piece.length
      if (room < 0) full()
    })
    return pieces
  }
  const out = gather(process.stdout)
  const error = gather(process.stderr)
  const closed = Promise.all([once(process.stdout, 'close'), once(process.stderr, 'close')])
  closed.catch(() => undefined)
  return { closed, stdout: () => Buffer.concat(out), stderr: () => Buffer.concat(error) }
}

export async function watchUntil(
  ended: AbortSignal,
  watch: () => Promise<StopReason | null>,
  stop: (why: StopReason) => void
): Promise<void> {
  let pauseMs = WATCH_MS_MIN
  while (!ended.aborted) {
    await delay(pauseMs, undefined, { signal: ended }).catch(() => undefined)
    if (ended.aborted) return
    const start = performance.now()
    // What cannot be watched is not left running.
    const reason = await watch().catch(() => 'killed' as const)
    if (reason !== null) stop(reason)
    pauseMs = Math.min(WATCH_MS_MAX, Math.max(WATCH_MS_MIN, (performance.now() - start) * WATCH_REST_FACTOR))
  }
}

/** A program that does not read its input, or ends before, is no error: the rest goes nowhere. */
async function feed(stdin: Writable, bytes: Uint8Array): Promise<void> {
  stdin.on('error', () => stdin.destroy())
  for (let at = 0; at < bytes.length && stdin.writable; at += STDIN_PIECE_BYTES) {
    if (stdin.write(bytes.subarray(at, at + STDIN_PIECE_BYTES))) continue
    await new Promise((resolve) => stdin.once('drain', resolve).once('close', resolve))
  }
  stdin.end()
}

async function settledWithin(work: Promise<unknown>, timeMs: number): Promise<void> {
  const late = new AbortController()
  const timer = delay(timeMs, undefined, { signal: late.signal }).catch(() => undefined)
  await Promise.race([work.catch(() => undefined), timer])
  late.abort()
}

function send(pids: readonly number[], signal: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, signal)
    } catch (error) {
      // It has ended meanwhile, or its number is another's already.
      if (!isMissing(error)) throw error
    }
  }
}
