// What is kept of one connected peer: its connections, and the link on one of them.

import type { Connection } from '@libp2p/interface'
import type { FramedStream } from './framed-stream.ts'
import type { PeerKey } from './network-contract.ts'

export interface Link {
  readonly connection: Connection
  frames: FramedStream | null
  helloReceived: boolean
  helloAccepted: boolean
  acceptedByPeer: boolean
  upAtMs: number | null
}

export interface Peer {
  readonly key: PeerKey
  readonly connections: Set<Connection>
  link: Link | null
  helloTimer: NodeJS.Timeout | null
  spareTimer: NodeJS.Timeout | null
  lastUpMs: number
  dialled: boolean
  endedByUs: boolean
}

export function newPeer(key: PeerKey): Peer {
  return {
    key,
    connections: new Set(),
    link: null,
    helloTimer: null,
    spareTimer: null,
    lastUpMs: 0,
    dialled: false,
    endedByUs: false
  }
}

export function newLink(connection: Connection): Link {
  return {
    connection,
    frames: null,
    helloReceived: false,
    helloAccepted: false,
    acceptedByPeer: false,
    upAtMs: null
  }
}

export function clearTimers(peer: Peer): void {
  if (peer.helloTimer !== null) clearTimeout(peer.helloTimer)
  if (peer.spareTimer !== null) clearTimeout(peer.spareTimer)
  peer.helloTimer = null
  peer.spareTimer = null
}
