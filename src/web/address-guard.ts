// Which hosts and addresses an outgoing request may reach at all (SSRF-1). Pure; knows nothing of names' addresses or of redirects.

import { classOfAddress } from '../base/address-class.ts'

const DENIED_NAMES: ReadonlySet<string> = new Set([
  'localhost',
  'localhost.localdomain',
  'ip6-localhost',
  'ip6-loopback',
  'broadcasthost',
  'metadata',
  'metadata.google.internal',
  'metadata.goog',
  'instance-data',
  'instance-data.ec2.internal'
])

/** What keeps an IP address out of reach, as `loopback address`; null when it is public, or private space that the owner named. */
export function addressDenial(address: string, privateAllowed: boolean): string | null {
  const kind = classOfAddress(address)
  if (kind === 'public') return null
  if (privateAllowed && (kind === 'private' || kind === 'loopback')) return null
  return `${kind ?? 'unknown'} address`
}

/** What keeps a host out of reach without looking anything up; null when it may be looked up. */
export function hostDenial(host: string, privateAllowed: boolean): string | null {
  const literal = host.startsWith('[') ? host.slice(1, -1) : host
  if (classOfAddress(literal) !== null) return addressDenial(literal, privateAllowed)
  if (privateAllowed) return null
  const name = host.toLowerCase()
  return DENIED_NAMES.has(name) || name.endsWith('.localhost') ? 'local name' : null
}
