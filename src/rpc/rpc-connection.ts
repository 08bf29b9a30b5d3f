// One client of the local socket: lines in, answers and notifications out. Bounded in every direction (RPC-3): the length of a line,
// requests in flight (above it the socket is not read), subscriptions, bytes that wait for the reader. Knows no method by name.

import type { Socket } from 'node:net'
import { LIMITS } from '../base/limits.ts'
import type { Logger } from '../base/logger.ts'
import { isMeshError, MeshError, messageOf } from '../base/mesh-error.ts'
import type { NodeApi } from '../node/node-api.ts'
import { errorObject, jsonPointer, type RequestId, type RpcAnswer, type RpcRequest, readRequest } from './json-rpc.ts'
import { LineReader } from './line-reader.ts'
import type { Method, MethodContext, StreamName } from './method.ts'
import { findMethod } from './methods.ts'

/** Above this the next request waits and subscriptions pause, so that only answers in flight can reach the backlog's limit. */
const BACKLOG_PAUSE_BYTES = LIMITS.rpcLineBytesMax
const PROGRESS_INTERVAL_MS = 100
const GOODBYE_MS = 2_000
/** A client that has closed its half may be gone altogether: only writing tells. */
const HALF_CLOSED_PROBE_MS = 1_000

interface Running {
  readonly abort: AbortController
  /** Streams that start once the answer is sent. */
  readonly opened: (() => void)[]
}

type OpenStream = (signal: AbortSignal) => AsyncIterable<object>

export interface RpcConnectionOptions {
  readonly api: NodeApi
  readonly logger: Logger
  readonly onClose: () => void
}

export class RpcConnection {
  readonly #socket: Socket
  readonly #api: NodeApi
  readonly #logger: Logger
  readonly #reader = new LineReader(LIMITS.rpcLineBytesMax)
  readonly #decoder = new TextDecoder('utf-8', { fatal: true })
  readonly #lines: Buffer[] = []
  readonly #running = new Map<string, Running>()
  readonly #subscriptions = new Map<string, AbortController>()
  readonly #closed = new AbortController()
  readonly #drained = new Set<() => void>()
  #inFlight = 0
  #nextSubscription = 1
  #state: 'reading' | 'too-long' | 'ended' | 'closed' = 'reading'

