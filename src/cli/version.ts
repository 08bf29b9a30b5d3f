// The version of this package, read from its package.json: two folders up in a checkout and in a build.

import { readFileSync } from 'node:fs'

export const VERSION: string = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')).version
