// pmesh log export: the node writes all chains, or one author's, to a file.

import { existsSync, rmSync } from 'node:fs'
import { resolve } from 'node:path'
import { MeshError } from '../../base/mesh-error.ts'
import type { CommandContext } from '../command-context.ts'
import { countOf, formatBytes } from '../human-text.ts'

export interface LogExportOptions {
  readonly member?: string
  readonly force?: true
}

export async function exportLog(
  context: CommandContext,
  [file]: readonly [string],
  options: LogExportOptions
): Promise<number> {
  if (file === '-') throw new MeshError('USAGE', 'an export is written to a file, not to stdout')
  const path = resolve(file)
  if (options.force !== true && existsSync(path)) {
    throw new MeshError('USAGE', 'cannot export: the file exists', {
      details: { file: path },
      hint: 'Choose another name, or say --force.'
    })
  }
  if (options.force === true) rmSync(path, { force: true })
  const result = await context.callWithProgress('exporting', 'log/export', {
    path,
    ...(options.member === undefined ? {} : { author: options.member })
  })
  if (context.out.json) context.out.value({ file: path, ...result })
  else context.out.remark(`${countOf(result.events, 'event')}, ${formatBytes(result.bytes)}, in ${path}`)
  return 0
}
