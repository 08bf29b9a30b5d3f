// Outgoing requests (SSRF-1 to SSRF-4): every hop is judged before it is made, redirects are followed by hand, bodies are bounded after
// they are unpacked. Two forms: one whole answer for tools, and a `fetch` for libraries that bring their own protocol.

import { type Agent, fetch, Headers, type RequestInit as Init, type Response as WebResponse } from 'undici'
import { LIMITS } from '../base/limits.ts'
import { isMeshError, MeshError, messageOf } from '../base/mesh-error.ts'
import { guardedAgent } from './guarded-connection.ts'
import type { UrlGuard } from './url-guard.ts'

export interface WebRequest {
  readonly method?: 'GET' | 'HEAD' | 'POST'
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Uint8Array
  /** Most bytes of the unpacked body; what is beyond is left out. */
  readonly bytesMax?: number
  /** For everything: names, connections, redirects and the body. */
  readonly timeMs?: number
  readonly signal?: AbortSignal
  /** Redirects to other hosts are answers, not followed: what was allowed was this host. */
  readonly sameHost?: boolean
}

export interface WebAnswer {
  /** Where the answer came from, after redirects. */
  readonly url: string
  readonly status: number
  readonly headers: ReadonlyMap<string, string>
  readonly body: Uint8Array
  readonly truncated: boolean
}

// Whatever else a caller sends may be a secret for the first host alone.
const KEPT_ACROSS_ORIGINS: ReadonlySet<string> = new Set(['accept', 'accept-language', 'content-type', 'user-agent'])
// The connection's own, and the name that the guard looked at.
const NEVER_SENT = [
  'host',
  'connection',
  'keep-alive',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'content-length'
]
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308])

const agents = new WeakMap<UrlGuard, Agent>()

/** One answer, read whole. Throws URL_REFUSED, FETCH_FAILED, and the signal's reason. */
export async function guardedFetch(guard: UrlGuard, url: string, request: WebRequest = {}): Promise<WebAnswer> {
  const { method = 'GET', bytesMax = LIMITS.webBodyBytesMax, timeMs = LIMITS.toolTimeMsMax } = request
  const late = AbortSignal.timeout(timeMs)
  const signal = request.signal === undefined ? late : AbortSignal.any([request.signal, late])
  const headers = { 'user-agent': 'pmesh', ...request.headers }
  try {
    const init = { method, headers, body: request.body ?? null, signal }
    const answer = await follow(guard, url, init, request.sameHost === true)
    const { body, truncated } = await readBody(answer, bytesMax)
    return { url: answer.url, status: answer.status, headers: new Map(answer.headers), body, truncated }
  } catch (error) {
    request.signal?.throwIfAborted()
    if (late.aborted) throw new MeshError('FETCH_FAILED', `no whole answer in ${timeMs} ms`, { cause: error })
    throw asMeshError(error)
  }
}

/**
 * A `fetch` for model SDKs and MCP transports: same guard, answers streamed and bounded. Rejects with URL_REFUSED and FETCH_FAILED in the
 * place of a TypeError.
 */
export function guardedFetchFor(guard: UrlGuard): typeof globalThis.fetch {
  const guarded = async (input: string | URL | Request, init: RequestInit = {}): Promise<Response> => {
    // A Request of another implementation is only its parts.
    const request = typeof input === 'object' && 'url' in input ? input : null
    const options = partsOf({ ...(request === null ? {} : await initOf(request)), ...init })
    try {
      return bounded(await follow(guard, request?.url ?? String(input), options), LIMITS.webStreamBytesMax)
    } catch (error) {
      options.signal?.throwIfAborted()
      throw asMeshError(error)
    }
  }
  return guarded
}

async function initOf(request: Request): Promise<RequestInit> {
  const { method, headers, signal, redirect } = request
  const body = request.body === null ? null : new Uint8Array(await request.arrayBuffer())
  return { method, headers, signal, redirect, body }
}

function partsOf({ method = 'GET', headers, body = null, signal = null, redirect = 'follow' }: RequestInit): Init {
  return {
    method,
    headers: [...new Headers(headers as Init['headers'])],
    body: body as NonNullable<Init['body']> | null,
    signal,
    redirect,
    duplex: 'half'
  }
}

