// Which errors of the file system mean only that something is not there, any more or for this user.

const MISSING = new Set(['ENOENT', 'ENOTDIR', 'ESRCH', 'EACCES', 'EPERM', 'EINVAL', 'ELOOP', 'ENODEV'])

export function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && MISSING.has(String(error.code))
}
