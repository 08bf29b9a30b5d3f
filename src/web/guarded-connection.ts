// Connections of outgoing requests: each one is judged again where it is made, and made to an address that was judged. The name stays in
// the Host header and in SNI, so that the server's certificate is checked for the name. Knows nothing of requests.

import { Agent, buildConnector } from 'undici'
import { LIMITS } from '../base/limits.ts'
import { MeshError } from '../base/mesh-error.ts'
import type { UrlGuard } from './url-guard.ts'

type Connect = buildConnector.connector
type Connection = Parameters<buildConnector.Callback>

const connectNow = buildConnector({ allowH2: false, timeout: LIMITS.webConnectMs, autoSelectFamily: false })

/** A pool of connections that all pass `guard`; idle ones keep no process alive. Proxies of the environment are not used. */
export function guardedAgent(guard: UrlGuard): Agent {
  return new Agent({
    connect: (options, callback) => {
      connectGuarded(guard, options).then(
        (socket) => callback(null, socket),
        (error: unknown) => callback(error instanceof Error ? error : new Error(String(error)), null)
      )
    },
    allowH2: false,
    maxOrigins: LIMITS.webOriginsMax,
    connections: LIMITS.webConnectionsPerOriginMax
  })
}

async function connectGuarded(guard: UrlGuard, options: Parameters<Connect>[0]) {
  const url = guard.check(`${options.protocol}//${options.host ?? options.hostname}`)
  const faults: unknown[] = []
  for (const hostname of await guard.addresses(url)) {
    try {
      return await connectTo({ ...options, hostname })
    } catch (error) {
      faults.push(error)
    }
  }
  throw new MeshError('FETCH_FAILED', `no connection: ${url.host}`, { cause: new AggregateError(faults) })
}

function connectTo(options: Parameters<Connect>[0]): Promise<NonNullable<Connection[1]>> {
  return new Promise((resolve, reject) => {
    connectNow(options, (error, socket) => {
      if (!socket) reject(error ?? new Error('no socket'))
      else resolve(socket)
    })
  })
}
