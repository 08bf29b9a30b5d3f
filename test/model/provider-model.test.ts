import assert from 'node:assert/strict'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { isMeshError } from '../../src/base/mesh-error.ts'
import { openModels } from '../../src/model/model-book.ts'
import type { ChatRequest } from '../../src/pipeline/contract.ts'
import { guardedFetchFor } from '../../src/web/guarded-fetch.ts'
import { createUrlGuard } from '../../src/web/url-guard.ts'
import { startChatServer } from './chat-server.ts'
import { API_KEY, ask, hear, scriptedModels, until } from './model-kit.ts'

const CALC = { name: 'calc', description: 'adds', parameters: { type: 'object', properties: {} } }
const READ = { name: 'file.read', description: 'reads', parameters: { type: 'object', properties: {} } }

function withCode(code: string, ...texts: readonly string[]) {
  return (error: unknown): boolean => {
    assert.ok(isMeshError(error), inspect(error))
    assert.equal(error.code, code, error.message)
    const shown = inspect(error)
    assert.ok(!shown.includes(API_KEY), 'the credential stands in the error')
    for (const text of texts) assert.ok(shown.includes(text), `${shown} lacks ${text}`)
    return true
  }
}

test('a model answers in pieces, and its tokens are counted and priced', async (context) => {
  const { book, server } = await scriptedModels(context)
  server.reply({ kind: 'text', text: 'Hello there, you.', pieces: 4, usage: { input: 1000, output: 200 } })
  const pieces: string[] = []
  for await (const part of book.model('local/small').stream(ask('hi'), new AbortController().signal))
    pieces.push(part.kind === 'text' ? part.text : JSON.stringify(part))
  assert.deepEqual(pieces.slice(0, -1).join(''), 'Hello there, you.')
  assert.ok(pieces.length > 3, 'it came in pieces')
  assert.deepEqual(JSON.parse(pieces.at(-1) ?? ''), {
    kind: 'end',
    reason: 'stop',
    usage: { inputTokens: 1000, outputTokens: 200, costMicros: 6000 }
  })
  const [request] = server.requests
  assert.equal(request?.path, '/v1/chat/completions')
  assert.equal(request?.headers.authorization, `Bearer ${API_KEY}`)
  assert.equal(request?.body.model, 'small')
  assert.equal(request?.body.stream, true)
  assert.equal(request?.body.max_tokens, 100)
  assert.deepEqual(request?.body.messages, [{ role: 'user', content: 'hi' }])
})

test('a server that does not count is counted for, and an unpriced model costs null', async (context) => {
  const { book, server } = await scriptedModels(context)
  server.reply({ kind: 'text', text: 'x'.repeat(40), usage: null }, { kind: 'text', text: 'y' })
  const counted = await hear(book.model('local/small'), ask('z'.repeat(400)))
  assert.equal(counted.usage?.outputTokens, 10)
  assert.ok((counted.usage?.inputTokens ?? 0) >= 100)
  assert.ok((counted.usage?.costMicros ?? 0) >= 450)
  const other = await hear(book.model('local/other'), ask('hi'))
  assert.equal(other.usage?.costMicros, null)
})

test('calls come in the model’s own words: spaces, invalid JSON and half a call included', async (context) => {
  const { book, server } = await scriptedModels(context)
  const texts = ['{ "expression" : "1 + 1" }', '{"a":1,"a":2,"__proto__":{}}', '{"path": "a', 'no JSON at all', '']
  server.reply({
    kind: 'calls',
    text: 'Let me see.',
    calls: texts.map((text, index) => ({
      tool: index % 2 === 0 ? 'calc' : 'file-read',
      arguments: text,
      id: `id-${index}`
    })),
    pieces: 5
  })
  const request: ChatRequest = { ...ask('hi'), tools: [CALC, READ] }
  const { calls, text, reason } = await hear(book.model('local/small'), request)
  assert.equal(text, 'Let me see.')
  assert.equal(reason, 'calls')
  assert.deepEqual(
    calls.map((call) => call.argumentText),
    [...texts.slice(0, 4), '{}']
  )
  assert.deepEqual(
    calls.map((call) => call.tool),
    ['calc', 'file.read', 'calc', 'file.read', 'calc']
  )
  const names = server.requests[0]?.body.tools as { function: { name: string } }[]
  assert.deepEqual(
    names.map((tool) => tool.function.name),
    ['calc', 'file-read']
  )
})

test('a call of a tool that was not offered is passed on as the model wrote it', async (context) => {
  const { book, server } = await scriptedModels(context)
  server.reply({ kind: 'calls', calls: [{ tool: 'rm-rf', arguments: '{"path":"/"}' }] })
  const { calls } = await hear(book.model('local/small'), { ...ask('hi'), tools: [CALC] })
  assert.deepEqual(calls, [{ id: 'call_1', tool: 'rm-rf', argumentText: '{"path":"/"}' }])
})

