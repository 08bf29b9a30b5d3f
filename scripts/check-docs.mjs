// Is the prose true of the tree? Relative links exist, pages made from data are fresh, commands named in the README exist,
// and no file carries a path or a download host of the machine it was written on.
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { foreignLines, namedScripts, relativeLinks } from './doc-rules.ts'
import { generatedPages } from './docs.mjs'

const root = dirname(import.meta.dirname)
const BINARY = /\.(?:png|jpe?g|gif|ico|wasm|bin|gz|tgz)$/
const BYTES_MAX = 1_000_000

/** Files that are or would be in the repository, relative to its root. */
function repositoryFiles(folder) {
  const listed = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], { cwd: folder })
  return listed
    .toString('utf8')
    .split('\0')
    .filter((file) => file !== '' && existsSync(join(folder, file)))
}

function linkFaults(files) {
  return files
    .filter((file) => file.endsWith('.md'))
    .flatMap((file) => {
      const folder = dirname(join(root, file))
      return relativeLinks(readFileSync(join(root, file), 'utf8'))
        .filter((target) => target !== '' && !existsSync(join(folder, target)))
        .map((target) => `${file}: link to ${relative(root, join(folder, target))}, which does not exist`)
    })
}

function scriptFaults(files) {
  const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  return files
    .filter((file) => file.endsWith('.md'))
    .flatMap((file) =>
      namedScripts(readFileSync(join(root, file), 'utf8'))
        .filter((name) => !Object.hasOwn(scripts, name))
        .map((name) => `${file}: npm run ${name}, which package.json does not have`)
    )
}

function foreignFaults(files) {
  return files
    .filter((file) => !BINARY.test(file))
    .flatMap((file) => {
      const text = readFileSync(join(root, file), 'utf8')
      if (text.length > BYTES_MAX && file !== 'package-lock.json') return [`${file}: larger than ${BYTES_MAX} bytes`]
      return foreignLines(text).map((line) => `${file}:${line}: a path or download host of one machine`)
    })
}

async function staleFaults() {
  return Object.entries(await generatedPages())
    .filter(([path, text]) => !existsSync(join(root, path)) || readFileSync(join(root, path), 'utf8') !== text)
    .map(([path]) => `${path}: not up to date; npm run docs`)
}

const files = repositoryFiles(root)
const faults = [...linkFaults(files), ...scriptFaults(files), ...foreignFaults(files), ...(await staleFaults())]
for (const fault of faults) console.error(fault)
if (faults.length > 0) process.exitCode = 1
