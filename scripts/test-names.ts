// The names of all tests, read from their sources: what docs/requirements.md lists and what the requirements test counts.
// It does not know which tests pass: `npm test` does.

import { glob, readFile } from 'node:fs/promises'
import { join } from 'node:path'

export interface TestName {
  /** Relative to the project, with forward slashes. */
  readonly file: string
  readonly name: string
}

const CALL = /(?:^|[^\w.])(?:test|it|describe|suite)\(\s*(['"`])((?:\\.|(?!\1)[^\\])*)\1/g

/** Names of the tests in one source text. */
export function namesIn(source: string): string[] {
  return [...source.matchAll(CALL)].map((match) => (match[2] ?? '').replaceAll(/\\(.)/g, '$1'))
}

/** Every test under test/ of the project at `root`, in the order of the files' names. */
export async function testNames(root: string): Promise<TestName[]> {
  const files = await Array.fromAsync(glob('test/**/*.{ts,mjs}', { cwd: root, exclude: ['**/node_modules/**'] }))
  const perFile = await Promise.all(
    files.sort().map(async (path) => {
      const file = path.replaceAll('\\', '/')
      return namesIn(await readFile(join(root, path), 'utf8')).map((name) => ({ file, name }))
    })
  )
  return perFile.flat()
}

/** Pattern text that matches `id` but not a longer id that begins with it (CHAIN-1 in CHAIN-12). */
export function idPattern(id: string): string {
  return `(?<![\\w-])${id}(?![\\w-])`
}

/** The tests whose name cites `id`. */
export function citations(tests: readonly TestName[], id: string): TestName[] {
  const cited = new RegExp(idPattern(id))
  return tests.filter(({ name }) => cited.test(name))
}
