// Paths that file tools are given: which are taken at all, before anything is opened. The file system's own confinement comes after;
// this keeps out what a person who approves a call could read as another path.

import { LIMITS } from '../base/limits.ts'
import { MeshError } from '../base/mesh-error.ts'

// Control and format characters (bidirectional, zero-width, tags), line separators, halves of surrogate pairs.
const UNREADABLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u

/** The path relative to the workspace, `/` between its parts and no `.` among them; '' is the workspace. Null when it is not one. */
export function tryParseWorkspacePath(text: string): string | null {
  if (Buffer.byteLength(text) > LIMITS.filePathBytesMax || UNREADABLE.test(text)) return null
  if (text.includes('\\') || text.startsWith('/') || text.startsWith('~')) return null
  if (text === '' || text === '.') return ''
  const parts = text.split('/')
  return parts.every(isPart) ? parts.filter((part) => part !== '.').join('/') : null
}

/** Throws FILE_REFUSED; the workspace itself is not a file. */
export function parseFilePath(text: string): string {
  const path = tryParseWorkspacePath(text)
  if (path === null || path === '') {
    throw new MeshError('FILE_REFUSED', 'the path is not a plain path inside the workspace')
  }
  return path
}

function isPart(part: string): boolean {
  if (part === '' || Buffer.byteLength(part) > LIMITS.fileNameBytesMax) return false
  // Full-width dots and slashes are these same signs to other programs.
  const plain = part.normalize('NFKC')
  return plain !== '..' && !/[/\\]/.test(plain) && (plain !== '.' || part === '.')
}
