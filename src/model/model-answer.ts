// One whole answer of a model, for callers that cannot use half of it: judges and tests of agents.

import type { ChatModel, ChatRequest, ChatUsage } from '../pipeline/contract.ts'

export interface ModelAnswer {
  readonly text: string
  /** Whether the model wanted calls, which these callers never offer. */
  readonly calls: boolean
  readonly reason: 'stop' | 'calls' | 'length' | 'none'
  /** Null when the model ended without its end. */
  readonly usage: ChatUsage | null
}

/** Throws what the model throws. */
export async function modelAnswer(model: ChatModel, request: ChatRequest, signal: AbortSignal): Promise<ModelAnswer> {
  let text = ''
  let calls = false
  for await (const part of model.stream(request, signal)) {
    if (part.kind === 'text') text += part.text
    else if (part.kind === 'call') calls = true
    else return { text, calls, reason: part.reason, usage: part.usage }
  }
  return { text, calls, reason: 'none', usage: null }
}