  constructor(socket: Socket, options: RpcConnectionOptions) {
    this.#socket = socket
    this.#api = options.api
    this.#logger = options.logger
    socket.on('data', (chunk: Buffer) => this.#receive(chunk))
    socket.on('end', () => this.#receiveEnd())
    socket.on('drain', () => this.#drain())
    // An error is always followed by 'close'; a client that went away is no event worth a warning.
    socket.on('error', (error) => this.#logger.debug('socket client failed', { reason: messageOf(error) }))
    socket.on('close', () => {
      this.#close()
      options.onClose()
    })
  }

  /** Reads no more, answers what is in flight, then closes. */
  finish(): void {
    if (this.#state !== 'reading') return
    this.#lines.length = 0
    this.#receiveEnd()
  }

  destroy(): void {
    this.#socket.destroy()
  }

  #receive(chunk: Buffer): void {
    if (this.#state !== 'reading') return
    const { lines, tooLong } = this.#reader.push(chunk)
    for (const line of lines) if (line.length > 0) this.#lines.push(line)
    if (tooLong) this.#state = 'too-long'
    this.#advance()
  }

  #receiveEnd(): void {
    if (this.#state !== 'reading') return
    this.#state = 'ended'
    const rest = this.#reader.end()
    if (rest !== null) this.#lines.push(rest)
    for (const abort of this.#subscriptions.values()) abort.abort()
    const probe = setInterval(() => this.#notify('rpc/alive', {}), HALF_CLOSED_PROBE_MS)
    this.#socket.once('close', () => clearInterval(probe))
    this.#advance()
  }

  #advance(): void {
    while (this.#inFlight < LIMITS.rpcInFlightMax && this.#socket.writableLength < BACKLOG_PAUSE_BYTES) {
      const line = this.#lines.shift()
      if (line === undefined) break
      this.#inFlight++
      void this.#handleLine(line).finally(() => {
        this.#inFlight--
        this.#advance()
      })
    }
    if (this.#state === 'reading') this.#readOrPause()
    else if (this.#state !== 'closed' && this.#lines.length === 0 && this.#inFlight === 0) this.#sayGoodbye()
  }

  #readOrPause(): void {
    const busy = this.#lines.length > 0 || this.#inFlight >= LIMITS.rpcInFlightMax
    if (busy || this.#socket.writableLength >= BACKLOG_PAUSE_BYTES) this.#socket.pause()
    else this.#socket.resume()
  }

  #sayGoodbye(): void {
    if (this.#state === 'too-long') {
      this.#send(
        this.#failure(
          null,
          new MeshError(
            'RPC_LINE_TOO_LONG',
            `cannot read the request: the line is longer than ${LIMITS.rpcLineBytesMax} bytes`
          )
        )
      )
      // What the client still sends is thrown away for a while: closing on unread bytes would reset it before it has read the answer.
      this.#socket.resume()
      this.#socket.once('end', () => this.#socket.destroySoon())
      setTimeout(() => this.#socket.destroy(), GOODBYE_MS).unref()
      this.#socket.end()
    } else this.#socket.end(() => this.#socket.destroySoon())
    this.#state = 'closed'
  }

  async #handleLine(line: Buffer): Promise<void> {
    let message: unknown
    try {
      message = JSON.parse(this.#decoder.decode(line))
    } catch (error) {
      this.#logger.debug('socket client sent no JSON', {
        bytes: line.length,
        reason: error instanceof Error ? error.name : ''
      })
      this.#send(
        this.#failure(null, new MeshError('RPC_PARSE_ERROR', 'cannot read the request: the line is not JSON in UTF-8'))
      )
      return
    }
    if (!Array.isArray(message)) {
      const opened: (() => void)[] = []
      const answer = await this.#handleMessage(message, opened)
      if (answer !== null) this.#send(answer)
      for (const start of opened) start()
      return
    }
    await this.#handleBatch(message)
  }

  /** One after another, so that a batch counts as one request in flight. */
  async #handleBatch(messages: readonly unknown[]): Promise<void> {
    if (messages.length === 0 || messages.length > LIMITS.rpcBatchMax) {
      const why =
        messages.length === 0
          ? 'the batch is empty'
          : `the batch has ${messages.length} requests, ${LIMITS.rpcBatchMax} are possible`
      this.#send(this.#failure(null, new MeshError('RPC_INVALID_REQUEST', `cannot read the request: ${why}`)))
      return
    }
    const answers: RpcAnswer[] = []
    const opened: (() => void)[] = []
    for (const message of messages) {
      const answer = await this.#handleMessage(message, opened)
      if (answer !== null) answers.push(answer)
    }
    if (answers.length > 0) this.#send(answers)
    for (const start of opened) start()
  }

