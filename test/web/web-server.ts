// A real HTTP server on loopback that a test answers with a function, and a guard that the owner told of it by a name.

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { TestContext } from 'node:test'
import { createUrlGuard, type UrlGuard } from '../../src/web/url-guard.ts'

export interface WebServer {
  readonly port: number
  /** As the owner names it: the guard resolves `*.test` to loopback. */
  readonly url: string
  readonly requests: readonly IncomingMessage[]
}

export async function startServer(
  t: TestContext,
  name: string,
  answer: (request: IncomingMessage, response: ServerResponse) => void
): Promise<WebServer> {
  const requests: IncomingMessage[] = []
  const server = createServer((request, response) => {
    requests.push(request)
    answer(request, response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  return { port, url: `http://${name}:${port}`, requests }
}

/** Names end at loopback; only the given servers are the owner's. */
export function guardFor(...servers: readonly WebServer[]): UrlGuard {
  return createUrlGuard({
    allowPrivate: servers.map(({ url }) => new URL(url).host),
    resolve: async () => ['127.0.0.1']
  })
}
