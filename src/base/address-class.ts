// What kind of place an IP address is (IANA special-purpose registries, RFC 6890 and its followers). Pure: used for outgoing requests and
// for addresses that peers advertise. Addresses that carry another one inside are judged by that one, or are of a kind never to be used.

import { isIPv4, isIPv6 } from 'node:net'

/** `metadata`: a cloud's own service; `tunnel`: IPv4 inside IPv6 by a way that leads through whoever runs the tunnel. */
export type AddressClass =
  | 'public'
  | 'private'
  | 'loopback'
  | 'link-local'
  | 'multicast'
  | 'unspecified'
  | 'reserved'
  | 'tunnel'
  | 'metadata'

interface Range {
  readonly first: bigint
  /** Bits after the prefix. */
  readonly rest: bigint
  readonly kind: AddressClass
}

// The first that fits counts.
const RANGES_4 = ranges([
  ['169.254.169.254/32', 'metadata'],
  ['168.63.129.16/32', 'metadata'],
  ['100.100.100.200/32', 'metadata'],
  ['192.0.0.192/32', 'metadata'],
  ['0.0.0.0/8', 'unspecified'],
  ['127.0.0.0/8', 'loopback'],
  ['10.0.0.0/8', 'private'],
  ['172.16.0.0/12', 'private'],
  ['192.168.0.0/16', 'private'],
  ['100.64.0.0/10', 'private'],
  ['169.254.0.0/16', 'link-local'],
  ['192.0.0.0/24', 'reserved'],
  ['192.0.2.0/24', 'reserved'],
  ['192.31.196.0/24', 'reserved'],
  ['192.52.193.0/24', 'reserved'],
  ['192.88.99.0/24', 'tunnel'],
  ['192.175.48.0/24', 'reserved'],
  ['198.18.0.0/15', 'reserved'],
  ['198.51.100.0/24', 'reserved'],
  ['203.0.113.0/24', 'reserved'],
  ['224.0.0.0/4', 'multicast'],
  ['240.0.0.0/4', 'reserved'],
  ['0.0.0.0/0', 'public']
])
const RANGES_6 = ranges([
  ['::/128', 'unspecified'],
  ['::1/128', 'loopback'],
  ['fd00:ec2::254/128', 'metadata'],
  ['fd20:ce::254/128', 'metadata'],
  ['::/96', 'tunnel'],
  ['64:ff9b:1::/48', 'private'],
  ['fc00::/7', 'private'],
  ['fe80::/10', 'link-local'],
  ['fec0::/10', 'private'],
  ['ff00::/8', 'multicast'],
  ['2001::/32', 'tunnel'],
  ['2001::/23', 'reserved'],
  ['2001:db8::/32', 'reserved'],
  ['2002::/16', 'tunnel'],
  ['2620:4f:8000::/48', 'reserved'],
  ['3fff::/20', 'reserved'],
  ['2000::/3', 'public'],
  ['::/0', 'reserved']
])
const MAPPED = numberOf6('::ffff:0:0') >> 32n
const NAT64 = numberOf6('64:ff9b::') >> 32n
const ISATAP = 0x5efen

/** Null when `text` is not an IP address. A zone (`%eth0`) is only found on link-local ones. */
export function classOfAddress(text: string): AddressClass | null {
  const [address = '', zone] = text.split('%')
  if (isIPv4(text)) return classIn(RANGES_4, numberOf4(text))
  if (!isIPv6(address)) return null
  const number = numberOf6(address)
  const kind = classOf6(number)
  return zone === undefined || kind !== 'public' ? kind : 'link-local'
}

function classOf6(number: bigint): AddressClass {
  const inner = number & 0xffff_ffffn
  const prefix = number >> 32n
  // NAT64's own prefix is how a network without IPv4 reaches public IPv4 addresses (RFC 6052).
  if (prefix === MAPPED || prefix === NAT64) return classIn(RANGES_4, inner)
  // ISATAP names its IPv4 address in the lower half of any prefix, with or without the universal bit (RFC 5214).
  if ((prefix & 0xffff_ffffn & ~0x0200_0000n) === ISATAP) return 'tunnel'
  return classIn(RANGES_6, number)
}

function classIn(table: readonly Range[], number: bigint): AddressClass {
  return table.find(({ first, rest }) => number >> rest === first >> rest)?.kind ?? 'reserved'
}

function ranges(table: readonly (readonly [string, AddressClass])[]): readonly Range[] {
  return table.map(([text, kind]) => {
    const [address = '', bits = ''] = text.split('/')
    const four = isIPv4(address)
    return {
      first: four ? numberOf4(address) : numberOf6(address),
      rest: BigInt((four ? 32 : 128) - Number(bits)),
      kind
    }
  })
}

function numberOf4(text: string): bigint {
  return text.split('.').reduce((number, part) => number * 256n + BigInt(part), 0n)
}

/** Of an address that is one. The URL parser writes every spelling in one way: groups in hexadecimal, at most one `::`. */
function numberOf6(text: string): bigint {
  const canonical = new URL(`http://[${text}]`).hostname.slice(1, -1)
  const [head = '', tail] = canonical.split('::').map((half) => (half === '' ? [] : half.split(':')))
  const first = head === '' ? [] : head
  const last = tail ?? []
  const groups = [...first, ...Array<string>(8 - first.length - last.length).fill('0'), ...last]
  return groups.reduce((number, group) => number * 65_536n + BigInt(`0x${group}`), 0n)
}
