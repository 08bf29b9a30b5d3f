import assert from 'node:assert/strict'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { createServer as createTlsServer } from 'node:tls'
import { gzipSync } from 'node:zlib'
import { LIMITS } from '../../src/base/limits.ts'
import { guardedFetch, guardedFetchFor } from '../../src/web/guarded-fetch.ts'
import { createUrlGuard } from '../../src/web/url-guard.ts'
import { guardFor, startServer } from './web-server.ts'

test('SSRF-2 the connection goes to the address that was judged, and the name stays in the Host header', async (t) => {
  const server = await startServer(t, 'named.test', (request, response) => response.end(`host ${request.headers.host}`))
  const answer = await guardedFetch(guardFor(server), `${server.url}/x`)
  assert.equal(answer.status, 200)
  assert.equal(Buffer.from(answer.body).toString(), `host named.test:${server.port}`)
})

test('SSRF-2 the name stays in SNI', async (t) => {
  const names = Promise.withResolvers<string>()
  const server = createTlsServer({
    SNICallback: (name, done) => {
      names.resolve(name)
      done(new Error('no certificate here'))
    }
  })
  server.on('tlsClientError', () => undefined)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  const place = `sni.test:${(server.address() as AddressInfo).port}`
  const guard = createUrlGuard({ allowPrivate: [place], resolve: async () => ['127.0.0.1'] })
  await assert.rejects(guardedFetch(guard, `https://${place}`), { code: 'FETCH_FAILED' })
  assert.equal(await names.promise, 'sni.test')
})

test('SSRF-2 a name that answers otherwise at the second lookup reaches nothing', async (t) => {
  const server = await startServer(t, 'rebound.test', (_, response) => response.end('reached'))
  const answers = [['93.184.216.34'], ['127.0.0.1']]
  const guard = createUrlGuard({ resolve: async () => answers.shift() ?? ['127.0.0.1'] })
  const url = new URL('http://rebound.test:8080')
  assert.deepEqual(await guard.addresses(guard.check(url)), ['93.184.216.34'])
  await assert.rejects(guardedFetch(guard, url.href), { code: 'URL_REFUSED' })
  assert.equal(server.requests.length, 0)
})

test('SSRF-3 redirects into denied space are not followed', async (t) => {
  const inner = await startServer(t, '127.0.0.1', (_, response) => response.end('secret'))
  const targets = [
    inner.url,
    `http://localhost:${inner.port}`,
    'http://169.254.169.254/latest',
    'file:///etc/passwd',
    'http://[::1]/',
    'http://user@example.com',
    'gopher://x',
    'http://other.test:22'
  ]
  const outer = await startServer(t, 'outer.test', (request, response) => {
    response.writeHead(302, { location: targets[Number(request.url?.slice(1))] }).end()
  })
  const guard = guardFor(outer)
  for (const index of targets.keys()) {
    await assert.rejects(guardedFetch(guard, `${outer.url}/${index}`), { code: 'URL_REFUSED' }, targets[index])
    await assert.rejects(guardedFetchFor(guard)(`${outer.url}/${index}`), { code: 'URL_REFUSED' }, targets[index])
  }
  assert.equal(inner.requests.length, 0)
})

test('SSRF-3 a chain of redirects ends', async (t) => {
  const server = await startServer(t, 'loop.test', (_, response) =>
    response.writeHead(302, { location: '/again' }).end()
  )
  await assert.rejects(guardedFetch(guardFor(server), server.url), { code: 'FETCH_FAILED' })
  assert.equal(server.requests.length, LIMITS.webRedirectsMax + 1)
})

test('SSRF-3 credentials do not follow a redirect to another origin, and the method changes as fetch says', async (t) => {
  const second = await startServer(t, 'second.test', (_, response) => response.end('there'))
  const first = await startServer(t, 'first.test', (request, response) => {
    response.writeHead(request.url === '/307' ? 307 : 302, { location: `${second.url}/landed` }).end()
  })
  const headers = { authorization: 'Bearer secret', 'x-api-key': 'secret', cookie: 'a=secret', accept: 'text/plain' }
  const guard = guardFor(first, second)
  for (const path of ['302', '307']) {
    await guardedFetch(guard, `${first.url}/${path}`, { method: 'POST', headers, body: 'x' })
  }
  assert.deepEqual(
    second.requests.map(({ method }) => method),
    ['GET', 'POST']
  )
  for (const { headers: received } of second.requests) {
    assert.ok(!JSON.stringify(received).includes('secret'))
    assert.equal(received.accept, 'text/plain')
  }
  assert.equal(first.requests[0]?.headers['x-api-key'], 'secret')
})

