// pmesh peer connect.

import type { CommandContext } from '../command-context.ts'
import { shortId } from '../human-text.ts'

export async function connectPeer(context: CommandContext, [addresses]: readonly [string[]]): Promise<number> {
  const member = await context.call('peer/connect', { addresses })
  if (context.out.json) context.out.value(member)
  else context.out.remark(`connected to ${member.name}   ${shortId(member.peerId)}`)
  return 0
}
