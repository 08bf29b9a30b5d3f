// pmesh event append: one event from the arguments, or one per line of stdin. Each text goes to the node exactly as it was given.

import { LIMITS } from '../../base/limits.ts'
import { MeshError } from '../../base/mesh-error.ts'
import { LineReader } from '../../rpc/line-reader.ts'
import type { AppendItem, AppendReceipt } from '../../rpc/methods.ts'
import type { CommandContext } from '../command-context.ts'
import { EventAppender } from '../event-appender.ts'
import { countOf, formatDuration } from '../human-text.ts'

export interface EventAppendOptions {
  readonly scope?: string
  readonly batch?: true
}

export async function appendEvents(
  context: CommandContext,
  [type, json]: readonly [string, string?],
  options: EventAppendOptions
): Promise<number> {
  const { scope } = options
  if (scope !== undefined && !/^[0-9a-f]{32}$/.test(scope))
    throw new MeshError('USAGE', 'a scope is 32 characters of lower-case hex')
  const item = (text: string): AppendItem => ({ type, json: text, ...(scope === undefined ? {} : { scope }) })
  if (json !== undefined && json !== '-') {
    const { items } = await context.call('event/append', { items: [item(json)] })
    for (const receipt of items) printReceipt(context, receipt)
    return 0
  }
  if (context.terminal.stdin.isTTY === true && !context.options.input)
    throw new MeshError('USAGE', 'there is no JSON: give it as an argument or on stdin')
  return appendLines(context, item, options.batch === true)
}

async function appendLines(
  context: CommandContext,
  item: (text: string) => AppendItem,
  summaryOnly: boolean
): Promise<number> {
  const startedAt = performance.now()
  const client = await context.client()
  const appender = new EventAppender({
    append: async (items) =>
      (
        await client.call(
          'event/append',
          { items: [...items] },
          { signal: context.signal, timeoutMs: context.options.timeoutMs }
        )
      ).items,
    onReceipts: async (receipts) => {
      if (!summaryOnly || context.out.json) for (const receipt of receipts) printReceipt(context, receipt)
      await context.out.drained()
    }
  })
  try {
    for await (const { line, text } of jsonLines(context)) await appender.add(item(text), line)
  } finally {
    // Also after a wrong line: what was sent before it is waited for and told.
    await appender.finish()
  }
  context.out.note(
    `appended ${countOf(appender.appended, 'event')} in ${formatDuration(performance.now() - startedAt)}`
  )
  return 0
}

function printReceipt(context: CommandContext, receipt: AppendReceipt): void {
  if (context.out.json) context.out.value(receipt)
  else context.out.remark(`appended ${receipt.id}   epoch ${receipt.epoch}   event ${receipt.seq}`)
}

/** Lines of stdin that are JSON objects, numbered from 1; blank ones are left out. EVENT_INVALID and EVENT_TOO_LARGE name the line. */
async function* jsonLines(context: CommandContext): AsyncGenerator<{ readonly line: number; readonly text: string }> {
  const reader = new LineReader(LIMITS.payloadBytesMax)
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  let line = 0
  const { stdin } = context.terminal
  const abort = () => stdin.destroy()
  context.signal.addEventListener('abort', abort)
  try {
    for await (const chunk of stdin) {
      const { lines, tooLong } = reader.push(Buffer.from(chunk as Buffer | string))
      for (const bytes of lines) yield* numbered(++line, bytes, decoder)
      if (tooLong) {
        throw new MeshError(
          'EVENT_TOO_LARGE',
          `cannot append line ${line + 1}: it is longer than ${LIMITS.payloadBytesMax} bytes`,
          { details: { line: line + 1 } }
        )
      }
    }
    const rest = reader.end()
    if (rest !== null) yield* numbered(++line, rest, decoder)
  } finally {
    context.signal.removeEventListener('abort', abort)
  }
  if (context.signal.aborted) throw new MeshError('CANCELLED', 'cancelled')
}

function* numbered(
  line: number,
  bytes: Buffer,
  decoder: { decode(bytes: Buffer): string }
): Generator<{ readonly line: number; readonly text: string }> {
  const wrong = (why: string, cause?: unknown) =>
    new MeshError('EVENT_INVALID', `cannot append line ${line}: ${why}`, { details: { line }, cause })
  let text: string
  try {
    text = decoder.decode(bytes)
  } catch (error) {
    throw wrong('it is not UTF-8', error)
  }
  if (text.trim() === '') return
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw wrong('it is not JSON', error)
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrong('it is not a JSON object')
  yield { line, text }
}
