// pmesh tool show: one tool with the schema of its arguments.

import type { ToolRecord } from '../../rpc/methods.ts'
import type { CommandContext } from '../command-context.ts'
import { escapeExact } from '../escape-text.ts'
import type { Output, Piece } from '../output.ts'
import { blockLines } from '../table.ts'

export async function showTool(context: CommandContext, [name]: readonly [string]): Promise<number> {
  const tool = await context.call('tool/show', { name })
  if (context.out.json) context.out.value(tool)
  else printTool(context.out, tool)
  return 0
}

/** The block of one tool. */
export function printTool(out: Output, tool: ToolRecord): void {
  out.line({ text: tool.name, style: 'bold' }, `   ${tool.kind}`)
  const rows: (readonly [string, Piece])[] = [
    ...tool.description.split('\n').map((line, index) => [index === 0 ? 'what' : '', line] as const),
    ['tier', tool.tier ?? 'not declared, so irreversible'],
    ['node', tool.member.name],
    ['hash', tool.hash],
    ['available', tool.available ? 'yes' : { text: `no: ${tool.why}`, style: 'red' }]
  ]
  for (const line of blockLines(rows)) out.line(...line)
  if (tool.parameters === null) return
  out.line('arguments')
  for (const line of JSON.stringify(tool.parameters, null, 2).split('\n')) out.line(`  ${escapeExact(line)}`)
}
