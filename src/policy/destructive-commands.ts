// CMD-3: commands that destroy what nobody can bring back, recognised by what they would do and not by how they are spelled.

import { posix } from 'node:path'
import { gitCommand, hasOption, isStream, operands, programName } from './command-options.ts'
import type { ShellRedirect } from './shell-text.ts'

/** One program with its arguments, as it would be started. */
export interface Invocation {
  readonly argv: readonly string[]
  readonly redirects: readonly ShellRedirect[]
  /** Reads what another command writes. */
  readonly piped: boolean
  /** Started by text for a shell. */
  readonly inShell: boolean
}

/** Shells whose text can be read. */
export const READ_SHELLS: ReadonlySet<string> = new Set(['sh', 'bash', 'dash', 'zsh', 'ksh', 'mksh', 'ash', 'rbash'])
export const SHELLS: ReadonlySet<string> = new Set([...READ_SHELLS, 'fish', 'csh', 'tcsh', 'pwsh', 'powershell', 'cmd'])
const INTERPRETERS =
  /^(?:python[\d.]*|pypy[\d.]*|perl[\d.]*|ruby[\d.]*|node|nodejs|php[\d.]*|lua[\d.]*|deno|bun|osascript)$/
/** Devices that swallow or hand on what is written to them. */
const HARMLESS_DEVICES = /^\/dev\/(?:null|zero|full|tty|stdin|stdout|stderr|random|urandom|(?:fd|shm|pts|mqueue)\/.+)$/
/** Destroyed with everything in them. */
const SYSTEM_TREES = /^\/(?:etc|usr|bin|sbin|boot|dev|lib|lib32|lib64|libx32|proc|sys|System|Library)(?:\/|$)/i
/** Not to be destroyed themselves; what lies in them may be somebody's to remove. */
const SYSTEM_FOLDERS =
  /^\/(?:|home|root|opt|srv|var|run|mnt|media|tmp|snap|nix|Users|Applications|Volumes|private|cores|home\/[^/]+|Users\/[^/]+|var\/(?:lib|log|cache|spool|mail|run)|private\/(?:etc|var|tmp))$/i
const HOME = /^(?:~[A-Za-z0-9._-]*|\$HOME|\$\{HOME[^}]*\})(?=\/|$)/

/** Why the command is destructive, or null. */
export function destructiveReason({ argv, redirects, piped }: Invocation): string | null {
  for (const { operator, target } of redirects) {
    if (operator.includes('>') && isDevice(target.text)) return `writes into the device ${target.text}`
  }
  if (argv[0] === undefined) return null
  const program = programName(argv[0])
  const args = argv.slice(1)
  if (piped && (SHELLS.has(program) || INTERPRETERS.test(program)) && !readsScriptFile(args))
    return 'runs text that another command writes'
  if (program.startsWith('mkfs') || MAKES_FILE_SYSTEM.has(program)) return 'makes or wipes a file system'
  if (STOPS_MACHINE.has(program)) return 'stops the machine'
  return Object.hasOwn(PROGRAMS, program) ? (PROGRAMS[program]?.(args) ?? null) : null
}

const MAKES_FILE_SYSTEM: ReadonlySet<string> = new Set([
  'mke2fs',
  'newfs',
  'mkswap',
  'wipefs',
  'blkdiscard',
  'fdisk',
  'sfdisk',
  'gdisk',
  'sgdisk',
  'parted',
  'cryptsetup'
])
const STOPS_MACHINE: ReadonlySet<string> = new Set(['shutdown', 'reboot', 'halt', 'poweroff'])

const PROGRAMS: Readonly<Record<string, (args: readonly string[]) => string | null>> = {
  rm: removal,
  rmdir: (args) => targetReason(operands(args), 'removes'),
  unlink: (args) => targetReason(args, 'removes'),
  find: findReason,
  dd: (args) => (args.some((arg) => arg.startsWith('of=') && isDevice(arg.slice(3))) ? 'writes into a device' : null),
  shred: (args) =>
    args.some((arg) => isDevice(arg)) ? 'writes into a device' : targetReason(operands(args, 'ns'), 'destroys'),
  tee: (args) => (args.some((arg) => isDevice(arg)) ? 'writes into a device' : null),
  cp: copyReason,
  mv: (args) => copyReason(args) ?? targetReason(operands(args, 'tS').slice(0, -1), 'moves away'),
  install: copyReason,
  chmod: chmodReason,
  chown: ownerReason,
  chgrp: ownerReason,
  git: gitReason,
  docker: containerReason,
  podman: containerReason,
  nerdctl: containerReason,
  'docker-compose': (args) => composeReason(args),
  'podman-compose': (args) => composeReason(args),
  kill: killReason,
  killall5: () => 'ends every process',
  init: (args) => (args.some((arg) => arg === '0' || arg === '6') ? 'stops the machine' : null),
  telinit: (args) => (args.some((arg) => arg === '0' || arg === '6') ? 'stops the machine' : null),
  systemctl: (args) =>
    args.some((arg) => /^(?:poweroff|reboot|soft-reboot|halt|kexec|suspend|hibernate|rescue|emergency|exit)$/.test(arg))
      ? 'stops the machine'
      : null
}

function removal(args: readonly string[]): string | null {
  const targets = operands(args)
  const isRecursive = hasOption(args, { short: 'rR', long: ['--recursive'] })
  for (const target of targets) {
    if (isRecursive && startsUnknown(target))
      return `removes a folder that is not known before it runs: ${shown(target)}`
    if (isProtected(target) || (isRecursive && /^(?:\.\.\/)*\.\.\/?$/.test(target))) return `removes ${shown(target)}`
  }
  return null
}

function findReason(args: readonly string[]): string | null {
  if (args.includes('-delete')) return 'find -delete removes what it finds'
  return null
}

