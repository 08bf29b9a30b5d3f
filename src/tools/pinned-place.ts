// Open files and folders of a workspace, held to the place they were opened at: the kernel's own name of the descriptor is the proof, so
// that no sequence of swaps between two looks at a path can pass another file off. On Linux that name is exact; elsewhere it is looked up
// by path, which a process that swaps folders at that moment could deceive.

import { constants } from 'node:fs'
import { type FileHandle, lstat, open, opendir, readlink, realpath } from 'node:fs/promises'
import { join } from 'node:path'
import { MeshError } from '../base/mesh-error.ts'

export interface FolderEntry {
  /** Relative to the workspace. */
  readonly path: string
  readonly kind: 'file' | 'directory' | 'symlink' | 'other'
  /** Of a file; 0 otherwise. */
  readonly size: number
}

const FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK
const BY_DESCRIPTOR = process.platform === 'linux'

/** For status and doctor. */
export const PINNED_TEXT = BY_DESCRIPTOR
  ? 'every descriptor checked by the kernel’s name of it'
  : 'paths checked before and after: a process that swaps folders at that moment is not held'

/** Throws FILE_REFUSED when the open descriptor is not `path` below `folder` (its canonical path). */
export async function checkPinned(handle: FileHandle, folder: string, path: string): Promise<void> {
  const place = join(folder, path)
  const actual = BY_DESCRIPTOR ? await readlink(descriptorPath(handle)) : await realpath(place)
  if (actual !== place) throw new MeshError('FILE_REFUSED', `the file was swapped while it was opened: ${path}`)
}

/** Opens what stands at `path` below `folder`, following no link. Throws FILE_REFUSED and what the file system throws. */
export async function openPinned(folder: string, path: string, flags = 0): Promise<FileHandle> {
  const handle = await open(join(folder, path), FLAGS | flags)
  try {
    await checkPinned(handle, folder, path)
    return handle
  } catch (error) {
    await handle.close()
    throw error
  }
}

/** Everything below `path`, `depth` levels deep, a folder before what it holds; each folder is read through its open descriptor. */
export async function* walkPinned(folder: string, path: string, depth: number): AsyncGenerator<FolderEntry> {
  await using handle = await openPinned(folder, path, constants.O_DIRECTORY)
  const place = BY_DESCRIPTOR ? descriptorPath(handle) : join(folder, path)
  for await (const entry of await opendir(place)) {
    const name = path === '' ? entry.name : `${path}/${entry.name}`
    if (entry.isFile()) yield { path: name, kind: 'file', size: await sizeOf(`${place}/${entry.name}`) }
    else if (entry.isSymbolicLink()) yield { path: name, kind: 'symlink', size: 0 }
    else if (!entry.isDirectory()) yield { path: name, kind: 'other', size: 0 }
    else {
      yield { path: name, kind: 'directory', size: 0 }
      if (depth > 1) yield* walkPinned(folder, name, depth - 1)
    }
  }
}

function descriptorPath(handle: FileHandle): string {
  return `/proc/self/fd/${handle.fd}`
}

/** 0 for what went in the meantime. */
async function sizeOf(place: string): Promise<number> {
  try {
    return (await lstat(place)).size
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 0
    throw error
  }
}
