// pmesh paths: where everything lies.

import type { CommandContext } from '../command-context.ts'
import { shortPath } from '../human-text.ts'
import { blockLines } from '../table.ts'

export async function showPaths(context: CommandContext): Promise<number> {
  const { out, paths } = context
  const rows: [string, string][] = [
    ['home', paths.home],
    ['config', paths.config],
    ['agents', paths.agents],
    ['identity', paths.identityKey],
    ['mesh', paths.meshFile],
    ['secret', paths.secretKey],
    ['socket', context.socket()],
    ['store', paths.store],
    ['backups', paths.backups],
    ['log', paths.logFile]
  ]
  if (out.json) out.value(Object.fromEntries(rows))
  else
    for (const row of blockLines(
      rows.map(([key, path]) => [key, shortPath(path, context.userHome)]),
      ''
    ))
      out.line(...row)
  return 0
}
