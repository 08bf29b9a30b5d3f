// Multiaddrs of peers: which are taken, and the peer id at their end. Only transports that this program speaks pass, so
// that an address from the log or from mDNS cannot name anything else. Knows nothing of who is dialled.

import { CODE_P2P, type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { toHex } from '../base/bytes.ts'
import { LIMITS } from '../base/limits.ts'
import { MeshError } from '../base/mesh-error.ts'
import { peerIdOf, tryParsePeerId } from '../identity/peer-id.ts'
import type { PeerKey } from './network-contract.ts'

const ADDRESS_TEXT_MAX = 512
const SHAPES = [
  /^(ip4|ip6|dns|dns4|dns6)\/tcp(\/ws)?(\/p2p)?$/,
  /^(ip4|ip6|dns|dns4|dns6)\/tcp(\/ws)?\/p2p\/p2p-circuit(\/p2p)?$/
]

/** A multiaddr of tcp, ws or a relay over these, or null. */
export function tryParseAddress(text: string): Multiaddr | null {
  if (text.length === 0 || text.length > ADDRESS_TEXT_MAX) return null
  let address: Multiaddr
  try {
    address = multiaddr(text)
  } catch {
    return null // the parser tells what is no multiaddr by throwing
  }
  const shape = address.getComponents().map((component) => component.name)
  return SHAPES.some((pattern) => pattern.test(shape.join('/'))) ? address : null
}

/** Throws PEER_ADDRESS_INVALID. */
export function parseAddress(text: string): Multiaddr {
  const address = tryParseAddress(text)
  if (address === null) {
    throw new MeshError('PEER_ADDRESS_INVALID', 'not an address of a node', {
      details: { address: text.slice(0, ADDRESS_TEXT_MAX) }
    })
  }
  return address
}

/** Parses one to eight addresses. Throws PEER_ADDRESS_INVALID. */
export function parseAddresses(texts: readonly string[]): Multiaddr[] {
  if (texts.length === 0 || texts.length > LIMITS.addressesPerMemberMax) {
    throw new MeshError('PEER_ADDRESS_INVALID', `one to ${LIMITS.addressesPerMemberMax} addresses are needed`, {
      details: { addresses: texts.length }
    })
  }
  return texts.map(parseAddress)
}

/** The key at the end of the address; null when the address names none or not an Ed25519 key. */
export function keyOfAddress(address: Multiaddr): PeerKey | null {
  const last = address.getComponents().at(-1)
  if (last?.code !== CODE_P2P || last.value === undefined) return null
  const key = tryParsePeerId(last.value)
  return key === null ? null : toHex(key)
}

/** The key named by the text of an address, or null. */
export function tryKeyOfAddress(text: string): PeerKey | null {
  const address = tryParseAddress(text)
  return address === null ? null : keyOfAddress(address)
}

/** The address with /p2p/ of `key` at its end; null when it already names another key. */
export function tryAddressOf(address: Multiaddr, key: PeerKey): Multiaddr | null {
  const named = address.getComponents().at(-1)?.code === CODE_P2P
  if (!named) return address.encapsulate(`/p2p/${peerIdOf(key)}`)
  return keyOfAddress(address) === key ? address : null
}

/** The valid ones of `texts` that lead to `key`, at most eight. */
export function usableAddresses(texts: readonly string[], key: PeerKey): Multiaddr[] {
  const usable: Multiaddr[] = []
  for (const text of texts) {
    const address = tryParseAddress(text)
    const named = address === null ? null : tryAddressOf(address, key)
    if (named !== null && usable.length < LIMITS.addressesPerMemberMax) usable.push(named)
  }
  return usable
}

/** The text without the peer id at its end. */
export function withoutPeerId(text: string): string {
  const address = multiaddr(text)
  const components = address.getComponents()
  return components.at(-1)?.code === CODE_P2P ? multiaddr(components.slice(0, -1)).toString() : text
}

/** Addresses worth telling others: without loopback ones when there are any beside them, which would lead a remote node to itself. */
export function reachableAddresses(texts: readonly string[]): string[] {
  const others = texts.filter((text) => !/^\/(?:ip4\/127\.|ip6\/::1\/|dns[46]?\/localhost\/)/.test(text))
  return others.length > 0 ? others : [...texts]
}
