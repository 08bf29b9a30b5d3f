// Numbers, times and ids as people read them.

const SECOND = 1_000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR
const UNITS: Readonly<Record<string, number>> = { ms: 1, s: SECOND, m: MINUTE, h: HOUR, d: DAY }

/** `1 204`. */
export function formatCount(count: number): string {
  return String(count).replaceAll(/\B(?=(\d{3})+$)/g, ' ')
}

/** `1 event`, `1 204 events`. */
export function countOf(count: number, noun: string): string {
  return `${formatCount(count)} ${noun}${count === 1 ? '' : 's'}`
}

/** `41 ms`, `0.4 s`, `12 s`, `3 h 12 m`, `2 d 4 h`. */
export function formatDuration(milliseconds: number): string {
  const ms = Math.max(0, Math.round(milliseconds))
  if (ms < 100) return `${ms} ms`
  if (ms < 10 * SECOND) return `${(ms / SECOND).toFixed(1)} s`
  if (ms < MINUTE) return `${Math.floor(ms / SECOND)} s`
  if (ms < HOUR) return pair(ms, MINUTE, 'm', SECOND, 's')
  if (ms < DAY) return pair(ms, HOUR, 'h', MINUTE, 'm')
  return pair(ms, DAY, 'd', HOUR, 'h')
}

function pair(ms: number, large: number, largeUnit: string, small: number, smallUnit: string): string {
  const rest = Math.floor((ms % large) / small)
  return `${Math.floor(ms / large)} ${largeUnit}${rest === 0 ? '' : ` ${rest} ${smallUnit}`}`
}

/** `now`, `12 s ago`; `never` for null. */
export function formatAgo(time: string | null, nowMs: number): string {
  if (time === null) return 'never'
  const ago = nowMs - Date.parse(time)
  return ago < 5 * SECOND ? 'now' : `${formatDuration(ago)} ago`
}

/** `2026-11-20 08:00:01Z`. */
export function formatTime(time: string): string {
  return `${time.slice(0, 19).replace('T', ' ')}Z`
}

/** `456.8 kB`. */
export function formatBytes(bytes: number): string {
  if (bytes < 1_000) return `${bytes} B`
  if (bytes < 1_000_000) return `${(bytes / 1_000).toFixed(1)} kB`
  return `${(bytes / 1_000_000).toFixed(1)} MB`
}

/** `12D3KooWQ4…f7Zp`. Not an identifier. */
export function shortId(peerId: string): string {
  return peerId.length <= 15 ? peerId : `${peerId.slice(0, 10)}…${peerId.slice(-4)}`
}

/** Milliseconds of `500ms`, `30s`, `5m`, `2h`, `7d`; a bare number is seconds. Null for anything else. */
export function tryParseDuration(text: string): number | null {
  const match = /^(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h|d)?$/.exec(text)
  return match === null ? null : Math.round(Number(match[1]) * (UNITS[match[2] ?? 's'] ?? SECOND))
}

/** `192.168.1.7:4701` of a multiaddr; the text itself when it has no host and port. */
export function hostOf(address: string): string {
  const match = /^\/(?:ip4|ip6|dns|dns4|dns6)\/([^/]+)\/(?:tcp|udp)\/(\d+)/.exec(address)
  if (match?.[1] === undefined) return address
  return match[1].includes(':') ? `[${match[1]}]:${match[2]}` : `${match[1]}:${match[2]}`
}

/** `~/…` for a path under the user's folder. */
export function shortPath(path: string, home: string | undefined): string {
  if (home === undefined || home === '' || home === '/') return path
  return path === home ? '~' : path.startsWith(`${home}/`) ? `~${path.slice(home.length)}` : path
}
