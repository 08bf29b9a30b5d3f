// pmesh peer list: open connections.

import type { CommandContext } from '../command-context.ts'
import { formatAgo, formatBytes, shortId } from '../human-text.ts'
import { tableLines } from '../table.ts'

export async function listPeers(context: CommandContext): Promise<number> {
  const page = await context.call('peer/list', {})
  const { out } = context
  if (out.json) {
    out.value(page)
    return 0
  }
  if (page.items.length === 0) out.note('no connections')
  else {
    const columns = [
      { title: 'PEER' },
      { title: 'PEER ID' },
      { title: 'ADDRESS' },
      { title: 'DIRECTION' },
      { title: 'SINCE' },
      { title: 'RTT', align: 'right' },
      { title: 'GOSSIP' },
      { title: 'BACKLOG', align: 'right' }
    ] as const
    const now = Date.now()
    const rows = page.items.map((peer) => [
      peer.name,
      shortId(peer.peerId),
      peer.relayed ? `relayed ${peer.address}` : peer.address,
      peer.direction,
      formatAgo(peer.connectedAt, now),
      peer.rttMs === null ? '-' : `${Math.round(peer.rttMs)} ms`,
      peer.gossip ? 'yes' : 'no',
      formatBytes(peer.sendBacklogBytes)
    ])
    for (const line of tableLines(columns, rows, '  ', 'dim')) out.line(...line)
  }
  return 0
}
