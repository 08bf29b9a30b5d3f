#!/usr/bin/env node
// The door of the command: checks the runtime, then hands over to the command line. Old syntax on purpose, so that an old Node
// answers with a clear error instead of a syntax error. In a checkout it runs the TypeScript, in an installed package the build.

import { spawn } from 'node:child_process'
import { existsSync, readFileSync, realpathSync } from 'node:fs'
import { constants } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const NEEDED = [24, 12]

function fits(version) {
  const parts = version.split('.').map(Number)
  return parts[0] > NEEDED[0] || (parts[0] === NEEDED[0] && parts[1] >= NEEDED[1])
}

/** The `node` package beside this one (checkout) or next to it (installed), when it is new enough; else null. */
function newerRuntime() {
  const file = process.platform === 'win32' ? 'node.exe' : 'node'
  const places = [join(root, 'node_modules', 'node'), join(dirname(root), 'node')]
  for (const place of places) {
    const binary = join(place, 'bin', file)
    const description = join(place, 'package.json')
    if (!existsSync(binary) || !existsSync(description)) continue
    // A package that holds another runtime than it says must not start itself again and again.
    if (realpathSync(binary) === process.execPath) continue
    if (fits(JSON.parse(readFileSync(description, 'utf8')).version)) return binary
  }
  return null
}

function refuse() {
  const code = 'RUNTIME_TOO_OLD'
  const message = `cannot start: Node ${process.versions.node} is older than ${NEEDED.join('.')}`
  const hint = `Install Node ${NEEDED.join('.')} or newer: https://nodejs.org`
  const lines = [`pmesh: ${message}`, `  fix   ${hint}`, `  code  ${code}`]
  const text = process.argv.includes('--json') ? JSON.stringify({ code, message, hint }) : lines.join('\n')
  process.stderr.write(`${text}\n`)
  process.exitCode = 2
}

function handOver(binary) {
  const child = spawn(binary, process.argv.slice(1), { stdio: 'inherit' })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR2']) {
    if (process.platform === 'win32' && signal !== 'SIGINT' && signal !== 'SIGTERM') continue
    process.on(signal, () => {
      // A terminal sends Ctrl-C to the whole group: the child has it already.
      const fromTerminal = (signal === 'SIGINT' || signal === 'SIGQUIT') && process.stdin.isTTY
      if (!fromTerminal) child.kill(signal)
    })
  }
  child.on('error', (error) => {
    process.stderr.write(`pmesh: cannot start ${binary}: ${error.message}\n  code  RUNTIME_TOO_OLD\n`)
    process.exitCode = 2
  })
  child.on('exit', (code, signal) => {
    process.exit(signal === null ? code : 128 + constants.signals[signal])
  })
}

async function run() {
  const source = join(root, 'src', 'cli', 'main.ts')
  const entry = existsSync(source) ? source : join(root, 'dist', 'cli', 'main.js')
  const { main } = await import(pathToFileURL(entry).href)
  process.exitCode = await main(process.argv.slice(2))
  // Timers of the network library outlive their node by seconds; everything of ours is written by now.
  setTimeout(() => process.exit(), 50).unref()
}

if (fits(process.versions.node)) {
  await run()
} else {
  const binary = newerRuntime()
  if (binary === null) refuse()
  else handOver(binary)
}
