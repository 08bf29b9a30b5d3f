// What doctor can check without a node: the runtime, modes of home and key files, credentials in plain text, the socket.
// A check answers with facts and the command that mends; those that are safe to mend carry the mending.

import { chmodSync, lstatSync, type Stats } from 'node:fs'
import { MeshError, messageOf } from '../base/mesh-error.ts'
import { loadConfig } from '../config/config-file.ts'
import type { DoctorLine } from '../rpc/methods.ts'
import { isSocketLive } from '../rpc/socket-file.ts'
import type { CommandContext } from './command-context.ts'
import { credentialRows } from './credential-store.ts'
import { countOf, shortPath } from './human-text.ts'

export interface LocalCheck {
  readonly line: DoctorLine
  /** Mends it; only where nothing can be lost. */
  readonly fix?: () => void
}

const RUNTIME_MIN: readonly [number, number] = [24, 12]

/** All local checks in the order they are shown. */
export async function checkMachine(context: CommandContext): Promise<LocalCheck[]> {
  return [
    checkRuntime(process.versions.node),
    ...checkModes(context),
    checkConfigFile(context),
    checkCredentials(context),
    await checkSocket(context)
  ]
}

/** Node's version against the oldest that runs pmesh. */
export function checkRuntime(version: string): LocalCheck {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  const [majorMin, minorMin] = RUNTIME_MIN
  const sound = major > majorMin || (major === majorMin && minor >= minorMin)
  return sound
    ? { line: { section: 'machine', level: 'ok', text: `Node ${version}`, hint: '' } }
    : {
        line: {
          section: 'machine',
          level: 'error',
          text: `Node ${version} is older than ${majorMin}.${minorMin}`,
          hint: 'https://nodejs.org'
        }
      }
}

function checkModes(context: CommandContext): LocalCheck[] {
  const { paths } = context
  const folders = [paths.home, paths.identityFolder, paths.runFolder]
  const files = [paths.identityKey, paths.secretKey, paths.meshFile, paths.agents]
  const home = lstatSync(paths.home, { throwIfNoEntry: false })
  if (home === undefined) {
    return [
      {
        line: {
          section: 'home',
          level: 'warn',
          text: `${shortPath(paths.home, context.userHome)} does not exist yet`,
          hint: 'pmesh node start'
        }
      }
    ]
  }
  const checked = [...folders.map((path) => [path, 0o700] as const), ...files.map((path) => [path, 0o600] as const)]
  const wrong = checked.flatMap(([path, mode]) => {
    const found = lstatSync(path, { throwIfNoEntry: false })
    return found === undefined ? [] : wrongMode(path, mode, found, context.userHome)
  })
  if (wrong.length > 0) return wrong
  const key = lstatSync(paths.identityKey, { throwIfNoEntry: false })
  const text = key === undefined ? 'no identity yet' : 'home 0700, keys 0600, all yours'
  return [
    {
      line: {
        section: 'home',
        level: key === undefined ? 'warn' : 'ok',
        text,
        hint: key === undefined ? 'pmesh node start' : ''
      }
    }
  ]
}

function wrongMode(path: string, wanted: number, found: Stats, userHome: string | undefined): LocalCheck[] {
  if (process.platform === 'win32') return []
  const shown = shortPath(path, userHome)
  if (found.uid !== process.getuid?.()) {
    return [
      {
        line: {
          section: 'home',
          level: 'error',
          text: `${shown} belongs to another user`,
          hint: `chown it, or use the account that owns it`
        }
      }
    ]
  }
  if (found.isSymbolicLink() || (found.mode & 0o077) === 0) return []
  const mode = (found.mode & 0o777).toString(8).padStart(4, '0')
  const command = `chmod ${wanted.toString(8)} ${shown}`
  return [
    {
      line: { section: 'home', level: 'error', text: `${shown} is open to others (mode ${mode})`, hint: command },
      fix: () => chmodSync(path, wanted)
    }
  ]
}

function checkConfigFile(context: CommandContext): LocalCheck {
  try {
    const set = loadConfig(context.paths.config, { env: context.terminal.env }).rows.filter(
      ({ origin }) => origin !== 'default'
    ).length
    return {
      line: {
        section: 'config',
        level: 'ok',
        text: `config.toml is sound, ${countOf(set, 'setting')} changed`,
        hint: ''
      }
    }
  } catch (error) {
    return { line: failedLine('config', error) }
  }
}

/** ID-8: plaintext keys are counted, and named in agents.toml by place only. */
function checkCredentials(context: CommandContext): LocalCheck {
  try {
    const { paths } = context
    const rows = credentialRows(paths.agents)
    const allowed = loadConfig(paths.config, { env: context.terminal.env }).values.security.allow_plaintext
    const plain = rows.filter(({ state, place }) => state === 'plaintext' && !allowed.includes(place))
    if (plain.length === 0)
      return {
        line: {
          section: 'config',
          level: 'ok',
          text: `${countOf(rows.length, 'credential')}, none in plain text`,
          hint: ''
        }
      }
    const [first] = plain
    const text = `${countOf(plain.length, 'credential')} in plain text in agents.toml: ${plain.map(({ place }) => place).join(', ')}`
    return {
      line: {
        section: 'config',
        level: 'error',
        text,
        hint: `pmesh credential set ${first?.provider ?? 'PROVIDER'} ${first?.field ?? 'FIELD'}`
      }
    }
  } catch (error) {
    return { line: failedLine('config', error) }
  }
}

async function checkSocket(context: CommandContext): Promise<LocalCheck> {
  try {
    const path = context.socket()
    const found = lstatSync(path, { throwIfNoEntry: false })
    const shown = shortPath(path, context.userHome)
    if (found === undefined)
      return { line: { section: 'socket', level: 'ok', text: 'no socket: no node runs', hint: '' } }
    if (!found.isSocket())
      return {
        line: {
          section: 'socket',
          level: 'error',
          text: `${shown} is not a socket`,
          hint: `mv ${shown} ${shown}.other`
        }
      }
    if (!(await isSocketLive(path))) {
      return {
        line: {
          section: 'socket',
          level: 'warn',
          text: `${shown} is left from a node that ended badly`,
          hint: 'pmesh node start replaces it'
        }
      }
    }
    const mode = found.mode & 0o777
    if (mode === 0o600) return { line: { section: 'socket', level: 'ok', text: `${shown}, mode 0600`, hint: '' } }
    const command = `chmod 600 ${shown}`
    return {
      line: { section: 'socket', level: 'error', text: `${shown} is open to others`, hint: command },
      fix: () => chmodSync(path, 0o600)
    }
  } catch (error) {
    return { line: failedLine('socket', error) }
  }
}

function failedLine(section: string, error: unknown): DoctorLine {
  return { section, level: 'error', text: messageOf(error), hint: error instanceof MeshError ? error.hint : '' }
}
