import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { JsonObject, ToolOutcome } from '../../src/pipeline/contract.ts'
import { createFetchTool } from '../../src/tools/fetch-tool.ts'
import { createUrlGuard, type UrlGuard } from '../../src/web/url-guard.ts'
import { guardFor, startServer } from '../web/web-server.ts'
import { callTool, outputOf } from './tool-kit.ts'

function fetched(guard: UrlGuard, args: JsonObject): Promise<ToolOutcome> {
  return callTool(createFetchTool(guard), args)
}

test('SSRF-4 the fetch tool asks through the guard and refuses what it refuses', async () => {
  const guard = createUrlGuard({ resolve: async () => ['10.0.0.1'] })
  for (const url of [
    'http://127.0.0.1/',
    'http://localhost',
    'file:///etc/passwd',
    'http://u:p@example.com',
    'https://inner.test'
  ]) {
    const outcome = await fetched(guard, { url })
    assert.deepEqual([outcome.status, outcome.code, outcome.output.length], ['refused', 'URL_REFUSED', 0], url)
  }
})

test('TOOL-3 fetch tells status, chosen headers and text, and encodes what is not text', async (t) => {
  const server = await startServer(t, 'pages.test', (request, response) => {
    const binary = request.url === '/image'
    response.writeHead(404, {
      'content-type': binary ? 'image/png' : 'text/plain; charset=iso-8859-1',
      'set-cookie': 'secret=1'
    })
    response.end(binary ? Buffer.from([0, 255]) : Buffer.from([0x63, 0x61, 0x66, 0xe9]))
  })
  const guard = guardFor(server)
  const text = JSON.parse(outputOf(await fetched(guard, { url: `${server.url}/page` })))
  assert.deepEqual([text.status, text.body, text.encoding, text.truncated], [404, 'café', 'text', false])
  assert.deepEqual(Object.keys(text.headers), ['content-type'])
  const image = JSON.parse(outputOf(await fetched(guard, { url: `${server.url}/image` })))
  assert.deepEqual([image.body, image.encoding], ['AP8=', 'base64'])
})

test('TOOL-3 the fetch tool’s output stays whole JSON within the call’s limit', async (t) => {
  const server = await startServer(t, 'large.test', (_, response) => response.end(Buffer.alloc(3_000_000, 1)))
  const tool = createFetchTool(guardFor(server))
  const limits = { ...tool.descriptor.limits, outputBytes: 200_000 }
  const outcome = await callTool(tool, { url: server.url }, { limits })
  assert.ok(outcome.output.length <= 200_000)
  assert.equal(outcome.truncated, true)
  assert.equal(JSON.parse(outputOf(outcome)).truncated, true)
})

test('SSRF-3 a redirect to another host is told and not followed: the rules saw the first host only', async (t) => {
  const other = await startServer(t, 'other.test', (_, response) => response.end('other'))
  const server = await startServer(t, 'first.test', (request, response) => {
    if (request.url === '/there') response.end('there')
    else response.writeHead(302, { location: request.url === '/out' ? `${other.url}/x?secret` : '/there' }).end()
  })
  const guard = guardFor(server, other)
  const told = JSON.parse(outputOf(await fetched(guard, { url: `${server.url}/out` })))
  assert.deepEqual([told.status, told.headers.location], [302, `${other.url}/x?secret`])
  assert.equal(other.requests.length, 0)
  assert.equal(JSON.parse(outputOf(await fetched(guard, { url: `${server.url}/in` }))).body, 'there')
})

test('TOOL-3 fetch takes GET, HEAD and POST and no header that splits or renames', async (t) => {
  const server = await startServer(t, 'methods.test', (request, response) => {
    request.pipe(response.writeHead(200, { 'content-type': 'text/plain' }))
  })
  const guard = guardFor(server)
  const { url } = server
  assert.equal(JSON.parse(outputOf(await fetched(guard, { url, method: 'POST', body: 'hello' }))).body, 'hello')
  assert.equal((await fetched(guard, { url, method: 'HEAD' })).status, 'ok')
  const refused = [
    { url, method: 'DELETE' },
    { url, body: 'x' },
    { url, headers: { 'x-a': 'a\r\nHost: b' } },
    { url, headers: { 'x a': 'b' } },
    { url, other: 1 },
    {}
  ]
  for (const args of refused)
    assert.equal((await fetched(guard, args)).code, 'TOOL_INPUT_INVALID', JSON.stringify(args))
})

test('SSRF-1 fetch tells the rules the host in its one spelling, and refuses what the guard refuses before anybody is asked', () => {
  const tool = createFetchTool(createUrlGuard())
  assert.deepEqual(tool.touches({ url: 'http://EXAMPLE.com.:80/x' }).hosts, ['example.com'])
  for (const url of ['http://2130706433', 'http://169.254.169.254/', 'nonsense', 'file:///etc/passwd'])
    assert.throws(() => tool.touches({ url }), { code: 'URL_REFUSED' }, url)
})

test('a call of fetch ends at its time limit', async (t) => {
  const server = await startServer(t, 'slow.test', () => undefined)
  const tool = createFetchTool(guardFor(server))
  const outcome = await callTool(tool, { url: server.url }, { limits: { ...tool.descriptor.limits, timeMs: 150 } })
  assert.deepEqual([outcome.status, outcome.code], ['timeout', 'TOOL_TIMEOUT'])
})
