// A home’s agents.toml for tests of models, and what a model answered.

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { AgentsFile } from '../../src/config/agents-file.ts'
import { KeyRing } from '../../src/identity/seal.ts'
import { type ModelBook, openModels } from '../../src/model/model-book.ts'
import type { ChatCall, ChatModel, ChatRequest, ChatUsage } from '../../src/pipeline/contract.ts'
import { guardedFetchFor } from '../../src/web/guarded-fetch.ts'
import { createUrlGuard } from '../../src/web/url-guard.ts'
import { type ChatReply, type ChatServer, startChatServer } from './chat-server.ts'

export const API_KEY = 'sk-canary-model-7f3a91'

export interface Models {
  readonly file: AgentsFile
  readonly book: ModelBook
  readonly server: ChatServer
  /** `[providers.local]` with the server’s address, then this text. */
  write(more: string): void
}

/** A scripted server, and an agents.toml whose provider `local` is that server, its key sealed. */
export async function scriptedModels(
  context: TestContext,
  options: { readonly replies?: readonly ChatReply[]; readonly timeMsMax?: number; readonly more?: string } = {}
): Promise<Models> {
  const server = await startChatServer(...(options.replies ?? []))
  context.after(() => server.close())
  const folder = mkdtempSync(join(tmpdir(), 'pmesh-model-'))
  context.after(() => rmSync(folder, { recursive: true, force: true }))
  const path = join(folder, 'agents.toml')
  const file = new AgentsFile(path, new KeyRing({ id: '0a0b0c0d', bytes: new Uint8Array(32).fill(7) }))
  const write = (more: string): void => {
    const prices = '[providers.local.prices.small]\ninput_usd_per_million = 3.0\noutput_usd_per_million = 15.0\n'
    const local = `[providers.local]\ntype = "openai-compatible"\nbase_url = "${server.baseUrl}"\n`
    writeFileSync(path, `${local}\n${prices}\n${more}`, { mode: 0o600 })
    file.credentialSet('local', 'api_key', API_KEY)
  }
  write(options.more ?? '')
  const book = openModels({
    agentsFile: file,
    fetchFor: (origin) => guardedFetchFor(createUrlGuard({ allowPrivate: [origin] })),
    env: {},
    retryMsMin: 5,
    ...(options.timeMsMax === undefined ? {} : { timeMsMax: options.timeMsMax })
  })
  return { file, book, server, write }
}

export interface Heard {
  readonly text: string
  readonly calls: readonly ChatCall[]
  readonly reason: string
  readonly usage: ChatUsage | null
}

export function ask(text: string): ChatRequest {
  return { messages: [{ role: 'user', text }], tools: [], outputTokensMax: 100 }
}

export async function hear(
  model: ChatModel,
  request: ChatRequest,
  signal: AbortSignal = new AbortController().signal
): Promise<Heard> {
  let text = ''
  const calls: ChatCall[] = []
  for await (const part of model.stream(request, signal)) {
    if (part.kind === 'text') text += part.text
    else if (part.kind === 'call') calls.push(part.call)
    else return { text, calls, reason: part.reason, usage: part.usage }
  }
  return { text, calls, reason: 'none', usage: null }
}

export async function until(holds: () => boolean): Promise<void> {
  const deadline = performance.now() + 5_000
  while (!holds()) {
    assert.ok(performance.now() < deadline, 'it did not come about')
    await new Promise((resolve) => setImmediate(resolve))
  }
}
