// pmesh log follow: events as they arrive, until Ctrl-C.

import type { CommandContext } from '../command-context.ts'
import { eventLine } from './log-show.ts'

export interface LogFollowOptions {
  readonly member?: string
  readonly type?: string
  readonly cursor?: string
  readonly count?: number
}

export async function followLog(
  context: CommandContext,
  _args: readonly [],
  options: LogFollowOptions
): Promise<number> {
  const client = await context.client()
  const params = {
    cursor: options.cursor ?? null,
    ...(options.type === undefined ? {} : { type: options.type }),
    ...(options.member === undefined ? {} : { author: options.member })
  }
  let seen = 0
  for await (const { event, cursor } of client.subscribe(params, { signal: context.signal })) {
    if (context.out.json) context.out.value({ event, cursor })
    else context.out.line(...eventLine(event, context.out.columns))
    await context.out.drained()
    seen++
    if (seen === options.count) return 0
  }
  return context.signal.aborted ? 130 : 0
}