function copyReason(args: readonly string[]): string | null {
  const target = operands(args, 'tS').at(-1)
  return target !== undefined && isDevice(target) ? 'writes into a device' : null
}

function chmodReason(args: readonly string[]): string | null {
  if (!hasOption(args, { short: 'R', long: ['--recursive'] })) return null
  if (opensToAll(operands(args)[0] ?? '')) return 'opens a whole folder to everybody'
  return targetReason(operands(args).slice(1), 'changes the modes of')
}

/** Whether a mode lets others write. */
function opensToAll(mode: string): boolean {
  if (/^[-+=]?[0-7]{1,5}$/.test(mode)) return !mode.startsWith('-') && (Number(mode.at(-1)) & 2) !== 0
  return mode.split(',').some((clause) => /^(?:[ug]*[oa][ugoa]*)[+=][rwxXst]*w/.test(clause))
}

function ownerReason(args: readonly string[]): string | null {
  if (!hasOption(args, { short: 'R', long: ['--recursive'] })) return null
  return targetReason(operands(args).slice(1), 'changes the owner of')
}

function gitReason(args: readonly string[]): string | null {
  const { name, rest } = gitCommand(args)
  if (name === 'push') {
    const isForced = hasOption(rest, {
      short: 'f',
      long: ['--force', '--force-with-lease', '--force-if-includes'],
      valued: 'o'
    })
    if (
      isForced ||
      operands(rest, 'o', ['--repo', '--push-option', '--receive-pack', '--exec']).some((operand) =>
        operand.startsWith('+')
      )
    )
      return 'pushes by force'
    const removes = hasOption(rest, { short: 'd', long: ['--delete', '--mirror', '--prune'], valued: 'o' })
    if (removes || operands(rest, 'o').some((operand) => /^:./.test(operand))) return 'removes branches of the remote'
  }
  if (name === 'reset' && hasOption(rest, { long: ['--hard'] })) return 'throws uncommitted work away'
  if (name === 'clean' && hasOption(rest, { short: 'f', long: ['--force'], valued: 'e' }))
    return 'removes files that git does not keep'
  return null
}

const CONTAINER_LONG = [
  '--host',
  '--config',
  '--context',
  '--log-level',
  '--tlscacert',
  '--tlscert',
  '--tlskey',
  '--namespace',
  '--address',
  '--url',
  '--connection'
]
const COMPOSE_LONG = [
  '--file',
  '--project-name',
  '--profile',
  '--env-file',
  '--project-directory',
  '--ansi',
  '--progress',
  '--parallel'
]

function containerReason(args: readonly string[]): string | null {
  const words = operands(args, 'Hclna', CONTAINER_LONG)
  if (words[0] === 'compose') return composeReason(args.slice(args.indexOf('compose') + 1))
  if (words[1] === 'prune') return 'removes everything that no container uses'
  return words[1] === 'down' ? 'takes the containers down' : null
}

function composeReason(args: readonly string[]): string | null {
  return operands(args, 'fp', COMPOSE_LONG)[0] === 'down' ? 'takes the containers down' : null
}

function killReason(args: readonly string[]): string | null {
  const [first, ...rest] = args
  const isSignal = first !== undefined && /^--?[A-Za-z0-9]/.test(first) && rest.length > 0
  const signalTakesValue = first === '-s' || first === '-n' || first === '--signal'
  const targets = isSignal ? rest.slice(signalTakesValue ? 1 : 0) : args
  const hit = targets.find((target) => /^[-+]?(?:0+|0x0*)?1$/i.test(target))
  return hit === undefined ? null : hit.startsWith('-') ? 'ends every process' : 'ends the first process'
}

function targetReason(targets: readonly string[], does: string): string | null {
  const hit = targets.find((target) => isProtected(target))
  return hit === undefined ? null : `${does} ${shown(hit)}`
}

/** Longer texts are no paths: the system refuses them. */
const PATH_LENGTH_MAX = 4096
/** Any name in the folder, or its hidden ones. */
const ANYTHING = /^\/(?:\.?[*?[{][^/]*)?$/

/** The root, a system folder, what is in one, a home, or all that is in any of them. */
function isProtected(target: string): boolean {
  if (target.length > PATH_LENGTH_MAX) return false
  const home = HOME.exec(target)?.[0]
  if (home !== undefined) return ANYTHING.test(withoutLastSlash(`/${target.slice(home.length)}`))
  if (/^[A-Za-z]:[\\/]*\*?$/.test(target)) return true
  if (!target.startsWith('/')) return false
  const path = withoutLastSlash(target)
  const folder = ANYTHING.test(path) ? '/' : path.replace(/(?:\/\.?[*?[{][^/]*)+$/, '')
  return SYSTEM_TREES.test(path) || SYSTEM_FOLDERS.test(folder) || /^\/[^/]*[*?[{]/.test(path)
}

function withoutLastSlash(path: string): string {
  const normal = posix.normalize(path).replace(/^\/\//, '/')
  return normal.length > 1 && normal.endsWith('/') ? normal.slice(0, -1) : normal
}

function isDevice(path: string): boolean {
  if (path.length > PATH_LENGTH_MAX) return false
  const normal = withoutLastSlash(path)
  return normal.startsWith('/dev/') && !HARMLESS_DEVICES.test(normal)
}

function startsUnknown(target: string): boolean {
  return target.startsWith('$') && HOME.exec(target) === null
}

function readsScriptFile(args: readonly string[]): boolean {
  const file = operands(args, 'oO')[0]
  return file !== undefined && file !== '-' && !isStream(file) && !hasOption(args, { short: 's' })
}

function shown(text: string): string {
  return text.length > 60 ? `${text.slice(0, 60)}…` : text
}
