// A scripted model server on loopback that really speaks the protocols: OpenAI’s chat completions, streamed or whole, and Anthropic’s
// messages, streamed. Each request takes the next reply of the script; every request is kept.

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'

export interface ScriptedCall {
  readonly tool: string
  /** Sent as it is, JSON or not, in `pieces` pieces. */
  readonly arguments: string
  readonly id?: string
}

interface Counted {
  /** Null: the server does not count. */
  readonly usage?: { readonly input: number; readonly output: number } | null
  /** Pieces that each text and each argument text is sent in. */
  readonly pieces?: number
  /** Between two pieces. */
  readonly pauseMs?: number
}

export type ChatReply =
  | (Counted & { readonly kind: 'text'; readonly text: string; readonly reason?: 'stop' | 'length' | 'content_filter' })
  | (Counted & { readonly kind: 'calls'; readonly calls: readonly ScriptedCall[]; readonly text?: string })
  | {
      readonly kind: 'status'
      readonly status: number
      readonly message?: string
      readonly retryAfter?: string
      readonly location?: string
    }
  /** No answer at all, until the client goes. */
  | { readonly kind: 'hang' }
  /** The connection is torn where `at` says: before the head, behind it, in the text, in the arguments of a call. */
  | { readonly kind: 'cut'; readonly at: 'start' | 'head' | 'text' | 'call' }
  /** A whole-looking stream that ends without its end: half a call, and no finish reason. */
  | { readonly kind: 'half-call'; readonly tool: string; readonly arguments: string }
  /** A piece of text every `everyMs`, for ever. */
  | { readonly kind: 'drip'; readonly everyMs: number }
  /** Bytes without end, as fast as they are taken. */
  | { readonly kind: 'flood' }
  /** These events, as they are. */
  | { readonly kind: 'raw'; readonly events: readonly string[] }

export interface RecordedChat {
  readonly path: string
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: ChatBody
  /** Whether the client went before the reply was whole. */
  cancelled: boolean
}

/** What tests look at of a request’s body; both protocols have it. */
export interface ChatBody {
  readonly model: string
  readonly stream?: boolean
  readonly max_tokens?: number
  readonly system?: unknown
  readonly messages: readonly {
    readonly role: string
    readonly content: unknown
    readonly tool_calls?: readonly {
      readonly id: string
      readonly function: { readonly name: string; readonly arguments: string }
    }[]
    readonly tool_call_id?: string
  }[]
  readonly tools?: readonly unknown[]
}

export interface ChatServer {
  /** `http://127.0.0.1:PORT/v1`. */
  readonly baseUrl: string
  readonly origin: string
  readonly requests: readonly RecordedChat[]
  /** Requests that are being answered now. */
  readonly open: number
  /** The most that were answered at one time. */
  readonly openMost: number
  /** Adds replies to the script. */
  reply(...replies: readonly ChatReply[]): void
  /** Answers what the script has no reply for; without it such a request gets 500. */
  otherwise(answer: (request: RecordedChat) => ChatReply): void
  close(): Promise<void>
}

export async function startChatServer(...script: readonly ChatReply[]): Promise<ChatServer> {
  const replies = [...script]
  const requests: RecordedChat[] = []
  const sockets = new Set<Socket>()
  const counts = { open: 0, most: 0 }
  let fallback: (request: RecordedChat) => ChatReply = () => ({
    kind: 'status',
    status: 500,
    message: 'the script has no reply'
  })
  const server = createServer((request, response) => {
    counts.open++
    counts.most = Math.max(counts.most, counts.open)
    response.on('close', () => counts.open--)
    readBody(request)
      .then((body) => {
        const chat: RecordedChat = { path: request.url ?? '', headers: request.headers, body, cancelled: false }
        requests.push(chat)
        response.on('close', () => {
          chat.cancelled = !response.writableFinished
        })
        send(response, chat, replies.shift() ?? fallback(chat))
      })
      .catch(() => response.destroy())
  })
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    baseUrl: `${origin}/v1`,
    origin,
    requests,
    get open() {
      return counts.open
    },
    get openMost() {
      return counts.most
    },
    reply: (...more) => {
      replies.push(...more)
    },
    otherwise: (answer) => {
      fallback = answer
    },
    close: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise<void>((resolve) => server.close(() => resolve()))
    }
  }
}

