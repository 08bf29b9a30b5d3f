// What /proc tells of a process and everything below it, for killing and for limits where there is no control group. A PID namespace keeps
// its daemons below its own first process, so a tree of a box is complete. Knows Linux only; elsewhere every answer is empty.

import { readdirSync, readFileSync, readlinkSync, type Stats, statSync } from 'node:fs'
import { isMissing } from './missing-file.ts'

const PAGE_BYTES = 4096
/** More than any box may hold; a walk ends here whatever a tree does meanwhile. */
const TREE_PROCESSES_MAX = 4096
const DESCRIPTORS_MAX = 4096

/** `pid` and its descendants, parents first. */
export function processTree(pid: number): number[] {
  const found = [pid]
  for (let at = 0; at < found.length && found.length < TREE_PROCESSES_MAX; at++)
    found.push(...childrenOf(found[at] as number))
  return found
}

function childrenOf(pid: number): number[] {
  const threads = listOrNone(`/proc/${pid}/task`)
  return threads.flatMap((thread) =>
    (readOrNull(`/proc/${pid}/task/${thread}/children`) ?? '').split(' ').filter(Boolean).map(Number)
  )
}

/** False for a process that has ended and only waits to be collected. */
export function isRunning(pid: number): boolean {
  const stat = readOrNull(`/proc/${pid}/stat`)
  if (stat === null) return false
  const state = stat[stat.lastIndexOf(')') + 2]
  return state !== 'Z' && state !== 'X'
}

export interface TreeUse {
  /** Resident pages of every process; shared ones count once per process. */
  readonly residentBytes: number
  /** Files that have no name any more but are still open: those of the device `disk`, and others, which are memory. */
  readonly unlinkedDiskBytes: number
  readonly unlinkedMemoryBytes: number
}

export function treeUse(pids: readonly number[], disk: number): TreeUse {
  let residentBytes = 0
  const unlinked = new Map<string, Stats>()
  for (const pid of pids) {
    residentBytes += Number((readOrNull(`/proc/${pid}/statm`) ?? '0 0').split(' ')[1]) * PAGE_BYTES
    for (const name of listOrNone(`/proc/${pid}/fd`).slice(0, DESCRIPTORS_MAX)) {
      const stats = unlinkedFile(`/proc/${pid}/fd/${name}`)
      if (stats !== null) unlinked.set(`${stats.dev}:${stats.ino}`, stats)
    }
  }
  const bytesOf = (rows: readonly Stats[]): number => rows.reduce((sum, { blocks }) => sum + blocks * 512, 0)
  const [onDisk = [], inMemory = []] = [true, false].map((wanted) =>
    [...unlinked.values()].filter(({ dev }) => (dev === disk) === wanted)
  )
  return { residentBytes, unlinkedDiskBytes: bytesOf(onDisk), unlinkedMemoryBytes: bytesOf(inMemory) }
}

function unlinkedFile(link: string): Stats | null {
  return orIfGone(() => {
    if (!readlinkSync(link).endsWith(' (deleted)')) return null
    const stats = statSync(link)
    return stats.isFile() ? stats : null
  }, null)
}

function listOrNone(folder: string): string[] {
  return orIfGone(() => readdirSync(folder), [])
}

function readOrNull(path: string): string | null {
  return orIfGone(() => readFileSync(path, 'latin1'), null)
}

/** A process may end between two looks at it, and another user's is not shown. */
function orIfGone<Value>(look: () => Value, otherwise: Value): Value {
  try {
    return look()
  } catch (error) {
    if (isMissing(error)) return otherwise
    throw error
  }
}
