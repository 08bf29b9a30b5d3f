// What a member may do now: role and rights as admissions and changes left them for its next event, which its certificate alone does not tell.

import type { Role } from '../identity/certificate.ts'
import type { Grant } from '../identity/certificate-path.ts'
import type { EventLog } from './event-log.ts'
import { roleAtLeast } from './event-types.ts'
import { grantAt } from './mesh-fold.ts'
import type { PublicKeyHex } from './statement.ts'

/** Null for a removed member and for the key of nobody. */
export function currentGrant({ view, chains }: Pick<EventLog, 'view' | 'chains'>, key: PublicKeyHex): Grant | null {
  if (view.members.get(key)?.removal !== null) return null
  let place = { author: key, chain: 0, epoch: 1, seq: 1 }
  for (const { author, chain, epoch, tips } of chains.values()) {
    if (author === key && chain === 0 && epoch >= place.epoch)
      place = { ...place, epoch, seq: (tips[0]?.lastSeq ?? 0) + 1 }
  }
  return grantAt(view, place)
}

/** Whether the member is there and has at least that role now. */
export function hasRoleNow(log: Pick<EventLog, 'view' | 'chains'>, key: PublicKeyHex, least: Role): boolean {
  const grant = currentGrant(log, key)
  return grant !== null && roleAtLeast(grant.role, least)
}