async function readBody(request: IncomingMessage): Promise<ChatBody> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return JSON.parse(Buffer.concat(chunks).toString('utf8')) as ChatBody
}

function send(response: ServerResponse, chat: RecordedChat, reply: ChatReply): void {
  switch (reply.kind) {
    case 'hang':
      return
    case 'status':
      return sendStatus(response, reply)
    case 'cut':
      return sendCut(response, reply.at)
    case 'half-call':
      return sendEvents(response, [...callEvents([reply], 2), '[DONE]'])
    case 'drip':
      return sendDrip(response, reply.everyMs)
    case 'flood':
      return sendFlood(response)
    case 'raw':
      return sendEvents(response, reply.events)
    default:
      if (chat.path.endsWith('/messages')) sendAnthropic(response, reply)
      else if (chat.body.stream === true)
        sendSlowly(response, [...completionEvents(reply), '[DONE]'], reply.pauseMs ?? 0)
      else sendWhole(response, reply)
  }
}

type Answer = Extract<ChatReply, { kind: 'text' | 'calls' }>

function sendStatus(response: ServerResponse, reply: Extract<ChatReply, { kind: 'status' }>): void {
  response.writeHead(reply.status, {
    'content-type': 'application/json',
    ...(reply.retryAfter === undefined ? {} : { 'retry-after': reply.retryAfter }),
    ...(reply.location === undefined ? {} : { location: reply.location })
  })
  response.end(JSON.stringify({ error: { message: reply.message ?? 'no', type: 'scripted' } }))
}

function head(response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
  response.flushHeaders()
}

function sendEvents(response: ServerResponse, events: readonly string[]): void {
  head(response)
  for (const event of events) response.write(`data: ${event}\n\n`)
  response.end()
}

function sendSlowly(response: ServerResponse, events: readonly string[], pauseMs: number): void {
  if (pauseMs === 0) return sendEvents(response, events)
  head(response)
  const left = [...events]
  const timer = setInterval(() => {
    const event = left.shift()
    if (event !== undefined) response.write(`data: ${event}\n\n`)
    if (left.length === 0) response.end()
  }, pauseMs)
  response.on('close', () => clearInterval(timer))
}

function sendCut(response: ServerResponse, at: 'start' | 'head' | 'text' | 'call'): void {
  if (at === 'start') {
    response.destroy()
    return
  }
  head(response)
  const events =
    at === 'text'
      ? [chunk({ content: 'half an ans' })]
      : at === 'call'
        ? callEvents([{ tool: 'calc', arguments: '{"expression":"1' }], 2)
        : []
  for (const event of events) response.write(`data: ${event}\n\n`)
  setTimeout(() => response.destroy(), 20)
}

function sendDrip(response: ServerResponse, everyMs: number): void {
  head(response)
  const timer = setInterval(() => response.write(`data: ${chunk({ content: 'drip ' })}\n\n`), everyMs)
  response.on('close', () => clearInterval(timer))
}

function sendFlood(response: ServerResponse): void {
  head(response)
  const piece = `data: ${chunk({ content: 'x'.repeat(60_000) })}\n\n`
  const pour = (): void => {
    while (!response.destroyed && response.write(piece));
  }
  response.on('drain', pour)
  pour()
}

function sendWhole(response: ServerResponse, reply: Answer): void {
  const calls = reply.kind === 'calls' ? reply.calls : []
  const message = {
    role: 'assistant',
    content: reply.text ?? null,
    ...(calls.length === 0
      ? {}
      : { tool_calls: calls.map((call, index) => ({ ...wireCall(call, index), index: undefined })) })
  }
  response.writeHead(200, { 'content-type': 'application/json' })
  response.end(
    JSON.stringify({
      id: 'chatcmpl-1',
      object: 'chat.completion',
      created: 1_700_000_000,
      model: 'scripted',
      choices: [{ index: 0, message, finish_reason: finishReason(reply) }],
      ...usageOf(reply)
    })
  )
}

