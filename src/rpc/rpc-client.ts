// The other end of the local socket: calls with time-outs, progress and subscriptions. Errors of the node come back as MeshErrors.
// Imports no schema, so that the CLI starts fast.

import { connect, type Socket } from 'node:net'
import { ERRORS, type ErrorCode } from '../base/errors.ts'
import { LIMITS } from '../base/limits.ts'
import { MeshError } from '../base/mesh-error.ts'
import type { LogEntry, Progress } from '../node/node-api.ts'
import type { ApprovalRecord, TaskUpdate } from '../node/run-api.ts'
import { LineReader } from './line-reader.ts'
import type { MethodName, ParamsOf, ResultOf } from './methods.ts'
import { checkSocketPath, systemCode } from './socket-file.ts'

const CALL_TIMEOUT_MS = 30_000
const CONNECT_TIMEOUT_MS = 5_000
/** Items that wait for a slow consumer before the socket is not read any more. */
const QUEUE_PAUSE_ITEMS = 1_024
/** Whatever the server may send at once, and its JSON around it. */
const ANSWER_BYTES_MAX = 2 * LIMITS.rpcBacklogBytesMax

export interface CallOptions {
  readonly signal?: AbortSignal | undefined
  /** 30 s when left out; Infinity for none. */
  readonly timeoutMs?: number | undefined
  readonly onProgress?: ((progress: Progress) => void) | undefined
}

interface Pending {
  readonly onProgress: ((progress: Progress) => void) | undefined
  /** Called before the next line is read. */
  resolve(result: unknown): void
  reject(error: Error): void
}

/** What the streams of the table carry. */
export interface StreamItems {
  'log/subscribe': LogEntry
  'task/subscribe': { readonly update: TaskUpdate }
  'approval/subscribe': { readonly approval: ApprovalRecord }
}

export interface StreamOptions {
  readonly signal?: AbortSignal
  readonly onOpen?: () => void
}

interface Subscription {
  readonly queue: Readonly<Record<string, unknown>>[]
  ended: boolean
  error: Error | null
  wake: () => void
}

export class RpcClient {
  readonly #socket: Socket
  readonly #path: string
  readonly #reader = new LineReader(ANSWER_BYTES_MAX)
  readonly #pending = new Map<number, Pending>()
  readonly #subscriptions = new Map<string, Subscription>()
  #nextId = 1
  #gone: MeshError | null = null

  private constructor(socket: Socket, path: string) {
    this.#socket = socket
    this.#path = path
    socket.on('data', (chunk: Buffer) => this.#receive(chunk))
    socket.on('error', (error) => this.#lose(error))
    socket.on('close', () => this.#lose(undefined))
  }

  /** NODE_NOT_RUNNING when there is no socket or nobody listens; SOCKET_FAILED when it cannot be used. */
  static async connect(path: string, options: { readonly timeoutMs?: number } = {}): Promise<RpcClient> {
    checkSocketPath(path)
    const socket = connect({ path })
    const timeoutMs = options.timeoutMs ?? CONNECT_TIMEOUT_MS
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => {
        socket.destroy()
        reject(
          new MeshError('TIMEOUT', `cannot reach the node: it did not accept within ${timeoutMs} ms`, {
            details: { socket: path }
          })
        )
      }, timeoutMs)
      const fail = (error: Error) => {
        clearTimeout(timer)
        reject(connectError(error, path))
      }
      socket.once('error', fail)
      socket.once('connect', () => {
        clearTimeout(timer)
        socket.off('error', fail)
        resolve()
      })
    })
    return new RpcClient(socket, path)
  }

  /** Result of a method of the table. MeshError with the node's code; TIMEOUT; CANCELLED; NODE_NOT_RUNNING when the connection breaks. */
  call<Name extends MethodName>(
    method: Name,
    params: ParamsOf<Name>,
    options: CallOptions = {}
  ): Promise<ResultOf<Name>> {
    return this.callByName(method, params, options) as Promise<ResultOf<Name>>
  }

  /** The same for a method that is known by its text only. */
  callByName(method: string, params: unknown, options: CallOptions = {}): Promise<unknown> {
    return this.#request(method, params, options, () => undefined)
  }

  /** Events as they arrive, in the node's order, from `cursor` (null: from now on). */
  subscribe(params: ParamsOf<'log/subscribe'>, options: StreamOptions = {}): AsyncGenerator<LogEntry, void, void> {
    return this.stream('log/subscribe', params, options)
  }

