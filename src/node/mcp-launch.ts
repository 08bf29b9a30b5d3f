// Starts an MCP server of the owner's agents.toml inside the sandbox of commands: its own folder, no network, no secrets. The owner named the
// program, so it needs no place on the list of commands; what would destroy the machine is refused all the same (CMD-5).

import { existsSync } from 'node:fs'
import { basename, isAbsolute } from 'node:path'
import { LIMITS } from '../base/limits.ts'
import { MeshError } from '../base/mesh-error.ts'
import { checkCommand } from '../policy/command-check.ts'
import type { CommandSandbox } from '../sandbox/command-sandbox.ts'
import type { Workspaces } from '../sandbox/workspaces.ts'
import type { McpServersOptions } from '../tools/mcp-servers.ts'

/** Null where there is no command sandbox. */
export function mcpLaunch(commands: CommandSandbox, workspaces: Workspaces): McpServersOptions['start'] {
  if (!commands.report.available) return null
  return async ({ name, argv, signal }) => {
    const [program = '', ...args] = argv
    const checked = checkCommand(argv, { allow: [basename(program)], shell: true })
    if (!checked.ok && checked.rule === 'command-destructive') throw new MeshError('COMMAND_REFUSED', checked.reason)
    const workspace = await workspaces.prepare(`mcp-${name}`)
    return commands.start({
      program,
      args,
      workspace,
      readable: argv.filter((argument) => isAbsolute(argument) && existsSync(argument)),
      limits: {
        memoryBytes: LIMITS.toolMemoryBytesMax,
        processes: LIMITS.toolProcessesMax,
        fileBytes: LIMITS.toolFileBytesMax
      },
      signal
    })
  }
}
