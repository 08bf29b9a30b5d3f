// Starts the processes of WASM modules inside the sandbox of commands, each with an empty workspace of its own.

import type { CommandSandbox } from '../sandbox/command-sandbox.ts'
import type { LaunchGuest } from '../sandbox/wasm-guest.ts'
import type { Workspaces } from '../sandbox/workspaces.ts'

export function boxedLaunch(command: CommandSandbox, workspaces: Workspaces): LaunchGuest {
  let started = 0
  return async ({ argv: [program = '', ...args], readable, limits }) => {
    const name = `wasm-${process.pid}-${++started}`
    const workspace = await workspaces.prepare(name)
    const { signal } = new AbortController()
    const boxed = await command.start({ program, args, workspace, readable, limits, signal })
    const exited = boxed.exited.then(async (end) => {
      await workspaces.remove(name)
      return end
    })
    return { stdin: boxed.stdin, stdout: boxed.stdout, stderr: boxed.stderr, exited, kill: () => boxed.kill() }
  }
}
