// What was said before in a conversation: the messages of earlier tasks of the same submitter that name it, as far as they were done.

import { toHex } from '../base/bytes.ts'
import { LIMITS } from '../base/limits.ts'
import { type QuerySource, queryEvents } from '../log/event-query.ts'
import type { PublicKeyHex } from '../log/statement.ts'
import type { RecordedMessage, RecordedRun } from '../pipeline/recorded-run.ts'
import { tryParseRunEvent } from '../pipeline/run-events.ts'
import type { Taint } from '../policy/contract.ts'
import { readTaskEvents } from './task-events.ts'
import { foldTask, type TaskFold } from './task-fold.ts'

export interface ConversationHistory {
  /** Oldest first; those of the newest tasks when there are too many. */
  readonly messages: readonly RecordedMessage[]
  /** What the earlier runs had seen: their answers may repeat it. `model` where another member’s ran one. */
  readonly taint: readonly Taint[]
}

export const NO_HISTORY: ConversationHistory = { messages: [], taint: [] }

/** What was said before `task`. `self`: the member that runs it now. */
export async function conversationHistory(
  source: QuerySource,
  task: TaskFold,
  self: PublicKeyHex
): Promise<ConversationHistory> {
  const { conversation } = task.submitted
  const runs: (readonly RecordedMessage[])[] = []
  const taint = new Set<Taint>()
  const query = { type: 'task-submitted', author: task.submitter, toMs: task.submitted.timeMs, newestFirst: true }
  let rows = 0
  for await (const event of queryEvents(source, query)) {
    if (++rows > LIMITS.conversationScanMax || runs.length >= LIMITS.conversationTasksMax) break
    const earlier = tryParseRunEvent('task-submitted', event.payload)
    const id = toHex(event.scope)
    if (earlier === null || earlier.conversation !== conversation || id === task.id) continue
    const fold = foldTask(id, await readTaskEvents(source, event.scope))
    if (fold?.state !== 'done' || fold.submitter !== task.submitter || fold.run === null) continue
    const elsewhere = fold.run.executor !== self
    runs.push(elsewhere ? fold.run.messages.map((message) => ({ ...message, elsewhere })) : fold.run.messages)
    for (const kind of taintOf(fold.run, fold.submitted.taint, self)) taint.add(kind)
  }
  return { messages: runs.reverse().flat(), taint: [...taint] }
}

function taintOf({ executor, calls }: RecordedRun, given: readonly Taint[], self: PublicKeyHex): Taint[] {
  const seen = [...calls.values()].flatMap(({ finished }) => finished?.taint ?? [])
  return [...given, ...seen, ...(executor === self ? [] : (['model'] as const))]
}
