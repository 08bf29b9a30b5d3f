// MCP servers for tests: real processes in groups of their own, as the sandbox's port starts them, and waiting for what they become.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import type { McpServerSection } from '../../src/config/mcp-section.ts'
import { type McpLaunch, McpServers } from '../../src/tools/mcp-servers.ts'
import type { McpProcess } from '../../src/tools/mcp-stdio.ts'

export const PROFILE = '7'.repeat(64)

export interface StartedProcess {
  readonly pid: number
  /** What it wrote to its standard error. */
  readonly told: string[]
}

export interface ProcessPort {
  readonly started: StartedProcess[]
  start(launch: McpLaunch): Promise<McpProcess>
}

export function processPort(): ProcessPort {
  const started: StartedProcess[] = []
  return {
    started,
    async start({ argv }) {
      const [program = '', ...args] = argv
      const child = spawn(program, args, { stdio: 'pipe', env: { PATH: process.env.PATH }, detached: true })
      const exited = once(child, 'exit')
      const pid = child.pid!
      const told: string[] = []
      child.stderr.on('data', (chunk: Buffer) => told.push(chunk.toString()))
      started.push({ pid, told })
      return {
        stdin: child.stdin,
        stdout: child.stdout,
        stderr: child.stderr,
        exited,
        async kill() {
          if (isRunning(-pid)) process.kill(-pid, 'SIGKILL')
          await exited
        }
      }
    }
  }
}

/** A process, or with a negative number a group. */
export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false // no such process
  }
}

export function stdioSection(description = 'Says it again.', name = 'local'): McpServerSection {
  const argv = [process.execPath, join(import.meta.dirname, 'mcp-test-server.ts'), description]
  return { name, place: { kind: 'command', argv }, tiers: new Map([['Echo-It', 'read-only']]) }
}

/** Started, and ended with the test. */
export function startServers(t: TestContext, sections: readonly McpServerSection[], port: ProcessPort): McpServers {
  const servers = new McpServers({ sections, start: port.start, profile: PROFILE, restartMsMin: 20 })
  t.after(() => servers.close())
  servers.start()
  return servers
}

export async function until(condition: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + 15_000
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`waited in vain for: ${what}`)
    await pause(10)
  }
}
