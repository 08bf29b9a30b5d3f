// Bare `pmesh`: the status of the running node, else the next step.

import { existsSync } from 'node:fs'
import type { CommandContext } from '../command-context.ts'
import { shortPath } from '../human-text.ts'
import { showStatus } from './status.ts'

export async function welcome(context: CommandContext): Promise<number> {
  if ((await context.clientIfRunning()) !== null) return showStatus(context)
  const home = shortPath(context.paths.home, context.userHome)
  const exists = existsSync(context.paths.identityKey)
  if (context.out.json) {
    context.out.value({ running: false, identity: exists, home: context.paths.home, next: 'pmesh node start' })
    return 0
  }
  if (exists) {
    context.out.line(`The node of ${home} is not running.`)
    context.out.line('next: ', { text: 'pmesh node start', style: 'bold' })
    return 0
  }
  context.out.line(`There is no node in ${home} yet.`)
  context.out.line('next: ', { text: 'pmesh node start', style: 'bold' }, '        founds a mesh of your own')
  context.out.line(
    '      ',
    { text: "pmesh join '…'", style: 'bold' },
    '          enters a mesh that somebody invited you to'
  )
  context.out.line('      ', { text: 'pmesh demo', style: 'bold' }, '              shows three nodes on this machine')
  return 0
}