test('calls and their results go back to the model, paired by their ids', async (context) => {
  const { book, server } = await scriptedModels(context)
  server.reply({ kind: 'text', text: '3' })
  await hear(book.model('local/small'), {
    messages: [
      { role: 'system', text: 'Be short.' },
      { role: 'user', text: 'add' },
      {
        role: 'assistant',
        text: 'Adding.',
        calls: [
          { id: 'a', tool: 'calc', argumentText: '{"expression":"1+2"}' },
          { id: 'b', tool: 'file.read', argumentText: '{"path":' }
        ]
      },
      { role: 'tool', text: '3', callId: 'a', toolName: 'calc' },
      { role: 'tool', text: 'denied', callId: 'b', toolName: 'file.read' }
    ],
    tools: [CALC, READ],
    outputTokensMax: 50
  })
  const messages = server.requests[0]?.body.messages ?? []
  assert.deepEqual(
    messages.map((message) => message.role),
    ['system', 'user', 'assistant', 'tool', 'tool']
  )
  assert.deepEqual(
    messages[2]?.tool_calls?.map((call) => [call.id, call.function.name, call.function.arguments]),
    [
      ['a', 'calc', '{"expression":"1+2"}'],
      ['b', 'file-read', '{"unparsed":"{\\"path\\":"}']
    ]
  )
  assert.deepEqual([messages[3]?.tool_call_id, messages[4]?.content], ['a', 'denied'])
})

test('429, 500 and a torn connection before the first byte are tried again, three times at most', async (context) => {
  const { book, server } = await scriptedModels(context)
  server.reply(
    { kind: 'status', status: 429, retryAfter: '0' },
    { kind: 'cut', at: 'start' },
    { kind: 'text', text: 'ok' }
  )
  assert.equal((await hear(book.model('local/small'), ask('hi'))).text, 'ok')
  assert.equal(server.requests.length, 3)
  for (let times = 0; times < 3; times++) server.reply({ kind: 'status', status: 500 })
  await assert.rejects(hear(book.model('local/small'), ask('hi')), withCode('MODEL_UNREACHABLE', '500'))
  assert.equal(server.requests.length, 6)
})

test('a server that asks for a long pause is not waited for', async (context) => {
  const { book, server } = await scriptedModels(context)
  server.reply({ kind: 'status', status: 429, retryAfter: '3600' })
  await assert.rejects(hear(book.model('local/small'), ask('hi')), withCode('MODEL_OVERLOADED', '429'))
  assert.equal(server.requests.length, 1)
})

test('ID-9 a refusal is told once, in the server’s words without the credential', async (context) => {
  const { book, server } = await scriptedModels(context)
  server.reply({ kind: 'status', status: 401, message: `Incorrect API key: ${API_KEY}\u001b[2J\nnext line` })
  await assert.rejects(hear(book.model('local/small'), ask('hi')), withCode('MODEL_REFUSED', 'Incorrect API key'))
  server.reply({ kind: 'status', status: 404, message: 'no such model' })
  await assert.rejects(hear(book.model('local/small'), ask('hi')), withCode('MODEL_REFUSED', 'no such model'))
  assert.equal(server.requests.length, 2)
})

test('an answer that began and broke off is a fault: not asked again, and none of its calls come out', async (context) => {
  const { book, server } = await scriptedModels(context)
  const model = book.model('local/small')
  const request: ChatRequest = { ...ask('hi'), tools: [CALC] }
  const replies = [
    { kind: 'cut', at: 'text' },
    { kind: 'cut', at: 'call' },
    { kind: 'cut', at: 'head' },
    { kind: 'half-call', tool: 'calc', arguments: '{"expression":"1' },
    { kind: 'raw', events: ['{"error":{"message":"the engine died"}}'] },
    { kind: 'raw', events: ['not json'] },
    { kind: 'raw', events: ['{"unexpected":true}', '[DONE]'] }
  ] as const
  for (const [index, reply] of replies.entries()) {
    server.reply(reply)
    const kinds: string[] = []
    const heard = (async () => {
      for await (const part of model.stream(request, new AbortController().signal)) kinds.push(part.kind)
    })()
    await assert.rejects(heard, withCode('MODEL_ANSWER_INVALID'), JSON.stringify(reply))
    assert.ok(!kinds.includes('call') && !kinds.includes('end'), JSON.stringify(reply))
    assert.equal(server.requests.length, index + 1, 'asked once')
  }
})

test('a model that is silent or drips for ever is timed out, and its connection ends', async (context) => {
  const { book, server } = await scriptedModels(context, { timeMsMax: 250 })
  for (const reply of [{ kind: 'hang' }, { kind: 'drip', everyMs: 20 }] as const) {
    server.reply(reply)
    await assert.rejects(hear(book.model('local/small'), ask('hi')), withCode('MODEL_TIMEOUT', '250'))
  }
  await until(() => server.open === 0)
  assert.deepEqual(
    server.requests.map((request) => request.cancelled),
    [true, true]
  )
})

test('an answer without end is broken off', async (context) => {
  const { book, server } = await scriptedModels(context)
  server.reply({ kind: 'flood' })
  await assert.rejects(hear(book.model('local/small'), ask('hi')), withCode('MODEL_ANSWER_INVALID'))
  await until(() => server.open === 0)
})

