// pmesh identity show: how others know this node.

import type { CommandContext } from '../command-context.ts'
import { blockLines } from '../table.ts'

export async function showIdentity(context: CommandContext): Promise<number> {
  const identity = await context.call('identity/show', {})
  const { out } = context
  if (out.json) {
    out.value(identity)
    return 0
  }
  const rows: [string, string][] = [
    ['name', identity.name],
    ['peer id', identity.peerId],
    ['public key', identity.publicKey],
    ['words', identity.fingerprint],
    ['sealed by', identity.sealedBy]
  ]
  for (const row of blockLines(rows, '')) out.line(...row)
  return 0
}