/** Follows redirects as fetch does, each judged like the first request. */
async function follow(guard: UrlGuard, first: string, init: Init, sameHost = false): Promise<WebResponse> {
  const dispatcher = agentOf(guard)
  let url = guard.check(first)
  let request: Init = { ...init, headers: sentHeaders(init.headers) }
  for (let hops = 0; ; hops++) {
    const answer = await fetch(url.href, { ...request, redirect: 'manual', dispatcher })
    const location = answer.headers.get('location')
    if (!REDIRECTS.has(answer.status) || location === null || init.redirect === 'manual') return answer
    const target = URL.canParse(location, url.href) ? new URL(location, url) : null
    if (sameHost && target !== null && target.hostname !== url.hostname) return answer
    await answer.body?.cancel()
    if (hops >= LIMITS.webRedirectsMax) throw new MeshError('FETCH_FAILED', 'too many redirects')
    if (init.redirect === 'error') throw new MeshError('FETCH_FAILED', 'the server redirects')
    if (target === null) throw new MeshError('URL_REFUSED', 'a redirect to what is not a URL')
    const next = guard.check(target)
    request = redirected(request, answer.status, url, next)
    url = next
  }
}

function redirected(request: Init, status: number, from: URL, to: URL): Init {
  if (from.protocol === 'https:' && to.protocol === 'http:') {
    throw new MeshError('URL_REFUSED', 'a redirect from https to http')
  }
  const headers = new Headers(request.headers)
  if (from.origin !== to.origin) {
    for (const name of [...headers.keys()]) if (!KEPT_ACROSS_ORIGINS.has(name)) headers.delete(name)
  }
  const method = (request.method ?? 'GET').toUpperCase()
  if (status === 303 ? method !== 'HEAD' : status < 303 && method === 'POST') {
    headers.delete('content-type')
    return { ...request, headers, method: 'GET', body: null }
  }
  const { body } = request
  if (body !== null && body !== undefined && typeof body !== 'string' && !(body instanceof Uint8Array)) {
    throw new MeshError('FETCH_FAILED', 'a redirect of a body that cannot be sent again')
  }
  return { ...request, headers }
}

function sentHeaders(given: Init['headers']): Headers {
  const headers = new Headers(given)
  for (const name of [...headers.keys()]) {
    if (NEVER_SENT.includes(name) || name.startsWith('proxy-')) headers.delete(name)
  }
  return headers
}

function agentOf(guard: UrlGuard): Agent {
  const known = agents.get(guard)
  if (known !== undefined) return known
  const agent = guardedAgent(guard)
  agents.set(guard, agent)
  return agent
}

/** Reads what is unpacked piece by piece, and stops unpacking at the limit. */
async function readBody(answer: WebResponse, bytesMax: number): Promise<{ body: Uint8Array; truncated: boolean }> {
  const pieces: Uint8Array[] = []
  let room = bytesMax
  for await (const piece of answer.body ?? []) {
    const bytes = piece as Uint8Array
    pieces.push(bytes.subarray(0, room))
    room -= bytes.length
    if (room < 0) break
  }
  return { body: Buffer.concat(pieces), truncated: room < 0 }
}

/** The same answer as the runtime's own class, with a body that fails beyond the limit. */
function bounded(answer: WebResponse, bytesMax: number): Response {
  let room = bytesMax
  const limit = new TransformStream<Uint8Array, Uint8Array>({
    transform(piece, controller) {
      room -= piece.length
      if (room < 0) controller.error(new MeshError('FETCH_FAILED', `an answer of more than ${bytesMax} bytes`))
      else controller.enqueue(piece)
    }
  })
  const { status, statusText, headers, url } = answer
  const body = (answer.body?.pipeThrough(limit) ?? null) as ReadableStream<Uint8Array<ArrayBuffer>> | null
  const limited = new Response(body, { status, statusText, headers: [...headers] })
  Object.defineProperty(limited, 'url', { value: url })
  return limited
}

function asMeshError(error: unknown): MeshError {
  for (let cause = error; cause instanceof Error; cause = cause.cause) if (isMeshError(cause)) return cause
  const told = error instanceof Error && error.cause instanceof Error ? error.cause : error
  return new MeshError('FETCH_FAILED', `the request failed: ${messageOf(told)}`, { cause: error })
}
