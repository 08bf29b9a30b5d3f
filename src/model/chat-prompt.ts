// Our messages and tools in the SDK’s form. Names of tools lose their dots on the wire: providers take letters, digits, _ and - only.

import { jsonSchema, type ModelMessage, type ToolSet, tool } from 'ai'
import type { ChatCall, ChatMessage, ChatTool } from '../pipeline/contract.ts'

export interface WirePrompt {
  readonly instructions?: string
  readonly messages: ModelMessage[]
  readonly tools: ToolSet
}

/** Tools without `execute`: calls come back to us, and only the run decides over them. */
export function wirePrompt(messages: readonly ChatMessage[], tools: readonly ChatTool[]): WirePrompt {
  const set: Record<string, ToolSet[string]> = {}
  for (const { name, description, parameters } of tools)
    set[wireName(name)] = tool({ description, inputSchema: jsonSchema({ ...parameters }) })
  const system = messages.filter(({ role, text }) => role === 'system' && text !== '').map(({ text }) => text)
  const instructions = system.length === 0 ? {} : { instructions: system.join('\n\n') }
  return { ...instructions, messages: merged(messages), tools: set }
}

export function wireName(name: string): string {
  return name.replaceAll('.', '-')
}

/** As we know the tool; what no tool is called stays as the model wrote it. */
export function toolName(wire: string, tools: readonly ChatTool[]): string {
  return tools.find(({ name }) => wireName(name) === wire)?.name ?? wire
}

function merged(messages: readonly ChatMessage[]): ModelMessage[] {
  const wire: ModelMessage[] = []
  for (const message of messages) {
    const { role, text } = message
    if (role === 'user') wire.push({ role, content: text })
    else if (role === 'assistant') wire.push(assistant(text, message.calls ?? []))
    else if (role === 'tool') {
      const result = {
        type: 'tool-result' as const,
        toolCallId: message.callId ?? '',
        toolName: wireName(message.toolName ?? ''),
        output: { type: 'text' as const, value: text }
      }
      const last = wire.at(-1)
      if (last?.role === 'tool') last.content.push(result)
      else wire.push({ role, content: [result] })
    }
  }
  return wire
}

function assistant(text: string, calls: readonly ChatCall[]): ModelMessage {
  if (calls.length === 0) return { role: 'assistant', content: text }
  const words = text === '' ? [] : [{ type: 'text' as const, text }]
  const wanted = calls.map((call) => ({
    type: 'tool-call' as const,
    toolCallId: call.id,
    toolName: wireName(call.tool),
    input: argumentsOf(call.argumentText)
  }))
  return { role: 'assistant', content: [...words, ...wanted] }
}

/** Providers take objects only: what the model wrote and was no object goes back to it as text. */
function argumentsOf(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
  }
  return { unparsed: text }
}
