// Folders that runs work in. As root they lie outside the home, which nobody else may enter, and belong to the unprivileged user that commands
// run as; else they lie in the home. Old ones of this node are removed when there are too many.

import { createHash } from 'node:crypto'
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  type Stats,
  utimesSync,
  writeFileSync
} from 'node:fs'
import { dirname, join } from 'node:path'
import { MeshError } from '../base/mesh-error.ts'
import type { HomePaths } from '../config/paths.ts'
import type { FileChange } from '../pipeline/contract.ts'
import { isMissing } from './missing-file.ts'
import type { SandboxUser } from './supervisor.ts'
import { compareSnapshots, takeSnapshot, type WorkspaceSnapshot } from './workspace-snapshot.ts'
import { removeEntry } from './workspace-walk.ts'

/** The user that owns nothing, on every Linux. */
const NOBODY: SandboxUser = { uid: 65_534, gid: 65_534 }
const ROOT_FOLDER = '/var/lib/pmesh/workspaces'
/** Folders of processes that keep nothing: those of modules and probes. */
const PASSING_PATTERN = /^(?:wasm|probe)-/
const RUN_ID_PATTERN = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/
/** Workspaces of one node that are kept. */
const KEPT_MAX = 256
/** So many go at once when there are too many. */
const ROOM = 16
/** Beside a node's folder: where its home is. */
const HOME_SUFFIX = '.home'
const ORPHAN_MS = 86_400_000
/** Folders that one start looks at. */
const ORPHANS_MAX = 4096
/** Snapshots that are kept so that an unchanged file is not hashed again. */
const SNAPSHOTS_MAX = 16

export interface WorkspacesOptions {
  readonly paths: Pick<HomePaths, 'home' | 'workspaces'>
  /** As root: whom commands run as. */
  readonly user?: SandboxUser
  /** As root: where all nodes of this machine have their workspaces. */
  readonly rootFolder?: string
}

/** What a tool needs to tell what a call did to its workspace. */
export interface FileTracker {
  snapshot(folder: string): Promise<WorkspaceSnapshot>
  compare(before: WorkspaceSnapshot, after: WorkspaceSnapshot): FileChange[]
}

export class Workspaces implements FileTracker {
  /** Whom commands run as and workspaces belong to; null: this process's own user. Files that root writes there must be handed over. */
  readonly user: SandboxUser | null
  /** Absolute folder of this node's workspaces. */
  readonly folder: string
  readonly #snapshots = new Map<string, WorkspaceSnapshot>()

  private constructor(folder: string, user: SandboxUser | null) {
    this.folder = folder
    this.user = user
  }

  /** HOME_INVALID when the folder cannot be made or is not ours. SANDBOX_UNAVAILABLE when root is the configured user. */
  static open(options: WorkspacesOptions): Workspaces {
    const { home, workspaces } = options.paths
    if (process.geteuid?.() !== 0) {
      makeFolder(workspaces, 0o700)
      return new Workspaces(workspaces, null)
    }
    const user = options.user ?? NOBODY
    if (user.uid === 0 || user.gid === 0) throw new MeshError('SANDBOX_UNAVAILABLE', 'commands never run as root')
    const root = options.rootFolder ?? ROOT_FOLDER
    makeFolder(dirname(root), 0o755)
    makeFolder(root, 0o711)
    const folder = folderOf(home, root)
    sweepOrphans(root)
    makeFolder(folder, 0o711)
    writeFileSync(`${folder}${HOME_SUFFIX}`, home)
    return new Workspaces(folder, user)
  }

  /** The run's folder, made when it is missing. HOME_INVALID, FILE_REFUSED. */
  async prepare(runId: string): Promise<string> {
    const folder = this.place(runId)
    const stats = lstatSync(folder, { throwIfNoEntry: false })
    if (stats === undefined) {
      await this.#makeRoom()
      mkdirSync(folder, { mode: 0o700 })
      if (this.user !== null) chownSync(folder, this.user.uid, this.user.gid)
    } else if (!stats.isDirectory() || stats.uid !== (this.user?.uid ?? process.geteuid?.())) {
      throw new MeshError('HOME_INVALID', 'the workspace is not a folder of its user', { details: { folder } })
    }
    // Its age is that of its last use.
    const now = new Date()
    utimesSync(folder, now, now)
    return folder
  }

  /** Removes what boxes of an earlier process left that are no run's: called before the first box of this one. */
  async sweep(): Promise<void> {
    for (const name of readdirSync(this.folder)) if (PASSING_PATTERN.test(name)) await this.remove(name)
  }

