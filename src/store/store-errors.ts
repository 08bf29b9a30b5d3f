// Turns what LevelDB and the file system say into the store's error codes. Codes are read, never message texts.

import { statfsSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { LIMITS } from '../base/limits.ts'
import { isMeshError, MeshError } from '../base/mesh-error.ts'

const PROBE_NAME = 'LOG.probe'
const PROBE_BYTES_MAX = 1024 * 1024

/** The error of a read: a file that cannot be read is damage, whatever the reason the disk gives. */
export function readError(cause: unknown, folder: string): MeshError {
  if (!isMeshError(cause) && errorCodes(cause).includes('LEVEL_IO_ERROR')) {
    return new MeshError('STORE_DAMAGED', 'cannot read: a file of the store cannot be read', {
      details: { folder },
      cause
    })
  }
  return storeError(cause, 'cannot read', folder)
}

/** The error of an operation on the store in `folder`. `bytes`: how much a failed write wanted to add. */
export function storeError(cause: unknown, what: string, folder: string, bytes = 0): MeshError {
  if (isMeshError(cause)) return cause
  const codes = errorCodes(cause)
  const options = { details: { folder }, cause }
  if (codes.includes('LEVEL_LOCKED'))
    return new MeshError('STORE_LOCKED', `${what}: another process has the store open`, options)
  if (codes.includes('LEVEL_CORRUPTION'))
    return new MeshError('STORE_DAMAGED', `${what}: a file of the store is damaged`, options)
  if (isFullCode(codes) || (codes.includes('LEVEL_IO_ERROR') && diskIsFull(folder, bytes))) {
    return new MeshError('STORE_FULL', `${what}: the disk is full`, options)
  }
  if (codes.includes('LEVEL_DATABASE_NOT_OPEN'))
    return new MeshError('STORE_FAILED', `${what}: the store is not open`, options)
  return new MeshError('STORE_FAILED', `${what}: the store could not do it`, options)
}

function isFullCode(codes: readonly string[]): boolean {
  return codes.includes('ENOSPC') || codes.includes('EDQUOT')
}

function errorCodes(error: unknown): string[] {
  const codes: string[] = []
  for (let at = error; at instanceof Error && codes.length < 8; at = at.cause) {
    if ('code' in at && typeof at.code === 'string') codes.push(at.code)
  }
  return codes
}

// LevelDB reports a full disk as any other failure of a write, so the disk is asked. The write buffer must fit too: it becomes a table.
function diskIsFull(folder: string, bytes: number): boolean {
  const probe = join(folder, PROBE_NAME)
  try {
    const { bavail, bsize } = statfsSync(folder)
    if (bavail * bsize < bytes + LIMITS.storeWriteBufferBytes) return true
    writeFileSync(probe, new Uint8Array(Math.min(bytes, PROBE_BYTES_MAX)), { mode: 0o600, flush: true })
    unlinkSync(probe)
    return false
  } catch (error) {
    return isFullCode(errorCodes(error))
  }
}
