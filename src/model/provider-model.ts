// A ChatModel through the ai SDK: model objects only (a string would go to a hosted gateway), no telemetry, no downloads, tools without
// execution. What was not begun to be answered is tried again; an answer that began and broke off is a fault and none of its calls come out.
// Loaded with its SDK when the first model is asked, not before.

import { setTimeout as pause } from 'node:timers/promises'
import { createAnthropic } from '@ai-sdk/anthropic'
import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import { type LanguageModel, streamText } from 'ai'
import type { Clock } from '../base/clock.ts'
import { LIMITS } from '../base/limits.ts'
import { isMeshError, MeshError } from '../base/mesh-error.ts'
import type { ModelPrice, ProviderSection } from '../config/agents-section.ts'
import type { ChatCall, ChatMessage, ChatModel, ChatPart, ChatRequest, ChatUsage } from '../pipeline/contract.ts'
import { boundedFetch, type Fetch } from './bounded-fetch.ts'
import { toolName, wirePrompt } from './chat-prompt.ts'
import { brokenOff, type FaultContext, mayTryAgain, refusal, retryAfterMs } from './model-fault.ts'

// The SDK prints warnings unless this is off; a node’s output is its own.
;(globalThis as { AI_SDK_LOG_WARNINGS?: false }).AI_SDK_LOG_WARNINGS = false

/** Faults that are in our codes already; those of the guarded fetch are not a model’s. */
const OURS = /^(?:MODEL_|CREDENTIAL_|CANCELLED$)/

export interface ProviderModelOptions {
  readonly provider: ProviderSection
  readonly model: string
  /** Null where the file holds none. */
  readonly apiKey: string | null
  /** Guarded by the caller: it alone reaches outside. */
  readonly fetch: Fetch
  readonly clock: Clock
  readonly timeMsMax?: number
  readonly retryMsMin?: number
}

/** Errors as ChatModel says: CANCELLED, MODEL_UNREACHABLE, MODEL_TIMEOUT, MODEL_REFUSED, MODEL_OVERLOADED, MODEL_ANSWER_INVALID. */
export function createProviderModel(options: ProviderModelOptions): ChatModel {
  const name = `${options.provider.name}/${options.model}`
  return { name, offline: false, stream: (request, signal) => answer(options, name, request, signal) }
}

/** Every setting is given: the SDK would take missing ones from the environment (POLICY-5). */
function languageModel({ provider, model, apiKey }: ProviderModelOptions, fetch: Fetch): LanguageModel {
  const { name, baseUrl: baseURL } = provider
  if (provider.type === 'anthropic') {
    if (apiKey === null)
      throw new MeshError('CREDENTIAL_MISSING', `there is no credential ${name} api_key`, {
        details: { provider: name, field: 'api_key' }
      })
    return createAnthropic({ name, baseURL, apiKey, fetch })(model)
  }
  const key = apiKey === null ? {} : { apiKey }
  return createOpenAICompatible({ name, baseURL, ...key, fetch, includeUsage: true })(model)
}

async function* answer(
  options: ProviderModelOptions,
  name: string,
  request: ChatRequest,
  signal: AbortSignal
): AsyncGenerator<ChatPart> {
  const timeMs = options.timeMsMax ?? LIMITS.modelTimeMsMax
  const late = AbortSignal.timeout(timeMs)
  const left = new AbortController()
  const stop = AbortSignal.any([signal, late, left.signal])
  const context: FaultContext = { model: name, secret: options.apiKey }
  try {
    for (let attempt = 1; ; attempt++) {
      const attempted = new Answer(options, request, context)
      try {
        yield* attempted.parts(stop)
        return
      } catch (error) {
        if (attempted.begun || attempt >= LIMITS.modelAttemptsMax || !mayTryAgain(error)) throw attempted.fault(error)
        await waitBeforeNext(error, attempt, options, context, stop)
      }
    }
  } catch (error) {
    if (signal.aborted) throw isMeshError(signal.reason) ? signal.reason : new MeshError('CANCELLED', 'cancelled')
    if (late.aborted)
      throw new MeshError('MODEL_TIMEOUT', `the model ${name} gave no whole answer in ${timeMs} ms`, {
        details: { model: name }
      })
    throw error
  } finally {
    left.abort()
  }
}

/** Longer than we wait is no wait at all: the caller is told at once. */
async function waitBeforeNext(
  error: unknown,
  attempt: number,
  { clock, retryMsMin }: ProviderModelOptions,
  context: FaultContext,
  stop: AbortSignal
): Promise<void> {
  const asked = retryAfterMs(error, clock.now())
  if (asked !== null && asked > LIMITS.modelRetryMsMax) throw refusal(error, context)
  const doubled = (retryMsMin ?? LIMITS.modelRetryMsMin) * 2 ** (attempt - 1)
  await pause(Math.max(asked ?? 0, Math.min(doubled, LIMITS.modelRetryMsMax)), undefined, { signal: stop })
}