function completionEvents(reply: Answer): string[] {
  const pieces = reply.pieces ?? 3
  const words = cut(reply.text ?? '', pieces).map((content) => chunk({ content }))
  const calls = reply.kind === 'calls' ? callEvents(reply.calls, pieces) : []
  const usage = reply.usage === null ? [] : [JSON.stringify({ ...frame(), choices: [], ...usageOf(reply) })]
  return [chunk({ role: 'assistant', content: '' }), ...words, ...calls, chunk({}, finishReason(reply)), ...usage]
}

function callEvents(calls: readonly ScriptedCall[], pieces: number): string[] {
  return calls.flatMap((call, index) => {
    const first = chunk({ tool_calls: [{ ...wireCall(call, index), function: { name: call.tool, arguments: '' } }] })
    const rest = cut(call.arguments, pieces).map((text) =>
      chunk({ tool_calls: [{ index, function: { arguments: text } }] })
    )
    return [first, ...rest]
  })
}

function wireCall(call: ScriptedCall, index: number): object {
  const id = call.id ?? `call_${index + 1}`
  return { index, id, type: 'function', function: { name: call.tool, arguments: call.arguments } }
}

function finishReason(reply: Answer): string {
  return reply.kind === 'calls' ? 'tool_calls' : (reply.reason ?? 'stop')
}

function frame(): object {
  return { id: 'chatcmpl-1', object: 'chat.completion.chunk', created: 1_700_000_000, model: 'scripted' }
}

function chunk(delta: object, reason: string | null = null): string {
  return JSON.stringify({ ...frame(), choices: [{ index: 0, delta, finish_reason: reason }] })
}

function usageOf(reply: Answer): object {
  if (reply.usage === null) return {}
  const { input, output } = reply.usage ?? { input: 10, output: 5 }
  return { usage: { prompt_tokens: input, completion_tokens: output, total_tokens: input + output } }
}

function sendAnthropic(response: ServerResponse, reply: Answer): void {
  const { input, output } = reply.usage ?? { input: 10, output: 5 }
  const blocks = [
    ...(reply.text === undefined
      ? []
      : [{ start: { type: 'text', text: '' }, kind: 'text_delta', key: 'text', text: reply.text }]),
    ...(reply.kind === 'calls' ? reply.calls : []).map((call, index) => ({
      start: { type: 'tool_use', id: call.id ?? `toolu_${index + 1}`, name: call.tool, input: {} },
      kind: 'input_json_delta',
      key: 'partial_json',
      text: call.arguments
    }))
  ]
  const message = { id: 'msg_1', type: 'message', role: 'assistant', model: 'scripted', content: [] }
  const events: object[] = [
    { type: 'message_start', message: { ...message, usage: { input_tokens: input, output_tokens: 1 } } },
    ...blocks.flatMap(({ start, kind, key, text }, index) => [
      { type: 'content_block_start', index, content_block: start },
      ...cut(text, reply.pieces ?? 3).map((piece) => ({
        type: 'content_block_delta',
        index,
        delta: { type: kind, [key]: piece }
      })),
      { type: 'content_block_stop', index }
    ]),
    {
      type: 'message_delta',
      delta: { stop_reason: reply.kind === 'calls' ? 'tool_use' : 'end_turn', stop_sequence: null },
      usage: { output_tokens: output }
    },
    { type: 'message_stop' }
  ]
  head(response)
  for (const event of events) {
    const { type } = event as { type: string }
    response.write(`event: ${type}\ndata: ${JSON.stringify(event)}\n\n`)
  }
  response.end()
}

function cut(text: string, pieces: number): string[] {
  const size = Math.max(1, Math.ceil(text.length / pieces))
  const parts: string[] = []
  for (let from = 0; from < text.length; from += size) parts.push(text.slice(from, from + size))
  return parts
}