test('SSRF-3 a caller’s Host header is not sent', async (t) => {
  const server = await startServer(t, 'host.test', (request, response) => response.end(request.headers.host))
  const answer = await guardedFetch(guardFor(server), server.url, {
    headers: { Host: '169.254.169.254', 'Proxy-Authorization': 'x' }
  })
  assert.equal(Buffer.from(answer.body).toString(), `host.test:${server.port}`)
  assert.equal(server.requests[0]?.headers['proxy-authorization'], undefined)
})

test('a body is cut after unpacking: a bomb stays a limit’s worth of bytes', async (t) => {
  const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024))
  const server = await startServer(t, 'bomb.test', (_, response) => {
    response.writeHead(200, { 'content-encoding': 'gzip' }).end(bomb)
  })
  const before = process.memoryUsage().arrayBuffers
  const answer = await guardedFetch(guardFor(server), server.url, { bytesMax: 100_000 })
  assert.deepEqual([answer.body.length, answer.truncated], [100_000, true])
  assert.ok(process.memoryUsage().arrayBuffers - before < 16 * 1024 * 1024)
})

test('a server that never answers, or never ends, ends at the time limit or with the caller', async (t) => {
  const server = await startServer(t, 'slow.test', (request, response) => {
    if (request.url === '/drip') response.writeHead(200).write('x')
  })
  const guard = guardFor(server)
  for (const path of ['silent', 'drip']) {
    await assert.rejects(guardedFetch(guard, `${server.url}/${path}`, { timeMs: 200 }), { code: 'FETCH_FAILED' })
  }
  const signal = AbortSignal.timeout(100)
  await assert.rejects(guardedFetch(guard, `${server.url}/silent`, { signal }), { name: 'TimeoutError' })
})

test('SSRF-4 the fetch for libraries streams, and passes the same guard', async (t) => {
  const server = await startServer(t, 'stream.test', (_, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.write('data: one\n\n')
  })
  const fetchGuarded = guardedFetchFor(guardFor(server))
  const answer = await fetchGuarded(
    new Request(server.url, { method: 'POST', body: '{}', headers: { 'x-api-key': 'k' } })
  )
  assert.ok(answer instanceof Response && answer.ok)
  assert.equal(answer.headers.get('content-type'), 'text/event-stream')
  const reader = answer.body!.getReader()
  assert.equal(new TextDecoder().decode((await reader.read()).value), 'data: one\n\n')
  await reader.cancel()
  assert.deepEqual([server.requests[0]?.method, server.requests[0]?.headers['x-api-key']], ['POST', 'k'])
  await assert.rejects(fetchGuarded('http://127.0.0.1:9'), { code: 'URL_REFUSED' })
  await assert.rejects(fetchGuarded(new URL('http://localhost')), { code: 'URL_REFUSED' })
})

test('SSRF-4 proxies of the environment are not asked', async (t) => {
  const proxy = await startServer(t, 'proxy.test', (_, response) => response.end('proxied'))
  const server = await startServer(t, 'direct.test', (_, response) => response.end('direct'))
  process.env.HTTP_PROXY = proxy.url
  t.after(() => {
    delete process.env.HTTP_PROXY
  })
  assert.equal(Buffer.from((await guardedFetch(guardFor(server), server.url)).body).toString(), 'direct')
  assert.equal(proxy.requests.length, 0)
})

test('connections are used again', async (t) => {
  const server = await startServer(t, 'again.test', (_, response) => response.end('ok'))
  const guard = guardFor(server)
  for (let count = 0; count < 6; count++) await guardedFetch(guard, server.url)
  assert.ok(new Set(server.requests.map(({ socket }) => socket.remotePort)).size <= 2)
})
