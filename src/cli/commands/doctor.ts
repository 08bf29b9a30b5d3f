// pmesh doctor: checks of this machine, then those of the running node; every line that is not ✓ carries what mends it.

import { MeshError } from '../../base/mesh-error.ts'
import type { DoctorLine } from '../../rpc/methods.ts'
import type { CommandContext } from '../command-context.ts'
import { checkMachine } from '../local-checks.ts'
import type { Output, Piece } from '../output.ts'

const MARKS: Readonly<Record<DoctorLine['level'], Piece>> = {
  ok: { text: '✓', style: 'green' },
  warn: { text: '!', style: 'yellow' },
  error: { text: '✗', style: 'red' }
}

export async function runDoctor(
  context: CommandContext,
  _args: readonly [],
  options: { readonly fix?: true }
): Promise<number> {
  let checks = await checkMachine(context)
  const mended: string[] = []
  if (options.fix === true) {
    for (const { line, fix } of checks) {
      if (fix === undefined) continue
      fix()
      mended.push(line.text)
    }
    if (mended.length > 0) checks = await checkMachine(context)
  }
  const lines = [...checks.map(({ line }) => line), ...(await nodeLines(context))]
  if (context.out.json) context.out.value({ items: lines, next: null, mended })
  else print(context.out, lines, mended)
  return lines.some(({ level }) => level === 'error') ? 1 : 0
}

async function nodeLines(context: CommandContext): Promise<readonly DoctorLine[]> {
  try {
    return (await context.call('node/doctor', {})).items
  } catch (error) {
    if (!(error instanceof MeshError) || error.code === 'CANCELLED') throw error
    return [
      {
        section: 'node',
        level: error.code === 'NODE_NOT_RUNNING' ? 'warn' : 'error',
        text: error.message,
        hint: error.hint
      }
    ]
  }
}

function print(out: Output, lines: readonly DoctorLine[], mended: readonly string[]): void {
  const width = Math.max(...lines.map(({ text, hint }) => (hint === '' ? 0 : text.length)))
  for (const section of new Set(lines.map((line) => line.section))) {
    out.line({ text: section, style: 'bold' })
    for (const { level, text, hint } of lines.filter((line) => line.section === section)) {
      out.line('  ', MARKS[level], ` ${hint === '' ? text : `${text.padEnd(width)}   ${hint}`}`)
    }
  }
  for (const text of mended) out.line({ text: 'mended: ', style: 'green' }, text)
}
