// pmesh log replay: finds a run in the log and has it decided again.

import { createHash } from 'node:crypto'
import { fromHex } from '../base/bytes.ts'
import { MeshError } from '../base/mesh-error.ts'
import { peerIdOf } from '../identity/peer-id.ts'
import type { EventLog } from '../log/event-log.ts'
import { queryEvents } from '../log/event-query.ts'
import type { PublicKeyHex } from '../log/statement.ts'
import { foldRun, type RecordedCall } from '../pipeline/recorded-run.ts'
import { replayRun } from '../pipeline/replay.ts'
import { tryParseRunEvent } from '../pipeline/run-events.ts'
import type { Policy } from '../policy/contract.ts'
import { parsePolicy } from '../policy/policy-file.ts'
import { tallyVotes } from '../task/approval-decision.ts'
import { readTaskEvents } from '../task/task-events.ts'
import { foldTask, type TaskFold } from '../task/task-fold.ts'
import type { ReplayReport } from './run-api.ts'
import type { RunHost } from './run-host.ts'

/** `TASK` (its last attempt) or `TASK.ATTEMPT`. TASK_UNKNOWN, RUN_UNKNOWN. */
export async function replayFromLog(
  log: EventLog,
  { host, offlineJudge }: RunHost,
  run: string
): Promise<ReplayReport> {
  const [id = '', number] = run.split('.')
  const events = await readTaskEvents(log, fromHex(id))
  const task = foldTask(id, events)
  if (task === null) throw new MeshError('TASK_UNKNOWN', 'there is no such task')
  const assigned =
    number === undefined ? task.assigned : task.assignments.find(({ attempt }) => attempt === Number(number))
  if (assigned === null || assigned === undefined) throw new MeshError('RUN_UNKNOWN', 'the task has no such attempt')
  const { executor, attempt } = assigned
  const recorded = foldRun(events, executor, attempt)
  if (recorded.started === null) throw new MeshError('RUN_UNKNOWN', 'nothing of that attempt is in the log')
  const policies = await policyTexts(log, executor)
  const { submitted, submitter } = task
  const self = submitter === executor
  const stages = replayRun(
    recorded,
    {
      kind: submitted.kind,
      principal: self ? submitted.principal : 'peer',
      submitter: { peerId: peerIdOf(fromHex(submitter)), self }
    },
    {
      guard: host.guard,
      parsePolicy: rules(),
      policyText: (hash) => policies.get(hash) ?? null,
      votesSuffice: (call) => votesSuffice(log, task, call),
      offlineJudge
    }
  )
  return { run: `${id}.${attempt}`, equal: stages.every(({ equal }) => equal), stages }
}

function rules(): (text: string) => Policy {
  const parsed = new Map<string, Policy>()
  return (text) => {
    const policy = parsed.get(text) ?? parsePolicy(text, 'policy.toml')
    parsed.set(text, policy)
    return policy
  }
}

/** Votes that the executor cited, and nothing but those, must have been enough; of a call that a last check stopped, all that said yes. */
function votesSuffice(log: EventLog, task: TaskFold, { requests, started }: RecordedCall): boolean {
  const request = started === null ? requests.at(-1) : requests.find(({ id }) => id === started.request)
  if (request === undefined || (started !== null && started.digest !== request.digest)) return false
  const cited = task.votes.filter(({ id, vote }) => started?.votes.includes(id) ?? vote === 'approve')
  const isMember = (key: PublicKeyHex): boolean => log.view.members.has(key)
  return tallyVotes(request, cited, task.submitter, isMember).decision === 'approved'
}

async function policyTexts(log: EventLog, executor: PublicKeyHex): Promise<ReadonlyMap<string, string>> {
  const pieces = new Map<string, Map<number, string>>()
  for await (const { payload, authorised } of queryEvents(log, { type: 'policy-recorded', author: executor })) {
    const piece = authorised ? tryParseRunEvent('policy-recorded', payload) : null
    if (piece === null) continue
    const texts = pieces.get(piece.hash) ?? new Map<number, string>()
    if (!texts.has(piece.part)) texts.set(piece.part, piece.text)
    pieces.set(piece.hash, texts)
  }
  const whole = [...pieces].map(([hash, texts]) => [hash, inOrder(texts)] as const)
  // A text that its hash does not cover is nobody's policy.
  return new Map(whole.filter(([hash, text]) => createHash('sha256').update(text).digest('hex') === hash))
}

function inOrder(texts: ReadonlyMap<number, string>): string {
  const sorted = [...texts].sort(([a], [b]) => a - b)
  return sorted.map(([, text]) => text).join('')
}
