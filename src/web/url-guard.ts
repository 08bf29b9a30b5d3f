// The one guard of outgoing requests (SSRF-1 to SSRF-4): web tools, model servers, MCP servers and callbacks all pass it. A URL is judged
// as it is written, then every address that its name has; the connection goes to an address that was judged, so that a name that answers
// differently the second time (rebinding) changes nothing.

import { lookup } from 'node:dns/promises'
import { LIMITS } from '../base/limits.ts'
import { MeshError } from '../base/mesh-error.ts'
import { addressDenial, hostDenial } from './address-guard.ts'

export interface UrlGuardOptions {
  /** `host:port` that the owner named: private and loopback addresses are fine there, and so is the port. */
  readonly allowPrivate?: readonly string[]
  /** All addresses of a name; the system's resolver unless given. */
  readonly resolve?: (host: string) => Promise<readonly string[]>
}

export interface UrlGuard {
  /** The URL, judged as it is written. Throws URL_REFUSED. */
  check(url: string | URL): URL
  /** Addresses that the host of a checked URL has now, every one of them allowed. Throws URL_REFUSED, FETCH_FAILED. */
  addresses(url: URL): Promise<readonly string[]>
}

const PORTS: ReadonlySet<string> = new Set(['80', '443', '8080', '8443'])
const URL_CHARACTERS_MAX = 8192

export function createUrlGuard(options: UrlGuardOptions = {}): UrlGuard {
  const named = new Set((options.allowPrivate ?? []).map(namedPlace))
  const resolve = options.resolve ?? resolveBySystem
  return {
    check: (url) => checkUrl(url, named),
    async addresses(url) {
      const host = bareHost(url)
      const privateAllowed = named.has(placeOf(url))
      const found = isLiteral(url) ? [host] : await inTime(resolve(host), host)
      if (found.length === 0) throw new MeshError('FETCH_FAILED', `the name has no address: ${host}`)
      for (const address of found) {
        const denial = addressDenial(address, privateAllowed)
        if (denial !== null) throw refused(`the name leads to a ${denial}`, host)
      }
      return found.slice(0, LIMITS.webAddressesMax)
    }
  }
}

function checkUrl(url: string | URL, named: ReadonlySet<string>): URL {
  const text = String(url)
  if (text.length > URL_CHARACTERS_MAX || !URL.canParse(text)) throw refused('not a URL', text.slice(0, 100))
  const parsed = new URL(text)
  if (parsed.protocol !== 'http:' && parsed.protocol !== 'https:') throw refused('only http and https', parsed.protocol)
  if (parsed.username !== '' || parsed.password !== '') throw refused('a user name in the URL', parsed.host)
  // A name with a dot at its end is the same host, and would pass for another one.
  if (parsed.hostname.endsWith('.')) parsed.hostname = parsed.hostname.replace(/\.+$/, '')
  if (parsed.hostname.endsWith('.')) throw refused('a host without a name', parsed.host)
  const isNamed = named.has(placeOf(parsed))
  if (!isNamed && !PORTS.has(portOf(parsed))) throw refused('an unexpected port', parsed.host)
  const denial = hostDenial(parsed.hostname, isNamed)
  if (denial !== null) throw refused(`a ${denial}`, parsed.host)
  return parsed
}

/** Of `host:port` or a URL that the owner wrote. Throws CONFIG_INVALID. */
function namedPlace(text: string): string {
  const url = /^https?:\/\//.test(text) ? text : `http://${text}`
  if (!URL.canParse(url)) throw new MeshError('CONFIG_INVALID', `not a host and port: ${text}`)
  return placeOf(new URL(url))
}

function placeOf(url: URL): string {
  return `${url.hostname.replace(/\.+$/, '')}:${portOf(url)}`
}

function portOf(url: URL): string {
  return url.port || (url.protocol === 'https:' ? '443' : '80')
}

/** Without the brackets of an IPv6 address. */
function bareHost(url: URL): string {
  return url.hostname.startsWith('[') ? url.hostname.slice(1, -1) : url.hostname
}

function isLiteral(url: URL): boolean {
  return url.hostname.startsWith('[') || /^[\d.]+$/.test(url.hostname)
}

async function resolveBySystem(host: string): Promise<readonly string[]> {
  const found = await lookup(host, { all: true, order: 'verbatim' })
  return found.map(({ address }) => address)
}

/** The resolver's answer, or its silence after a while. */
async function inTime(answer: Promise<readonly string[]>, host: string): Promise<readonly string[]> {
  const late = Promise.withResolvers<never>()
  const timer = setTimeout(() => late.reject(new Error('no answer')), LIMITS.webConnectMs)
  try {
    return await Promise.race([answer, late.promise])
  } catch (cause) {
    throw new MeshError('FETCH_FAILED', `the name cannot be looked up: ${host}`, { cause })
  } finally {
    clearTimeout(timer)
  }
}

function refused(why: string, what: string): MeshError {
  return new MeshError('URL_REFUSED', `${why}: ${what}`)
}
