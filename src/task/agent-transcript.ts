// What a model is told, step by step, and what of it is on record: every message is recorded before anything follows from it, so that a run
// that was interrupted goes on behind its last whole message.

import { LIMITS } from '../base/limits.ts'
import type { ChatCall, ChatMessage } from '../pipeline/contract.ts'
import type { RecordedMessage, RecordedRun } from '../pipeline/recorded-run.ts'
import type { RunHandle } from '../pipeline/run-contract.ts'

/** One call that the model asked for, with its number in the run. */
export interface NumberedCall {
  readonly number: number
  readonly id: string
  readonly tool: string
  /** Null when the run was interrupted before the call was on record. */
  readonly argumentText: string | null
}

/** As `message-added` can carry them. */
const NAME_CHARACTERS = 200

export class AgentTranscript {
  readonly #run: RunHandle
  readonly #messages: ChatMessage[]
  #nextIndex: number
  #nextCall: number
  /** Asked for by the last message and not answered. */
  #open: readonly NumberedCall[]

  constructor(run: RunHandle, history: readonly RecordedMessage[]) {
    const { messages, calls, started } = run.recorded
    this.#run = run
    this.#messages = [...newest(history), ...messages.map((message) => told(message, run.recorded))]
    // an index that a torn message may hold is not used again
    this.#nextIndex = started === null ? 0 : (messages.at(-1)?.index ?? 0) + 2
    const numbers = [...calls.keys(), ...messages.flatMap((message) => message.calls.map(({ call }) => call))]
    this.#nextCall = Math.max(0, ...numbers) + 1
    this.#open = openCalls(run.recorded)
  }

  /** For the model. */
  get messages(): readonly ChatMessage[] {
    return this.#messages
  }

  /** Calls of the last message that have no answer yet, in its order. */
  get open(): readonly NumberedCall[] {
    return this.#open
  }

  /** The prompt, as it went on behind the guardrail; null before it is on record. */
  get prompt(): string | null {
    return this.#run.recorded.messages.find(({ role }) => role === 'user')?.text ?? null
  }

  /** Of a run that was interrupted behind its last word; null otherwise. */
  get finalAnswer(): string | null {
    const last = this.#run.recorded.messages.at(-1)
    return last?.role === 'assistant' && last.calls.length === 0 ? last.text : null
  }

  async say(role: 'system' | 'user' | 'assistant', text: string): Promise<void> {
    await this.#record(role, text, [])
    this.#messages.push({ role, text })
  }

  async ask(text: string, calls: readonly ChatCall[]): Promise<void> {
    const numbered = calls.map(
      ({ id, tool, argumentText }): NumberedCall => ({
        number: this.#nextCall++,
        id: plain(id),
        tool: plain(tool),
        argumentText
      })
    )
    await this.#record('assistant', text, numbered)
    this.#messages.push({ role: 'assistant', text, calls: numbered.map(chatCall) })
    this.#open = numbered
  }

  async answer(call: NumberedCall, text: string): Promise<void> {
    await this.#record('tool', text, [call])
    this.#messages.push({ role: 'tool', text, callId: call.id, toolName: call.tool })
    this.#open = this.#open.filter(({ number }) => number !== call.number)
  }

  async #record(role: RecordedMessage['role'], text: string, calls: readonly NumberedCall[]): Promise<void> {
    const named = calls.map(({ number, id, tool }) => ({ call: number, id, tool }))
    await this.#run.recordMessage({ index: this.#nextIndex++, role, text: text.toWellFormed(), calls: named })
  }
}

/** A model chooses these texts; 64 of each must fit one event. */
function plain(text: string): string {
  return text.slice(0, NAME_CHARACTERS).replaceAll(/[^\x20-\x7e]|["\\]/g, '_')
}

/** Of a conversation before this run: what was asked and answered. What its tools put out is not told again. */
function newest(history: readonly RecordedMessage[]): ChatMessage[] {
  const kept: ChatMessage[] = []
  let bytes = 0
  for (const { role, text, calls } of [...history].reverse()) {
    if ((role !== 'user' && role !== 'assistant') || calls.length > 0 || text === '') continue
    bytes += Buffer.byteLength(text)
    if (bytes > LIMITS.agentHistoryBytesMax) break
    kept.push({ role, text })
  }
  return kept.reverse()
}

function told({ role, text, calls }: RecordedMessage, run: RecordedRun): ChatMessage {
  const [first] = calls
  if (role === 'tool') return { role, text, callId: first?.id ?? '', toolName: first?.tool ?? '' }
  return calls.length === 0 ? { role, text } : { role, text, calls: numberedCalls(calls, run).map(chatCall) }
}

function openCalls(run: RecordedRun): readonly NumberedCall[] {
  const last = run.messages.findLastIndex(({ role }) => role === 'assistant')
  const asked = run.messages[last]?.calls ?? []
  const answered = new Set(run.messages.slice(last + 1).flatMap(({ calls }) => calls.map(({ call }) => call)))
  return numberedCalls(asked, run).filter(({ number }) => !answered.has(number))
}

function numberedCalls(calls: RecordedMessage['calls'], run: RecordedRun): NumberedCall[] {
  return calls.map(({ call, id, tool }) => {
    const recorded = run.calls.get(call)
    return { number: call, id, tool, argumentText: recorded?.givenText ?? recorded?.argumentText ?? null }
  })
}

function chatCall({ id, tool, argumentText }: NumberedCall): ChatCall {
  return { id, tool, argumentText: argumentText ?? '{}' }
}