  /**
   * Items of a stream as they come. Ends when the signal aborts, the stream ends or the node stops.
   * The subscription exists when the first `next()` has been called.
   */
  async *stream<Name extends keyof StreamItems>(
    method: Name,
    params: ParamsOf<Name>,
    options: StreamOptions = {}
  ): AsyncGenerator<StreamItems[Name], void, void> {
    const subscription: Subscription = { queue: [], ended: false, error: null, wake: () => undefined }
    let id = ''
    await this.#request(method, params, { signal: options.signal }, (result) => {
      id = (result as ResultOf<Name>).subscription
      this.#subscriptions.set(id, subscription)
    })
    options.onOpen?.()
    const wake = () => subscription.wake()
    options.signal?.addEventListener('abort', wake)
    try {
      while (options.signal?.aborted !== true) {
        const item = subscription.queue.shift()
        if (item !== undefined) {
          if (subscription.queue.length === 0) this.#socket.resume()
          yield item as unknown as StreamItems[Name]
        } else if (subscription.error !== null) throw subscription.error
        else if (subscription.ended) return
        else await new Promise<void>((resolve) => (subscription.wake = resolve))
      }
    } finally {
      options.signal?.removeEventListener('abort', wake)
      this.#subscriptions.delete(id)
      this.#socket.resume()
      if (this.#gone === null && !subscription.ended)
        this.#write({ jsonrpc: '2.0', method: 'log/unsubscribe', params: { subscription: id } })
    }
  }

  close(): void {
    this.#gone ??= new MeshError('CANCELLED', 'the connection to the node was closed')
    this.#socket.destroy()
  }

  [Symbol.dispose](): void {
    this.close()
  }

  #request(
    method: string,
    params: unknown,
    options: CallOptions,
    onResult: (result: unknown) => void
  ): Promise<unknown> {
    if (this.#gone !== null) return Promise.reject(this.#gone)
    const { signal } = options
    if (signal?.aborted === true) return Promise.reject(new MeshError('CANCELLED', 'cancelled'))
    const id = this.#nextId++
    const timeoutMs = options.timeoutMs ?? CALL_TIMEOUT_MS
    return new Promise((resolve, reject) => {
      const settle = () => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', abort)
        this.#pending.delete(id)
      }
      const give = (error: MeshError) => {
        settle()
        this.#write({ jsonrpc: '2.0', method: 'rpc/cancel', params: { id } })
        reject(error)
      }
      const abort = () => give(new MeshError('CANCELLED', 'cancelled'))
      const late = () => give(new MeshError('TIMEOUT', `no answer within ${timeoutMs} ms`, { details: { method } }))
      const timer = Number.isFinite(timeoutMs) ? setTimeout(late, timeoutMs) : undefined
      signal?.addEventListener('abort', abort)
      this.#pending.set(id, {
        onProgress: options.onProgress,
        resolve: (result) => {
          settle()
          onResult(result)
          resolve(result)
        },
        reject: (error) => {
          settle()
          reject(error)
        }
      })
      this.#write({ jsonrpc: '2.0', id, method, params })
    })
  }

  #write(message: unknown): void {
    if (!this.#socket.destroyed) this.#socket.write(`${JSON.stringify(message)}\n`)
  }

  #receive(chunk: Buffer): void {
    const { lines, tooLong } = this.#reader.push(chunk)
    for (const line of lines) this.#receiveLine(line)
    if (tooLong)
      this.#socket.destroy(
        new MeshError('RPC_LINE_TOO_LONG', `the node’s answer is longer than ${ANSWER_BYTES_MAX} bytes`)
      )
  }

  #receiveLine(line: Buffer): void {
    const message = tryParse(line)
    if (message === null) {
      this.#socket.destroy(
        new MeshError('RPC_PARSE_ERROR', 'what answers on the socket does not speak JSON-RPC', {
          details: { socket: this.#path }
        })
      )
      return
    }
    const params = asRecord(message.params)
    if (typeof message.method === 'string') this.#receiveNotification(message.method, params)
    else if (typeof message.id === 'number') {
      const pending = this.#pending.get(message.id)
      if (message.error === undefined) pending?.resolve(message.result)
      else pending?.reject(errorOf(message.error))
    } else if (message.error !== undefined) this.#socket.destroy(errorOf(message.error))
  }

  #receiveNotification(method: string, params: Readonly<Record<string, unknown>>): void {
    if (method === 'progress/update') {
      this.#pending
        .get(Number(params.request))
        ?.onProgress?.({ done: Number(params.done), total: Number(params.total) })
      return
    }
    const { subscription: id, ...item } = params
    const subscription = this.#subscriptions.get(String(id))
    if (subscription === undefined) return
    if (method.endsWith('/ended')) {
      subscription.ended = true
      if (item.error !== null) subscription.error = errorOf(item.error)
    } else {
      subscription.queue.push(item)
      if (subscription.queue.length >= QUEUE_PAUSE_ITEMS) this.#socket.pause()
    }
    subscription.wake()
  }

  #lose(error: Error | undefined): void {
    this.#gone ??=
      error instanceof MeshError
        ? error
        : new MeshError('NODE_NOT_RUNNING', 'the node closed the connection before it answered', {
            details: { socket: this.#path },
            ...(error === undefined ? {} : { cause: error })
          })
    for (const pending of [...this.#pending.values()]) pending.reject(this.#gone)
    for (const subscription of this.#subscriptions.values()) {
      subscription.ended = true
      subscription.error ??= this.#gone
      subscription.wake()
    }
  }
}

function connectError(error: Error, path: string): MeshError {
  const code = systemCode(error)
  if (code === 'ENOENT' || code === 'ECONNREFUSED') {
    return new MeshError('NODE_NOT_RUNNING', 'cannot reach the node: it is not running', {
      details: { socket: path },
      cause: error
    })
  }
  return new MeshError(
    'SOCKET_FAILED',
    `cannot reach the node: ${code === '' ? 'the socket cannot be opened' : code}`,
    {
      details: { socket: path },
      hint:
        code === 'EACCES'
          ? 'The socket belongs to another user; use the account that runs the node.'
          : 'pmesh doctor checks the socket.',
      cause: error
    }
  )
}

function asRecord(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Readonly<Record<string, unknown>>)
    : {}
}

function tryParse(line: Buffer): Readonly<Record<string, unknown>> | null {
  try {
    return asRecord(JSON.parse(line.toString()))
  } catch (error) {
    if (error instanceof SyntaxError) return null
    throw error
  }
}

function errorOf(value: unknown): MeshError {
  const error = asRecord(value)
  const data = asRecord(error.data)
  const code = typeof data.code === 'string' && Object.hasOwn(ERRORS, data.code) ? (data.code as ErrorCode) : 'INTERNAL'
  return new MeshError(code, String(error.message), {
    ...(typeof data.hint === 'string' ? { hint: data.hint } : {}),
    details: asRecord(data.details) as Record<string, string | number>
  })
}
