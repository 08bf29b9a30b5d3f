// What an owner can do where no command can be boxed: told by what the machine is, in one line that can be pasted or followed.

import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

export interface AdviceOptions {
  /** Where the system's files are read; `/` when left out. */
  readonly root?: string
}

/** Where nothing better is known. */
export const READ_ON = 'docs/operating.md, “Sandboxes”, names the causes'

const INSTALLERS: readonly (readonly [system: RegExp, command: string])[] = [
  [/\b(?:debian|ubuntu)\b/, 'apt-get install'],
  [/\b(?:fedora|rhel|centos)\b/, 'dnf install'],
  [/\barch\b/, 'pacman -S'],
  [/\balpine\b/, 'apk add'],
  [/\b(?:suse|opensuse)\b/, 'zypper install']
]
const CONTAINER_MARKS = ['.dockerenv', 'run/.containerenv']

/** Settings by which systems forbid what a box is made of, and what lifts each. */
const NAMESPACE_SETTINGS: readonly (readonly [file: string, forbids: string, advice: string])[] = [
  [
    'kernel/apparmor_restrict_unprivileged_userns',
    '1',
    'AppArmor forbids user namespaces: give /usr/bin/bwrap a profile with userns (docs/operating.md), or sysctl kernel.apparmor_restrict_unprivileged_userns=0'
  ],
  ['kernel/unprivileged_userns_clone', '0', 'sysctl kernel.unprivileged_userns_clone=1'],
  ['user/max_user_namespaces', '0', 'sysctl user.max_user_namespaces=15000']
]

/** How `program` is installed here; every way that is known where the system is not. */
export function installAdvice(program: string, { root = '/' }: AdviceOptions = {}): string {
  const release = tryRead(join(root, 'etc/os-release'))
  const names = [...release.matchAll(/^ID(?:_LIKE)?=(.*)$/gm)].map(([, value]) => value).join(' ')
  const found = INSTALLERS.find(([system]) => system.test(names))
  if (found !== undefined) return `${found[1]} ${program}`
  return `install ${program}: ${INSTALLERS.map(([, command]) => command).join(', ')} …`
}

/** What lets bubblewrap make its namespaces here: a setting that forbids it, the container around it, or where to read on. */
export function namespaceAdvice({ root = '/' }: AdviceOptions = {}): string {
  if (CONTAINER_MARKS.some((mark) => existsSync(join(root, mark))))
    return 'start the container with --security-opt seccomp=unconfined --security-opt apparmor=unconfined --security-opt systempaths=unconfined, or go without commands'
  const found = NAMESPACE_SETTINGS.find(([file, forbids]) => tryRead(join(root, 'proc/sys', file)).trim() === forbids)
  return found?.[2] ?? READ_ON
}

function tryRead(path: string): string {
  return existsSync(path) ? readFileSync(path, 'utf8') : ''
}
