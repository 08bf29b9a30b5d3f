// Whose run begins next: each place goes to who has the fewest under way, the oldest of theirs first, so that nobody's thousand tasks keep
// another's one waiting.

import type { PublicKeyHex } from '../log/statement.ts'

export interface QueuedTask {
  readonly id: string
  readonly submitter: PublicKeyHex
  readonly submittedMs: number
}

/** Up to `count` ids. `underWay`: runs of each submitter; `most`: how many it may have. */
export function fairPick(
  queued: readonly QueuedTask[],
  underWay: ReadonlyMap<PublicKeyHex, number>,
  most: (submitter: PublicKeyHex) => number,
  count: number
): string[] {
  const lines = new Map<PublicKeyHex, QueuedTask[]>()
  for (const task of [...queued].reverse().sort((a, b) => b.submittedMs - a.submittedMs)) {
    const line = lines.get(task.submitter)
    if (line === undefined) lines.set(task.submitter, [task])
    else line.push(task)
  }
  const runs = new Map(underWay)
  const runsOf = (submitter: PublicKeyHex): number => runs.get(submitter) ?? 0
  const picked: string[] = []
  while (picked.length < count) {
    const open = [...lines].filter(([submitter, line]) => line.length > 0 && runsOf(submitter) < most(submitter))
    const first = open.reduce<(typeof open)[number] | null>(
      (best, next) => (best === null || runsOf(next[0]) < runsOf(best[0]) ? next : best),
      null
    )
    const task = first?.[1].pop()
    if (task === undefined) break
    runs.set(task.submitter, runsOf(task.submitter) + 1)
    picked.push(task.id)
  }
  return picked
}
