// pmesh peer ping.

import type { CommandContext } from '../command-context.ts'

export async function pingPeer(context: CommandContext, [member]: readonly [string]): Promise<number> {
  const result = await context.call('peer/ping', { member })
  if (context.out.json) context.out.value(result)
  else context.out.line(`${member}   ${result.rttMs.toFixed(1)} ms`)
  return 0
}