test('who stops listening or aborts ends the request', async (context) => {
  const { book, server } = await scriptedModels(context)
  const stop = new AbortController()
  server.reply({ kind: 'hang' })
  const waiting = hear(book.model('local/small'), ask('hi'), stop.signal)
  await until(() => server.requests.length === 1)
  stop.abort()
  await assert.rejects(waiting, withCode('CANCELLED'))
  server.reply({ kind: 'drip', everyMs: 5 })
  for await (const part of book.model('local/small').stream(ask('hi'), new AbortController().signal)) {
    assert.equal(part.kind, 'text')
    break
  }
  await until(() => server.open === 0)
})

test('a redirect is not followed: the credential stays with its server', async (context) => {
  const { book, server } = await scriptedModels(context)
  const thief = await startChatServer()
  context.after(() => thief.close())
  server.otherwise(() => ({ kind: 'status', status: 307, location: `${thief.baseUrl}/chat/completions` }))
  await assert.rejects(hear(book.model('local/small'), ask('hi')), withCode('MODEL_UNREACHABLE'))
  assert.equal(thief.requests.length, 0)
})

test('SSRF-4 a model server is reached through the guard: what the owner’s file does not name is refused', async (context) => {
  const { server, file } = await scriptedModels(context)
  server.reply({ kind: 'text', text: 'hello' })
  const book = openModels({
    agentsFile: file,
    fetchFor: () => guardedFetchFor(createUrlGuard()),
    env: {},
    retryMsMin: 5
  })
  await assert.rejects(hear(book.model('local/small'), ask('hi')), withCode('MODEL_UNREACHABLE', 'local/small'))
  assert.equal(server.requests.length, 0)
})

test('a server that is not there is told by the network’s word', async (context) => {
  const { book, server } = await scriptedModels(context)
  await server.close()
  await assert.rejects(hear(book.model('local/small'), ask('hi')), withCode('MODEL_UNREACHABLE', 'ECONNREFUSED'))
})

test('agents.toml is read anew when it has changed', async (context) => {
  const { book, server, write } = await scriptedModels(context, {
    more: '[agents.a]\nprovider = "local"\nmodel = "m"\n'
  })
  const before = book.section()
  assert.equal(book.section(), before)
  write('')
  assert.equal(book.section().agents.size, 0)
  write('[providers.local2]\ntype = "ollama"\n')
  assert.throws(() => book.model('nobody/x'), withCode('AGENT_INVALID', 'providers.nobody'))
  assert.equal(server.requests.length, 0)
})

test('Anthropic’s protocol: text, calls as written, usage, and its own header', async (context) => {
  const { book, server, write, file } = await scriptedModels(context)
  write(`[providers.claude]\ntype = "anthropic"\nbase_url = "${server.baseUrl}"\n`)
  await assert.rejects(hear(book.model('claude/opus'), ask('hi')), withCode('CREDENTIAL_MISSING', 'claude'))
  file.credentialSet('claude', 'api_key', API_KEY)
  server.reply({
    kind: 'calls',
    text: 'Looking.',
    calls: [{ tool: 'file-read', arguments: '{ "path" : "a.txt" }' }],
    usage: { input: 7, output: 3 }
  })
  const heard = await hear(book.model('claude/opus'), { ...ask('hi'), tools: [READ] })
  assert.equal(heard.text, 'Looking.')
  assert.deepEqual(heard.calls, [{ id: 'toolu_1', tool: 'file.read', argumentText: '{ "path" : "a.txt" }' }])
  assert.deepEqual(heard.usage, { inputTokens: 7, outputTokens: 3, costMicros: null })
  assert.equal(server.requests[0]?.path, '/v1/messages')
  assert.equal(server.requests[0]?.headers['x-api-key'], API_KEY)
})

test('PRIVATE-1 no host but the model’s own is contacted, whatever the environment says', async (context) => {
  const trap = await startChatServer()
  context.after(() => trap.close())
  const names = ['ANTHROPIC_BASE_URL', 'AI_GATEWAY_BASE_URL', 'OPENAI_BASE_URL', 'HTTP_PROXY', 'HTTPS_PROXY'] as const
  for (const name of names) process.env[name] = trap.baseUrl
  context.after(() => {
    for (const name of names) delete process.env[name]
  })
  const { book, server, write, file } = await scriptedModels(context)
  write(`[providers.claude]\ntype = "anthropic"\nbase_url = "${server.baseUrl}"\n`)
  file.credentialSet('claude', 'api_key', API_KEY)
  const opened: string[] = []
  const listener = (message: unknown): void => {
    const { connectParams } = message as { connectParams: { hostname: string; port: string } }
    opened.push(`http://${connectParams.hostname}:${connectParams.port}`)
  }
  subscribe('undici:client:beforeConnect', listener)
  context.after(() => unsubscribe('undici:client:beforeConnect', listener))
  server.reply({ kind: 'text', text: 'a' }, { kind: 'text', text: 'b' })
  await hear(book.model('local/small'), ask('hi'))
  await hear(book.model('claude/opus'), ask('hi'))
  assert.ok(opened.length > 0)
  assert.deepEqual([...new Set(opened)], [server.origin])
  assert.equal(trap.requests.length, 0)
})