  async #handleMessage(message: unknown, opened: (() => void)[]): Promise<RpcAnswer | null> {
    const request = readRequest(message)
    if ('error' in request) return this.#failure(request.id, request.error)
    const running: Running = { abort: new AbortController(), opened }
    const key = JSON.stringify(request.id)
    if (request.id !== undefined) this.#running.set(key, running)
    try {
      const result = await this.#invoke(request, running)
      return request.id === undefined ? null : { jsonrpc: '2.0', id: request.id, result }
    } catch (error) {
      if (!isMeshError(error) && !running.abort.signal.aborted && !this.#closed.signal.aborted)
        this.#reportDefect(request, error)
      if (request.id === undefined) return null
      return this.#failure(request.id, running.abort.signal.aborted && !isMeshError(error) ? cancelled(request) : error)
    } finally {
      if (this.#running.get(key) === running) this.#running.delete(key)
    }
  }

  async #invoke(request: RpcRequest, running: Running): Promise<unknown> {
    const method = findMethod(request.method)
    if (method === null)
      throw new MeshError('RPC_METHOD_UNKNOWN', 'cannot answer: no such method', {
        details: { method: request.method.slice(0, 100) }
      })
    const params = readParams(method, request.params)
    const result = await method.handler(this.#api, params, this.#context(request, running))
    const checked = method.result.safeParse(result)
    if (checked.success) return checked.data
    const places = checked.error.issues.slice(0, 8).map((issue) => `${jsonPointer(issue.path)} ${issue.message}`)
    throw new TypeError(`the result does not fit its schema: ${places.join('; ')}`)
  }

  #context(request: RpcRequest, running: Running): MethodContext {
    let reportedAt = Number.NEGATIVE_INFINITY
    return {
      signal: AbortSignal.any([running.abort.signal, this.#closed.signal]),
      progress: ({ done, total }) => {
        const now = performance.now()
        if (request.id === undefined || (now - reportedAt < PROGRESS_INTERVAL_MS && done < total)) return
        reportedAt = now
        this.#notify('progress/update', { request: request.id, done, total })
      },
      subscribe: (stream, open) => this.#subscribe(stream, open, running),
      unsubscribe: (subscription) => {
        const abort = this.#subscriptions.get(subscription)
        abort?.abort()
        return this.#subscriptions.delete(subscription)
      },
      cancel: (id) => {
        const other = this.#running.get(JSON.stringify(id))
        if (other === undefined || other === running) return false
        other.abort.abort()
        return true
      }
    }
  }

  #subscribe(stream: StreamName, open: OpenStream, running: Running): string {
    if (this.#subscriptions.size >= LIMITS.rpcSubscriptionsMax) {
      throw new MeshError(
        'RPC_OVERLOADED',
        `cannot subscribe: ${LIMITS.rpcSubscriptionsMax} subscriptions of this connection are open`,
        {
          hint: 'log/unsubscribe ends one.'
        }
      )
    }
    const subscription = `s${this.#nextSubscription++}`
    const abort = new AbortController()
    this.#subscriptions.set(subscription, abort)
    running.opened.push(() => void this.#pump(subscription, stream, open, abort.signal))
    return subscription
  }

  async #pump(subscription: string, stream: StreamName, open: OpenStream, aborted: AbortSignal): Promise<void> {
    const signal = AbortSignal.any([aborted, this.#closed.signal])
    let failure: unknown = null
    try {
      if (signal.aborted) return
      for await (const item of open(signal)) {
        if (signal.aborted) break
        this.#notify(stream, { subscription, ...item })
        if (this.#socket.writableLength > BACKLOG_PAUSE_BYTES) await this.#untilDrained(signal)
      }
    } catch (error) {
      failure = error
    }
    this.#subscriptions.delete(subscription)
    if (signal.aborted) return
    if (failure !== null && !isMeshError(failure))
      this.#logger.error('subscription failed', { reason: messageOf(failure) })
    const [noun] = stream.split('/')
    this.#notify(`${noun}/ended`, { subscription, error: failure === null ? null : errorObject(failure) })
  }

  #untilDrained(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        this.#drained.delete(done)
        signal.removeEventListener('abort', done)
        resolve()
      }
      this.#drained.add(done)
      signal.addEventListener('abort', done)
      if (signal.aborted) done()
    })
  }

  #drain(): void {
    for (const done of [...this.#drained]) done()
    this.#advance()
  }

  #notify(method: string, params: unknown): void {
    this.#send({ jsonrpc: '2.0', method, params })
  }

  #failure(id: RequestId, error: unknown): RpcAnswer {
    return { jsonrpc: '2.0', id, error: errorObject(error) }
  }

  #reportDefect(request: RpcRequest, error: unknown): void {
    const stack = error instanceof Error ? (error.stack ?? '').split('\n').slice(1, 4).join(' ').trim() : ''
    this.#logger.error('method failed', { method: request.method.slice(0, 100), reason: messageOf(error), at: stack })
  }

  #send(message: unknown): void {
    if (this.#socket.destroyed || this.#socket.writableEnded) return
    const line = Buffer.from(`${JSON.stringify(message)}\n`)
    if (this.#socket.writableLength + line.length > LIMITS.rpcBacklogBytesMax) {
      this.#logger.warn('socket client cut off: it does not read', { backlogBytes: this.#socket.writableLength })
      this.#socket.destroy()
      return
    }
    this.#socket.write(line)
  }

  #close(): void {
    this.#state = 'closed'
    this.#lines.length = 0
    this.#closed.abort()
    for (const abort of this.#subscriptions.values()) abort.abort()
    for (const done of [...this.#drained]) done()
  }
}

function cancelled(request: RpcRequest): MeshError {
  return new MeshError('CANCELLED', 'cancelled by the client', { details: { method: request.method } })
}

function readParams(method: Method, params: unknown): unknown {
  const checked = method.params.safeParse(params ?? {})
  if (checked.success) return checked.data
  const issue = checked.error.issues[0]
  const keys = issue?.code === 'unrecognized_keys' ? issue.keys.slice(0, 1) : []
  const place = jsonPointer([...(issue?.path ?? []), ...keys])
  throw new MeshError(
    'RPC_PARAMS_INVALID',
    `cannot read the params: ${place === '' ? 'they do not fit' : place}: ${issue?.message ?? ''}`,
    {
      details: { place }
    }
  )
}
