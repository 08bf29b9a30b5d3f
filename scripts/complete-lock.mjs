// Adds to package-lock.json the optional platform packages that a registry mirror did not serve; without them `npm ci` of npm 11 refuses the lock
// ("Missing: X from lock file"). Only optional entries are added: they carry no integrity and install nowhere but on their own platform.
// Takes the engines out of optional platform packages: an older Node that installs would leave them out without a word, and the Node that runs
// comes with the packages.
// Run it after each change of dependencies. With --check it writes nothing and fails when an entry is missing or a download host is recorded.
import { readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

const PLATFORM = /(android|darwin|linux|win32|freebsd|openharmony|wasm32)[-_]?(arm64|x64|arm|ia32|ppc64|riscv64|s390x)?/

const path = join(dirname(import.meta.dirname), 'package-lock.json')
const lock = JSON.parse(readFileSync(path, 'utf8'))

/** The place of `name` as seen from the package at `parent`: its own folder first, then each one above it. */
function isLocked(parent, name) {
  for (let folder = parent; ; folder = folder.slice(0, Math.max(0, folder.lastIndexOf('/node_modules/')))) {
    if (lock.packages[folder === '' ? `node_modules/${name}` : `${folder}/node_modules/${name}`]) return true
    if (folder === '') return false
  }
}

function entryFor(name, version, parent) {
  const [, system, processor] = PLATFORM.exec(name) ?? []
  return {
    version,
    ...(processor ? { cpu: [processor] } : {}),
    ...(parent.dev ? { dev: true } : {}),
    optional: true,
    ...(system ? { os: [system] } : {}),
    ...(name.includes('musl') ? { libc: ['musl'] } : {})
  }
}

const missing = Object.entries({ ...lock.packages }).flatMap(([parent, entry]) =>
  Object.entries(entry.optionalDependencies ?? {})
    .filter(([name]) => !isLocked(parent, name))
    .map(([name, version]) => ({ name, version, entry }))
)
const engines = Object.entries(lock.packages).filter(([, entry]) => entry.optional && entry.os && entry.engines)
const hosts = Object.entries(lock.packages).filter(([, entry]) => /^https?:/.test(entry.resolved ?? ''))

if (process.argv.includes('--check')) {
  for (const { name } of missing) console.error(`missing from package-lock.json: ${name}`)
  for (const [name, entry] of hosts) console.error(`download host in package-lock.json: ${name} ${entry.resolved}`)
  for (const [name] of engines) console.error(`engines of an optional package in package-lock.json: ${name}`)
  if (missing.length + hosts.length + engines.length > 0) process.exitCode = 1
} else {
  for (const { name, version, entry } of missing) lock.packages[`node_modules/${name}`] = entryFor(name, version, entry)
  for (const [, entry] of engines) delete entry.engines
  lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => (a < b ? -1 : 1)))
  writeFileSync(path, `${JSON.stringify(lock, null, 2)}\n`)
  console.log(`optional entries added: ${missing.length}`)
}
