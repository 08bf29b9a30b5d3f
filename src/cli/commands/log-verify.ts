// pmesh log verify: one line per chain; exit code 14 when one does not hold.

import type { ChainReport, VerifyReport } from '../../rpc/methods.ts'
import type { CommandContext } from '../command-context.ts'
import { countOf, formatCount, formatDuration } from '../human-text.ts'
import type { Output } from '../output.ts'

const VERIFICATION_FAILED_EXIT = 14
/** Nothing of that author is here: neither valid nor broken. */
const UNKNOWN = 'LOG_UNKNOWN'

export async function verifyLog(
  context: CommandContext,
  _args: readonly [],
  options: { readonly member?: string }
): Promise<number> {
  const params = options.member === undefined ? {} : { author: options.member }
  const report = await context.callWithProgress('verifying', 'log/verify', params)
  if (context.out.json) context.out.value(report)
  else printReport(context.out, report)
  return report.ok ? 0 : VERIFICATION_FAILED_EXIT
}

/** The screen of `pmesh log verify`. */
export function printReport(out: Output, report: VerifyReport): void {
  const nameWidth = Math.max(0, ...report.chains.map(({ author }) => author.name.length))
  const countWidth = Math.max(0, ...report.chains.map(({ events }) => formatCount(events).length))
  for (const chain of report.chains) {
    const head = ` ${chain.author.name.padEnd(nameWidth)}   ${formatCount(chain.events).padStart(countWidth)} events   `
    const unknown = chain.code === UNKNOWN
    out.line(
      chain.ok ? { text: '✓', style: 'green' } : unknown ? { text: '?', style: 'yellow' } : { text: '✗', style: 'red' },
      head,
      chain.ok ? soundText(chain) : (chain.message ?? 'does not verify')
    )
    if (!chain.ok && !unknown)
      out.line(`  code ${chain.code ?? 'LOG_VERIFICATION_FAILED'}   keep the evidence: ${evidence(chain)}`)
  }
  const failed = report.chains.filter(({ ok, code }) => !ok && code !== UNKNOWN).length
  const verified = countOf(report.chains.filter(({ ok }) => ok).length, 'chain')
  const chains = countOf(report.chains.length, 'chain')
  if (failed > 0) out.line({ text: `${failed} of ${chains} failed`, style: 'red' })
  else if (!report.ok) out.line({ text: 'nothing is known of that log: it does not count as verified', style: 'red' })
  else out.line(`${verified} verified: ${countOf(report.events, 'event')} in ${formatDuration(report.elapsedMs)}`)
}

function soundText(chain: ChainReport): string {
  const facts = [
    chain.chains > 1 ? `${chain.chains} chains unbroken` : 'chain unbroken',
    chain.sealsValid ? 'seals valid' : 'seals not checked'
  ]
  if (chain.erased > 0) facts.push(`${formatCount(chain.erased)} erased (signed)`)
  if (chain.pending > 0) facts.push(`${formatCount(chain.pending)} payloads pending`)
  return facts.join('   ')
}

function evidence({ author }: ChainReport): string {
  return `pmesh log export --member ${author.name} ${author.name}.jsonl, then pmesh why ${author.name}`
}
