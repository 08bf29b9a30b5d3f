// pmesh invite create: the one line to paste on the other machine, and what both sides compare.

import type { CommandContext } from '../command-context.ts'
import { formatDuration, formatTime } from '../human-text.ts'
import { blockLines } from '../table.ts'

export interface InviteCreateOptions {
  readonly role: 'observer' | 'member' | 'admin'
  readonly name: string
  readonly expires?: number
}

const EXPIRES_IN_MS = 24 * 3_600_000

export async function createInvite(
  context: CommandContext,
  _args: readonly [],
  options: InviteCreateOptions
): Promise<number> {
  const expiresInMs = options.expires ?? EXPIRES_IN_MS
  const { invite, line } = await context.call('invite/create', { role: options.role, name: options.name, expiresInMs })
  const { fingerprint } = await context.call('identity/show', {})
  const { out } = context
  const command = `pmesh join '${line}'`
  if (out.json) {
    out.value({ invite, line, command, fingerprint })
    return 0
  }
  out.line(command)
  out.remark()
  const rows: [string, string][] = [
    ['role', invite.role],
    ['expires', `in ${formatDuration(expiresInMs)} (${formatTime(invite.expiresAt)}), admits one node`],
    ['words', `${fingerprint}   the joiner must see the same`],
    ['revoke', `pmesh invite revoke ${invite.id}`]
  ]
  for (const row of blockLines(rows)) out.remark(...row)
  if (out.onTerminal && !context.options.quiet) await printQr(context, command)
  return 0
}

async function printQr(context: CommandContext, text: string): Promise<void> {
  const { renderUnicodeCompact } = await import('uqr')
  const rows = renderUnicodeCompact(text, { border: 1 }).split('\n')
  if ((rows[0]?.length ?? 0) > context.out.columns) return
  context.out.line()
  for (const row of rows) context.out.line(row)
}
