// Files that a later program or person would obey: hooks, configuration of git, shells, editors and agents (sandbox list A46, A47). In a box
// those that exist are read-only; those that a program planted all the same are removed when it has ended. Matched without regard to case.

import { MeshError } from '../base/mesh-error.ts'
import {
  type EntryKind,
  OVERFULL_BOUNDS,
  pathText,
  removeEntry,
  type WalkBounds,
  type WalkEntry,
  WORKSPACE_BOUNDS,
  walk
} from './workspace-walk.ts'

const FILES = new Set(
  (
    '.gitconfig .gitmodules .bashrc .bash_profile .bash_login .bash_logout .profile .zshrc .zshenv .zprofile .zlogin .zlogout ' +
    '.inputrc .ripgreprc .npmrc .yarnrc .yarnrc.yml .envrc .mcp.json'
  ).split(' ')
)
const FOLDERS = new Set('.vscode .idea .claude .cursor .husky .ssh .devcontainer'.split(' '))
const GIT_FILES = new Set(['config', 'config.worktree', 'hooks', 'commondir'])
/** Repositories inside a repository have hooks and configuration of their own. */
const GIT_NESTED = new Set(['modules', 'worktrees'])

/** Read-only mounts of one box. */
const PROTECTED_MAX = 128

export interface ProtectedEntry {
  readonly path: Buffer
  readonly kind: EntryKind
  readonly identity: string
}

export interface WorkspaceGuard {
  /** What a box mounts read-only, and the `.git` folders that it must pin so that nobody moves them aside; parents first. */
  readonly readOnly: readonly string[]
  readonly pinned: readonly string[]
  /** Removes what was planted since; gives its paths. */
  sweep(): Promise<string[]>
}

/** Looks at a workspace before a box has it. FILE_TOO_LARGE when it holds more than can be watched, FILE_REFUSED. */
export async function guardWorkspace(folder: string): Promise<WorkspaceGuard> {
  const before = await protectedEntries(folder, WORKSPACE_BOUNDS)
  const known = new Set(before.entries.map(({ identity }) => identity))
  if (!before.complete || before.entries.length > PROTECTED_MAX) {
    throw new MeshError('FILE_TOO_LARGE', 'the workspace holds more than can be watched')
  }
  if (![...before.entries.map(({ path }) => path), ...before.gitFolders].every(isText)) {
    throw new MeshError('FILE_REFUSED', 'the workspace has a protected file under a name that is no text')
  }
  // A mount would follow a link; a link cannot be changed, only replaced, and what replaces it is not known.
  const mountable = before.entries.filter(({ kind }) => kind === 'file' || kind === 'folder')
  return {
    readOnly: mountable.map(({ path }) => path.toString('utf8')),
    pinned: before.gitFolders.map((path) => path.toString('utf8')),
    async sweep() {
      const planted: string[] = []
      await protectedEntries(folder, OVERFULL_BOUNDS, async (entry) => {
        if (known.has(entry.identity)) return
        planted.push(pathText(entry.path))
        await removeEntry(entry.place, entry.kind)
      })
      return planted
    }
  }
}

async function protectedEntries(folder: string, bounds: WalkBounds, found?: (entry: WalkEntry) => Promise<void>) {
  const entries: ProtectedEntry[] = []
  const gitFolders: Buffer[] = []
  const complete = await walk(folder, bounds, async (entry) => {
    const names = entry.path.toString('latin1').toLowerCase().split('/')
    if (entry.kind === 'folder' && names.at(-1) === '.git') gitFolders.push(entry.path)
    if (!isProtected(names, entry.kind) || isProtected(names.slice(0, -1), 'folder')) return
    entries.push(entry)
    await found?.(entry)
  })
  return { entries, gitFolders, complete }
}

/** Whether the entry with these lower-case names, from the workspace down, is one of them or lies in one. */
export function isProtected(names: readonly string[], kind: EntryKind): boolean {
  const last = names.length - 1
  return names.some((name, index) => {
    if (FOLDERS.has(name)) return true
    if (index === last) return FILES.has(name) || (name === '.git' && kind !== 'folder')
    if (name !== '.git') return false
    const below = names.slice(index + 1)
    return (
      GIT_FILES.has(below[0] as string) ||
      (GIT_NESTED.has(below[0] as string) && below.some((part) => GIT_FILES.has(part)))
    )
  })
}

function isText(path: Buffer): boolean {
  return Buffer.from(path.toString('utf8'), 'utf8').equals(path)
}
