// pmesh log replay: the deterministic stages of a run again, from the log alone; exit code 14 when a verdict differs.

import type { CommandContext } from '../command-context.ts'
import { taskId } from '../id-prefix.ts'
import type { Piece } from '../output.ts'
import { tableLines } from '../table.ts'

const VERIFICATION_FAILED_EXIT = 14

export async function replayRun(context: CommandContext, [text]: readonly [string]): Promise<number> {
  const [task = '', ...attempt] = text.split('.')
  const run = [await taskId(context, task), ...attempt].join('.')
  const report = await context.call('run/replay', { run })
  const { out } = context
  if (out.json) {
    out.value(report)
    return report.equal ? 0 : VERIFICATION_FAILED_EXIT
  }
  const columns = [
    { title: '' },
    { title: 'CALL', align: 'right' },
    { title: 'STAGE' },
    { title: 'OF' },
    { title: 'RECORDED' },
    { title: 'REPLAYED' },
    { title: 'NOTE' }
  ] as const
  const rows = report.stages.map((stage): Piece[] => [
    stage.equal ? { text: '✓', style: 'green' } : { text: '✗', style: 'red' },
    String(stage.call),
    stage.stage,
    stage.subject,
    stage.recorded,
    stage.replayed,
    stage.note
  ])
  for (const line of tableLines(columns, rows, '  ', 'dim')) out.line(...line)
  const differ = report.stages.filter(({ equal }) => !equal).length
  if (report.equal) out.line(`run ${report.run}: the same verdicts; no effect was repeated`)
  else out.line({ text: `run ${report.run}: ${differ} of ${report.stages.length} verdicts differ`, style: 'red' })
  return report.equal ? 0 : VERIFICATION_FAILED_EXIT
}
