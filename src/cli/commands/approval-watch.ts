// pmesh approval watch: asks about each request as it comes; a line each where nobody can be asked.

import type { ApprovalRecord } from '../../rpc/methods.ts'
import { ApprovalAsker } from '../approval-asker.ts'
import type { CommandContext } from '../command-context.ts'
import { formatDuration } from '../human-text.ts'
import { shortHex } from '../run-text.ts'

export async function watchApprovals(context: CommandContext): Promise<number> {
  const { out } = context
  const client = await context.client()
  const asker = context.canAsk ? new ApprovalAsker(context) : null
  if (asker !== null) out.note('waits for requests — Ctrl-C to stop')
  try {
    for await (const { approval } of client.stream('approval/subscribe', {}, { signal: context.signal })) {
      if (out.json) out.value(approval)
      else if (asker?.offer(approval) !== true) out.line(requestLine(approval))
      await out.drained()
    }
  } finally {
    await asker?.close()
  }
  return context.signal.aborted ? 130 : 0
}

function requestLine(approval: ApprovalRecord): string {
  const { state, tool, tier, submitter, executor } = approval
  const head = `${shortHex(approval.id)}  ${state}  ${tool} (${tier})  ${submitter.name} asks, ${executor.name} runs it`
  if (state !== 'open') return head
  const left = formatDuration(Math.max(0, Date.parse(approval.expiresAt) - Date.now()))
  return `${head}  expires in ${left}${approval.mayVote ? '' : `  ${approval.mayNotBecause}`}`
}
