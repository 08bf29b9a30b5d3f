// Real data that lies beside the program: history and files of a checkout, the lock file, the installed packages. Taken in that order
// until there is enough. Authors of commits are left out.

import { execFile } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { MeshError } from '../../base/mesh-error.ts'
import { countOf } from '../human-text.ts'

export type DemoRecord = Readonly<Record<string, string | number | boolean | null>>

interface Source {
  readonly records: readonly DemoRecord[]
  readonly words: string
}

const COMMITS_MAX = 500
const RECORDS_PER_SOURCE_MAX = 4_000
const GIT_MS_MAX = 10_000
const GIT_BYTES_MAX = 64 * 1024 * 1024
const PACKAGES_MAX = 2_000

/** Records of the folder `root` of the program, at least one. */
export async function recordsAround(
  root: string,
  enough: number,
  options: GitOptions
): Promise<{ readonly records: readonly DemoRecord[]; readonly source: string }> {
  const taken: Source[] = []
  const few = () => taken.reduce((sum, { records }) => sum + records.length, 0) < enough
  for (const read of [gitHistory, gitFiles, lockFile, installedPackages]) {
    if (!few()) break
    const source = await read(root, options)
    if (source !== null) taken.push(source)
  }
  const records = taken.flatMap((source) => source.records)
  if (records.length === 0) {
    throw new MeshError('USAGE', 'there is nothing to append beside the program', {
      details: { folder: root },
      hint: 'Give a file with one JSON object per line: pmesh demo --input FILE.jsonl'
    })
  }
  return { records, source: taken.map(({ words }) => words).join(', ') }
}

interface GitOptions {
  readonly env: NodeJS.ProcessEnv
  readonly signal: AbortSignal
}

/** What git says in the folder; null where there is no checkout or no git that reads it. */
async function git(root: string, args: readonly string[], { env, signal }: GitOptions): Promise<string | null> {
  if (!existsSync(join(root, '.git'))) return null
  const options = { cwd: root, env, signal, timeout: GIT_MS_MAX, maxBuffer: GIT_BYTES_MAX }
  try {
    return (await promisify(execFile)('git', ['-c', 'core.quotePath=false', ...args], options)).stdout
  } catch (error) {
    if (signal.aborted) throw new MeshError('CANCELLED', 'cancelled', { cause: error })
    // The words of the source then name what was taken instead.
    return null
  }
}

async function gitHistory(root: string, options: GitOptions): Promise<Source | null> {
  const args = ['log', `--max-count=${COMMITS_MAX}`, '--no-renames', '--numstat', '--format=%x1e%H%x1f%cI%x1f%s']
  const log = await git(root, args, options)
  if (log === null) return null
  const records: DemoRecord[] = []
  let [commits, changes] = [0, 0]
  for (const entry of log.split('\x1e').slice(1)) {
    const [head = '', ...files] = entry.split('\n').filter((line) => line !== '')
    const [commit = '', date = '', subject = ''] = head.split('\x1f')
    if (records.length + files.length >= RECORDS_PER_SOURCE_MAX && commits > 0) break
    records.push({ commit, date, subject })
    commits++
    changes += files.length
    for (const file of files) records.push(changeOf(commit, file))
  }
  return { records, words: `${countOf(commits, 'commit')} and ${countOf(changes, 'file change')} of this git history` }
}

/** The files of the last commit: mode, kind, object, bytes, path. */
async function gitFiles(root: string, options: GitOptions): Promise<Source | null> {
  const tree = await git(root, ['ls-tree', '-r', '--long', 'HEAD'], options)
  if (tree === null) return null
  const records = tree
    .split('\n')
    .filter((line) => line !== '')
    .slice(0, RECORDS_PER_SOURCE_MAX)
    .map((line): DemoRecord => {
      const [about = '', path = ''] = line.split('\t')
      const [, , object = '', bytes = ''] = about.split(/ +/)
      return { path, object, bytes: Number(bytes) || 0 }
    })
  return { records, words: `${countOf(records.length, 'file')} of this checkout` }
}

/** A line of --numstat; binary files have no counts. */
function changeOf(commit: string, line: string): DemoRecord {
  const [added = '', removed = '', path = ''] = line.split('\t')
  const count = (text: string) => (text === '-' ? null : Number(text))
  return { commit, path, added: count(added), removed: count(removed) }
}

/** Folders that hold installed packages: below a checkout, around an installed program. */
function packageFolders(root: string): string[] {
  const around = dirname(root)
  return [join(root, 'node_modules'), ...(basename(around) === 'node_modules' ? [around] : [])].filter(existsSync)
}

async function lockFile(root: string): Promise<Source | null> {
  const places = [
    join(root, 'package-lock.json'),
    ...packageFolders(root).map((folder) => join(folder, '.package-lock.json'))
  ]
  const place = places.find(existsSync)
  if (place === undefined) return null
  const packages = Object.entries(tableOf(tableOf(parsed(place)).packages))
  const nodes: DemoRecord[] = []
  const edges: DemoRecord[] = []
  for (const [path, value] of packages.slice(0, PACKAGES_MAX)) {
    const entry = tableOf(value)
    const name = path === '' ? textOf(entry.name) : path.replace(/^.*node_modules\//, '')
    nodes.push({ package: name, version: textOf(entry.version), integrity: textOf(entry.integrity) })
    for (const [needs, range] of Object.entries(tableOf(entry.dependencies)))
      edges.push({ package: name, needs, range: textOf(range) })
  }
  const words = `${countOf(nodes.length, 'package')} and ${countOf(edges.length, 'dependency').replace(/ys$/, 'ies')} of ${basename(place)}`
  return { records: [...nodes, ...edges].slice(0, RECORDS_PER_SOURCE_MAX), words }
}

async function installedPackages(root: string): Promise<Source | null> {
  const descriptions = packageFolders(root)
    .flatMap(packagesIn)
    .slice(0, PACKAGES_MAX)
    .map((file): DemoRecord => {
      const { name, version, description, license } = tableOf(parsed(file))
      return {
        name: textOf(name),
        version: textOf(version),
        description: textOf(description),
        license: textOf(license)
      }
    })
  if (descriptions.length === 0) return null
  return { records: descriptions, words: `${countOf(descriptions.length, 'description')} of installed packages` }
}

/** package.json files of a node_modules folder, those of scopes included. */
function packagesIn(folder: string): string[] {
  const named = readdirSync(folder).filter((name) => !name.startsWith('.'))
  return named
    .flatMap((name) => (name.startsWith('@') ? readdirSync(join(folder, name)).map((one) => join(name, one)) : [name]))
    .map((name) => join(folder, name, 'package.json'))
    .filter(existsSync)
}

/** A JSON file of npm’s; null when it is none. */
function parsed(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, 'utf8'))
  } catch (error) {
    if (error instanceof SyntaxError) return null
    throw error
  }
}

function tableOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {}
}

const textOf = (value: unknown): string | null => (typeof value === 'string' ? value.toWellFormed() : null)
