// Peers of the machine: how their records begin, what others may see of them, and what their messages cost.

import { LIMITS } from '../base/limits.ts'
import type { Input, PeerStatus, SyncMessage } from './contract.ts'
import type { PeerRecord } from './core.ts'

/** A peer whose stream has just come up. */
export function newPeer(nowMs: number, input: Input & { readonly kind: 'peer-up' }): PeerRecord {
  const window = LIMITS.framesOpenMax * LIMITS.frameBytesMax
  return {
    peer: input.peer,
    key: input.key,
    instance: input.instance,
    writable: true,
    sendCredit: window,
    receiveCredit: window,
    owedCredit: 0,
    claims: new Map(),
    frontierRound: 0,
    answered: false,
    inSync: false,
    ownHeadChecks: 0,
    digestSentMs: Number.NEGATIVE_INFINITY,
    frontierSentMs: Number.NEGATIVE_INFINITY,
    frontierDue: false,
    digestDueMs: nowMs,
    fetches: 0,
    lastFrameMs: Number.NEGATIVE_INFINITY,
    closedFetches: new Set(),
    proofs: new Map(),
    beaconDue: true,
    faults: 0,
    lastFault: null,
    budget: LIMITS.peerMessagesBurst,
    budgetAtMs: nowMs,
    gone: false
  }
}

export function peerStatus(peer: PeerRecord): PeerStatus {
  const lastFrontierMs = Number.isFinite(peer.digestSentMs) ? peer.digestSentMs : null
  const { key, inSync, answered, fetches, faults, lastFault } = peer
  return { peer: peer.peer, key, inSync, answered, lastFrontierMs, fetches, faults, lastFault }
}

/** What a message takes from its sender's budget: more where the log verifies or reads, nothing where an own request or frame bounds it. */
export function costOf(message: SyncMessage): number {
  switch (message.kind) {
    case 'frontier':
      return 16
    case 'proofs':
      return 1 + 8 * message.proofs.length
    case 'beacon':
      return 8
    case 'probe':
    case 'digest':
      return 4
    case 'fetch':
      return 2
    case 'credit':
      return message.bytes >= LIMITS.creditBytesMin ? 0 : 1
    case 'frame':
      return 0
    case 'end':
    case 'points':
    case 'cancel':
      return 1
  }
}
