// The program's version, from its package.json.

import { readFileSync } from 'node:fs'

/** Semantic version text. */
export const VERSION: string = readVersion()

function readVersion(): string {
  const file = new URL('../../package.json', import.meta.url)
  const { version } = JSON.parse(readFileSync(file, 'utf8')) as { version: string }
  return version
}
