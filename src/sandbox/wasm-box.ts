// Puts the processes of WASM modules into the sandbox of the operating system, where this machine has one: no network, no file of the host but the
// program's own, limits, and an unprivileged user.

import { randomUUID } from 'node:crypto'
import type { CommandSandbox } from './command-sandbox.ts'
import type { GuestLaunch, GuestProcess, LaunchGuest } from './wasm-guest.ts'
import type { Workspaces } from './workspaces.ts'

export interface WasmBox {
  /** What isolates, for status and doctor. */
  readonly name: string
  readonly launch: LaunchGuest
}

/** Null where commands are not boxed either. */
export function wasmBox(commands: CommandSandbox, workspaces: Workspaces): WasmBox | null {
  if (!commands.report.available) return null
  return { name: commands.report.text, launch: (launch) => launchBoxed(commands, workspaces, launch) }
}

/** The process has an empty folder of its own, which goes with it. */
async function launchBoxed(
  commands: CommandSandbox,
  workspaces: Workspaces,
  { argv: [program, ...args], readable, limits }: GuestLaunch
): Promise<GuestProcess> {
  const id = `wasm-${randomUUID()}`
  const workspace = await workspaces.prepare(id)
  try {
    const { signal } = new AbortController()
    const process = await commands.start({ program: program!, args, workspace, readable, limits, signal })
    const exited = endedAndSwept(process.exited, () => workspaces.remove(id))
    return { stdin: process.stdin, stdout: process.stdout, stderr: process.stderr, exited, kill: () => process.kill() }
  } catch (error) {
    await workspaces.remove(id)
    throw error
  }
}

async function endedAndSwept<End>(exited: Promise<End>, sweep: () => Promise<void>): Promise<End> {
  try {
    return await exited
  } finally {
    await sweep()
  }
}
