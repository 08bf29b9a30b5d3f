// Addresses that other members advertise (SSRF-4): which of them this node does not dial. Members on private networks are the rule;
// an address that leads to this machine itself, to a cloud's own services or to everybody is not a member's.

import { type AddressClass, classOfAddress } from '../base/address-class.ts'
import { tryParseAddress } from './addresses.ts'

const DENIED: ReadonlySet<AddressClass> = new Set([
  'loopback',
  'link-local',
  'multicast',
  'unspecified',
  'reserved',
  'metadata'
])
const LOCAL_NAME = /(?:^|\.)localhost\.?$/i

/**
 * True for a multiaddr that is none, and for one whose first part leads to a denied place. Names are judged as they are written.
 * `loopbackAllowed` is for a mesh on one machine: a node that itself listens on loopback only.
 */
export function isDeniedPeerAddress(text: string, loopbackAllowed = false): boolean {
  const first = tryParseAddress(text)?.getComponents()[0]
  if (first?.value === undefined) return true
  if (first.name !== 'ip4' && first.name !== 'ip6') return !loopbackAllowed && LOCAL_NAME.test(first.value)
  const kind = classOfAddress(first.value)
  if (kind === 'loopback' && loopbackAllowed) return false
  return kind === null || DENIED.has(kind)
}

/** A mesh on one machine: this node listens on loopback and nowhere else. */
export function listensOnLoopbackOnly(listen: readonly string[]): boolean {
  return listen.length > 0 && listen.every((address) => firstClass(address) === 'loopback')
}

function firstClass(text: string): AddressClass | null {
  const first = tryParseAddress(text)?.getComponents()[0]
  return first?.value === undefined ? null : classOfAddress(first.value)
}