  /** Removes the run's folder with everything in it; fine when there is none. */
  async remove(runId: string): Promise<void> {
    const folder = this.place(runId)
    this.#snapshots.delete(folder)
    const stats = lstatSync(folder, { throwIfNoEntry: false })
    if (stats !== undefined) await removeEntry(Buffer.from(folder), stats.isDirectory() ? 'folder' : 'other')
  }

  async snapshot(folder: string): Promise<WorkspaceSnapshot> {
    const snapshot = await takeSnapshot(folder, this.#snapshots.get(folder) ?? null)
    this.#snapshots.delete(folder)
    this.#snapshots.set(folder, snapshot)
    for (const oldest of this.#snapshots.keys()) {
      if (this.#snapshots.size <= SNAPSHOTS_MAX) break
      this.#snapshots.delete(oldest)
    }
    return snapshot
  }

  compare(before: WorkspaceSnapshot, after: WorkspaceSnapshot): FileChange[] {
    return compareSnapshots(before, after)
  }

  /** What happened in `folder` since `before`. FILE_TOO_LARGE when it holds more than can be tracked. */
  async changes(before: WorkspaceSnapshot, folder: string): Promise<FileChange[]> {
    const after = await this.snapshot(folder)
    if (!after.complete) throw new MeshError('FILE_TOO_LARGE', 'the workspace holds more than can be tracked')
    return compareSnapshots(before, after)
  }

  /** Where the run's folder is, made or not. FILE_REFUSED. */
  place(runId: string): string {
    if (!RUN_ID_PATTERN.test(runId)) throw new MeshError('FILE_REFUSED', 'this is not the id of a run')
    return join(this.folder, runId)
  }

  async #makeRoom(): Promise<void> {
    const names = readdirSync(this.folder).filter((name) => RUN_ID_PATTERN.test(name))
    if (names.length < KEPT_MAX) return
    const byAge = names
      .map((name) => ({ name, stats: lstatSync(join(this.folder, name), { throwIfNoEntry: false }) }))
      .filter((row): row is { name: string; stats: Stats } => row.stats !== undefined)
      .sort((a, b) => a.stats.mtimeMs - b.stats.mtimeMs)
    for (const { name } of byAge.slice(0, names.length - KEPT_MAX + ROOM)) await this.remove(name)
  }
}

/** Removes what a node has outside its home: for whoever removes the home. Its node must not run. */
export function removeWorkspacesOf(home: string): void {
  if (process.geteuid?.() !== 0) return
  const folder = folderOf(home, ROOT_FOLDER)
  for (const path of [folder, `${folder}${HOME_SUFFIX}`]) rmSync(path, { recursive: true, force: true, maxRetries: 3 })
}

function folderOf(home: string, root: string): string {
  return join(root, createHash('sha256').update(home).digest('hex').slice(0, 16))
}

/** Where the home of a node's workspaces was; '' once another process has removed the marker. */
function markedHome(marker: string): string {
  try {
    return readFileSync(marker, 'utf8')
  } catch (error) {
    if (isMissing(error)) return ''
    throw error
  }
}

/** Workspaces of nodes whose home is gone, and that nobody has used for a day. */
function sweepOrphans(root: string): void {
  const markers = readdirSync(root).filter((name) => name.endsWith(HOME_SUFFIX))
  for (const name of markers.slice(0, ORPHANS_MAX)) {
    const marker = join(root, name)
    const folder = marker.slice(0, -HOME_SUFFIX.length)
    const used = lstatSync(folder, { throwIfNoEntry: false })?.mtimeMs ?? 0
    if (Date.now() - used < ORPHAN_MS || existsSync(markedHome(marker))) continue
    for (const path of [folder, marker]) rmSync(path, { recursive: true, force: true })
  }
}

/** Creates `folder` with `mode`, and refuses one that is a link or another user's. */
function makeFolder(folder: string, mode: number): void {
  try {
    if (mkdirSync(folder, { recursive: true, mode }) !== undefined) chmodSync(folder, mode)
  } catch (cause) {
    throw new MeshError('HOME_INVALID', 'cannot create the folder', { details: { folder }, cause })
  }
  const stats = lstatSync(folder)
  if (!stats.isDirectory() || stats.uid !== process.geteuid?.()) {
    throw new MeshError('HOME_INVALID', 'the folder belongs to another user', { details: { folder } })
  }
}
