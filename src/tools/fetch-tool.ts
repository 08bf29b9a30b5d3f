// fetch: one request to the web, through the guard of outgoing requests. A redirect to another host is told and not followed: the rules
// looked at the host that the call names.

import { z } from 'zod'
import { LIMITS } from '../base/limits.ts'
import { MeshError } from '../base/mesh-error.ts'
import type { Tool } from '../pipeline/contract.ts'
import { guardedFetch, type WebAnswer } from '../web/guarded-fetch.ts'
import type { UrlGuard } from '../web/url-guard.ts'
import { builtinTool } from './builtin-tool.ts'

const HEADERS = z
  .record(z.string().regex(/^[A-Za-z0-9-]{1,64}$/), z.string().regex(/^[\t\x20-\x7e]{0,4096}$/))
  .refine((headers) => Object.keys(headers).length <= LIMITS.fetchHeadersMax, 'too many headers')
const ARGUMENTS = z.strictObject({
  url: z.string().min(1).max(8192).describe('http or https, to a public address.'),
  method: z.enum(['GET', 'HEAD', 'POST']).optional(),
  headers: HEADERS.optional(),
  body: z.string().max(LIMITS.webRequestBytesMax).optional()
})
const SHOWN_HEADERS = ['content-type', 'content-length', 'last-modified', 'etag', 'location', 'retry-after']
const TEXT = /^(?:text\/|application\/(?:[\w.+-]+\+)?(?:json|xml|yaml|toml|javascript|x-www-form-urlencoded)\b)/i
/** What JSON adds to a text at most, and room for the rest of the answer. */
const ESCAPED_MAX = 6
const REST_BYTES = 32 * 1024

/** The tool `fetch`: `{url, method?, headers?, body?}` to JSON `{url, status, headers, body, encoding, truncated}`. */
export function createFetchTool(guard: UrlGuard): Tool {
  return builtinTool({
    name: 'fetch',
    version: 1,
    description:
      'Sends one HTTP request to a public server and returns status, some headers and the body (base64 when it is not text). Redirects to other hosts are returned, not followed.',
    arguments: ARGUMENTS,
    tier: 'external',
    taints: 'web',
    usesWorkspace: false,
    // What the guard refuses by its spelling alone is not asked about: a throw denies.
    touches: ({ url }) => ({ hosts: [hostOf(guard.check(url).href)] }),
    async run({ url, method = 'GET', headers = {}, body }, call) {
      if (body !== undefined && method !== 'POST') {
        throw new MeshError('TOOL_INPUT_INVALID', 'only POST has a body')
      }
      const room = Math.floor((call.limits.outputBytes - REST_BYTES) / ESCAPED_MAX)
      const answer = await guardedFetch(guard, url, {
        method,
        headers,
        ...(body === undefined ? {} : { body }),
        bytesMax: Math.max(0, Math.min(LIMITS.fetchBodyBytesMax, room)),
        timeMs: call.limits.timeMs,
        signal: call.signal,
        sameHost: true
      })
      return { output: JSON.stringify(shown(answer)), truncated: answer.truncated }
    }
  })
}

/** As the rules see it: lower-case, an IP address in its one spelling; the text itself when it is no URL. */
function hostOf(url: string): string {
  return URL.canParse(url) ? new URL(url).hostname.replace(/\.+$/, '') : url
}

function shown({ url, status, headers, body, truncated }: WebAnswer) {
  const type = headers.get('content-type') ?? ''
  const text = textOf(body, type)
  return {
    url,
    status,
    headers: Object.fromEntries(
      SHOWN_HEADERS.flatMap((name) => (headers.has(name) ? [[name, headers.get(name)]] : []))
    ),
    body: text ?? Buffer.from(body).toString('base64'),
    encoding: text === null ? 'base64' : 'text',
    truncated
  }
}

/** Null when the body is not text. */
function textOf(body: Uint8Array, type: string): string | null {
  if (type !== '' && !TEXT.test(type)) return null
  const charset = /;\s*charset="?([\w.:-]+)"?/i.exec(type)?.[1] ?? 'utf-8'
  return decoded(body, charset) ?? decoded(body, 'utf-8')
}

function decoded(body: Uint8Array, charset: string): string | null {
  try {
    return new TextDecoder(charset).decode(body)
  } catch (error) {
    if (error instanceof RangeError) return null // a character set that nobody knows
    throw error
  }
}
