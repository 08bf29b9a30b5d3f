// A control group per box for the memory of its whole tree, under version 1 or 2, wherever this user may make one. Version 2 was not
// tried on a real machine. A group whose node died stays empty behind it: the next node that starts removes it.

import { chownSync, existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { isRunning } from './process-tree.ts'
import type { SandboxUser } from './supervisor.ts'

const PREFIX = 'pmesh-box-'
const REMOVE_TRIES = 50
const REMOVE_RETRY_MS = 4
const PROBE_BYTES = 64 * 1024 * 1024

export interface ControlGroup {
  /** What a command line begins with so that it enters the group by itself; empty where it must be joined. */
  readonly prefix: readonly string[]
  /** Takes a process in that did not enter by itself, and its later children. */
  join(pid: number): void
  /** True once the kernel killed a process of the group because its memory was used up. */
  outOfMemory(): boolean
  remove(): Promise<void>
}

/** A thread that moves itself spares the kernel the wait for all processors: milliseconds. */
const ENTER = ['/bin/sh', '-c', 'echo 0 > "$1" && shift && exec "$@"', 'enter']

interface Controller {
  readonly folder: string
  readonly version: 1 | 2
}

/** Of this process, whatever instance made them. */
let made = 0

export class ControlGroups {
  readonly #controller: Controller

  private constructor(controller: Controller) {
    this.#controller = controller
  }

  /** Null where no group with a memory limit can be made. */
  static open(): ControlGroups | null {
    const controller = findController()
    if (controller === null) return null
    sweep(controller.folder)
    return new ControlGroups(controller)
  }

  /** `memory by cgroup v1` for the report. */
  get text(): string {
    return `memory by cgroup v${this.#controller.version}`
  }

  /** `user`: who enters it, when that is not this process's own user. */
  make(memoryBytes: number, user: SandboxUser | null): ControlGroup {
    const folder = join(this.#controller.folder, `${PREFIX}${process.pid}-${++made}`)
    mkdirSync(folder)
    const { version } = this.#controller
    limitMemory(folder, version, memoryBytes)
    const tasks = join(folder, 'tasks')
    if (version === 1 && user !== null) chownSync(tasks, user.uid, user.gid)
    const events = join(folder, version === 2 ? 'memory.events' : 'memory.oom_control')
    return {
      prefix: version === 1 ? [...ENTER, tasks] : [],
      join(pid) {
        if (version === 2) writeFileSync(join(folder, 'cgroup.procs'), String(pid))
      },
      outOfMemory: () => /^oom_kill [1-9]/m.test(readFileSync(events, 'latin1')),
      remove: () => removeGroup(folder)
    }
  }
}

function limitMemory(folder: string, version: 1 | 2, bytes: number): void {
  const set = (file: string, value: number): void => writeFileSync(join(folder, file), String(value))
  if (version === 2) {
    set('memory.max', bytes)
    set('memory.swap.max', 0)
    set('memory.oom.group', 1)
    return
  }
  set('memory.limit_in_bytes', bytes)
  if (existsSync(join(folder, 'memory.memsw.limit_in_bytes'))) set('memory.memsw.limit_in_bytes', bytes)
}

function findController(): Controller | null {
  const own = readFileOrEmpty('/proc/self/cgroup')
    .split('\n')
    .map((line) => line.split(':'))
  const legacy = own.find(([, names]) => names?.split(',').includes('memory'))?.[2]
  const unified = own.find(([, names]) => names === '')?.[2]
  const candidates: Controller[] = []
  if (legacy !== undefined) candidates.push({ folder: join('/sys/fs/cgroup/memory', legacy), version: 1 })
  else if (unified !== undefined) {
    // Version 2 forbids processes beside child groups: next to our own group there is room where our own has none.
    const here = join('/sys/fs/cgroup', unified)
    candidates.push({ folder: here, version: 2 }, { folder: dirname(here), version: 2 })
  }
  return candidates.find(isUsable) ?? null
}

function isUsable({ folder, version }: Controller): boolean {
  const probe = join(folder, `${PREFIX}${process.pid}-${++made}`)
  try {
    mkdirSync(probe)
  } catch {
    return false
  }
  try {
    limitMemory(probe, version, PROBE_BYTES)
    return true
  } catch {
    return false
  } finally {
    rmdirSync(probe)
  }
}

/** The kernel lets go of the last process a moment after it has ended. What stays is removed by a later start. */
async function removeGroup(folder: string): Promise<void> {
  for (let left = REMOVE_TRIES; left > 0; left--) {
    try {
      rmdirSync(folder)
      return
    } catch {
      await delay(REMOVE_RETRY_MS)
    }
  }
}

function sweep(folder: string): void {
  for (const name of readdirSync(folder)) {
    const owner = /^pmesh-box-(\d+)-\d+$/.exec(name)?.[1]
    if (owner === undefined || isRunning(Number(owner))) continue
    try {
      rmdirSync(join(folder, name))
    } catch {
      // Something in it still ends; a later start removes it.
    }
  }
}

function readFileOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    return ''
  }
}
