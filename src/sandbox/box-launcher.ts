// The fixed script that is the first to run in a box: sets limits, closes descriptors that this process itself inherited without close-on-exec,
// and becomes the program. All that varies comes as arguments; no text of a call is ever read by a shell.

import { readFileSync } from 'node:fs'
import type { BoxLimits } from './box-backend.ts'

const DESCRIPTORS_MAX = 256
/** Exit code when a limit cannot be set. */
const LIMIT_FAILED = 125

const LINUX = [
  `ulimit -c 0 -n ${DESCRIPTORS_MAX} -u "$1" -f "$2" -t "$3" -v "$4" || exit ${LIMIT_FAILED}`,
  'shift 4',
  // In two parts: a template's braces mean something to JavaScript.
  'for number in /proc/self/fd/*; do number=$' + '{number##*/}; ((number > 2)) && exec {number}>&-; done',
  'unset number',
  'exec -- "$@"'
].join('\n')

/** Its shell knows no variable descriptors, its kernel no limit of address space. */
const DARWIN = [
  `ulimit -c 0; ulimit -n ${DESCRIPTORS_MAX} && ulimit -u "$1" && ulimit -f "$(($2 * 2))" && ulimit -t "$3" || exit ${LIMIT_FAILED}`,
  'shift 4',
  'exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-',
  'exec -- "$@"'
].join('\n')

const SCRIPT = process.platform === 'darwin' ? DARWIN : LINUX

/** What follows `bash -p -c`, without the program. `-p` keeps the shell from obeying its environment. */
export function launcherArguments(limits: BoxLimits): string[] {
  return [SCRIPT, 'box', ...limitArguments(limits)]
}

/** For ulimit: processes, 1024 bytes, seconds, 1024 bytes. The box's own first process counts as one. */
function limitArguments({ processes, fileBytes, cpuSeconds, addressBytes }: BoxLimits): string[] {
  const values = [
    Math.min(processes + 1, HARD.processes),
    Math.min(fileBytes, HARD.fileBytes) / 1024,
    Math.min(cpuSeconds ?? Number.POSITIVE_INFINITY, HARD.cpuSeconds),
    Math.min(addressBytes ?? Number.POSITIVE_INFINITY, HARD.addressBytes) / 1024
  ]
  return values.map((value) => (Number.isFinite(value) ? String(Math.floor(value)) : 'unlimited'))
}

interface HardLimits {
  readonly processes: number
  readonly fileBytes: number
  readonly cpuSeconds: number
  readonly addressBytes: number
}

/** What this process may not exceed, and nothing below it can. */
const HARD: HardLimits = hardLimits()

function hardLimits(): HardLimits {
  const text = process.platform === 'linux' ? readFileSync('/proc/self/limits', 'latin1') : ''
  const hard = (name: string): number => {
    const value = new RegExp(`^${name}\\s+\\S+\\s+(\\S+)`, 'm').exec(text)?.[1]
    return value === undefined || value === 'unlimited' ? Number.POSITIVE_INFINITY : Number(value)
  }
  return {
    processes: hard('Max processes'),
    fileBytes: hard('Max file size'),
    cpuSeconds: hard('Max cpu time'),
    addressBytes: hard('Max address space')
  }
}