/** One try of one call. */
class Answer {
  /** Whether an answer began: then it is not asked for twice. */
  begun = false
  readonly #model: LanguageModel
  readonly #price: ModelPrice | null
  readonly #request: ChatRequest
  readonly #context: FaultContext
  /** By the wire’s id of the call, in the order of their beginning. */
  readonly #calls = new Map<string, { tool: string; text: string }>()
  #written = 0

  constructor(options: ProviderModelOptions, request: ChatRequest, context: FaultContext) {
    const fetch = boundedFetch(options.fetch, () => {
      this.begun = true
    })
    this.#model = languageModel(options, fetch)
    this.#price = options.provider.price(options.model)
    this.#request = request
    this.#context = context
  }

  async *parts(stop: AbortSignal): AsyncGenerator<ChatPart> {
    const { messages, tools, outputTokensMax } = this.#request
    const { stream } = streamText({
      model: this.#model,
      ...wirePrompt(messages, tools),
      maxOutputTokens: outputTokensMax,
      maxRetries: 0,
      abortSignal: stop,
      telemetry: { isEnabled: false },
      experimental_download: refuseDownloads,
      // the SDK would print it; it comes as a part of the stream too
      onError: () => undefined
    })
    for await (const part of stream) {
      if (part.type === 'error') throw part.error
      if (part.type === 'abort') throw new MeshError('CANCELLED', 'cancelled')
      if (part.type === 'text-delta') {
        this.#hear(part.text)
        if (part.text !== '') yield { kind: 'text', text: part.text }
      } else if (part.type === 'reasoning-delta') this.#hear(part.text)
      else if (part.type === 'tool-input-start') {
        this.#calls.set(part.id, { tool: toolName(part.toolName, tools), text: '' })
      } else if (part.type === 'tool-input-delta') {
        this.#hear(part.delta)
        const call = this.#calls.get(part.id)
        if (call !== undefined) call.text += part.delta
      } else if (part.type === 'finish') {
        yield* this.#end(part.finishReason, part.totalUsage)
        return
      }
    }
    throw brokenOff(this.#context)
  }

  /** `error` in our codes. */
  fault(error: unknown): MeshError {
    if (isMeshError(error) && OURS.test(error.code)) return error
    return this.begun ? brokenOff(this.#context) : refusal(error, this.#context)
  }

  #hear(text: string): void {
    this.#written += Buffer.byteLength(text)
  }

  *#end(
    reason: string,
    usage: { inputTokens: number | undefined; outputTokens: number | undefined }
  ): Generator<ChatPart> {
    if (reason === 'error') throw brokenOff(this.#context)
    const calls = [...this.#calls].map(([id, { tool, text }]): ChatCall => ({ id, tool, argumentText: text || '{}' }))
    for (const call of calls) yield { kind: 'call', call }
    const ended = reason === 'length' ? 'length' : calls.length > 0 ? 'calls' : 'stop'
    yield { kind: 'end', reason: ended, usage: this.#usage(usage.inputTokens, usage.outputTokens) }
  }

  /** A server that does not count, or counts what cannot be, is counted for: four bytes a token. */
  #usage(input: number | undefined, output: number | undefined): ChatUsage {
    const inputTokens = tokenCount(input) ?? Math.ceil(requestBytes(this.#request) / 4)
    const outputTokens = tokenCount(output) ?? Math.ceil(this.#written / 4)
    const price = this.#price
    const cost =
      price === null
        ? null
        : Math.ceil(inputTokens * price.inputMicrosPerToken + outputTokens * price.outputMicrosPerToken)
    return { inputTokens, outputTokens, costMicros: cost }
  }
}

const TOKENS_MAX = 1e9

function tokenCount(said: number | undefined): number | null {
  return said !== undefined && Number.isSafeInteger(said) && said >= 0 && said <= TOKENS_MAX ? said : null
}

function requestBytes({ messages, tools }: ChatRequest): number {
  const words = messages.map((message: ChatMessage) => message.text)
  return Buffer.byteLength(words.join('')) + Buffer.byteLength(JSON.stringify(tools))
}

/** A model’s answer may name files by URL; fetching them would be a way out beside the guard. */
async function refuseDownloads(files: readonly unknown[]): Promise<[]> {
  if (files.length === 0) return []
  throw new MeshError('MODEL_ANSWER_INVALID', 'the model’s answer names a file to download')
}
