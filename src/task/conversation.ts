// What was said before in a conversation: the messages of earlier tasks of the same submitter that name it, as far as they were done.

import { toHex } from '../base/bytes.ts'
import { LIMITS } from '../base/limits.ts'
import { type QuerySource, queryEvents } from '../log/event-query.ts'
import type { RecordedMessage } from '../pipeline/recorded-run.ts'
import { tryParseRunEvent } from '../pipeline/run-events.ts'
import { readTaskEvents } from './task-events.ts'
import { foldTask, type TaskFold } from './task-fold.ts'

/** Messages before `task`, oldest first; those of the newest tasks when there are too many. */
export async function conversationHistory(source: QuerySource, task: TaskFold): Promise<RecordedMessage[]> {
  const { conversation } = task.submitted
  const runs: (readonly RecordedMessage[])[] = []
  const query = { type: 'task-submitted', author: task.submitter, toMs: task.submitted.timeMs, newestFirst: true }
  let rows = 0
  for await (const event of queryEvents(source, query)) {
    if (++rows > LIMITS.conversationScanMax || runs.length >= LIMITS.conversationTasksMax) break
    const earlier = tryParseRunEvent('task-submitted', event.payload)
    const id = toHex(event.scope)
    if (earlier === null || earlier.conversation !== conversation || id === task.id) continue
    const fold = foldTask(id, await readTaskEvents(source, event.scope))
    if (fold?.state === 'done' && fold.submitter === task.submitter) runs.push(fold.run?.messages ?? [])
  }
  return runs.reverse().flat()
}
